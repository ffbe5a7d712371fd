"""Reading JSON text that PostgreSQL has already accepted as jsonb, and that Python may still refuse."""

from collections.abc import Sequence
from typing import Any

import msgspec

from centralcloud.contracts.errors import ContractError, quote

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


def encode_extra(extra: dict[str, Any]) -> bytes:
    """What is kept of a message beside its fields, as JSON.

    Raises:
        ContractError: nested too deeply to be written, although it could be read.
    """
    try:
        return _encode(extra)
    except RecursionError:
        raise ContractError("message", "JSON nested too deeply to be read", "a JSON object") from None


def encode_array(values: Sequence[Any]) -> str:
    """`values` as a JSON array: the fastest form in which PostgreSQL takes many values in one parameter."""
    return _encode(values).decode()


def decode_object(text: str | None, field: str = "message") -> dict[str, Any]:
    """The JSON object in `text`.

    Valid jsonb may hold numbers of thousands of digits and thousands of nested brackets, which no Python decoder takes.

    Raises:
        ContractError: not JSON, not an object, or beyond what can be decoded.
    """
    if text is None:
        raise ContractError(field, "SQL NULL", "a JSON object")
    try:
        value = _decode(text)
    except msgspec.DecodeError as error:
        # Includes numbers out of range; the text after the position adds nothing for a person.
        raise ContractError(field, f"JSON that cannot be read ({error})", "a JSON object") from None
    except RecursionError:
        raise ContractError(field, "JSON nested too deeply to be read", "a JSON object") from None
    if not isinstance(value, dict):
        raise ContractError(field, quote(value), "a JSON object")
    return value
