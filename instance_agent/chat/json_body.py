"""JSON of clients: decoding with errors of one line, in words of the client's fields."""

import re
from typing import Final, TypeVar

import msgspec

from instance_agent.chat.errors import InvalidRequestError

_T = TypeVar("_T")

_VALIDATION: Final = re.compile(
    r"Expected `(?P<expected>[^`]+)`, got `(?P<found>[^`]+)`(?: - at `\$\.?(?P<where>[^`]*)`)?"
)
_MISSING: Final = re.compile(r"Object missing required field `(?P<field>[^`]+)`(?: - at `\$\.?(?P<where>[^`]*)`)?")
_OUT_OF_RANGE: Final = re.compile(r"Number out of range(?: - at `\$\.?(?P<where>[^`]*)`)?")
#: An escaped half of a character without the other half beside it, where two backslashes in a row were replaced.
_HALF: Final = re.compile(
    rb"\\u[dD](?:[89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    rb"|(?<!\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD])[c-fC-F][0-9a-fA-F]{2})"
)
#: Stand for two backslashes; JSON does not allow the bytes themselves.
_BACKSLASHES: Final = b"\0\1"
#: More of them are not a text that was cut; so many need about 0.1 s.
MAX_HALVES: Final = 500_000
#: Bodies above need more than a few milliseconds to be read and translated: that is done in a thread.
LARGE_BODY_BYTES: Final = 256 * 1024
_DEEPEST: Final = 10
_ANY: Final = msgspec.json.Decoder()
_OBJECT: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_LIST: Final = msgspec.json.Decoder(list[msgspec.Raw])


def decode(body: bytes, decoder: msgspec.json.Decoder[_T]) -> _T:
    """Decode a client's body, or raise InvalidRequestError.

    JavaScript cuts characters in half when it cuts texts, and writes the halves as escapes; each becomes U+FFFD here.
    """
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise _invalid_field(str(error), body) from None
    except (ValueError, RecursionError) as error:
        repaired = repair_surrogates(body)
        if repaired != body:
            return decode(repaired, decoder)
        raise InvalidRequestError(f"found a body that is not JSON ({_reason(error)}), expected a JSON object") from None


def repair_surrogates(body: bytes) -> bytes:
    """Replace each escaped half of a character by U+FFFD; other bytes stay as they are.

    A body with more than `MAX_HALVES` halves, whole characters included, or as many pairs of backslashes stays as it is.
    """
    halves = body.count(b"\\ud") + body.count(b"\\uD")
    if not 0 < halves <= MAX_HALVES or body.count(b"\\\\") > MAX_HALVES or b"\0" in body:
        return body
    return _HALF.sub(rb"\\ufffd", body.replace(b"\\\\", _BACKSLASHES)).replace(_BACKSLASHES, b"\\\\")


def _invalid_field(text: str, body: bytes) -> InvalidRequestError:
    if match := _VALIDATION.search(text):
        where = match["where"] or "the top of the body"
        return InvalidRequestError(
            f"found {match['found']} at {where}, expected {match['expected']}", param=match["where"]
        )
    if match := _MISSING.search(text):
        where = f"{match['where']}.{match['field']}" if match["where"] else match["field"]
        return InvalidRequestError(f"found no {where}, expected a value", param=where)
    if match := _OUT_OF_RANGE.search(text):
        where = match["where"] or ""
        where = _place_of_number(body) if not where or "..." in where else where
        return InvalidRequestError(
            f"found a number out of range at {where or 'the top of the body'}, expected one of at most 1.8e308",
            param=where or None,
        )
    return InvalidRequestError(f"found an invalid value: {text}")


def _place_of_number(body: bytes) -> str:
    """Return the path of the first number out of range."""
    path, found = "", msgspec.Raw(body)
    for _ in range(_DEEPEST):
        try:
            inside = {f".{name}": raw for name, raw in _OBJECT.decode(found).items()}
        except msgspec.ValidationError:
            try:
                inside = {f"[{index}]": raw for index, raw in enumerate(_LIST.decode(found))}
            except msgspec.ValidationError:
                break
        step = next((step for step, raw in inside.items() if _is_out_of_range(raw)), None)
        if step is None:
            break
        path, found = path + step, inside[step]
    return path.removeprefix(".")


def _is_out_of_range(raw: msgspec.Raw) -> bool:
    try:
        _ANY.decode(raw)
    except msgspec.ValidationError:
        return True
    return False


def _reason(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "nested too deeply"
    return "not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
