"""Views: a fragment is rendered once for each change, for all viewers; revisions say what a page lacks."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from centralcloud.dashboard.reader.outages import Outage, Problem
from centralcloud.dashboard.reader.snapshot import Snapshot
from centralcloud.dashboard.reader.source import Source, Tier
from centralcloud.dashboard.web.page import Page, PageContext
from centralcloud.dashboard.web.views import View, ViewKey, Views

NOW = datetime(2026, 11, 30, 12, 0, 7, tzinfo=UTC)
LEFT = Source("left", Tier.SECOND, lambda _: None)
RIGHT = Source("right", Tier.SECOND, lambda _: None)


class Counting:
    """Renders a model as its text, and counts."""

    def __init__(self) -> None:
        self.rendered: list[str] = []

    def fragment(self, page: Page, name: str, model: object, zone: ZoneInfo) -> str:
        if name != "banner":
            self.rendered.append(name)
        return f"{name}: {model}"


def a_view() -> tuple[View, Counting, list[datetime]]:
    """A view of two fragments, each of one source; its renderer, and the moments for which it was built."""
    built: list[datetime] = []

    async def build(context: PageContext) -> Mapping[str, object]:
        built.append(context.now)
        return {"left": context.of(LEFT), "right": context.of(RIGHT)}

    page = Page("/", "page", "Page", (LEFT, RIGHT), build)
    renderer: Any = Counting()
    nothing: Any = None
    return View(page, ViewKey("/", (), "UTC"), renderer, nothing), renderer, built


def a_snapshot(number: int, left: object = 1, right: object = 1, **options: Any) -> Snapshot:
    return Snapshot(number, **{"read_at": NOW, "values": {"left": left, "right": right}, **options})


def update(view: View, *snapshots: Snapshot) -> None:
    async def run() -> None:
        for snapshot in snapshots:
            await view.update(snapshot)

    asyncio.run(run())


def test_only_the_fragment_that_has_changed_is_rendered_again() -> None:
    view, renderer, built = a_view()
    update(view, a_snapshot(1), a_snapshot(2), a_snapshot(3))
    assert (renderer.rendered, len(built)) == (["left", "right"], 1)
    update(view, a_snapshot(4, left=2))
    assert renderer.rendered == ["left", "right", "left"]
    assert view.html()["left"] == "left: 2"


def test_many_who_ask_at_once_cause_one_rendering() -> None:
    view, renderer, built = a_view()

    async def ask() -> None:
        await asyncio.gather(*(view.update(a_snapshot(1)) for _ in range(100)))

    asyncio.run(ask())
    assert (len(renderer.rendered), len(built)) == (2, 1)


def test_revisions_say_what_a_page_lacks() -> None:
    view, _, _ = a_view()
    update(view, a_snapshot(1))
    first = view.revision
    assert view.changes_since(0).keys() == {"banner", "left", "right"}
    assert not view.changes_since(first)
    update(view, a_snapshot(2, left=2))
    update(view, a_snapshot(3, left=2, right=2))
    assert view.changes_since(first).keys() == {"left", "right"}
    assert view.changes_since(view.revision - 1).keys() == {"right"}


def test_a_model_that_differs_and_looks_the_same_is_not_sent_again() -> None:
    view, _, _ = a_view()
    update(view, a_snapshot(1, left=1))
    revision = view.revision
    update(view, a_snapshot(2, left=True))  # equal, too
    update(view, a_snapshot(3, left="1"))
    assert view.revision == revision


def test_a_page_is_built_again_every_ten_seconds_and_in_an_outage() -> None:
    view, _, built = a_view()
    update(view, *(a_snapshot(number, read_at=NOW + timedelta(seconds=number)) for number in range(20)))
    assert built == [NOW.replace(second=each) for each in (0, 10, 20)]
    update(
        view,
        a_snapshot(
            20,
            read_at=NOW + timedelta(seconds=19),
            outage=Outage(NOW, Problem("The database is unavailable", "cut off", None)),
        ),
    )
    assert len(built) == 4


def test_the_views_that_were_looked_at_last_are_kept() -> None:
    created = []

    def create(key: ViewKey) -> View:
        created.append(key)
        return a_view()[0]

    views = Views(create)
    keys = [ViewKey("/", (("model", str(number)),), "UTC") for number in range(257)]
    first = views.of(keys[0])
    for key in keys[1:256]:
        views.of(key)
    assert views.of(keys[0]) is first
    views.of(keys[256])
    assert views.of(keys[0]) is first, "looked at a moment ago"
    assert len(created) == 257
    views.of(keys[1])
    assert len(created) == 258, "the one that was looked at longest ago made room"
