"""JSON text of messages: decoding what PostgreSQL has accepted as jsonb, and encoding for its parameters."""

from collections.abc import Sequence
from typing import Any

import msgspec

from centralcloud.contracts.errors import ContractError, quote

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


def encode_extra(extra: dict[str, Any]) -> bytes:
    """Encode the unknown fields of a message as JSON.

    Raises:
        ContractError: they are nested too deeply to be encoded, although they could be decoded.
    """
    try:
        return _encode(extra)
    except RecursionError:
        raise ContractError("message", "JSON nested too deeply to be read", "a JSON object") from None


def encode_array(values: Sequence[Any]) -> str:
    """Encode `values` as a JSON array: the fastest way to send many values to PostgreSQL in one parameter."""
    return _encode(values).decode()


def decode_value(text: str, field: str = "message", expected: str = "a JSON value") -> Any:
    """Decode the JSON value in `text`.

    Raises:
        ContractError: the text is not JSON, or cannot be decoded.
    """
    try:
        return _decode(text)
    except msgspec.DecodeError as error:
        # Also for numbers out of range.
        raise ContractError(field, f"JSON that cannot be read ({error})", expected) from None
    except RecursionError:
        raise ContractError(field, "JSON nested too deeply to be read", expected) from None


def decode_object(text: str | None, field: str = "message") -> dict[str, Any]:
    """Decode the JSON object in `text`.

    Valid jsonb may contain numbers with thousands of digits and thousands of nested brackets, which no Python decoder
    accepts.

    Raises:
        ContractError: the text is not JSON, is not an object, or cannot be decoded.
    """
    if text is None:
        raise ContractError(field, "SQL NULL", "a JSON object")
    value = decode_value(text, field, "a JSON object")
    if not isinstance(value, dict):
        raise ContractError(field, quote(value), "a JSON object")
    return value
