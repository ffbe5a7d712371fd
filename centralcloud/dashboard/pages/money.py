"""Money: what was spent, which model is worth its price, and what the next cheaper leader would save."""

from collections.abc import Sequence
from datetime import datetime, timedelta, tzinfo
from typing import Final, NamedTuple
from urllib.parse import urlencode

from markupsafe import Markup

from centralcloud.dashboard.charts import columns, frontier
from centralcloud.dashboard.costs import (
    MUCH_UNKNOWN,
    NANO,
    Alternative,
    alternative,
    cost_panel,
    unknown_share,
)
from centralcloud.dashboard.pages.addresses import COMPLEXITIES, pair_url
from centralcloud.dashboard.reader.lookups import LookupFailedError
from centralcloud.dashboard.sources.money import DAY, HOUR, MONEY, MONEY_OF_MONTH, MONTH, WEEK, Money, PairMoney
from centralcloud.dashboard.spend import History, change_of, covered_days, days_of, hours_of, spent
from centralcloud.dashboard.web import formats
from centralcloud.dashboard.web.page import Models, Page, PageContext, PageError
from centralcloud.runtime.comparison import cost_of_success, leader_of, outcomes_of, success_rate
from centralcloud.runtime.wording import counted

#: Rows of the table, those that cost most first; a link shows the others.
MOST_ROWS: Final = 30


class Range(NamedTuple):
    """A length of time that the page can show: its words, and those of the time before it."""

    name: str
    length: timedelta
    words: str
    before: str


RANGES: Final = (
    Range("24h", DAY, "in the last 24 hours", "the day before"),
    Range("7d", WEEK, "in the last 7 days", "the 7 days before"),
    Range("30d", MONTH, "in the last 30 days", "the 30 days before"),
)


class Tab(NamedTuple):
    """A choice of the page."""

    text: str
    url: str
    current: bool


class Spend(NamedTuple):
    """The answer at the top, and the columns.

    Attributes:
        unknown: share of the outcomes whose cost is not known; 0: all are known.
        failed: why the time that was asked for cannot be read; the others are then empty.
    """

    heading: str
    sub: str
    unknown: float
    chart: Markup | None
    ranges: tuple[Tab, ...]
    complexities: tuple[Tab, ...]
    read_at: datetime | None
    failed: str = ""

    @property
    def much_unknown(self) -> bool:
        """Whether so many costs are not known that an operator should act."""
        return self.unknown >= MUCH_UNKNOWN


class Worth(NamedTuple):
    """The frontier of each complexity. `unpriced`: models without a known cost, which no chart shows."""

    chart: Markup
    words: str
    unpriced: tuple[str, ...]


class Row(NamedTuple):
    """A pair in the table. `share`: of the spend; `traffic`: of the decisions; `unknown`: of its outcomes, not priced."""

    model: str
    complexity: str
    url: str
    spend_usd: float | None
    share: float | None
    traffic: float
    success_rate: float | None
    cost_of_success_usd: float | None
    p50_ms: float | None
    p95_ms: float | None
    unknown: float
    outcomes: int
    leads: bool


class Pairs(NamedTuple):
    """The table. `more`: pairs that it does not show, and the link to them."""

    words: str
    rows: tuple[Row, ...]
    more: int
    url: str


class Choices(NamedTuple):
    """Estimates of cheaper leaders. `none`: complexities without one."""

    found: tuple[Alternative, ...]
    none: tuple[str, ...]
    words: str


async def build(context: PageContext) -> Models:
    """Build the page for ``range`` and ``complexity``."""
    shown = _range(context.query.get("range", RANGES[0].name))
    complexity = _complexity(context.query.get("complexity"))
    money: Money | None = None
    failed = ""
    if shown.length == MONTH:
        try:
            money = await context.lookup(MONEY_OF_MONTH)
        except LookupFailedError as error:
            failed = str(error)
    else:
        money = context.of(MONEY)
    empty: dict[str, object] = {"worth": None, "choices": None, "pairs": None}
    if money is None:
        heading = "The spend of 30 days cannot be read now" if failed else "No spend was read yet"
        tabs = _tabs(shown, complexity)
        return {"spend": Spend(heading, "", 0.0, None, *tabs, None, failed), **empty}
    pairs = _chosen(money.pairs_of(shown.length), complexity)
    spend = spend_of(money, shown, complexity, context.zone)
    if not pairs:
        return {"spend": spend, **empty}
    leaders = leaders_of(pairs)
    return {
        "spend": spend,
        "worth": worth(pairs, leaders, shown),
        "choices": choices(pairs, leaders, shown, covered_days(money, shown.length)),
        "pairs": table(pairs, leaders, shown, context.query.get("pairs") == "all", complexity),
    }


def spend_of(money: Money, shown: Range, complexity: str | None, zone: tzinfo) -> Spend:
    """Return the answer: the spend of the time, and how it compares with the time before."""
    now, length = money.read_at, shown.length
    hours = [each for each in money.hours if complexity in (None, each.complexity)]
    pairs = _chosen(money.pairs_of(length), complexity)
    amount = spent(hours, now - length, now, now)
    unknown = unknown_share(pairs)
    of = f" on {complexity} tasks" if complexity else ""
    ranges, complexities = _tabs(shown, complexity)
    if not hours:
        heading = f"No decision has arrived {shown.words}{' for these tasks' if complexity else ''}"
        return Spend(heading, "", 0.0, None, ranges, complexities, now)
    if pairs and unknown == 1.0:
        heading = f"The costs {shown.words} are not known"
    else:
        change = change_of(money, hours, length)
        against = f", {formats.signed_percent(change)} on {shown.before}" if change is not None else ""
        if against.startswith(", no change"):
            against = f", as much as {shown.before}"
        heading = f"{formats.usd_of_nano(amount)}{of} {shown.words}{against}"
    history = History(hours, money.first_hour, now, unknown > 0)
    if length == MONTH:
        drawn = days_of(history, now - MONTH, now, zone)
    else:
        newest = now.replace(minute=0, second=0, microsecond=0)
        drawn = hours_of(history, newest - WEEK + HOUR, newest + HOUR)
    period = "day, the last 30 days" if length == MONTH else "hour, the last 7 days"
    known = any(each.value for each in drawn)
    chart = columns(drawn, unit="usd", zone=zone, label=f"Spend by {period}: {heading}") if known else None
    return Spend(heading, f"Spend by {period}", unknown, chart, ranges, complexities, now)


def leaders_of(pairs: Sequence[PairMoney]) -> dict[str, str]:
    """Return the model of each complexity that got the most of its tasks in the time of `pairs`, as the report has it."""
    leaders = {name: leader_of([each for each in pairs if each.complexity == name]) for name in COMPLEXITIES}
    return {complexity: leader.model for complexity, leader in leaders.items() if leader is not None}


def worth(pairs: Sequence[PairMoney], leaders: dict[str, str], shown: Range) -> Worth | None:
    """Return the chart of cost against success; None where no model has both."""
    panels = [cost_panel(each, pairs, leaders.get(each)) for each in COMPLEXITIES if each in leaders]
    drawn = [point for panel in panels for point in panel.points if point.cost_of_success_usd is not None]
    if not drawn:
        return None
    findings = []
    for panel in panels:
        leader = next((each for each in panel.points if each.leads), None)
        if leader is not None and leader.cost_of_success_usd is not None:
            cost, place = formats.usd(leader.cost_of_success_usd), "on" if leader.on_frontier else "off"
            findings.append(
                f"{panel.title}: {leader.name} gets the most tasks at {cost} a success, {place} the frontier"
            )
    unpriced = sorted({each.model for each in pairs if outcomes_of(each) and not each.priced})
    label = "; ".join(findings) or "Cost of a success and success rate by model"
    return Worth(frontier(panels, label=label), shown.words, tuple(unpriced))


def choices(pairs: Sequence[PairMoney], leaders: dict[str, str], shown: Range, days: float) -> Choices | None:
    """Return what the next cheaper model on the frontier would save and lose as the leader, for each complexity."""
    found: list[Alternative] = []
    none: list[str] = []
    for complexity in leaders:
        estimate = alternative(cost_panel(complexity, pairs, leaders[complexity]), pairs, days)
        if estimate is None:
            none.append(complexity)
        else:
            found.append(estimate)
    return Choices(tuple(found), tuple(none), shown.words) if leaders else None


def table(
    pairs: Sequence[PairMoney], leaders: dict[str, str], shown: Range, everything: bool, complexity: str | None
) -> Pairs:
    """Return the pairs, those that cost most first."""
    amount, decisions = sum(each.cost_nano_usd for each in pairs), sum(each.decisions for each in pairs)
    rows = []
    for each in sorted(pairs, key=lambda pair: (-pair.cost_nano_usd, -pair.decisions, pair.model, pair.complexity)):
        known = bool(each.priced) or each.cost_nano_usd > 0
        rows.append(
            Row(
                each.model,
                each.complexity,
                pair_url(each.model, each.complexity),
                each.cost_nano_usd / NANO if known or not outcomes_of(each) else None,
                each.cost_nano_usd / amount if amount and known else None,
                each.decisions / decisions if decisions else 0.0,
                success_rate(each),
                cost_of_success(each),
                each.p50_ms,
                each.p95_ms,
                1 - (each.priced or 0.0) if outcomes_of(each) else 0.0,
                outcomes_of(each),
                leaders.get(each.complexity) == each.model,
            )
        )
    kept = rows if everything else rows[:MOST_ROWS]
    pairs_words = counted(len(rows), "pair of a model and a complexity", "pairs of a model and a complexity")
    words = f"{pairs_words} {shown.words}, the most expensive first"
    return Pairs(words, tuple(kept), len(rows) - len(kept), _url(shown, complexity, pairs="all"))


def _chosen(pairs: Sequence[PairMoney], complexity: str | None) -> tuple[PairMoney, ...]:
    return tuple(each for each in pairs if complexity in (None, each.complexity))


def _range(name: str) -> Range:
    for each in RANGES:
        if each.name == name:
            return each
    raise PageError(400, "No such time", f"found range={name}, expected 24h, 7d or 30d")


def _complexity(name: str | None) -> str | None:
    if name is None or name in COMPLEXITIES:
        return name
    raise PageError(400, "No such complexity", f"found complexity={name}, expected simple, medium or complex")


def _tabs(shown: Range, complexity: str | None) -> tuple[tuple[Tab, ...], tuple[Tab, ...]]:
    ranges = tuple(Tab(each.name, _url(each, complexity), each is shown) for each in RANGES)
    every = tuple(Tab(each or "all", _url(shown, each), each == complexity) for each in (None, *COMPLEXITIES))
    return ranges, every


def _url(shown: Range, complexity: str | None, **others: str) -> str:
    values = {
        **({"range": shown.name} if shown is not RANGES[0] else {}),
        **({"complexity": complexity} if complexity else {}),
        **others,
    }
    return f"/money?{urlencode(values)}" if values else "/money"


PAGE: Final = Page(
    path="/money",
    name="money",
    title="Money",
    sources=(MONEY,),
    build=build,
    parameters=("range", "complexity", "pairs"),
)
