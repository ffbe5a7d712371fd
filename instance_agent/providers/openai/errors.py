"""Errors of OpenAI-compatible services: OpenAI, Azure, OpenRouter, vLLM, LM Studio, Ollama."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from instance_agent.providers.classification import POLICY, classify, provider_error
from instance_agent.providers.errors import ProviderError
from instance_agent.providers.retry_after import retry_after_seconds
from instance_agent.providers.upstream import Upstream

_ANY: Final = msgspec.json.Decoder()
#: The statuses that these types stand for, where an error in a 200 answer has no number.
_STATUS_OF_TYPE: Final = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "permission_error": 403,
    "not_found_error": 404,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "requests": 429,
    "tokens": 429,
    "insufficient_quota": 429,
    "timeout": 504,
    "timeout_error": 504,
    "overloaded_error": 529,
}


def read_error(upstream: Upstream, status: int, headers: Mapping[str, str], body: bytes, now: float) -> ProviderError:
    """Class an answer whose status is not 200."""
    found = find_error(body)
    codes = _codes(found)
    message = _message(found)
    classed = POLICY if status == 403 and _is_moderation(found) else classify(status, codes, message)
    return provider_error(
        upstream,
        classed,
        f"HTTP {status}",
        said=message,
        upstream_status=status,
        retry_after_seconds=retry_after_seconds({**_embedded_headers(found), **headers}, now),
        code=codes[0] if codes else None,
        words=(*codes[1:], *_param(found)),
    )


def error_in_answer(upstream: Upstream, found: Any) -> ProviderError:
    """Class an error object in a 200 answer, or in an event of its stream."""
    codes = _codes(found)
    message = _message(found) or "an error without a message"
    status = next((int(code) for code in codes if code.isdecimal() and 400 <= int(code) <= 599), None)
    if status is None:
        status = next((_STATUS_OF_TYPE[code] for code in codes if code in _STATUS_OF_TYPE), 500)
    classed = POLICY if _is_moderation(found) else classify(status, codes, message)
    words = [code for code in codes if not code.isdecimal()]
    return provider_error(
        upstream,
        classed,
        "",
        said=message,
        upstream_status=200,
        code=words[0] if words else None,
        words=(*codes, *_param(found)),
    )


def find_error(body: bytes) -> Any:
    """Return the error object of a body: `error` in it, or the body itself, as text unless it is JSON."""
    try:
        found = _ANY.decode(body)
    except (ValueError, RecursionError):
        return body[:2000].decode(errors="replace")
    if isinstance(found, list) and found:
        found = found[0]
    if isinstance(found, dict) and found.get("error"):
        return found["error"]
    return found


def _message(found: Any) -> str:
    if isinstance(found, str):
        return found
    if not isinstance(found, dict):
        return ""
    for name in ("message", "detail", "error"):
        value = found.get(name)
        if value:
            text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
            raw = _metadata(found).get("raw")
            # OpenRouter puts the words of the provider behind it there.
            return f"{text}: {raw}" if isinstance(raw, str) and raw else text
    return ""


def _codes(found: Any) -> tuple[str, ...]:
    """Return code, type and inner code of an error object, in this order."""
    if not isinstance(found, dict):
        return ()
    inner = found.get("innererror")
    values = [found.get("code"), found.get("type"), inner.get("code") if isinstance(inner, dict) else None]
    return tuple(str(value) for value in values if isinstance(value, str | int) and value != "")


def _param(found: Any) -> tuple[str, ...]:
    """Return the field of the request that is at fault, if the error names one."""
    param = found.get("param") if isinstance(found, dict) else None
    return (param,) if isinstance(param, str) else ()


def _metadata(found: Any) -> dict[str, Any]:
    metadata = found.get("metadata") if isinstance(found, dict) else None
    return metadata if isinstance(metadata, dict) else {}


def _is_moderation(found: Any) -> bool:
    """Return whether OpenRouter's moderation refused the prompt."""
    return bool(_metadata(found).get("flagged_input") or _metadata(found).get("reasons"))


def _embedded_headers(found: Any) -> dict[str, str]:
    """Return the headers that OpenRouter repeats in the error itself."""
    headers = _metadata(found).get("headers")
    if not isinstance(headers, dict):
        return {}
    return {str(name).lower(): str(value) for name, value in headers.items()}
