"""The wait that a provider asks for, from the headers of its answer.

Sources: RFC 9110 section 10.2.3 (``retry-after``: seconds or a date); OpenAI's and Azure's ``retry-after-ms``; OpenAI's
``x-ratelimit-reset-*`` (``1s``, ``6m0s``), which count where ``x-ratelimit-remaining-*`` is 0; Anthropic's
``anthropic-ratelimit-*-reset`` (RFC 3339), likewise; OpenRouter's ``x-ratelimit-reset`` (milliseconds since 1970).
"""

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

#: A longer wait is a mistake of the provider, or means "not today": both are a day.
MAX_SECONDS: Final = 86_400.0
_DURATION: Final = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)s)?(?:(\d+(?:\.\d+)?)ms)?")


def retry_after_seconds(headers: Mapping[str, str], now: float) -> float | None:
    """Return the wait in seconds, 0 to a day; None when the provider does not say. Names of headers are in lower case."""
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return _bounded(milliseconds / 1000)
    value = headers.get("retry-after")
    if value is not None:
        seconds = _number(value)
        if seconds is None:
            date = _http_date(value)
            seconds = None if date is None else date - now
        if seconds is not None:
            return _bounded(seconds)
    return _from_limits(headers, now)


def _from_limits(headers: Mapping[str, str], now: float) -> float | None:
    waits = []
    for name, value in headers.items():
        if name.startswith("x-ratelimit-remaining") and _number(value) == 0:
            reset = headers.get(name.replace("remaining", "reset"))
            waits.append(_reset(reset, now))
        elif name.startswith("anthropic-ratelimit-") and name.endswith("-remaining") and _number(value) == 0:
            waits.append(_rfc3339(headers.get(name.removesuffix("remaining") + "reset"), now))
    known = [wait for wait in waits if wait is not None]
    return _bounded(max(known)) if known else None


def _reset(value: str | None, now: float) -> float | None:
    if value is None:
        return None
    number = _number(value)
    if number is None:
        return parse_duration(value)
    # A large number is a moment (OpenRouter: in milliseconds), a small one a wait.
    if number > 1e11:
        return number / 1000 - now
    return number - now if number > 1e9 else number


def parse_duration(text: str) -> float | None:
    """Return the seconds of ``6m0s``, ``1.5s`` or ``20ms``; None for another text."""
    match = _DURATION.fullmatch(text.strip())
    if match is None or not any(match.groups()):
        return None
    days, hours, minutes, seconds, milliseconds = (float(group or 0) for group in match.groups())
    return days * 86_400 + hours * 3600 + minutes * 60 + seconds + milliseconds / 1000


def _rfc3339(value: str | None, now: float) -> float | None:
    try:
        moment = datetime.fromisoformat(value or "")
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - now


def _http_date(value: str) -> float | None:
    try:
        return parsedate_to_datetime(value).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None


def _number(value: str | None) -> float | None:
    try:
        number = float(value or "")
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _bounded(seconds: float) -> float:
    return min(max(0.0, seconds), MAX_SECONDS)
