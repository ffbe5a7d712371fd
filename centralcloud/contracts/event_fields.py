"""The fields of a routing event, each specified once.

The decoder, the tolerant parser, `RoutingEvent.to_message` and the COPY into routing_records are made from this table.
The class `RoutingEvent`, store/tables.py and docs/reference/messages.md repeat parts of it for their readers. An import
check and tests/unit/contracts/test_event_fields.py compare them with the table. To add a field, add a row here, and fix
what fails.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Final, Literal, NamedTuple, TypeAlias

import msgspec
from msgspec import NODEFAULT, Meta

from centralcloud.contracts.errors import MISSING, ContractError, quote
from centralcloud.contracts.limits import (
    COMPLEXITIES,
    ERROR_KINDS,
    MAX_COST_USD,
    MAX_INT4,
    MAX_INT8,
    MAX_NAME_LENGTH,
    OUTCOMES,
    SCORE_MAX,
    SCORE_MIN,
)
from centralcloud.contracts.validators import is_integer, is_name, is_number, is_score

#: Turns a value of any JSON type into that of a strict field; raises ContractError with the path that it is given.
Parser: TypeAlias = Callable[[Any, str], Any]


class EventField(NamedTuple):
    """One field of a routing event.

    Attributes:
        name: key in the message's JSON.
        attribute: attribute of `RoutingEvent`.
        column, column_type: where routing_records keeps the value, and the name of the column's PostgreSQL type.
        type: type and limits of a value that needs no conversion, for msgspec.
        default: value of a missing field; `NODEFAULT` for a required one.
        parse: of a strict field: an invalid value rejects the message. None for a tolerant field.
        accepts: of a tolerant field: whether a value other than null is valid. An invalid one is kept in `extra`, and the
            field is None. None for a strict field.
        optional: written to a message only when it has a value.
        expected: of a tolerant field: a valid value in words, for a producer that checks before it sends.
    """

    name: str
    attribute: str
    column: str
    column_type: str
    type: Any
    default: Any
    parse: Parser | None = None
    accepts: Callable[[Any], bool] | None = None
    optional: bool = False
    expected: str = ""

    @property
    def strict(self) -> bool:
        """Whether an invalid value makes the message a dead letter."""
        return self.accepts is None


class _Kind(NamedTuple):
    """A kind of value: as a type for msgspec, as a predicate, which is faster than a conversion by msgspec, and in words."""

    type: Any
    accepts: Callable[[Any], bool]
    expected: str


def _integer(low: int, high: int) -> _Kind:
    return _Kind(
        Annotated[int, Meta(ge=low, le=high)],
        lambda value: is_integer(value) and low <= value <= high,
        f"an integer from {low} to {high}",
    )


def _number(low: float, high: float) -> _Kind:
    return _Kind(
        Annotated[float, Meta(ge=low, le=high)],
        lambda value: is_number(value) and low <= value <= high,
        f"a number from {low:.0f} to {high:.0f}",
    )


def _choice(values: tuple[str, ...]) -> _Kind:
    return _Kind(
        Literal.__getitem__(values),
        lambda value: isinstance(value, str) and value in values,
        f"one of {', '.join(values)}",
    )


_TEXT: Final = _Kind(str, lambda value: isinstance(value, str), "a string")
_NAME: Final = _Kind(
    Annotated[str, Meta(min_length=1, max_length=MAX_NAME_LENGTH)],
    is_name,
    f"a string of 1 to {MAX_NAME_LENGTH} characters",
)
_COUNT: Final = _integer(0, MAX_INT4)
_SCORE: Final = _number(SCORE_MIN, SCORE_MAX)


def parse_name(value: Any, path: str) -> str:
    """Parse a required name.

    Raises:
        ContractError: `value` is not a string of 1 to 200 characters.
    """
    if not isinstance(value, str) or not 1 <= len(value) <= MAX_NAME_LENGTH:
        raise ContractError(path, quote(value), f"a string of 1 to {MAX_NAME_LENGTH} characters")
    return value


def _one_of(choices: tuple[str, ...]) -> Parser:
    def parse(value: Any, path: str) -> str:
        if isinstance(value, str):
            if value in choices:
                return value
            lowered = value.lower()
            if lowered in choices:
                return lowered
        raise ContractError(path, quote(value), f"one of {', '.join(choices)}")

    return parse


def _score(value: Any, path: str) -> float:
    if not is_score(value):
        raise ContractError(path, quote(value), f"a number from {SCORE_MIN} to {SCORE_MAX}")
    return float(value)


def _response_time(value: Any, path: str) -> int | None:
    if value is None:
        return None
    if not is_number(value) or not 0 <= value <= MAX_INT4:
        raise ContractError(path, quote(value), f"null or a number from 0 to {MAX_INT4}")
    rounded: int = round(value)
    return rounded


def _capabilities(value: Any, path: str) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise ContractError(path, quote(value), "null or a list of strings")
    for position, item in enumerate(value):
        if not isinstance(item, str):
            raise ContractError(f"{path}[{position}]", quote(item), "a string")
    return tuple(value)


def _strict(
    name: str,
    type_: Any,
    parse: Parser,
    column_type: str,
    *,
    attribute: str | None = None,
    column: str | None = None,
    default: Any = NODEFAULT,
) -> EventField:
    attribute = attribute or name
    return EventField(name, attribute, column or attribute, column_type, type_, default, parse=parse)


def _tolerant(
    name: str, kind: _Kind, column_type: str, *, column: str | None = None, optional: bool = True
) -> EventField:
    return EventField(
        name,
        name,
        column or name,
        column_type,
        kind.type | None,
        None,
        accepts=kind.accepts,
        optional=optional,
        expected=kind.expected,
    )


#: The fields around `routing_decision`. `timestamp` is parsed by `routing_event`, which knows the server's time.
MESSAGE_FIELDS: Final = (
    EventField("timestamp", "timestamp", "timestamp", "timestamptz", datetime, NODEFAULT),
    _strict("instance_id", _NAME.type, parse_name, "varchar"),
)
#: The fields of `routing_decision`. An error names the first strict field that is invalid, in this order.
DECISION_FIELDS: Final = (
    _strict("complexity", _choice(COMPLEXITIES).type, _one_of(COMPLEXITIES), "varchar"),
    _strict("selected_model", _NAME.type, parse_name, "varchar", attribute="model"),
    _strict("selected_provider", _NAME.type, parse_name, "varchar", attribute="provider"),
    _strict("complexity_score", _SCORE.type, _score, "float8", column="score"),
    _strict("outcome", _choice(OUTCOMES).type, _one_of(OUTCOMES), "varchar", default="routed"),
    _strict("response_time_ms", _COUNT.type | None, _response_time, "int4", default=None),
    _strict("capabilities_required", tuple[str, ...], _capabilities, "text[]", default=()),
    _tolerant("prefer", _TEXT, "varchar", column="preference", optional=False),
    _tolerant("user_model_request", _TEXT, "varchar", optional=False),
    _tolerant("decision_id", _NAME, "varchar"),
    _tolerant("input_tokens", _COUNT, "int4"),
    _tolerant("output_tokens", _COUNT, "int4"),
    _tolerant("cost_usd", _number(0, MAX_COST_USD), "float8"),
    _tolerant("error_kind", _choice(ERROR_KINDS), "varchar"),
    _tolerant("task_type", _TEXT, "varchar"),
    _tolerant("propensity", _number(0, 1), "float8"),
    _tolerant("score_version", _integer(-MAX_INT8, MAX_INT8), "int8"),
)
EVENT_FIELDS: Final = MESSAGE_FIELDS + DECISION_FIELDS

#: The attributes of `RoutingEvent` in order. `extra` holds every other key of the message.
EVENT_ATTRIBUTES: Final = (*(field.attribute for field in EVENT_FIELDS), "extra")
_BY_ATTRIBUTE: Final = {field.attribute: field for field in EVENT_FIELDS}
#: For each attribute, its column of routing_records and the name of the column's PostgreSQL type.
EVENT_COLUMNS: Final = (*((field.column, field.column_type) for field in EVENT_FIELDS), ("extra", "jsonb"))

#: Name, path, default and parser of the strict fields of a decision; name, predicate and column type of the tolerant ones.
_STRICT_FIELDS: Final = tuple(
    (field.name, f"routing_decision.{field.name}", field.default, field.parse)
    for field in DECISION_FIELDS
    if field.parse is not None
)
_TOLERANT_FIELDS: Final = tuple(
    (field.name, field.accepts, field.column_type == "float8") for field in DECISION_FIELDS if field.accepts is not None
)


def take_decision_fields(decision: dict[str, Any]) -> list[Any]:
    """Remove the fields of `DECISION_FIELDS` from a JSON object, and return their values in order.

    Unknown fields, and invalid values of tolerant fields, stay in `decision`.

    Raises:
        ContractError: a strict field is missing or invalid; names the path of the first one.
    """
    values: list[Any] = []
    for name, path, default, parse in _STRICT_FIELDS:
        if name in decision or default is NODEFAULT:
            values.append(parse(decision.pop(name, MISSING), path))
        else:
            values.append(default)
    for name, accepts, is_float in _TOLERANT_FIELDS:
        value = None
        if name in decision:
            sent = decision[name]
            if sent is None or accepts(sent):
                value = float(sent) if is_float and sent is not None else sent
                del decision[name]
        values.append(value)
    return values


def check_value(attribute: str, value: Any) -> Any:
    """Return `value` as an event holds it. For a producer, to whom an invalid value of a tolerant field is an error, too.

    Raises:
        ContractError: it is invalid; names the attribute of `RoutingEvent`.
    """
    field = _BY_ATTRIBUTE[attribute]
    if field.parse is not None:
        return field.parse(value, attribute)
    if value is not None and field.accepts is not None and not field.accepts(value):
        raise ContractError(attribute, quote(value), field.expected)
    return value


def plain_message_type() -> Any:
    """Return a msgspec type for messages of which every field has its `type`, and that have no other field.

    Its `routing_decision` has the fields of `DECISION_FIELDS` in order.
    """
    decision = msgspec.defstruct("PlainDecision", _definitions(DECISION_FIELDS), forbid_unknown_fields=True, gc=False)
    return msgspec.defstruct(
        "PlainMessage",
        [*_definitions(MESSAGE_FIELDS), ("routing_decision", decision)],
        forbid_unknown_fields=True,
        gc=False,
    )


def _definitions(fields: tuple[EventField, ...]) -> list[Any]:
    return [
        (field.name, field.type) if field.default is NODEFAULT else (field.name, field.type, field.default)
        for field in fields
    ]
