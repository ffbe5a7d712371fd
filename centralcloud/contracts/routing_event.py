"""The routing event: one decision of an instance's router, or the outcome of one (queue `model_routing_decisions`).

Fields that feed learning are strict: an invalid value rejects the message, with the path of the field. Fields that only
describe are tolerant: an invalid value is kept in `extra`, as is every unknown field. A value in an unusual form that can
mean only one thing is accepted. `event_fields` specifies each field, `words` the words of other systems.
"""

from datetime import UTC, datetime, timedelta
from operator import itemgetter
from typing import Any, Final

import msgspec
from msgspec.structs import astuple

from centralcloud.contracts.errors import MISSING, ContractError, quote
from centralcloud.contracts.event_fields import (
    COMMON_ATTRIBUTES,
    COMMON_FIELDS,
    DECISION_FIELDS,
    EVENT_ATTRIBUTES,
    MESSAGE_FIELDS,
    REQUEST_FIELDS,
    REQUEST_LABELS,
    parse_name,
    plain_message_type,
    take_decision_fields,
)
from centralcloud.contracts.field_kinds import INVALID
from centralcloud.contracts.json_text import decode_object
from centralcloud.contracts.limits import (
    BLAMELESS_ERROR_KINDS,
    EARLIEST_TIME,
    MAX_CLOCK_AHEAD_HOURS,
    MAX_ID_LENGTH,
    MAX_MESSAGE_BYTES,
    MAX_PLAN_BYTES,
    NANO_USD_PER_USD,
)
from centralcloud.contracts.text import is_plain_name
from centralcloud.contracts.timestamps import parse_timestamp
from centralcloud.contracts.words import WordSource, built_in

_MAX_AHEAD: Final = timedelta(hours=MAX_CLOCK_AHEAD_HOURS)

#: Fields of a decision that a message always has, and those that it has only with a value; where they begin in an event.
_ALWAYS_WRITTEN: Final = tuple(field.name for field in COMMON_FIELDS if not field.optional)
_OPTIONAL: Final = tuple(field.name for field in COMMON_FIELDS if field.optional)
_FIRST_WRITTEN: Final = len(MESSAGE_FIELDS)
_FIRST_OPTIONAL: Final = _FIRST_WRITTEN + len(_ALWAYS_WRITTEN)
_EXTRA: Final = _FIRST_OPTIONAL + len(_OPTIONAL)
_FIRST_OF_REQUEST: Final = _EXTRA + 1
_NO_OPTIONAL: Final = (None,) * len(_OPTIONAL)
_REQUEST_NAMES: Final = tuple(field.name for field in REQUEST_FIELDS)
_NO_REQUEST: Final = [None] * len(REQUEST_FIELDS)
_COMMON: Final = len(COMMON_FIELDS)
_POSITION: Final = {field.name: position for position, field in enumerate(DECISION_FIELDS)}
_COST_USD: Final = _POSITION["cost_usd"]
_COST_NANO_USD: Final = _POSITION["cost_nano_usd"]
_FEEDBACK_UNTIL: Final = _POSITION["feedback_until"]
_PLAN: Final = _POSITION["plan"]
_read_plan: Final = DECISION_FIELDS[_PLAN].read
_labels_of: Final = itemgetter(*(_POSITION[name] for name in REQUEST_LABELS))
_encode = msgspec.json.Encoder().encode
#: The forms of a message and of its decision in which msgspec writes them, without the fields that have no value.
_WrittenDecision: Final = msgspec.defstruct(
    "_WrittenDecision",
    [*((name, Any) for name in _ALWAYS_WRITTEN), *((name, Any, None) for name in (*_OPTIONAL, *_REQUEST_NAMES))],
    omit_defaults=True,
    gc=False,
)
_WrittenMessage: Final = msgspec.defstruct(
    "_WrittenMessage", [("timestamp", str), ("instance_id", str), ("routing_decision", _WrittenDecision)], gc=False
)


class RoutingEvent(msgspec.Struct, frozen=True, gc=False):
    """One routing decision, or the outcome of one, as it passes through the queue.

    Attributes:
        timestamp: when the decision was made, with a time zone.
        complexity: ``simple``, ``medium`` or ``complex``.
        complexity_score: the score that the instance used, 0.0 to 5.0.
        outcome: ``routed``, ``success`` or ``failure``.
        response_time_ms: 0 to 2147483647, or None when not reported.
        decision_id: links a `routed` event to its outcome and makes a resend harmless; None when the instance sends none.
        propensity: probability with which the router chose this model, 0 to 1.
        score_version: version of the score that was used.
        extra: every other field of the message.
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
        """Return the message in the form of the specification; its optional fields only if they are set."""
        values = astuple(self)
        decision = self.extra | dict(zip(_ALWAYS_WRITTEN, values[_FIRST_WRITTEN:_FIRST_OPTIONAL]))  # noqa: B905 - slow
        optional = values[_FIRST_OPTIONAL:_EXTRA]
        if optional != _NO_OPTIONAL:
            decision |= {name: value for name, value in zip(_OPTIONAL, optional) if value is not None}  # noqa: B905
        decision["capabilities_required"] = list(self.capabilities_required)
        if self.extra:  # an invalid value of a tolerant field is written as it was read
            decision |= {name: value for name, value in self.extra.items() if decision[name] is None}
        return {"timestamp": self.timestamp.isoformat(), "instance_id": self.instance_id, "routing_decision": decision}

    def to_json(self) -> str:
        """Return the message as JSON text."""
        return _encode(self.to_message()).decode()


class RequestEvent(RoutingEvent, frozen=True, gc=False):
    """A routing event of a request that a gateway executes: the decision is one attempt of it.

    A class of its own, so that the events of all others stay as small and as fast as they are.

    Attributes:
        request_id: UUID of version 7 of the request that a gateway executes; a decision is one attempt of it.
        attempt: number of the attempt, from 1 on.
        session: 16 hexadecimal digits.
        workspace, key_id, user_id, worker, task_id, agent_type: the caller and its task.
        policy, rule: what the router followed.
        complexity_level_10: 1 to 10; `complexity` is its class.
        estimated_cost_usd, estimated_ms: what the router expected.
        cost_nano_usd: exact cost in billionths of a US dollar; `cost_usd` is computed from it where that is missing.
        first_token_ms: until the first token of the answer.
        reward: 0 to 1: how good an outcome was; learning uses it in place of success and failure.
        finish_reason: why the model stopped.
        classifier: the classifier that decided on `complexity`, with its version.
        model_version: of a decision: what the provider was sent as the model's name; of an outcome: the id of the model that
            its answer names. Learning follows the latter.
        experiment, arm: the experiment, and its arm: the name of a treatment, or ``control``.
        arm_share: of the first attempt of a request that is compared: the probability (0 to 1) of the treatment among this
            treatment and control; for control, of each of the treatments.
        feedback_until: the outcome of the request is its feedback, which may arrive until then.
        plan: the router's plan, at most 2,048 bytes of JSON, stored in `request_plans`, once for each request. It may be
            `msgspec.Raw` where it is only passed on.
    """

    request_id: str | None = None
    attempt: int | None = None
    session: str | None = None
    workspace: str | None = None
    key_id: str | None = None
    user_id: str | None = None
    worker: str | None = None
    task_id: str | None = None
    agent_type: str | None = None
    policy: str | None = None
    rule: str | None = None
    complexity_level_10: int | None = None
    estimated_cost_usd: float | None = None
    cost_nano_usd: int | None = None
    estimated_ms: int | None = None
    first_token_ms: int | None = None
    reward: float | None = None
    finish_reason: str | None = None
    classifier: str | None = None
    model_version: str | None = None
    experiment: str | None = None
    arm: str | None = None
    arm_share: float | None = None
    feedback_until: datetime | None = None
    plan: dict[str, Any] | None = None

    def to_message(self) -> dict[str, Any]:
        """Return the message in the form of the specification; its optional fields only if they are set."""
        message = super().to_message()
        values = zip(_REQUEST_NAMES, astuple(self)[_FIRST_OF_REQUEST:], strict=True)
        message["routing_decision"] |= {name: value for name, value in values if value is not None}
        if self.feedback_until is not None:
            message["routing_decision"]["feedback_until"] = self.feedback_until.isoformat()
        return message

    def to_json(self) -> str:
        """Return the message as JSON text: that of `to_message`, in half of the time where nothing is in `extra`."""
        if self.extra or self.feedback_until is not None:
            return super().to_json()
        values = astuple(self)
        decision = _WrittenDecision(*values[_FIRST_WRITTEN:_EXTRA], *values[_FIRST_OF_REQUEST:])
        return _encode(_WrittenMessage(self.timestamp.isoformat(), self.instance_id, decision)).decode()


# Events are constructed and stored by position, which `_parse_plain` relies on, too.
for event_type, attributes in ((RoutingEvent, COMMON_ATTRIBUTES), (RequestEvent, EVENT_ATTRIBUTES)):
    if event_type.__struct_fields__ != attributes:
        raise TypeError(
            f"{event_type.__name__}: found the attributes {event_type.__struct_fields__}, expected those of event_fields: "
            f"{attributes}"
        )

_decode_common = msgspec.json.Decoder(plain_message_type(COMMON_FIELDS)).decode
_decode_request = msgspec.json.Decoder(
    plain_message_type((*DECISION_FIELDS[:_PLAN], DECISION_FIELDS[_PLAN]._replace(type=msgspec.Raw)))
).decode
_decode_plan = msgspec.json.Decoder().decode
#: Messages with one of them are decoded with the fields of a request. A decoder without them is a quarter faster. Routers
#: without requests may report the version of a model, and no other of these fields.
_REQUEST_KEY: Final = '"request_id": '
_VERSION_KEY: Final = '"model_version": '
#: Numbers with fewer digits can be decoded by every program.
_LONG_NUMBER: Final = b"0" * 18
_DIGITS_AS_ZERO: Final = bytes.maketrans(b"123456789", b"000000000")


def parse_routing_event(
    text: str | None, now: datetime, words: WordSource = built_in, *, raw_plan: bool = False
) -> RoutingEvent:
    """Parse the JSON `text` of a message, at the server's time `now`.

    Args:
        words: returns the table of words of other systems. It is called only for a message that has such a word.
        raw_plan: leave the plan of an ordinary message as JSON (`msgspec.Raw`), which saves half of the time.

    Raises:
        ContractError: a strict field is missing or invalid; names the path of the first one.
    """
    if text is not None and len(text) * 4 > MAX_MESSAGE_BYTES and (size := len(text.encode())) > MAX_MESSAGE_BYTES:
        raise message_too_large(size)
    return _parse_plain(text, now, raw_plan) or _parse_field_by_field(text, now, words)


def _parse_plain(text: str | None, now: datetime, raw_plan: bool) -> RoutingEvent | None:
    """Return the event if no value of the message needs a conversion, which is three times as fast; else None.

    The checks of strings are written out: in a loop, they would take as long as the decoding.
    """
    if text is None:
        return None
    of_request = _REQUEST_KEY in text or _VERSION_KEY in text
    try:
        message = _decode_request(text) if of_request else _decode_common(text)
    except (msgspec.MsgspecError, RecursionError):
        return None
    timestamp, instance_id = message.timestamp, message.instance_id
    if timestamp.tzinfo is not UTC or timestamp < EARLIEST_TIME or timestamp - now > _MAX_AHEAD:
        return None
    decision = message.routing_decision
    # JSON escapes each control character of ASCII but DEL. Without a space, a string has nothing at its ends to strip.
    unusual = "\\" in text or not text.isascii() or "\x7f" in text
    if (
        unusual
        or " " in instance_id
        or " " in decision.selected_model
        or " " in decision.selected_provider
        or ((decision_id := decision.decision_id) and " " in decision_id)
        or ((prefer := decision.prefer) and " " in prefer)
        or ((asked := decision.user_model_request) and " " in asked)
        or ((task_type := decision.task_type) and " " in task_type)
        or ((capabilities := decision.capabilities_required) and " " in "".join(capabilities))
    ) and not _has_plain_strings(instance_id, decision):
        return None
    # By position: keyword arguments take ten times as long.
    if not of_request:
        return RoutingEvent(timestamp, instance_id, *astuple(decision))
    values: list[Any] = [*astuple(decision)]
    labels = [label for label in _labels_of(values) if label is not None]
    if (unusual or " " in "".join(labels)) and not all(map(is_plain_name, labels)):
        return None
    until = values[_FEEDBACK_UNTIL]
    if until is not None and (until.tzinfo is not UTC or until < EARLIEST_TIME):
        return None
    if values[_PLAN] is not None:
        values[_PLAN] = plan = _plain_plan(values[_PLAN], raw_plan)
        if plan is INVALID:
            return None
    return _event(timestamp, instance_id, values, {})


def _plain_plan(plan: msgspec.Raw, raw: bool) -> Any:
    """Return a plan as JSON if `raw`, else decoded; `INVALID` for one that a field-by-field parser may not accept."""
    text = bytes(plan)
    if text == b"null":
        return None
    if not text.startswith(b"{"):
        return INVALID
    if raw and len(text) <= MAX_PLAN_BYTES and _LONG_NUMBER not in text.translate(_DIGITS_AS_ZERO):
        return plan
    try:
        decoded = _decode_plan(text)
    except (msgspec.MsgspecError, RecursionError):
        return INVALID
    return INVALID if _read_plan(decoded) is INVALID else plan if raw else decoded  # type: ignore[misc]


def _event(timestamp: datetime, instance_id: str, values: list[Any], extra: dict[str, Any]) -> RoutingEvent:
    """Return the event with the `values` of a decision, with `cost_usd` if only the exact cost was sent."""
    common, request = values[:_COMMON], values[_COMMON:]
    if request == _NO_REQUEST:
        return RoutingEvent(timestamp, instance_id, *[*common, extra])
    if common[_COST_USD] is None and values[_COST_NANO_USD] is not None:
        common[_COST_USD] = values[_COST_NANO_USD] / NANO_USD_PER_USD
    return RequestEvent(timestamp, instance_id, *[*common, extra, *request])


def _has_plain_strings(instance_id: str, decision: Any) -> bool:
    """Return whether each string of a decoded message is as a field-by-field parser would return it."""
    optional = (decision.decision_id, decision.prefer, decision.user_model_request, decision.task_type)
    strings = (instance_id, decision.selected_model, decision.selected_provider, *decision.capabilities_required)
    return all(map(is_plain_name, strings)) and all(text is None or is_plain_name(text) for text in optional)


def _parse_field_by_field(text: str | None, now: datetime, words: WordSource) -> RoutingEvent:
    """Parse any message: find its first invalid field, or collect in `extra` what no field takes."""
    message = decode_object(text)
    sent = message.pop("timestamp", MISSING)
    timestamp = parse_timestamp(sent, "timestamp")
    if timestamp - now > _MAX_AHEAD:
        expected = (
            f"at most {MAX_CLOCK_AHEAD_HOURS} hours after the server's clock ({now.isoformat(timespec='seconds')})"
        )
        raise ContractError("timestamp", quote(sent), expected)
    instance_id = parse_name(message.pop("instance_id", MISSING), "instance_id", MAX_ID_LENGTH)
    decision = message.pop("routing_decision", MISSING)
    if not isinstance(decision, dict):
        raise ContractError("routing_decision", quote(decision), "an object")
    values = take_decision_fields(decision, words)
    # A name that both the decision and the message around it use gets a prefix.
    extra = decision
    for name, value in message.items():
        extra[f"event.{name}" if name in extra else name] = value
    return _event(timestamp, instance_id, values, extra)


def message_too_large(size: int) -> ContractError:
    """Return the error for a message of `size` bytes."""
    return ContractError("message", f"{size} bytes", f"at most {MAX_MESSAGE_BYTES} bytes")
