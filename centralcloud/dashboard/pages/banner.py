"""The banner over every page: the database cannot be read, learning is frozen, the login may not read a part."""

from datetime import datetime
from typing import Final, NamedTuple

from centralcloud.dashboard.reader.outages import Problem
from centralcloud.dashboard.sources.control import CONTROL, Control
from centralcloud.dashboard.web.page import PageContext


class Banner(NamedTuple):
    """The texts of the banner.

    Attributes:
        problem: why nothing can be read.
        read_at: when the values on the page were read; None: never.
        control: set while learning is frozen.
        denied: the reasons why parts may not be read.
    """

    problem: Problem | None
    read_at: datetime | None
    control: Control | None
    denied: tuple[Problem, ...]


BANNER_SOURCES: Final = (CONTROL,)


def banner(context: PageContext) -> Banner:
    """Return the banner of a page."""
    snapshot = context.snapshot
    control = context.of(CONTROL)
    return Banner(
        problem=snapshot.outage.problem if snapshot.outage else None,
        read_at=snapshot.read_at if snapshot.outage else None,
        control=control if control and control.frozen_at else None,
        denied=tuple(sorted(set(snapshot.denied.values()))),
    )
