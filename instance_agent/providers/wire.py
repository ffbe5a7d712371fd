"""Decoding of what providers send, and what they leave out."""

from typing import TypeVar
from uuid import uuid4

import msgspec

from instance_agent.chat.json_body import repair_surrogates

_T = TypeVar("_T")


def decode(decoder: msgspec.json.Decoder[_T], data: bytes) -> _T:
    """Decode JSON of a provider; raise ValueError for anything else.

    Services that cut a text into tokens may cut a character in half; each half becomes U+FFFD.
    """
    try:
        return decoder.decode(data)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except msgspec.DecodeError:
        repaired = repair_surrogates(data)
        if repaired == data:
            raise
        return decoder.decode(repaired)


def object_text(raw: msgspec.Raw) -> str:
    """Return the JSON text of an object, ``{}`` for null; bytes that are not UTF-8 become U+FFFD."""
    text = bytes(raw).decode(errors="replace")
    return "{}" if text == "null" else text


def new_call_id() -> str:
    """Return an id for a call of a tool that came without one."""
    return f"call_{uuid4().hex[:24]}"
