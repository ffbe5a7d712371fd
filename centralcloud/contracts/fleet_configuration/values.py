"""Values of configuration entries: converted from JSON, with an error that names the path of the field. Pure."""

import re
from collections.abc import Mapping
from types import UnionType
from typing import Annotated, Any, Final, TypeVar, get_args, get_origin

import msgspec

from centralcloud.contracts.errors import MISSING, ContractError, quote
from centralcloud.contracts.limits import MAX_NAME_LENGTH, SCORE_MAX, SCORE_MIN
from centralcloud.contracts.text import normalize, read_name

_Entry = TypeVar("_Entry")

#: Most bytes of an entry in JSON.
MAX_ENTRY_BYTES: Final = 65_536
#: Most characters of a label, a workspace, a tag or a type.
MAX_LABEL_LENGTH: Final = 200
#: Deepest nesting of an entry: every reader must be able to decode it inside a larger document.
_MAX_DEPTH: Final = 32

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_NAME_LENGTH)]
Label = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_LABEL_LENGTH)]
Tokens = Annotated[int, msgspec.Meta(gt=0, le=1_000_000_000)]
Price = Annotated[float, msgspec.Meta(ge=0, le=1e6)]
Score = Annotated[float, msgspec.Meta(ge=SCORE_MIN, le=SCORE_MAX)]

_AT: Final = re.compile(r"^(?P<text>.*?)(?: - at `\$(?P<path>.*)`)?$", re.DOTALL)
_UNKNOWN: Final = re.compile(r"^Object contains unknown field `(.*)`$", re.DOTALL)
_REQUIRED: Final = re.compile(r"^Object missing required field `(.*)`$", re.DOTALL)
_EXPECTED: Final = re.compile(r"^Expected (.*?)(?:, got .*)?$", re.DOTALL)
_STEP: Final = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]")
_TYPES: Final = {
    "`str`": "a string",
    "`int`": "a whole number",
    "`float`": "a number",
    "`bool`": "true or false",
    "`array`": "a list",
    "`object`": "an object",
    "`int | null`": "a whole number",
    "`float | null`": "a number",
    "`str | null`": "a string",
    "`object | null`": "an object",
    "`datetime`": "a time in ISO 8601 with a zone",
    "`datetime | null`": "a time in ISO 8601 with a zone",
}


class Entry(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A value of the configuration: camelCase in JSON, and a field that it does not have is an error."""


def convert(value: Any, entry_type: type[_Entry], field: str) -> _Entry:
    """Convert a JSON value.

    Args:
        field: path of the value, which begins the path in the error.

    Raises:
        ContractError: names the path of the first field that is invalid, unknown or missing.
    """
    try:
        return msgspec.convert(value, entry_type)
    except msgspec.ValidationError as error:
        raise _contract_error(str(error), value, entry_type, field) from None
    except RecursionError:
        raise ContractError(field, "JSON nested too deeply to be read", "an object") from None


def to_body(entry: msgspec.Struct) -> dict[str, Any]:
    """Return the JSON form of an entry. A field that is None is left out; a default is not, because it may change."""
    names = zip(entry.__struct_fields__, entry.__struct_encode_fields__, strict=True)
    values = ((encoded, getattr(entry, name)) for name, encoded in names)
    return {name: _to_json(value) for name, value in values if value is not None}


def _to_json(value: Any) -> Any:
    if isinstance(value, msgspec.Struct):
        return to_body(value)
    if isinstance(value, tuple | list):
        return [_to_json(each) for each in value]
    if isinstance(value, dict):
        return {name: _to_json(each) for name, each in value.items()}
    return msgspec.to_builtins(value)


def canonical_json(value: Any) -> bytes:
    """Return JSON text that is the same for equal values: keys in order, no white space."""
    return msgspec.json.encode(value, order="sorted")


def check_size(entry: msgspec.Struct, field: str) -> None:
    """Check that the database can store an entry.

    Raises:
        ContractError: it is too large, or has a character that PostgreSQL cannot store.
    """
    try:
        text = canonical_json(entry)
        body = msgspec.json.decode(text)  # also finds a number that is too long to be read
    except (UnicodeEncodeError, ValueError, RecursionError, OverflowError, TypeError) as error:
        raise ContractError(field, f"a value that has no JSON form ({error})", "JSON") from None
    if _is_deeper(body, _MAX_DEPTH):
        raise ContractError(field, "JSON that is nested too deeply", f"at most {_MAX_DEPTH} levels")
    if b"\\u0000" in text:
        raise ContractError(field, "a zero character", "text without it")
    if len(text) > MAX_ENTRY_BYTES:
        raise ContractError(field, f"{len(text):,} bytes", f"at most {MAX_ENTRY_BYTES:,}")


def _is_deeper(value: Any, levels: int) -> bool:
    pending = [value]
    for _ in range(levels):
        lists = (each.values() if isinstance(each, dict) else each for each in pending)
        pending = [item for each in lists for item in each if isinstance(item, dict | list)]
        if not pending:
            return False
    return True


def plain(value: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """Return an object with some of its texts normalized: trimmed, and in the Unicode form NFC."""
    return {name: normalize(each) if name in names and isinstance(each, str) else each for name, each in value.items()}


def check_name(name: str, field: str, max_length: int = MAX_NAME_LENGTH) -> None:
    """Check that a text is a name as every program writes them.

    Raises:
        ContractError: it is empty, too long, or has a control, bidirectional or invisible character.
    """
    if read_name(name, max_length) != name:
        expected = f"1 to {max_length} characters, none of them a control, bidirectional or invisible one"
        raise ContractError(field, quote(name), expected)


def _contract_error(text: str, value: Any, entry_type: type[Any], field: str) -> ContractError:
    parts = _AT.match(text)
    message, path = (parts["text"], parts["path"] or "") if parts else (text, "")
    if unknown := _UNKNOWN.match(message):
        name = unknown[1]
        expected = "a field that exists"
        if not path and issubclass(entry_type, msgspec.Struct):
            expected = f"one of the fields {', '.join(entry_type.__struct_encode_fields__)}"
        return ContractError(f"{field}{path}.{name}", quote(_value_at(value, f"{path}.{name}")), expected)
    if required := _REQUIRED.match(message):
        return ContractError(f"{field}{path}.{required[1]}", "nothing", "a value: the field is required")
    expected = _choices(entry_type, path) if message.startswith("Invalid enum value") else _expectation(message)
    return ContractError(f"{field}{path}", quote(_value_at(value, path)), expected)


def _expectation(message: str) -> str:
    if match := _EXPECTED.match(message):
        expected = match[1]
        for name, words in _TYPES.items():
            expected = expected.replace(name, words)
        return expected.replace("`", "").replace("of length >= 1", "of at least 1 character")
    return "another value"


def _choices(entry_type: Any, path: str) -> str:
    """Return the words that a field may have."""
    found = entry_type
    for match in _STEP.finditer(path):
        if match[1] is None:
            found = get_args(_member(found, tuple))[0]
        else:
            struct = _member(found, msgspec.Struct)
            found = next(field.type for field in msgspec.structs.fields(struct) if field.encode_name == match[1])
    return f"one of {', '.join(map(str, get_args(found)))}"


def _member(found: Any, wanted: type) -> Any:
    """Return the member of a union that is a kind of structure or a tuple; another type as it is."""
    if not isinstance(found, UnionType):
        return found
    kinds = ((member, get_origin(member) or member) for member in get_args(found))
    return next(member for member, kind in kinds if isinstance(kind, type) and issubclass(kind, wanted))


def _value_at(value: Any, path: str) -> Any:
    for match in _STEP.finditer(path):
        try:
            value = value[match[1]] if match[1] is not None else value[int(match[2])]
        except (KeyError, IndexError, TypeError):
            return MISSING
    return value
