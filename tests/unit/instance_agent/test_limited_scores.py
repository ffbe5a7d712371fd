"""An instance keeps a bounded number of scores, those of its catalog first."""

import time
from datetime import UTC, datetime, timedelta

from instance_agent.catalog import learned_scores
from instance_agent.catalog.learned_scores import LearnedScore, LearnedScores

BEGINNING = datetime(2026, 11, 1, tzinfo=UTC)


def scores(count: int) -> LearnedScores:
    return LearnedScores(
        version=count,
        scores={
            (f"model-{i}", "simple"): LearnedScore(score=1.0, version=i, at=BEGINNING + timedelta(seconds=i))
            for i in range(count)
        },
    )


def test_the_scores_of_the_catalog_stay_and_the_newest_of_others() -> None:
    most = learned_scores.MOST_PAIRS
    learned = scores(most + 100).limited({"model-0", "unknown"})
    assert len(learned.scores) == most
    assert learned.of("model-0", "simple") is not None
    assert learned.of("model-100", "simple") is None
    assert learned.of(f"model-{most + 99}", "simple") is not None
    assert learned.version == most + 100


def test_few_scores_stay_as_they_are() -> None:
    few = scores(3)
    assert few.limited(()) is few


def test_many_scores_are_applied_without_a_copy_for_each() -> None:
    """40,000 pairs in each reconcile, of which 30,000 are dropped again: 8 seconds with a copy for each."""
    received = list(scores(4 * learned_scores.MOST_PAIRS).scores.items())
    began = time.process_time()
    learned = LearnedScores().with_scores(received).limited(())
    assert learned.with_scores(received).limited(()) == learned
    assert time.process_time() - began < 2
    assert learned.with_scores(received[-10:]) is learned
