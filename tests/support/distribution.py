"""Scores on their way to an instance: evaluations, scores by hand, and the score that an instance uses."""

import json
from collections.abc import Callable

from centralcloud.ingest.drain import drain
from centralcloud.learning.learner import Learner
from centralcloud.learning.rules import ThresholdRule
from centralcloud.runtime.postgres.database import Database
from instance_agent.sync.score_updater import ScoreUpdater
from support.events import outcomes, send
from support.servers import execute

NewUpdater = Callable[..., ScoreUpdater]


def learn_once(database: Database, url: str, model: str = "gpt-4o", score: float = 2.0, good: bool = True) -> None:
    """One evaluation that moves a model's score by +0.3, or by -0.1."""
    counts = (100, 0) if good else (0, 100)
    send(url, outcomes(*counts, selected_model=model, complexity_score=score))
    drain(database, batch_size=1000)
    Learner(database, [ThresholdRule()]).learn()


def score_of(updater: ScoreUpdater, model: str = "gpt-4o", complexity: str = "complex") -> float | None:
    learned = updater.learned.scores.get((model, complexity))
    return learned.score if learned else None


def send_manual_score(url: str, new_score: object, model: str = "gpt-4o", **fields: object) -> None:
    message = {"model": model, "complexity": "complex", "new_score": new_score, **fields}
    execute(url, "SELECT pgmq.send('model_score_updates', %s::jsonb)", (json.dumps(message),))
