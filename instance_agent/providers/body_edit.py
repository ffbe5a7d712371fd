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
#: Fields by which OpenRouter, LiteLLM and their like answer with another model than `model`: the plan decides on models,
#: with what workspaces, policies and budgets allow.
_OTHER_MODELS: Final = frozenset(
    {"content_policy_fallbacks", "context_window_fallbacks", "fallbacks", "models", "preset", "route"}
)


def replace_fields(body: bytes, fields: Mapping[str, Any], *, ask_for_usage: bool = False) -> bytes:
    """Return `body` with these fields replaced or added.

    With `ask_for_usage`, `stream_options.include_usage` becomes true where `stream` is; other stream options stay.
    """
    return _edited(decode(body, _FIELDS), fields, ask_for_usage=ask_for_usage)


def forwarded(body: bytes, model: str, *, ask_for_usage: bool = False) -> tuple[bytes, tuple[str, ...]]:
    """Return `body` for a provider, with its model, and the fields that were left out because they name other models."""
    found = decode(body, _FIELDS)
    left_out: tuple[str, ...] = ()
    if not _OTHER_MODELS.isdisjoint(found):
        left_out = tuple(sorted(_OTHER_MODELS & found.keys()))
        for name in left_out:
            del found[name]
    return _edited(found, {"model": model}, ask_for_usage=ask_for_usage), left_out


def _edited(found: dict[str, msgspec.Raw], fields: Mapping[str, Any], *, ask_for_usage: bool) -> bytes:
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
