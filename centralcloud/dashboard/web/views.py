"""Views: a page with certain parameters in a certain time zone, shared by all who look at it.

A view keeps the model and the HTML of each fragment, with the revision in which it last changed. However many viewers there
are, a fragment is rendered once for each change.
"""

import asyncio
import secrets
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from centralcloud.dashboard.pages.banner import BANNER_SOURCES, banner
from centralcloud.dashboard.reader.lookups import Lookups
from centralcloud.dashboard.reader.snapshot import Snapshot
from centralcloud.dashboard.web.page import Models, Page, PageContext
from centralcloud.dashboard.web.rendering import Renderer

_MOST_VIEWS: Final = 256
#: The time of a page moves in these steps.
_STEP_SECONDS: Final = 10


class ViewKey(NamedTuple):
    """The key of a view: the page's path, its parameters in their order, the zone's name."""

    path: str
    query: tuple[tuple[str, str], ...]
    zone: str


@dataclass(slots=True)
class _Fragment:
    model: object
    html: str
    revision: int


class View:
    """One view. For one event loop.

    Attributes:
        revision: rises when a fragment changes.
        boot: names this object. A view that is made anew for the same key counts its revisions anew.
    """

    def __init__(self, page: Page, key: ViewKey, renderer: Renderer, lookups: Lookups) -> None:
        self.page = page
        self.key = key
        self.revision = 0
        self.boot = secrets.token_hex(8)
        self._zone = ZoneInfo(key.zone)
        self._renderer = renderer
        self._lookups = lookups
        self._fragments: dict[str, _Fragment] = {}
        self._built_from: tuple[Any, ...] = ()
        self._lock = asyncio.Lock()

    @property
    def zone(self) -> ZoneInfo:
        """The viewer's time zone."""
        return self._zone

    async def update(self, snapshot: Snapshot) -> None:
        """Build the page from a snapshot, unless nothing that it shows has changed; render the fragments that have.

        Raises:
            PageError: the page has nothing to show for these parameters.
            LookupFailedError: the database is unavailable, and the page needs it.
        """
        async with self._lock:
            context = self._context(snapshot)
            built_from = (
                context.now,
                snapshot.outage,
                tuple(snapshot.denied),
                *(snapshot.of(source) for source in (*BANNER_SOURCES, *self.page.sources)),
            )
            if self._fragments and all(a is b or a == b for a, b in zip(built_from, self._built_from, strict=True)):
                return
            # Before the page itself, which may need more than the snapshot: the banner says why it stays as it is.
            if self._fragments:
                self._render({"banner": banner(context)})
            self._render({"banner": banner(context), **await self.page.build(context)})
            self._built_from = built_from

    def _render(self, models: Models) -> None:
        """Render the fragments whose models have changed."""
        revision = self.revision + 1
        for name, model in models.items():
            before = self._fragments.get(name)
            if before is not None and before.model == model:
                continue
            html = self._renderer.fragment(self.page, name, model, self._zone)
            if before is None or before.html != html:
                self._fragments[name] = _Fragment(model, html, revision)
                self.revision = revision
            else:
                before.model = model

    def html(self) -> Mapping[str, str]:
        """Return the HTML of every fragment."""
        return {name: fragment.html for name, fragment in self._fragments.items()}

    def changes_since(self, revision: int) -> dict[str, str]:
        """Return the HTML of the fragments that have changed after a revision."""
        return {name: each.html for name, each in self._fragments.items() if each.revision > revision}

    def _context(self, snapshot: Snapshot) -> PageContext:
        now = snapshot.read_at or datetime.now(UTC)
        floored = now - timedelta(seconds=now.second % _STEP_SECONDS, microseconds=now.microsecond)
        return PageContext(snapshot, dict(self.key.query), self._zone, floored, self._lookups)


class Views:
    """The views that were looked at last."""

    def __init__(self, create: Callable[[ViewKey], View]) -> None:
        self._create = create
        self._views: OrderedDict[ViewKey, View] = OrderedDict()

    def of(self, key: ViewKey) -> View:
        """Return the view of a key, a new one where there is none."""
        view = self._views.get(key)
        if view is None:
            view = self._views[key] = self._create(key)
            while len(self._views) > _MOST_VIEWS:
                self._views.popitem(last=False)
        self._views.move_to_end(key)
        return view
