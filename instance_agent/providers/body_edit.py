"""Changes at the top of a JSON body, without decoding the values that stay.

The values stay byte for byte, escapes and spaces inside them included, and so do fields that this program does not know.
Where a field stands twice, its last value stays, as routing has read it: the provider cannot read another model than the one
that was decided on.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from instance_agent.chat.errors import InvalidRequestError
from instance_agent.chat.json_body import decode

_FIELDS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_OPTIONS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw] | None)
_ENCODER: Final = msgspec.json.Encoder()
_TRUE: Final = msgspec.Raw(b"true")


def replace_fields(body: bytes, fields: Mapping[str, Any], *, ask_for_usage: bool = False) -> bytes:
    """Return `body` with these fields replaced or added.

    With `ask_for_usage`, `stream_options.include_usage` becomes true where `stream` is; other stream options stay.
    """
    found = decode(body, _FIELDS)
    for name, value in fields.items():
        found[name] = msgspec.Raw(_ENCODER.encode(value))
    if ask_for_usage and bytes(found.get("stream", b"false")) == b"true":
        found["stream_options"] = _with_usage(found.get("stream_options"))
    return _ENCODER.encode(found)


def _with_usage(options: msgspec.Raw | None) -> msgspec.Raw:
    try:
        known = _OPTIONS.decode(options) if options is not None else None
    except msgspec.MsgspecError:
        raise InvalidRequestError("found no object at stream_options, expected one", param="stream_options") from None
    return msgspec.Raw(_ENCODER.encode({**(known or {}), "include_usage": _TRUE}))
