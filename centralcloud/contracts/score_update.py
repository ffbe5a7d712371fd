"""The score update: one learned score for one (model, complexity) (queue `model_score_updates`)."""

from datetime import datetime
from typing import Any

import msgspec

from centralcloud.contracts.errors import ContractError, quote
from centralcloud.contracts.estimate import NO_ESTIMATE, Estimate, parse_estimate
from centralcloud.contracts.json_text import decode_object
from centralcloud.contracts.limits import COMPLEXITIES, MAX_INT8, MAX_NAME_LENGTH, SCORE_MAX, SCORE_MIN
from centralcloud.contracts.task_score import TaskScores, parse_task_scores, task_scores_to_json
from centralcloud.contracts.text import has_steering
from centralcloud.contracts.validators import (
    is_integer,
    is_score,
    is_share,
    string_or_none,
    timestamp_or_none,
)

EVENT_TYPE = "model_score_update"


class ScoreUpdate(msgspec.Struct, frozen=True, kw_only=True):
    """A score that every instance should use from now on.

    Attributes:
        model, complexity: the pair that the score is for.
        new_score, old_score: 0.0 to 5.0; `old_score` is None in a manual message that leaves it out.
        version: from one sequence over all pairs; None in a manual message of the specification's form.
        reason: the numbers behind the score, in words.
        confidence: 0 to 1: one minus the width of the 95% Wilson interval of the success rate behind the score.
        based_on_samples: resolved outcomes that were evaluated.
        rule, run_id: the rule that computed the score, and the run of the learner in which it did.
        estimate: the success probability behind the score; empty when the rule estimates none.
        window_start: start of the evidence behind the estimate; None without an estimate.
        task_types: the scores for tasks of one type, by its name; empty when the rule knows no task types.
    """

    model: str
    complexity: str
    new_score: float
    old_score: float | None = None
    version: int | None = None
    timestamp: datetime | None = None
    reason: str | None = None
    confidence: float | None = None
    based_on_samples: int | None = None
    rule: str | None = None
    run_id: int | None = None
    estimate: Estimate = NO_ESTIMATE
    window_start: datetime | None = None
    task_types: TaskScores = msgspec.field(default_factory=dict)

    def to_message(self) -> dict[str, Any]:
        """Return the message: the specification's fields, then the additional ones; those of an estimate only if set."""
        message = {
            "timestamp": self.timestamp.isoformat() if self.timestamp else None,
            "event_type": EVENT_TYPE,
            "model": self.model,
            "complexity": self.complexity,
            "old_score": self.old_score,
            "new_score": self.new_score,
            "reason": self.reason,
            "version": self.version,
            "confidence": self.confidence,
            "based_on_samples": self.based_on_samples,
            "rule": self.rule,
            "run_id": self.run_id,
            **self.estimate.to_json(),
        }
        if self.window_start is not None:
            message["window_start"] = self.window_start.isoformat()
        if self.task_types:
            message["task_types"] = task_scores_to_json(self.task_types)
        return message

    def to_json(self) -> str:
        """Return the message as JSON text."""
        return msgspec.json.encode(self.to_message()).decode()


def parse_score_update(text: str | None) -> ScoreUpdate:
    """Parse the JSON `text` of a message.

    `model`, `complexity` and `new_score` are required. Every other field may be missing; if it only describes the score and
    has an invalid value, it is left out.

    Raises:
        ContractError: the pair, the score or the version is invalid; names the field.
    """
    message = decode_object(text)
    event_type = message.get("event_type", EVENT_TYPE)
    if event_type != EVENT_TYPE:
        raise ContractError("event_type", quote(event_type), f'"{EVENT_TYPE}"')
    model = message.get("model")
    if not isinstance(model, str) or not 1 <= len(model) <= MAX_NAME_LENGTH or has_steering(model):
        expected = f"a string of 1 to {MAX_NAME_LENGTH} characters, none of them a control or invisible one"
        raise ContractError("model", quote(model), expected)
    complexity = message.get("complexity")
    if not isinstance(complexity, str) or complexity.lower() not in COMPLEXITIES:
        raise ContractError("complexity", quote(complexity), f"one of {', '.join(COMPLEXITIES)}")
    new_score = message.get("new_score")
    if not is_score(new_score):
        raise ContractError("new_score", quote(new_score), f"a number from {SCORE_MIN} to {SCORE_MAX}")
    version = message.get("version")
    if version is not None and (not is_integer(version) or not 1 <= version <= MAX_INT8):
        raise ContractError("version", quote(version), "null or a positive integer")
    old_score, confidence = message.get("old_score"), message.get("confidence")
    samples, run_id = message.get("based_on_samples"), message.get("run_id")
    return ScoreUpdate(
        model=model,
        complexity=complexity.lower(),
        new_score=float(new_score),
        old_score=float(old_score) if is_score(old_score) else None,
        version=version,
        timestamp=timestamp_or_none(message.get("timestamp")),
        reason=string_or_none(message.get("reason")),
        confidence=float(confidence) if is_share(confidence) else None,
        based_on_samples=samples if is_integer(samples) else None,
        rule=string_or_none(message.get("rule")),
        run_id=run_id if is_integer(run_id) else None,
        estimate=parse_estimate(message),
        window_start=timestamp_or_none(message.get("window_start")),
        task_types=parse_task_scores(message.get("task_types")),
    )
