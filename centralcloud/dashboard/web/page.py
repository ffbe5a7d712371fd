"""The shape of a page."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias, TypeVar
from zoneinfo import ZoneInfo

from centralcloud.contracts import CentralCloudError
from centralcloud.dashboard.reader.lookups import Lookups
from centralcloud.dashboard.reader.snapshot import Snapshot
from centralcloud.dashboard.reader.source import Lookup, Source

_T = TypeVar("_T")

#: For each fragment of a page what its template shows: values that `==` compares, with absolute times in them.
Models: TypeAlias = Mapping[str, object]


class PageError(CentralCloudError):
    """A page that cannot be shown: one sentence, and the command that helps.

    Attributes:
        status: of HTTP: 404, 503.
        link: the words and the address of the next step, where that is a page.
    """

    def __init__(
        self,
        status: int,
        title: str,
        message: str,
        *,
        command: str | None = None,
        link: tuple[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.title = title
        self.message = message
        self.command = command
        self.link = link


@dataclass(frozen=True, slots=True)
class PageContext:
    """The values that a page is made from.

    Attributes:
        query: the parameters of the address, the first value of each.
        zone: of the viewer.
        now: the time of the newest read by the database's clock, floored to 10 seconds, so that a chart which ends now
            does not change every second; the time of this machine before the first read.
    """

    snapshot: Snapshot
    query: Mapping[str, str]
    zone: ZoneInfo
    now: datetime
    lookups: Lookups

    def of(self, source: Source[_T]) -> _T | None:
        """Return the value of a source; None where it was not read yet, or may not be read."""
        return self.snapshot.of(source)

    async def lookup(self, lookup: Lookup[_T], *args: Any) -> _T:
        """Return the value of a lookup for hashable arguments; raises LookupFailedError during an outage."""
        return await self.lookups.get(lookup, *args)


@dataclass(frozen=True)
class Page:
    """A page of the dashboard.

    Attributes:
        path: may have parameters, each a part between two slashes: ``/request/{request_id}``. They are in the query of the
            context, where they come before those of the address.
        name: of its templates: ``<name>.html``, and ``<name>/<fragment>.html`` for each fragment.
        title: of the window, and in the navigation.
        sources: what it shows; it is built again when one of them has changed.
        build: returns the models of the fragments, by their names; raises PageError.
        parameters: those of the address that it reads; others are ignored, so that they make no further views.
        in_navigation: whether the header links to it.
        under: the name of the page in the navigation that this one belongs to.
    """

    path: str
    name: str
    title: str
    sources: Sequence[Source[Any]]
    build: Callable[[PageContext], Awaitable[Models]]
    parameters: Sequence[str] = ()
    in_navigation: bool = True
    under: str | None = None
