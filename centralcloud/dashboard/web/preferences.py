"""The viewer's time zone and colour scheme: from the address, or from the cookies that the page's script sets. Pure."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Final
from zoneinfo import available_timezones

COOKIE: Final = "zone"
PARAMETER: Final = "zone"
DEFAULT: Final = "UTC"
SCHEME_COOKIE: Final = "scheme"


def zone_of(query: Mapping[str, str], cookies: Mapping[str, str]) -> str:
    """Return the name of the viewer's zone; unknown names count as none."""
    for name in (query.get(PARAMETER), cookies.get(COOKIE)):
        if name and name.replace("%2F", "/") in zones():
            return name.replace("%2F", "/")
    return DEFAULT


def scheme_of(cookies: Mapping[str, str]) -> str | None:
    """Return the colour scheme that the viewer has chosen, ``light`` or ``dark``; None: that of the browser."""
    scheme = cookies.get(SCHEME_COOKIE)
    return scheme if scheme in ("light", "dark") else None


@lru_cache(maxsize=1)
def zones() -> frozenset[str]:
    """Return the names of all zones that this machine knows."""
    return frozenset(available_timezones()) | {DEFAULT}
