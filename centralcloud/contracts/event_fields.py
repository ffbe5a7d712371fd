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
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec
from msgspec import NODEFAULT

from centralcloud.contracts.errors import MISSING, ContractError, quote
from centralcloud.contracts.field_kinds import (
    COUNT,
    ID,
    INVALID,
    LABEL,
    NAME,
    PLAN,
    REQUEST_ID,
    SCORE,
    SESSION,
    TEXT,
    TIME,
    Kind,
    Reader,
    choice,
    integer,
    number,
)
from centralcloud.contracts.limits import (
    COMPLEXITIES,
    ERROR_KINDS,
    MAX_COST_NANO_USD,
    MAX_COST_USD,
    MAX_ID_LENGTH,
    MAX_INT4,
    MAX_INT8,
    MAX_NAME_BYTES,
    MAX_NAME_LENGTH,
    OUTCOMES,
    SCORE_MAX,
    SCORE_MIN,
)
from centralcloud.contracts.numbers import read_number
from centralcloud.contracts.text import has_steering, normalize, read_name, read_text
from centralcloud.contracts.validators import is_score
from centralcloud.contracts.words import Words, WordSource, built_in, translate_words

#: Turns a value of any JSON type into that of a strict field; raises ContractError with the path that it is given.
Parser: TypeAlias = Callable[[Any, str], Any]


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
    kind: Kind,
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
    _strict("instance_id", ID.type, _parse_id, "varchar"),
)
#: The fields that describe a decision. An error names the first strict field that is invalid, in this order.
COMMON_FIELDS: Final = (
    _strict("complexity", choice(COMPLEXITIES).type, _one_of(COMPLEXITIES), "varchar"),
    _strict("selected_model", NAME.type, parse_name, "varchar", attribute="model"),
    _strict("selected_provider", NAME.type, parse_name, "varchar", attribute="provider"),
    _strict("complexity_score", SCORE.type, _score, "float8", column="score"),
    _strict("outcome", choice(OUTCOMES).type, _outcome, "varchar", default="routed"),
    _strict("response_time_ms", COUNT.type | None, _response_time, "int4", default=None),
    _strict("capabilities_required", tuple[str, ...], _capabilities, "text[]", default=()),
    _tolerant("prefer", TEXT, "varchar", column="preference", optional=False),
    _tolerant("user_model_request", TEXT, "varchar", optional=False),
    _tolerant("decision_id", ID, "varchar"),
    _tolerant("input_tokens", COUNT, "int4"),
    _tolerant("output_tokens", COUNT, "int4"),
    _tolerant("cost_usd", number(0, MAX_COST_USD), "float8"),
    _tolerant("error_kind", choice(ERROR_KINDS), "varchar"),
    _tolerant("task_type", TEXT, "varchar"),
    _tolerant("propensity", number(0, 1), "float8"),
    _tolerant("score_version", integer(-MAX_INT8, MAX_INT8), "int8"),
)
#: The fields of a request that a gateway has executed, or tried to. A decision is one attempt of it. The records of a batch
#: without any of them are stored without their columns.
REQUEST_FIELDS: Final = (
    _tolerant("request_id", REQUEST_ID, "uuid"),
    _tolerant("attempt", integer(1, MAX_INT4), "int4"),
    _tolerant("session", SESSION, "varchar"),
    _tolerant("workspace", LABEL, "varchar"),
    _tolerant("key_id", LABEL, "varchar"),
    _tolerant("user_id", LABEL, "varchar"),
    _tolerant("worker", LABEL, "varchar"),
    _tolerant("task_id", LABEL, "varchar"),
    _tolerant("agent_type", LABEL, "varchar"),
    _tolerant("policy", LABEL, "varchar"),
    _tolerant("rule", LABEL, "varchar"),
    _tolerant("complexity_level_10", integer(1, 10), "int2"),
    _tolerant("estimated_cost_usd", number(0, MAX_COST_USD), "float8"),
    _tolerant("cost_nano_usd", integer(0, MAX_COST_NANO_USD), "int8"),
    _tolerant("estimated_ms", COUNT, "int4"),
    _tolerant("first_token_ms", COUNT, "int4"),
    _tolerant("reward", number(0, 1), "float8"),
    _tolerant("finish_reason", LABEL, "varchar"),
    _tolerant("classifier", LABEL, "varchar"),
    _tolerant("model_version", LABEL, "varchar"),
    _tolerant("experiment", LABEL, "varchar"),
    _tolerant("arm", LABEL, "varchar"),
    _tolerant("arm_share", number(0, 1), "float8"),
    _tolerant("feedback_until", TIME, "timestamptz"),
    _tolerant("plan", PLAN, "jsonb", in_records=False),
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
REQUEST_LABELS: Final = tuple(field.name for field in REQUEST_FIELDS if field.read is LABEL.read)

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
