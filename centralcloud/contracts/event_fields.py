"""The fields of a routing event, each specified once.

The decoder, the tolerant parser, `RoutingEvent.to_message` and the COPY into routing_records are made from this table.
The classes `RoutingEvent` and `RequestEvent`, store/tables/ingest.py and docs/reference/messages.md repeat parts of it for
their readers. An import check and tests/unit/contracts/test_event_fields.py compare them with the table. To add a field, add
a row here, and fix what fails.
"""

import re
from collections.abc import Callable, Iterable
from datetime import datetime
from functools import lru_cache
from typing import Annotated, Any, Final, Literal, NamedTuple, TypeAlias
from uuid import UUID

import msgspec
from msgspec import NODEFAULT, Meta

from centralcloud.contracts.errors import MISSING, ContractError, quote
from centralcloud.contracts.limits import (
    COMPLEXITIES,
    ERROR_KINDS,
    MAX_COST_NANO_USD,
    MAX_COST_USD,
    MAX_ID_LENGTH,
    MAX_INT4,
    MAX_INT8,
    MAX_LABEL_LENGTH,
    MAX_NAME_BYTES,
    MAX_NAME_LENGTH,
    MAX_PLAN_BYTES,
    OUTCOMES,
    SCORE_MAX,
    SCORE_MIN,
)
from centralcloud.contracts.numbers import read_integer, read_number
from centralcloud.contracts.text import has_steering, is_plain_name, normalize, read_name, read_text
from centralcloud.contracts.timestamps import parse_timestamp
from centralcloud.contracts.validators import is_score
from centralcloud.contracts.words import Words, WordSource, built_in, translate_words

#: Turns a value of any JSON type into that of a strict field; raises ContractError with the path that it is given.
Parser: TypeAlias = Callable[[Any, str], Any]
#: Turns a value of any JSON type but null into that of a tolerant field; returns `INVALID` for one that it cannot have.
Reader: TypeAlias = Callable[[Any], Any]
INVALID: Final = object()
_encode: Final = msgspec.json.Encoder().encode


class EventField(NamedTuple):
    """One field of a routing event.

    Attributes:
        name: key in the message's JSON.
        attribute: attribute of `RoutingEvent`.
        column, column_type: where routing_records keeps the value, and the name of the column's PostgreSQL type. No column:
            another table keeps the value.
        type: type and limits of a value that needs no conversion, for msgspec.
        default: value of a missing field; `NODEFAULT` for a required one.
        parse: of a strict field: an invalid value rejects the message. None for a tolerant field.
        read: of a tolerant field: an invalid value is kept in `extra`, and the field is None. None for a strict field.
        optional: written to a message only when it has a value.
        expected: of a tolerant field: a valid value in words, for a producer that checks before it sends.
    """

    name: str
    attribute: str
    column: str | None
    column_type: str
    type: Any
    default: Any
    parse: Parser | None = None
    read: Reader | None = None
    optional: bool = False
    expected: str = ""

    @property
    def strict(self) -> bool:
        """Whether an invalid value makes the message a dead letter."""
        return self.read is None

    @property
    def path(self) -> str:
        """Where a message has the field."""
        return self.name if self in MESSAGE_FIELDS else f"routing_decision.{self.name}"


class _Kind(NamedTuple):
    """A kind of value: as a type for msgspec, as a reader of every form that can mean only one value, and in words."""

    type: Any
    read: Reader
    expected: str


def _integer(low: int, high: int) -> _Kind:
    def read(value: Any) -> Any:
        if type(value) is int and low <= value <= high:
            return value
        number = read_integer(value)
        if number is None or not low <= number <= high:
            return None if value == "" else INVALID
        return number

    return _Kind(Annotated[int, Meta(ge=low, le=high)], read, f"an integer from {low} to {high}")


def _number(low: float, high: float) -> _Kind:
    def read(value: Any) -> Any:
        if type(value) is float and low <= value <= high:
            return value
        number = read_number(value)
        if number is None or not low <= number <= high:
            return None if value == "" else INVALID
        return float(number)

    return _Kind(Annotated[float, Meta(ge=low, le=high)], read, f"a number from {low:.0f} to {high:.0f}")


def _choice(values: tuple[str, ...]) -> _Kind:
    def read(value: Any) -> Any:
        if isinstance(value, str):
            return value if value in values else None if value == "" else INVALID
        return INVALID

    return _Kind(Literal.__getitem__(values), read, f"one of {', '.join(values)}")


def _name_kind(max_length: int) -> _Kind:
    def read(value: Any) -> Any:
        name = read_name(value, max_length)
        return INVALID if name is None else name

    expected = f"a string of 1 to {max_length} characters"
    return _Kind(Annotated[str, Meta(min_length=1, max_length=max_length)], read, expected)


def _read_text(value: Any) -> Any:
    if isinstance(value, str) and is_plain_name(value):
        return value
    text = read_text(value)
    return INVALID if text is None else text


def _label() -> _Kind:
    """Return the kind of a name that is optional: an empty one is a missing one."""
    name = _name_kind(MAX_LABEL_LENGTH)
    return name._replace(read=lambda value: None if value == "" else name.read(value))


def _pattern(pattern: str, read_string: Callable[[str], str | None], expected: str) -> _Kind:
    """Return the kind of a string that matches `pattern`, or that `read_string` converts into one that does."""
    whole = re.compile(pattern)

    def read(value: Any) -> Any:
        if not isinstance(value, str):
            return INVALID
        if not value:
            return None
        text = read_string(value.strip())
        return text if text and whole.fullmatch(text) else INVALID

    return _Kind(Annotated[str, Meta(pattern=f"^{pattern}$")], read, expected)


def _canonical_uuid(value: str) -> str | None:
    try:
        return str(UUID(value))
    except ValueError:
        return None


def _read_time(value: Any) -> Any:
    try:
        return None if value == "" else parse_timestamp(value, "")
    except ContractError:
        return INVALID


def _read_plan(value: Any) -> Any:
    if not isinstance(value, dict):
        return INVALID
    try:
        return value if len(_encode(value)) <= MAX_PLAN_BYTES else INVALID
    except RecursionError:
        return INVALID


_TEXT: Final = _Kind(str, _read_text, "a string")
_LABEL: Final = _label()
_REQUEST_ID: Final = _pattern(
    "[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", _canonical_uuid, "a UUID of version 7"
)
_SESSION: Final = _pattern("[0-9a-f]{16}", str.lower, "16 hexadecimal digits")
_TIME: Final = _Kind(datetime, _read_time, "a time from 2020-01-01 on")
_PLAN: Final = _Kind(dict[str, Any], _read_plan, f"an object of at most {MAX_PLAN_BYTES} bytes of JSON")
_NAME: Final = _name_kind(MAX_NAME_LENGTH)
_ID: Final = _name_kind(MAX_ID_LENGTH)
_COUNT: Final = _integer(0, MAX_INT4)
_SCORE: Final = _number(SCORE_MIN, SCORE_MAX)


def parse_name(value: Any, path: str, max_length: int = MAX_NAME_LENGTH) -> str:
    """Parse a required name: trimmed, in the Unicode form NFC; a whole number is its decimal text.

    Raises:
        ContractError: `value` is not a string of 1 to `max_length` characters, has more than 900 bytes, or has a control,
            bidirectional or other invisible character.
    """
    name = read_name(value, max_length)
    if name is None:
        raise ContractError(path, quote(value), _expected_name(value, max_length))
    return name


def _parse_id(value: Any, path: str) -> str:
    return parse_name(value, path, MAX_ID_LENGTH)


def _expected_name(value: Any, max_length: int) -> str:
    expected = f"a string of 1 to {max_length} characters"
    text = read_text(value)
    if text and has_steering(text):
        return f"{expected} without control, bidirectional or invisible characters"
    return f"{expected} and at most {MAX_NAME_BYTES} bytes" if text and len(text) <= max_length else expected


def _one_of(choices: tuple[str, ...]) -> Parser:
    def parse(value: Any, path: str) -> str:
        if isinstance(value, str) and value in choices:
            return value
        raise ContractError(path, quote(value), f"one of {', '.join(choices)}")

    return parse


def _outcome(value: Any, path: str) -> str:
    return "routed" if value is None else _one_of(OUTCOMES)(value, path)


def _score(value: Any, path: str) -> float:
    number = value if type(value) is float else read_number(value)
    if not is_score(number):
        raise ContractError(path, quote(value), f"a number from {SCORE_MIN} to {SCORE_MAX}")
    return float(number)


def _response_time(value: Any, path: str) -> int | None:
    if value is None:
        return None
    number = read_number(value)
    if number is None or not 0 <= number <= MAX_INT4:
        raise ContractError(path, quote(value), f"null or a number from 0 to {MAX_INT4}")
    rounded: int = round(number)
    return rounded


def _capabilities(value: Any, path: str) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise ContractError(path, quote(value), "null or a list of strings")
    capabilities = []
    for position, item in enumerate(value):
        if not isinstance(item, str) or has_steering(capability := normalize(item)):
            expected = "a string without control, bidirectional or invisible characters"
            raise ContractError(f"{path}[{position}]", quote(item), expected if isinstance(item, str) else "a string")
        capabilities.append(capability)
    return tuple(capabilities)


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
    name: str,
    kind: _Kind,
    column_type: str,
    *,
    column: str | None = None,
    optional: bool = True,
    in_records: bool = True,
) -> EventField:
    return EventField(
        name,
        name,
        (column or name) if in_records else None,
        column_type,
        kind.type | None,
        None,
        read=kind.read,
        optional=optional,
        expected=kind.expected,
    )


def _columns(fields: tuple[EventField, ...]) -> tuple[tuple[str, str], ...]:
    return tuple((field.column, field.column_type) for field in fields if field.column is not None)


#: The fields around `routing_decision`. `timestamp` is parsed by `routing_event`, which knows the server's time.
MESSAGE_FIELDS: Final = (
    EventField("timestamp", "timestamp", "timestamp", "timestamptz", datetime, NODEFAULT),
    _strict("instance_id", _ID.type, _parse_id, "varchar"),
)
#: The fields that describe a decision. An error names the first strict field that is invalid, in this order.
COMMON_FIELDS: Final = (
    _strict("complexity", _choice(COMPLEXITIES).type, _one_of(COMPLEXITIES), "varchar"),
    _strict("selected_model", _NAME.type, parse_name, "varchar", attribute="model"),
    _strict("selected_provider", _NAME.type, parse_name, "varchar", attribute="provider"),
    _strict("complexity_score", _SCORE.type, _score, "float8", column="score"),
    _strict("outcome", _choice(OUTCOMES).type, _outcome, "varchar", default="routed"),
    _strict("response_time_ms", _COUNT.type | None, _response_time, "int4", default=None),
    _strict("capabilities_required", tuple[str, ...], _capabilities, "text[]", default=()),
    _tolerant("prefer", _TEXT, "varchar", column="preference", optional=False),
    _tolerant("user_model_request", _TEXT, "varchar", optional=False),
    _tolerant("decision_id", _ID, "varchar"),
    _tolerant("input_tokens", _COUNT, "int4"),
    _tolerant("output_tokens", _COUNT, "int4"),
    _tolerant("cost_usd", _number(0, MAX_COST_USD), "float8"),
    _tolerant("error_kind", _choice(ERROR_KINDS), "varchar"),
    _tolerant("task_type", _TEXT, "varchar"),
    _tolerant("propensity", _number(0, 1), "float8"),
    _tolerant("score_version", _integer(-MAX_INT8, MAX_INT8), "int8"),
)
#: The fields of a request that a gateway has executed, or tried to. A decision is one attempt of it. The records of a batch
#: without any of them are stored without their columns.
REQUEST_FIELDS: Final = (
    _tolerant("request_id", _REQUEST_ID, "uuid"),
    _tolerant("attempt", _integer(1, MAX_INT4), "int4"),
    _tolerant("session", _SESSION, "varchar"),
    _tolerant("workspace", _LABEL, "varchar"),
    _tolerant("key_id", _LABEL, "varchar"),
    _tolerant("user_id", _LABEL, "varchar"),
    _tolerant("worker", _LABEL, "varchar"),
    _tolerant("task_id", _LABEL, "varchar"),
    _tolerant("agent_type", _LABEL, "varchar"),
    _tolerant("policy", _LABEL, "varchar"),
    _tolerant("rule", _LABEL, "varchar"),
    _tolerant("complexity_level_10", _integer(1, 10), "int2"),
    _tolerant("estimated_cost_usd", _number(0, MAX_COST_USD), "float8"),
    _tolerant("cost_nano_usd", _integer(0, MAX_COST_NANO_USD), "int8"),
    _tolerant("estimated_ms", _COUNT, "int4"),
    _tolerant("first_token_ms", _COUNT, "int4"),
    _tolerant("reward", _number(0, 1), "float8"),
    _tolerant("finish_reason", _LABEL, "varchar"),
    _tolerant("classifier", _LABEL, "varchar"),
    _tolerant("model_version", _LABEL, "varchar"),
    _tolerant("experiment", _LABEL, "varchar"),
    _tolerant("arm", _LABEL, "varchar"),
    _tolerant("arm_share", _number(0, 1), "float8"),
    _tolerant("feedback_until", _TIME, "timestamptz"),
    _tolerant("plan", _PLAN, "jsonb", in_records=False),
)
#: The fields of `routing_decision`.
DECISION_FIELDS: Final = COMMON_FIELDS + REQUEST_FIELDS
EVENT_FIELDS: Final = MESSAGE_FIELDS + DECISION_FIELDS

#: The attributes of `RoutingEvent` in order. `extra` holds every other key of the message.
COMMON_ATTRIBUTES: Final = (*(field.attribute for field in MESSAGE_FIELDS + COMMON_FIELDS), "extra")
#: The attributes of `RequestEvent` in order.
EVENT_ATTRIBUTES: Final = (*COMMON_ATTRIBUTES, *(field.attribute for field in REQUEST_FIELDS))
_BY_ATTRIBUTE: Final = {field.attribute: field for field in EVENT_FIELDS}
#: For each attribute that routing_records keeps, its column and the name of the column's PostgreSQL type: those of every
#: event, and those of a request.
COMMON_COLUMNS: Final = (*_columns(MESSAGE_FIELDS + COMMON_FIELDS), ("extra", "jsonb"))
REQUEST_COLUMNS: Final = _columns(REQUEST_FIELDS)
#: Names of the fields of `REQUEST_FIELDS` that are strings in a form which msgspec cannot check whole.
REQUEST_LABELS: Final = tuple(field.name for field in REQUEST_FIELDS if field.read is _LABEL.read)

#: Name, path, default and parser of the strict fields of a decision; name and reader of the tolerant ones.
_STRICT_FIELDS: Final = tuple(
    (field.name, field.path, field.default, field.parse) for field in DECISION_FIELDS if field.parse is not None
)
_TOLERANT_FIELDS: Final = tuple((field.name, field.read) for field in DECISION_FIELDS if field.read is not None)


def take_decision_fields(decision: dict[str, Any], words: WordSource) -> list[Any]:
    """Remove the fields of `DECISION_FIELDS` from a JSON object, and return their values in order.

    Unknown fields, and invalid values of tolerant fields, stay in `decision`.

    Raises:
        ContractError: a strict field is missing or invalid, or an id has an invisible character; names the path of the
            first one.
    """
    translate_words(decision, words)
    values: list[Any] = []
    for name, path, default, parse in _STRICT_FIELDS:
        if name in decision or default is NODEFAULT:
            values.append(parse(decision.pop(name, MISSING), path))
        else:
            values.append(default)
    for name, read in _TOLERANT_FIELDS:
        value = None
        if name in decision:
            sent = decision[name]
            value = None if sent is None else read(sent)
            if value is INVALID:
                value = None
                if name == "decision_id" and isinstance(sent, str) and has_steering(normalize(sent)):
                    raise ContractError(f"routing_decision.{name}", quote(sent), _expected_name(sent, MAX_ID_LENGTH))
            else:
                del decision[name]
        values.append(value)
    return values


def check_value(attribute: str, value: Any) -> Any:
    """Return `value` as an event holds it. For a producer, to whom an invalid value of a tolerant field is an error, too.

    Raises:
        ContractError: it is invalid; names the attribute of `RoutingEvent`.
    """
    field = _BY_ATTRIBUTE[attribute]
    if attribute in Words._fields:
        decision = {attribute: value}
        translate_words(decision, built_in)
        value = decision[attribute]
    if field.parse is not None:
        return field.parse(value, attribute)
    if value is None or field.read is None:
        return value
    read = field.read(value)
    if read is INVALID:
        expected = _expected_name(value, MAX_ID_LENGTH) if attribute == "decision_id" else field.expected
        raise ContractError(attribute, quote(value), expected)
    return read


#: The path of each field by its name without case and separators, so that `decisionId` is known as `decision_id`.
_PATHS: Final = {field.name.replace("_", ""): field.path for field in EVENT_FIELDS}
_LONGEST_KEY: Final = 40


def ignored_fields(keys: Iterable[str]) -> list[tuple[str, str]]:
    """Return the keys of an event's `extra` that a producer meant as a field, each with the path of that field.

    Their values were ignored: they are invalid, stand beside `routing_decision` instead of in it (or the reverse), or have
    another spelling of the name.
    """
    return [(key, path) for key in keys if (path := _meant_path(key) if len(key) <= _LONGEST_KEY else None)]


@lru_cache(maxsize=4096)
def _meant_path(key: str) -> str | None:
    name = key.removeprefix("event.")
    return _PATHS.get(re.sub(r"[^a-z0-9]", "", name.lower()))


def plain_message_type(decision_fields: tuple[EventField, ...]) -> Any:
    """Return a msgspec type for messages of which every field has its `type`, and that have no other field.

    Its `routing_decision` has `decision_fields` in order.
    """
    decision = msgspec.defstruct("PlainDecision", _definitions(decision_fields), forbid_unknown_fields=True, gc=False)
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
