"""Times on pages: relative, kept fresh by the browser, with the absolute time in the viewer's zone beside it. Pure."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from markupsafe import Markup

from centralcloud.runtime.wording import ago

_EMPTY_TIME: Final = re.compile(r'<time class="since" datetime="([^"]+)"></time>')
#: A time that lies ahead by less is now: clocks differ.
_AHEAD_SECONDS: Final = 5
#: Within this distance a day and a month are told without the year.
_NEAR: Final = timedelta(days=180)


def since(at: datetime) -> Markup:
    """Return an element that says how long ago something happened. `fill_times` writes its text when a page is sent.

    A fragment is kept until its values change, and a text such as "3 minutes ago" would grow old in it.
    """
    return Markup('<time class="since" datetime="{}"></time>').format(_iso(at))


def moment(at: datetime, zone: ZoneInfo, now: datetime) -> Markup:
    """Return an element with an absolute time in a zone; with the year where it is far from `now`."""
    local = in_zone(at, zone)
    text = f"{local:%d %b %Y %H:%M}" if is_far(at, now) else f"{local:%d %b %H:%M}"
    return Markup('<time datetime="{}" title="{}">{}</time>').format(_iso(at), full(at, zone), text)


def full(at: datetime, zone: ZoneInfo) -> str:
    """Return a time in full: "2026-11-30 02:15:07 CET"."""
    return f"{in_zone(at, zone):%Y-%m-%d %H:%M:%S %Z}"


def in_zone(at: datetime, zone: ZoneInfo) -> datetime:
    """Return a time in a zone; in UTC where it would be after the year 9999 there: a pin "for ever" ends in that year."""
    try:
        return at.astimezone(zone)
    except OverflowError:
        return at.astimezone(UTC)


def is_far(at: datetime, now: datetime) -> bool:
    """Whether a day and a month without the year would be read as those of another year."""
    return abs(at - now) > _NEAR


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
