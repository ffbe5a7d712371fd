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
_ESCAPE: Final = re.compile(rb"\\(?:u([0-9a-fA-F]{4})(?:\\u([dD][c-fC-F][0-9a-fA-F]{2}))?|.)", re.DOTALL)


def decode(body: bytes, decoder: msgspec.json.Decoder[_T]) -> _T:
    """Decode a client's body, or raise InvalidRequestError.

    JavaScript cuts characters in half when it cuts texts, and writes the halves as escapes; each becomes U+FFFD here.
    """
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise _invalid_field(str(error)) from None
    except (ValueError, RecursionError) as error:
        repaired = repair_surrogates(body)
        if repaired != body:
            return decode(repaired, decoder)
        raise InvalidRequestError(f"found a body that is not JSON ({_reason(error)}), expected a JSON object") from None


def repair_surrogates(body: bytes) -> bytes:
    """Replace each escaped half of a character by U+FFFD; other bytes stay as they are."""

    def repaired(match: re.Match[bytes]) -> bytes:
        first, second = match[1], match[2]
        if first is None or first[:1] not in b"dD" or first[1:2] not in b"89abABcdefCDEF":
            # The second escape was only looked at for the sake of the first.
            return match[0] if second is None else match[0][:6] + b"\\ufffd"
        if second is not None and first[1:2] in b"89abAB":
            return match[0]
        return b"\\ufffd" + (b"\\ufffd" if second is not None else b"")

    return _ESCAPE.sub(repaired, body)


def _invalid_field(text: str) -> InvalidRequestError:
    if match := _VALIDATION.search(text):
        where = match["where"] or "the top of the body"
        return InvalidRequestError(
            f"found {match['found']} at {where}, expected {match['expected']}", param=match["where"]
        )
    if match := _MISSING.search(text):
        where = f"{match['where']}.{match['field']}" if match["where"] else match["field"]
        return InvalidRequestError(f"found no {where}, expected a value", param=where)
    return InvalidRequestError(f"found an invalid value: {text}")


def _reason(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "nested too deeply"
    return "not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
