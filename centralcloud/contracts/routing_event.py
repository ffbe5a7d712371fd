"""The routing event: one decision of an instance's router, or the outcome of one (queue `model_routing_decisions`).

What feeds learning is strict: a field that breaks the contract refuses the message, naming its path. What only describes
is tolerant: a value of the wrong form is kept in `extra`, as is every field that we do not know.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta
from msgspec.structs import astuple

from centralcloud.contracts.errors import MISSING, ContractError, quote
from centralcloud.contracts.json_text import decode_object
from centralcloud.contracts.limits import (
    BLAMELESS_ERROR_KINDS,
    COMPLEXITIES,
    ERROR_KINDS,
    MAX_CLOCK_AHEAD_HOURS,
    MAX_COST_USD,
    MAX_INT4,
    MAX_INT8,
    MAX_MESSAGE_BYTES,
    MAX_NAME_LENGTH,
    OUTCOMES,
    SCORE_MAX,
    SCORE_MIN,
)

_MAX_AHEAD: Final = timedelta(hours=MAX_CLOCK_AHEAD_HOURS)
_COMPLEXITY_SET: Final = frozenset(COMPLEXITIES)
_OUTCOME_SET: Final = frozenset(OUTCOMES)
_ERROR_KIND_SET: Final = frozenset(ERROR_KINDS)


class RoutingEvent(msgspec.Struct, frozen=True, gc=False):
    """One routing decision, or the outcome of one, as it passes through the queue.

    Attributes:
        timestamp: when the decision was made, with a zone.
        complexity: ``simple``, ``medium`` or ``complex``.
        complexity_score: the score that the instance used, 0.0 to 5.0.
        outcome: ``routed``, ``success`` or ``failure``.
        response_time_ms: 0 to 2147483647, or None when not reported.
        decision_id: links `routed` to its outcome and makes a resend harmless; None when the instance sends none.
        propensity: probability with which the router chose this model, 0 to 1.
        score_version: version of the score that was used.
        extra: whatever else the message held.
    """

    timestamp: datetime
    instance_id: str
    complexity: str
    model: str
    provider: str
    complexity_score: float
    outcome: str = "routed"
    response_time_ms: int | None = None
    capabilities_required: tuple[str, ...] = ()
    prefer: str | None = None
    user_model_request: str | None = None
    decision_id: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: float | None = None
    error_kind: str | None = None
    task_type: str | None = None
    propensity: float | None = None
    score_version: int | None = None
    extra: dict[str, Any] = {}  # msgspec copies it for each event

    @property
    def resolved(self) -> bool:
        """Whether this event carries an outcome (success or failure)."""
        return self.outcome != "routed"

    @property
    def blameless(self) -> bool:
        """Whether this is a failure that says nothing about the model (kind `caller` or `policy`)."""
        return self.outcome == "failure" and self.error_kind in BLAMELESS_ERROR_KINDS

    def to_message(self) -> dict[str, Any]:
        """The event in the form of the specification; optional fields of ours appear only when they are set."""
        decision: dict[str, Any] = {
            **self.extra,
            "complexity": self.complexity,
            "selected_model": self.model,
            "selected_provider": self.provider,
            "complexity_score": self.complexity_score,
            "outcome": self.outcome,
            "response_time_ms": self.response_time_ms,
            "capabilities_required": list(self.capabilities_required),
            "prefer": self.prefer,
            "user_model_request": self.user_model_request,
        }
        for name in _OPTIONAL_FIELDS:
            value = getattr(self, name)
            if value is not None:
                decision[name] = value
        return {"timestamp": self.timestamp.isoformat(), "instance_id": self.instance_id, "routing_decision": decision}

    def to_json(self) -> str:
        """The event as JSON text, ready to be sent."""
        return msgspec.json.encode(self.to_message()).decode()


_Name = Annotated[str, Meta(min_length=1, max_length=MAX_NAME_LENGTH)]
_Count = Annotated[int, Meta(ge=0, le=MAX_INT4)]


class _PlainDecision(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """The fields of `routing_decision` when each is as it should be and there is no other; ordered as in RoutingEvent."""

    complexity: Literal["simple", "medium", "complex"]
    selected_model: _Name
    selected_provider: _Name
    complexity_score: Annotated[float, Meta(ge=SCORE_MIN, le=SCORE_MAX)]
    outcome: Literal["routed", "success", "failure"] = "routed"
    response_time_ms: _Count | None = None
    capabilities_required: tuple[str, ...] = ()
    prefer: str | None = None
    user_model_request: str | None = None
    decision_id: _Name | None = None
    input_tokens: _Count | None = None
    output_tokens: _Count | None = None
    cost_usd: Annotated[float, Meta(ge=0, le=MAX_COST_USD)] | None = None
    error_kind: Literal["caller", "policy", "provider", "timeout"] | None = None
    task_type: str | None = None
    propensity: Annotated[float, Meta(ge=0, le=1)] | None = None
    score_version: Annotated[int, Meta(ge=-MAX_INT8, le=MAX_INT8)] | None = None


class _PlainMessage(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    timestamp: datetime
    instance_id: _Name
    routing_decision: _PlainDecision


_decode_plain = msgspec.json.Decoder(_PlainMessage).decode


def parse_routing_event(text: str | None, now: datetime) -> RoutingEvent:
    """The routing event in a message's JSON `text`, at the server's time `now`.

    Raises:
        ContractError: a field that feeds learning is missing or wrong; names the path of the first one.
    """
    if text is not None and len(text) * 4 > MAX_MESSAGE_BYTES and (size := len(text.encode())) > MAX_MESSAGE_BYTES:
        raise message_too_large(size)
    return _parse_plain(text, now) or _parse_field_by_field(text, now)


def _parse_plain(text: str | None, now: datetime) -> RoutingEvent | None:
    """The event when nothing about the message is out of the ordinary, which is several times as fast; else None."""
    try:
        message = _decode_plain(text)  # type: ignore[arg-type]
    except (msgspec.MsgspecError, RecursionError, TypeError):
        return None
    timestamp = message.timestamp
    if timestamp.tzinfo is not UTC or timestamp - now > _MAX_AHEAD:
        return None
    # By position: by name takes ten times as long.
    return RoutingEvent(timestamp, message.instance_id, *astuple(message.routing_decision))


def _parse_field_by_field(text: str | None, now: datetime) -> RoutingEvent:
    """The event of any message; finds out what is wrong with it, and what is to be kept in `extra`."""
    message = decode_object(text)
    timestamp = _timestamp(message.pop("timestamp", MISSING), now)
    instance_id = _name(message.pop("instance_id", MISSING), "instance_id")
    decision = message.pop("routing_decision", MISSING)
    if not isinstance(decision, dict):
        raise ContractError("routing_decision", quote(decision), "an object")
    take = decision.pop
    fields: dict[str, Any] = {
        "complexity": _one_of(
            take("complexity", MISSING), "routing_decision.complexity", _COMPLEXITY_SET, COMPLEXITIES
        ),
        "model": _name(take("selected_model", MISSING), "routing_decision.selected_model"),
        "provider": _name(take("selected_provider", MISSING), "routing_decision.selected_provider"),
        "complexity_score": _score(take("complexity_score", MISSING), "routing_decision.complexity_score"),
        "outcome": _one_of(take("outcome", "routed"), "routing_decision.outcome", _OUTCOME_SET, OUTCOMES),
        "response_time_ms": _response_time(take("response_time_ms", None)),
        "capabilities_required": _capabilities(take("capabilities_required", None)),
    }
    for name, accepts in _TOLERANT_FIELDS:
        if name in decision:
            value = decision[name]
            if value is None or accepts(value):
                fields[name] = float(value) if value is not None and name in _FRACTIONS else value
                del decision[name]
    # What is left of the decision and of the message around it is kept; a name used in both is told apart.
    extra = decision
    for name, value in message.items():
        extra[f"event.{name}" if name in extra else name] = value
    return RoutingEvent(timestamp=timestamp, instance_id=instance_id, extra=extra, **fields)


def message_too_large(size: int) -> ContractError:
    """The refusal of a message of `size` bytes."""
    return ContractError("message", f"{size} bytes", f"at most {MAX_MESSAGE_BYTES} bytes")


def _timestamp(value: Any, now: datetime) -> datetime:
    if not isinstance(value, str):
        raise ContractError("timestamp", quote(value), "an ISO 8601 string")
    try:
        timestamp = _read_timestamp(value)
        timestamp = timestamp.replace(tzinfo=UTC) if timestamp.tzinfo is None else timestamp.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ContractError("timestamp", quote(value), "an ISO 8601 date and time") from None
    if timestamp - now > _MAX_AHEAD:
        expected = (
            f"at most {MAX_CLOCK_AHEAD_HOURS} hours after the server's clock ({now.isoformat(timespec='seconds')})"
        )
        raise ContractError("timestamp", quote(value), expected)
    return timestamp


def _read_timestamp(value: str) -> datetime:
    """`value` as msgspec reads it, as it does in a plain message; else as Python does, which takes more of ISO 8601."""
    try:
        return msgspec.convert(value, datetime)
    except msgspec.ValidationError:
        return datetime.fromisoformat(value)


def _name(value: Any, field: str) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= MAX_NAME_LENGTH:
        raise ContractError(field, quote(value), f"a string of 1 to {MAX_NAME_LENGTH} characters")
    return value


def _one_of(value: Any, field: str, allowed: frozenset[str], in_order: tuple[str, ...]) -> str:
    if isinstance(value, str):
        if value in allowed:
            return value
        lowered = value.lower()
        if lowered in allowed:
            return lowered
    raise ContractError(field, quote(value), f"one of {', '.join(in_order)}")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _score(value: Any, field: str) -> float:
    if not _is_number(value) or not SCORE_MIN <= value <= SCORE_MAX:
        raise ContractError(field, quote(value), f"a number from {SCORE_MIN} to {SCORE_MAX}")
    return float(value)


def _response_time(value: Any) -> int | None:
    if value is None:
        return None
    if not _is_number(value) or not 0 <= value <= MAX_INT4:
        raise ContractError("routing_decision.response_time_ms", quote(value), f"null or a number from 0 to {MAX_INT4}")
    rounded: int = round(value)
    return rounded


def _capabilities(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise ContractError("routing_decision.capabilities_required", quote(value), "null or a list of strings")
    for position, item in enumerate(value):
        if not isinstance(item, str):
            raise ContractError(f"routing_decision.capabilities_required[{position}]", quote(item), "a string")
    return tuple(value)


def _is_string(value: Any) -> bool:
    return isinstance(value, str)


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and 1 <= len(value) <= MAX_NAME_LENGTH


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_INT4


def _is_cost(value: Any) -> bool:
    return _is_number(value) and 0 <= value <= MAX_COST_USD


def _is_error_kind(value: Any) -> bool:
    return isinstance(value, str) and value in _ERROR_KIND_SET


def _is_probability(value: Any) -> bool:
    return _is_number(value) and 0 <= value <= 1


def _is_version(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and -MAX_INT8 <= value <= MAX_INT8


#: Fields that describe and do not feed the threshold rule: a value that is refused here is kept in `extra`.
_TOLERANT_FIELDS: Final[tuple[tuple[str, Callable[[Any], bool]], ...]] = (
    ("prefer", _is_string),
    ("user_model_request", _is_string),
    ("decision_id", _is_name),
    ("input_tokens", _is_count),
    ("output_tokens", _is_count),
    ("cost_usd", _is_cost),
    ("error_kind", _is_error_kind),
    ("task_type", _is_string),
    ("propensity", _is_probability),
    ("score_version", _is_version),
)
_FRACTIONS: Final = frozenset({"cost_usd", "propensity"})
_OPTIONAL_FIELDS: Final = tuple(name for name, _ in _TOLERANT_FIELDS if name not in {"prefer", "user_model_request"})
