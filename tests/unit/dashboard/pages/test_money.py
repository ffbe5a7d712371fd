"""The page Money: the answer, what is unknown, the choices of the address."""

import asyncio
import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from centralcloud.dashboard.pages import money as page
from centralcloud.dashboard.pages import overview
from centralcloud.dashboard.reader.snapshot import Snapshot
from centralcloud.dashboard.sources.fleet import FleetState
from centralcloud.dashboard.sources.money import DAY, HOUR, MONEY, WEEK, Money, PairMoney, SpendHour
from centralcloud.dashboard.web.assets import Assets
from centralcloud.dashboard.web.page import PageContext, PageError
from centralcloud.dashboard.web.rendering import Renderer

NOW = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)


def pair(model: str, complexity: str, usd: float, priced: float = 1.0, successes: int = 90) -> PairMoney:
    return PairMoney(model, complexity, 100, successes, 100 - successes, round(usd * 1e9), priced, 500.0, 900.0)


def some_money(*pairs: PairMoney) -> Money:
    hours = tuple(
        SpendHour(NOW - number * HOUR, complexity, 5, 5, 0, round(usd * 1e9))
        for number in range(1, 15 * 24)
        for complexity, usd in (("simple", 1.02 if number <= 24 else 1.0), ("complex", 2.04 if number <= 24 else 2.0))
    )
    return Money(NOW, NOW - timedelta(days=20), hours, ((DAY, pairs), (WEEK, pairs)))


FLEET_STATE = FleetState(0, 0, 0, None, None, 1, NOW, 0, 0, None, 0, None)
PAIRS = (pair("cheap", "complex", 1.0, successes=80), pair("dear", "complex", 9.0), pair("cheap", "simple", 2.0))


def built(money: Money | None, **query: str) -> dict:
    values = {} if money is None else {MONEY.name: money}
    context = PageContext(Snapshot(1, NOW, values), query, ZoneInfo("UTC"), NOW, None)  # type: ignore[arg-type]
    return dict(asyncio.run(page.build(context)))


def test_the_heading_answers() -> None:
    assert built(some_money(*PAIRS))["spend"].heading == "$73.44 in the last 24 hours, +2% on the day before"
    assert (
        built(some_money(*PAIRS), range="7d")["spend"].heading
        == "$505.44 in the last 7 days, as much as the 7 days before"
    )
    complex_only = built(some_money(*PAIRS), complexity="complex")["spend"].heading
    assert complex_only == "$48.96 on complex tasks in the last 24 hours, +2% on the day before"


def test_the_page_says_as_of_when_its_amounts_are() -> None:
    renderer = Renderer(Assets(), [page.PAGE])
    html = str(renderer.fragment(page.PAGE, "spend", built(some_money(*PAIRS))["spend"], ZoneInfo("Asia/Kathmandu")))
    assert re.search(r"As of <time[^>]*>30 Nov 17:45</time>", html)


def test_the_overview_says_the_same_amount() -> None:
    kpi = overview.kpis(FLEET_STATE, None, (), (), some_money(*PAIRS))[-1]
    assert (kpi.value, kpi.note, kpi.url) == ("$73.44", "+2% on the day before", "/money")
    unknown = overview.kpis(FLEET_STATE, None, (), (), some_money(pair("free?", "complex", 0.0, priced=0.0)))[-1]
    assert (unknown.value, unknown.note) == ("–", "not known yet")


def test_unknown_costs_are_said_and_not_counted_as_zero() -> None:
    found = built(some_money(*PAIRS, pair("free?", "complex", 0.0, priced=0.0)))
    assert found["spend"].unknown == 0.25
    row = next(each for each in found["pairs"].rows if each.model == "free?")
    assert (row.spend_usd, row.share, row.cost_of_success_usd, row.unknown) == (None, None, None, 1.0)
    assert found["worth"].unpriced == ("free?",)
    assert found["spend"].much_unknown
    assert not built(some_money(*PAIRS, pair("few", "complex", 1.0, priced=0.99)))["spend"].much_unknown
    all_unknown = some_money(pair("free?", "complex", 0.0, priced=0.0))
    quiet = all_unknown._replace(hours=tuple(each._replace(cost_nano_usd=0) for each in all_unknown.hours))
    spend = built(quiet)["spend"]
    assert spend.heading == "The costs in the last 24 hours are not known"
    assert spend.chart is None


def test_the_table_has_shares_of_spend_and_of_traffic() -> None:
    rows = built(some_money(*PAIRS))["pairs"].rows
    assert [(each.model, each.complexity) for each in rows] == [
        ("dear", "complex"),
        ("cheap", "simple"),
        ("cheap", "complex"),
    ]
    assert rows[0].share == pytest.approx(9 / 12)
    assert [each.traffic for each in rows] == [pytest.approx(1 / 3)] * 3
    assert rows[0].url == "/pair?model=dear&complexity=complex"


def test_a_cheaper_leader_is_an_estimate_and_few_outcomes_are_none() -> None:
    found = built(some_money(*PAIRS))["choices"]
    (estimate,) = found.found
    assert (estimate.complexity, estimate.leader, estimate.model) == ("complex", "dear", "cheap")
    assert (estimate.saving_usd, estimate.lost) == (pytest.approx(8.0), pytest.approx(10.0))
    assert found.none == ("simple",)
    rare = pair("cheap", "complex", 1.0)._replace(successes=49, failures=0, decisions=49)
    few = built(some_money(pair("dear", "complex", 9.0), rare))
    assert (few["choices"].found, few["choices"].none) == ((), ("complex",))


@pytest.mark.parametrize("query", [{"range": "5d"}, {"complexity": "hard"}])
def test_an_unknown_choice_is_one_sentence(query: dict[str, str]) -> None:
    with pytest.raises(PageError, match=r"found .*=.*, expected") as refused:
        built(some_money(*PAIRS), **query)
    assert refused.value.status == 400


def test_nothing_read_and_nothing_arrived_are_different() -> None:
    assert built(None)["spend"].heading == "No spend was read yet"
    empty = built(Money(NOW, None, (), ((DAY, ()), (WEEK, ()))))
    assert empty["spend"].heading == "No decision has arrived in the last 24 hours"
    assert empty["worth"] is None
    assert empty["pairs"] is None


def test_models_do_not_change_when_nothing_has_changed() -> None:
    assert built(some_money(*PAIRS)) == built(some_money(*PAIRS))


def test_a_hundred_models_are_a_table_with_a_link_to_the_rest() -> None:
    pairs = [pair(f"m{number}", complexity, number) for number in range(100) for complexity in ("simple", "complex")]
    found = built(some_money(*pairs))["pairs"]
    assert (len(found.rows), found.more, found.url) == (30, 170, "/money?pairs=all")
    assert len(built(some_money(*pairs), pairs="all")["pairs"].rows) == 200


def test_hostile_names_are_shown_as_text() -> None:
    renderer = Renderer(Assets(), (page.PAGE,))
    name = '<script>alert("1")</script>\u202e' + "x" * 170
    models = built(some_money(*PAIRS, pair(name, "complex", 20.0), pair("unpriced<b>", "simple", 0.0, priced=0.0)))
    html = "".join(renderer.fragment(page.PAGE, each, model, ZoneInfo("UTC")) for each, model in models.items())
    assert "<script" not in html
    assert "<b>" not in html
    assert 'style="' not in html
    assert "&lt;script&gt;" in html
    assert "of the outcomes have no known cost" in html


@pytest.mark.parametrize("money", [None, Money(NOW, None, (), ((DAY, ()), (WEEK, ())))])
def test_a_page_without_data_is_one_card(money: Money | None) -> None:
    renderer = Renderer(Assets(), (page.PAGE,))
    html = "".join(renderer.fragment(page.PAGE, each, model, ZoneInfo("UTC")) for each, model in built(money).items())
    assert html.count('class="card"') == 1
    assert ("centralcloud status" in html) == (money is not None)
