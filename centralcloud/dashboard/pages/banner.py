"""The banner over every page: the database is unavailable, learning is frozen, the login may not read a part."""

from datetime import datetime
from typing import Final, NamedTuple

from centralcloud.dashboard.sources.control import CONTROL, Control
from centralcloud.dashboard.web.page import PageContext


class Banner(NamedTuple):
    """The texts of the banner.

    Attributes:
        unavailable: why the database cannot be read.
        read_at: when the values on the page were read; None: never.
        control: set while learning is frozen.
        denied: the server's reasons for parts that may not be read.
    """

    unavailable: str | None
    read_at: datetime | None
    control: Control | None
    denied: tuple[str, ...]


BANNER_SOURCES: Final = (CONTROL,)


def banner(context: PageContext) -> Banner:
    """Return the banner of a page."""
    snapshot = context.snapshot
    control = context.of(CONTROL)
    return Banner(
        unavailable=snapshot.outage.reason if snapshot.outage else None,
        read_at=snapshot.read_at if snapshot.outage else None,
        control=control if control and control.frozen_at else None,
        denied=tuple(sorted(set(snapshot.denied.values()))),
    )
