"""The viewer's time zone: from the address, from the cookie that the page's script sets, or UTC. Pure."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Final
from zoneinfo import available_timezones

COOKIE: Final = "zone"
PARAMETER: Final = "zone"
DEFAULT: Final = "UTC"


def zone_of(query: Mapping[str, str], cookies: Mapping[str, str]) -> str:
    """Return the name of the viewer's zone; unknown names count as none."""
    for name in (query.get(PARAMETER), cookies.get(COOKIE)):
        if name and name.replace("%2F", "/") in zones():
            return name.replace("%2F", "/")
    return DEFAULT


@lru_cache(maxsize=1)
def zones() -> frozenset[str]:
    """Return the names of all zones that this machine knows."""
    return frozenset(available_timezones()) | {DEFAULT}
