"""The score update: one learned score for one (model, complexity) (queue `model_score_updates`)."""

from datetime import UTC, datetime
from typing import Any, TypeGuard

import msgspec

from centralcloud.contracts.errors import ContractError, quote
from centralcloud.contracts.json_text import decode_object
from centralcloud.contracts.limits import COMPLEXITIES, MAX_INT8, MAX_NAME_LENGTH, SCORE_MAX, SCORE_MIN

EVENT_TYPE = "model_score_update"


class ScoreUpdate(msgspec.Struct, frozen=True, kw_only=True):
    """A score that every instance should use from now on.

    Attributes:
        model, complexity: the pair that the score is for.
        new_score, old_score: 0.0 to 5.0; `old_score` is None in a message by hand that leaves it out.
        version: from one sequence over all pairs; None in a message of the specification's form, sent by hand.
        reason: the numbers behind the score, in words.
        confidence: 0 to 1: one minus the width of the 95 % Wilson interval of the success rate behind the score.
        based_on_samples: resolved outcomes that were evaluated.
        rule, run_id: which rule wrote it, in which run of the learner.
        mean, n_eff: the success probability is Beta(mean n_eff, (1 - mean) n_eff); mean 0 to 1, n_eff above 0. Both or none:
            None, as the three that follow, when the rule estimates no probability.
        probe_share: share of the tasks of this complexity that should go to the model to keep it judged, 0 to 1.
        interval: 5 % to 95 % interval of the success probability, 0 to 1.
        window_start: when the evidence behind the score begins.
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
    mean: float | None = None
    n_eff: float | None = None
    probe_share: float | None = None
    interval: tuple[float, float] | None = None
    window_start: datetime | None = None

    def to_message(self) -> dict[str, Any]:
        """The update in the form of the specification, followed by our fields; those of an estimate only if set."""
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
        }
        estimate = {
            "mean": self.mean,
            "n_eff": self.n_eff,
            "probe_share": self.probe_share,
            "interval": None if self.interval is None else list(self.interval),
            "window_start": self.window_start.isoformat() if self.window_start else None,
        }
        return message | {name: value for name, value in estimate.items() if value is not None}

    def to_json(self) -> str:
        """The update as JSON text, ready to be sent."""
        return msgspec.json.encode(self.to_message()).decode()


def parse_score_update(text: str | None) -> ScoreUpdate:
    """The score update in a message's JSON `text`.

    The specification's own fields (`model`, `complexity`, `new_score`) are enough; the rest may be missing, and a
    descriptive field of the wrong form is left out rather than costing the update.

    Raises:
        ContractError: the pair, the score or the version cannot be used; names the field.
    """
    message = decode_object(text)
    event_type = message.get("event_type", EVENT_TYPE)
    if event_type != EVENT_TYPE:
        raise ContractError("event_type", quote(event_type), f'"{EVENT_TYPE}"')
    model = message.get("model")
    if not isinstance(model, str) or not 1 <= len(model) <= MAX_NAME_LENGTH:
        raise ContractError("model", quote(model), f"a string of 1 to {MAX_NAME_LENGTH} characters")
    complexity = message.get("complexity")
    if not isinstance(complexity, str) or complexity.lower() not in COMPLEXITIES:
        raise ContractError("complexity", quote(complexity), f"one of {', '.join(COMPLEXITIES)}")
    new_score = message.get("new_score")
    if not is_score(new_score):
        raise ContractError("new_score", quote(new_score), f"a number from {SCORE_MIN} to {SCORE_MAX}")
    version = message.get("version")
    if version is not None and (not _is_integer(version) or not 1 <= version <= MAX_INT8):
        raise ContractError("version", quote(version), "null or a positive integer")
    old_score, confidence = message.get("old_score"), message.get("confidence")
    samples, run_id = message.get("based_on_samples"), message.get("run_id")
    mean, n_eff = usable_estimate(message.get("mean"), message.get("n_eff"))
    probe_share = message.get("probe_share")
    return ScoreUpdate(
        model=model,
        complexity=complexity.lower(),
        new_score=float(new_score),
        old_score=float(old_score) if is_score(old_score) else None,
        version=version,
        timestamp=_timestamp(message.get("timestamp")),
        reason=_string(message.get("reason")),
        confidence=float(confidence) if is_score(confidence) else None,
        based_on_samples=samples if _is_integer(samples) else None,
        rule=_string(message.get("rule")),
        run_id=run_id if _is_integer(run_id) else None,
        mean=mean,
        n_eff=n_eff,
        probe_share=float(probe_share) if is_share(probe_share) else None,
        interval=_interval(message.get("interval")),
        window_start=_timestamp(message.get("window_start")),
    )


def is_score(value: Any) -> TypeGuard[int | float]:
    """Whether `value` is a number from 0.0 to 5.0 (no booleans; NaN and infinity are not in the range)."""
    return isinstance(value, int | float) and not isinstance(value, bool) and SCORE_MIN <= value <= SCORE_MAX


def is_share(value: Any) -> TypeGuard[int | float]:
    """Whether `value` is a number from 0.0 to 1.0."""
    return is_score(value) and value <= 1


def usable_estimate(mean: Any, n_eff: Any) -> tuple[float, float] | tuple[None, None]:
    """Both as numbers when `mean` is 0 to 1 and `n_eff` above 0, else none: one says nothing without the other."""
    if is_share(mean) and isinstance(n_eff, int | float) and not isinstance(n_eff, bool) and 0 < n_eff <= MAX_INT8:
        return float(mean), float(n_eff)
    return None, None


def _interval(value: Any) -> tuple[float, float] | None:
    match value:
        case [low, high] if is_share(low) and is_share(high) and low <= high:
            return float(low), float(high)
    return None


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _string(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _timestamp(value: Any) -> datetime | None:
    try:
        timestamp = datetime.fromisoformat(value)
        return timestamp.replace(tzinfo=UTC) if timestamp.tzinfo is None else timestamp.astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        return None
