"""Kinds of values that a tolerant field of a routing event may have. Pure."""

import re
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Final, Literal, NamedTuple, TypeAlias
from uuid import UUID

import msgspec
from msgspec import Meta

from centralcloud.contracts.errors import ContractError
from centralcloud.contracts.limits import (
    MAX_ID_LENGTH,
    MAX_INT4,
    MAX_LABEL_LENGTH,
    MAX_NAME_LENGTH,
    MAX_PLAN_BYTES,
    SCORE_MAX,
    SCORE_MIN,
)
from centralcloud.contracts.numbers import read_integer, read_number
from centralcloud.contracts.text import is_plain_name, read_name, read_text
from centralcloud.contracts.timestamps import parse_timestamp

#: Turns a value of any JSON type but null into that of a tolerant field; returns `INVALID` for one that it cannot have.
Reader: TypeAlias = Callable[[Any], Any]
INVALID: Final = object()
_encode: Final = msgspec.json.Encoder().encode


class Kind(NamedTuple):
    """A kind of value: as a type for msgspec, as a reader of every form that can mean only one value, and in words."""

    type: Any
    read: Reader
    expected: str


def integer(low: int, high: int) -> Kind:
    """Return the kind of a whole number in a range."""

    def read(value: Any) -> Any:
        if type(value) is int and low <= value <= high:
            return value
        number = read_integer(value)
        if number is None or not low <= number <= high:
            return None if value == "" else INVALID
        return number

    return Kind(Annotated[int, Meta(ge=low, le=high)], read, f"an integer from {low} to {high}")


def number(low: float, high: float) -> Kind:
    """Return the kind of a number in a range."""

    def read(value: Any) -> Any:
        if type(value) is float and low <= value <= high:
            return value
        number = read_number(value)
        if number is None or not low <= number <= high:
            return None if value == "" else INVALID
        return float(number)

    return Kind(Annotated[float, Meta(ge=low, le=high)], read, f"a number from {low:.0f} to {high:.0f}")


def choice(values: tuple[str, ...]) -> Kind:
    """Return the kind of one of some words."""

    def read(value: Any) -> Any:
        if isinstance(value, str):
            return value if value in values else None if value == "" else INVALID
        return INVALID

    return Kind(Literal.__getitem__(values), read, f"one of {', '.join(values)}")


def name_kind(max_length: int) -> Kind:
    """Return the kind of a name."""

    def read(value: Any) -> Any:
        name = read_name(value, max_length)
        return INVALID if name is None else name

    expected = f"a string of 1 to {max_length} characters"
    return Kind(Annotated[str, Meta(min_length=1, max_length=max_length)], read, expected)


def _read_text(value: Any) -> Any:
    if isinstance(value, str) and is_plain_name(value):
        return value
    text = read_text(value)
    return INVALID if text is None else text


def label() -> Kind:
    """Return the kind of a name that is optional: an empty one is a missing one."""
    name = name_kind(MAX_LABEL_LENGTH)
    return name._replace(read=lambda value: None if value == "" else name.read(value))


def pattern_kind(pattern: str, read_string: Callable[[str], str | None], expected: str) -> Kind:
    """Return the kind of a string that matches `pattern`, or that `read_string` converts into one that does."""
    whole = re.compile(pattern)

    def read(value: Any) -> Any:
        if not isinstance(value, str):
            return INVALID
        if not value:
            return None
        text = read_string(value.strip())
        return text if text and whole.fullmatch(text) else INVALID

    return Kind(Annotated[str, Meta(pattern=f"^{pattern}$")], read, expected)


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


TEXT: Final = Kind(str, _read_text, "a string")
LABEL: Final = label()
REQUEST_ID: Final = pattern_kind(
    "[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", _canonical_uuid, "a UUID of version 7"
)
SESSION: Final = pattern_kind("[0-9a-f]{16}", str.lower, "16 hexadecimal digits")
TIME: Final = Kind(datetime, _read_time, "a time from 2020-01-01 on")
PLAN: Final = Kind(dict[str, Any], _read_plan, f"an object of at most {MAX_PLAN_BYTES} bytes of JSON")
NAME: Final = name_kind(MAX_NAME_LENGTH)
ID: Final = name_kind(MAX_ID_LENGTH)
COUNT: Final = integer(0, MAX_INT4)
SCORE: Final = number(SCORE_MIN, SCORE_MAX)
