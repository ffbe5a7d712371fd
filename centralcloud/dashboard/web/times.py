"""Times on pages: relative, kept fresh by the browser, with the absolute time in the viewer's zone beside it. Pure."""

import re
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

from markupsafe import Markup

from centralcloud.runtime.wording import ago

_EMPTY_TIME: Final = re.compile(r'<time class="since" datetime="([^"]+)"></time>')
#: A time that lies ahead by less is now: clocks differ.
_AHEAD_SECONDS: Final = 5


def since(at: datetime) -> Markup:
    """Return an element that says how long ago something happened. `fill_times` writes its text when a page is sent.

    A fragment is kept until its values change, and a text such as "3 minutes ago" would grow old in it.
    """
    return Markup('<time class="since" datetime="{}"></time>').format(_iso(at))


def moment(at: datetime, zone: ZoneInfo) -> Markup:
    """Return an element with an absolute time in a zone."""
    local = at.astimezone(zone)
    return Markup('<time datetime="{}" title="{}">{}</time>').format(_iso(at), full(at, zone), f"{local:%d %b %H:%M}")


def full(at: datetime, zone: ZoneInfo) -> str:
    """Return a time in full: "2026-11-30 02:15:07 CET"."""
    return f"{at.astimezone(zone):%Y-%m-%d %H:%M:%S %Z}"


def relative(at: datetime, now: datetime) -> str:
    """Return how long ago `at` was, or how long it still is until then."""
    seconds = (now - at).total_seconds()
    if abs(seconds) <= _AHEAD_SECONDS:
        return "just now"
    return ago(seconds) if seconds > 0 else f"in {ago(-seconds).removesuffix(' ago')}"


def fill_times(html: str, now: datetime, zone: ZoneInfo) -> str:
    """Write the texts of all elements of `since` for one moment."""

    def fill(match: re.Match[str]) -> str:
        at = datetime.fromisoformat(match[1])
        return f'<time class="since" datetime="{match[1]}" title="{full(at, zone)}">{relative(at, now)}</time>'

    return _EMPTY_TIME.sub(fill, html)


def _iso(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
