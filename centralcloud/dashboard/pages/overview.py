"""The overview: the verdict, the numbers of the moment, the scores, what needs a look, who gets the tasks."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from markupsafe import Markup

from centralcloud.dashboard.charts.sparkline import sparkline
from centralcloud.dashboard.charts.traffic_share import traffic_share
from centralcloud.dashboard.costs import unknown_share
from centralcloud.dashboard.pages.addresses import COMPLEXITIES, finding_url, instance_url, pair_url
from centralcloud.dashboard.pages.leaders import avoided_pairs, leader_now
from centralcloud.dashboard.pages.reuse import reused
from centralcloud.dashboard.pages.running_experiments import RunningExperiment, running_experiments
from centralcloud.dashboard.pages.verdict import Evidence, Signal, Verdict, as_far_as_known, judge, success_rate
from centralcloud.dashboard.pages.words import SMALL_SHARE
from centralcloud.dashboard.sources.control import CONTROL
from centralcloud.dashboard.sources.experiments import EXPERIMENTS
from centralcloud.dashboard.sources.findings import OPEN_FINDINGS, Finding
from centralcloud.dashboard.sources.fleet import FLEET, FleetState
from centralcloud.dashboard.sources.minutes import MINUTES, FleetMinute, ingest_rates
from centralcloud.dashboard.sources.money import DAY, MONEY, Money
from centralcloud.dashboard.sources.queue import QUEUE, QueueState
from centralcloud.dashboard.sources.scores import CHANGES, PAIRS, PairScore, ScoreChange
from centralcloud.dashboard.sources.traffic import TRAFFIC, PairTraffic
from centralcloud.dashboard.spend import change_of, spent
from centralcloud.dashboard.web import formats
from centralcloud.dashboard.web.page import Models, Page, PageContext
from centralcloud.runtime.wording import age, counted, percent

#: Models of the matrix, those with the most traffic first; a link shows the others.
MOST_MODELS: Final = 24
#: Values of a sparkline.
_POINTS: Final = 24
_MOST_EXPERIMENTS: Final = 3
_LETTERS_URL: Final = "/fleet#dead-letters"
_BANDS: Final = (2.0, 3.0, 3.5, 4.0, 4.5)


class Kpi(NamedTuple):
    """One number at the top.

    Attributes:
        state: ``good`` or ``look``, for its mark; empty: none.
        at: when it was read, where that is not now.
    """

    label: str
    value: str
    unit: str
    note: str
    url: str
    chart: Markup
    state: str = ""
    at: datetime | None = None


class Cell(NamedTuple):
    """The score of a pair in the matrix. `band`: 0 to 5, its shade; `leads`: whether it got the most tasks lately."""

    complexity: str
    score: str
    band: int
    note: str
    leads: bool
    url: str
    chart: Markup


class Row(NamedTuple):
    """The scores of a model; None for a complexity without one."""

    model: str
    cells: tuple[Cell | None, ...]


class Matrix(NamedTuple):
    """The scores of the models.

    Attributes:
        hidden: models that are not shown; `filter`: of their names.
        since: when the sparklines begin.
        led_since: the begin of the time in which the outlined models got the most tasks; None: none got any.
    """

    complexities: tuple[str, ...]
    rows: tuple[Row, ...]
    hidden: int
    filter: str
    since: datetime | None
    led_since: datetime | None


class Avoided(NamedTuple):
    """Weak pairs that learning avoids. `share`: of the newest tasks that they get together, 0 to 1."""

    share: float
    pairs: tuple[tuple[str, str], ...]
    more: int


class Attention(NamedTuple):
    """The list of things that need a look, and the experiments.

    Attributes:
        minor: open findings that concern little traffic, of no avoided pair.
        experiments: those that run, are paused, or were decided within a day; `more_experiments`: those not shown.
    """

    signals: tuple[Signal, ...]
    more: int
    avoided: Avoided | None
    minor: int
    behind: tuple[str, int, int, str] | None
    experiments: tuple[RunningExperiment, ...] = ()
    more_experiments: int = 0


class Shares(NamedTuple):
    """The share of the tasks of a complexity that each model gets."""

    complexity: str
    complexities: tuple[str, ...]
    chart: Markup | None
    decisions: int


async def build(context: PageContext) -> Models:
    """Build the page; without any outcome it is one card with the next command."""
    fleet = context.of(FLEET)
    if fleet is None:
        return {"verdict": None, "kpis": (), "matrix": None, "attention": None, "shares": None}
    traffic, findings = context.of(TRAFFIC) or (), context.of(OPEN_FINDINGS) or ()
    queue, minutes = context.of(QUEUE), context.of(MINUTES) or ()
    judged = judge(Evidence(fleet, queue, context.of(CONTROL), findings, traffic, context.now))
    weighed = {source.name for source in (FLEET, QUEUE, CONTROL, OPEN_FINDINGS, TRAFFIC)}
    verdict = as_far_as_known(
        judged, is_old=context.snapshot.outage is not None, has_gaps=not weighed.isdisjoint(context.snapshot.denied)
    )
    if judged.state == "empty":
        return {"verdict": verdict, "kpis": (), "matrix": None, "attention": None, "shares": None}
    pairs, changes = context.of(PAIRS) or (), context.of(CHANGES) or ()
    return {
        "verdict": verdict,
        "kpis": kpis(fleet, queue, minutes, traffic, context.of(MONEY)),
        "matrix": matrix(pairs, changes, traffic, context.query, context.now),
        "attention": attention(
            verdict, findings, fleet, pairs, traffic, running_experiments(context.of(EXPERIMENTS), context.now)
        ),
        "shares": shares(traffic, context.query.get("complexity"), context.now, context.zone),
    }


def kpis(
    fleet: FleetState,
    queue: QueueState | None,
    minutes: Sequence[FleetMinute],
    traffic: Sequence[PairTraffic],
    money: Money | None,
) -> tuple[Kpi, ...]:
    """Return the five numbers of the moment."""
    return (
        _success(traffic),
        _events(queue, minutes, fleet.workers),
        _convergence(fleet),
        _dead_letters(fleet),
        _spent(money),
    )


@reused
def _success(traffic: Sequence[PairTraffic]) -> Kpi:
    by_part: dict[datetime, list[int]] = defaultdict(lambda: [0, 0])
    for each in traffic:
        by_part[each.start][0] += each.successes
        by_part[each.start][1] += each.successes + each.failures
    rates = [s / n if n else None for _, (s, n) in sorted(by_part.items())]
    rate = success_rate(traffic)
    text = formats.percent(rate).removesuffix("%")
    label = f"Success rate over the last day, now {formats.percent(rates[-1]) if rates else 'unknown'}"
    outcomes = sum(each.successes + each.failures for each in traffic)
    chart = sparkline(rates, label=label) if rates else Markup()
    return Kpi(
        "Success rate",
        text,
        "%" if rate is not None else "",
        f"of {formats.number(outcomes)} outcomes",
        "/scores",
        chart,
    )


def _events(queue: QueueState | None, minutes: Sequence[FleetMinute], workers: int) -> Kpi:
    rate, chart = _ingest(minutes)
    newest = rate if rate and workers else 0.0
    if queue is None:
        note = "the queue cannot be read"
    elif not queue.messages:
        note = "none waits"
    else:
        waiting = (
            ""
            if (queue.oldest_waiting_seconds or 0) < 1
            else f", the oldest for {age(queue.oldest_waiting_seconds or 0)}"
        )
        note = f"{'over ' if queue.capped else ''}{queue.messages:,} wait{waiting}"
    return Kpi(
        "Events in",
        formats.number(newest, 1 if newest < 10 else 0) if rate is not None else "–",
        "/s",
        note,
        "/fleet",
        chart,
    )


@reused
def _ingest(minutes: Sequence[FleetMinute]) -> tuple[float | None, Markup]:
    """Return the events ingested a second in the newest minute, and the chart of the last day."""
    rates = ingest_rates(minutes)
    if len(rates) < 2:
        return rates[-1] if rates else None, Markup()
    return rates[-1], sparkline(rates, label="Events ingested a second over the last day", low=0.0)


def _convergence(fleet: FleetState) -> Kpi:
    current = fleet.instances - fleet.behind
    if not fleet.instances:
        note = "none was seen within a day"
    elif fleet.furthest_behind is None:
        note = f"version {fleet.version:,}"
    else:
        note = f"{fleet.furthest_behind} is {counted(fleet.versions_behind or 0, 'version')} behind"
    state = "look" if fleet.behind else "good" if fleet.instances else ""
    return Kpi("Fleet on newest scores", f"{current:,}", f"of {fleet.instances:,}", note, "/fleet", Markup(), state)


def _dead_letters(fleet: FleetState) -> Kpi:
    note = f"most: {fleet.dead_letter_field}" if fleet.dead_letter_field else "every message was ingested"
    if fleet.new_dead_letters:
        note = f"{fleet.new_dead_letters:,} within the hour; {note}"
    state = "look" if fleet.new_dead_letters else ""
    return Kpi(
        "Could not be ingested", f"{fleet.dead_letters:,}", "dead letters", note, "/fleet#dead-letters", Markup(), state
    )


def _spent(money: Money | None) -> Kpi:
    label = "Spent, last 24 hours"
    if money is None or not money.hours or unknown_share(money.pairs_of(DAY)) == 1.0:
        return Kpi(label, "–", "", "not known yet", "/money", Markup())
    amount = spent(money.hours, money.read_at - DAY, money.read_at, money.read_at)
    change = change_of(money, money.hours, DAY)
    note = "" if change is None else f"{formats.signed_percent(change)} on the day before"
    return Kpi(label, formats.usd_of_nano(amount), "", note, "/money", Markup(), at=money.read_at)


def matrix(
    pairs: Sequence[PairScore],
    changes: Sequence[ScoreChange],
    traffic: Sequence[PairTraffic],
    query: Mapping[str, str],
    now: datetime,
) -> Matrix:
    """Return the scores of the models, those with the most traffic first."""
    wanted = query.get("model", "").strip().lower()
    by_pair = {(each.model, each.complexity): each for each in pairs if wanted in each.model.lower()}
    decisions: dict[str, int] = defaultdict(int)
    for part in traffic:
        decisions[part.model] += part.decisions
    models = sorted({model for model, _ in by_pair}, key=lambda model: (-decisions[model], model))
    shown = models if query.get("models") == "all" else models[:MOST_MODELS]
    leaders = [leader for complexity in COMPLEXITIES if (leader := leader_now(traffic, complexity)) is not None]
    led = {(leader.model, leader.complexity) for leader in leaders}
    start = min((each.at for each in changes), default=now)
    history: dict[tuple[str, str], list[ScoreChange]] = defaultdict(list)
    for change in changes:
        history[change.model, change.complexity].append(change)
    rows = []
    for model in shown:
        cells = []
        for complexity in COMPLEXITIES:
            pair = by_pair.get((model, complexity))
            leads = (model, complexity) in led
            cells.append(pair and _cell(pair, history[model, complexity], start, now, leads=leads))
        rows.append(Row(model, tuple(cells)))
    return Matrix(
        COMPLEXITIES,
        tuple(rows),
        len(models) - len(shown),
        query.get("model", ""),
        start if changes else None,
        min((leader.since for leader in leaders), default=None),
    )


def _cell(pair: PairScore, history: Sequence[ScoreChange], start: datetime, now: datetime, *, leads: bool) -> Cell:
    notes = ["pinned"] if pair.pinned else ["held"] if pair.held else []
    if leads:
        notes.append("most tasks")
    seen = "no outcomes" if not pair.samples else f"{formats.number(pair.samples)} seen"
    note = ", ".join(notes) or seen
    text = formats.score(pair.score)
    values = score_points(pair.score, history, start, now)
    chart = sparkline(values, label=f"The score of the last day, from {values[0]:.2f} to {text}", low=0.0, high=5.0)
    band = sum(pair.score >= bound for bound in _BANDS)
    return Cell(pair.complexity, text, band, note, leads, pair_url(pair.model, pair.complexity), chart)


def score_points(score: float, history: Sequence[ScoreChange], start: datetime, now: datetime) -> list[float]:
    """Return the score at equal distances from `start` to `now`: it stands until it is changed."""
    if not history:
        return [score] * 2
    first = history[0]
    value = first.new_score if first.old_score is None else first.old_score
    length = max((now - start).total_seconds(), 1.0)
    points, place = [], 0
    for number in range(_POINTS + 1):
        at = start + timedelta(seconds=length * number / _POINTS)
        while place < len(history) and history[place].at <= at:
            value = history[place].new_score
            place += 1
        points.append(value)
    points[-1] = score
    return points


def attention(
    verdict: Verdict,
    findings: Sequence[Finding],
    fleet: FleetState,
    pairs: Sequence[PairScore] = (),
    traffic: Sequence[PairTraffic] = (),
    experiments: Sequence[RunningExperiment] = (),
) -> Attention:
    """Return what needs a look, what is known and already avoided, and the experiments."""
    weak = avoided_pairs(pairs, traffic)
    urls = [pair_url(each.model, each.complexity) for each, _ in weak]
    avoided = None
    if weak:
        named = tuple(
            (f"{each.model} / {each.complexity}", url) for (each, _), url in zip(weak[:8], urls, strict=False)
        )
        avoided = Avoided(sum(share for _, share in weak), named, len(weak) - len(named))
    minor = sum(
        each.traffic_share is not None and each.traffic_share < SMALL_SHARE and finding_url(each) not in urls
        for each in findings
    )
    behind = None
    if fleet.behind and fleet.furthest_behind is not None:
        url = instance_url(fleet.furthest_behind)
        behind = (fleet.furthest_behind, fleet.versions_behind or 0, fleet.behind, url)
    most = 6
    shown = tuple(experiments[:_MOST_EXPERIMENTS])
    return Attention(
        verdict.signals[:most],
        max(0, len(verdict.signals) - most),
        avoided,
        minor,
        behind,
        shown,
        len(experiments) - len(shown),
    )


@reused
def shares(traffic: Sequence[PairTraffic], wanted: str | None, now: datetime, zone: ZoneInfo) -> Shares:
    """Return who gets the tasks of a complexity: the wanted one, else the hardest that has tasks."""
    known = tuple(each for each in COMPLEXITIES if any(part.complexity == each for part in traffic))
    complexity = wanted if wanted in known else known[-1] if known else COMPLEXITIES[-1]
    chosen = [each for each in traffic if each.complexity == complexity]
    moments = sorted({each.start for each in chosen})
    totals: dict[datetime, int] = defaultdict(int)
    counts: dict[str, dict[datetime, int]] = defaultdict(lambda: defaultdict(int))
    for each in chosen:
        totals[each.start] += each.decisions
        counts[each.model][each.start] += each.decisions
    decisions = sum(totals.values())
    if not decisions:
        return Shares(complexity, known, None, 0)
    lines = {
        model: [by_moment[at] / totals[at] if totals[at] else 0.0 for at in moments]
        for model, by_moment in counts.items()
    }
    leader = max(counts, key=lambda model: sum(counts[model].values()))
    now_leads = leader_now(traffic, complexity)
    newest = now_leads.model if now_leads else leader
    label = f"Share of {complexity} tasks by model: now {newest} gets {percent(lines[newest][-1], 0)}"
    chart = traffic_share(moments, lines, leader=leader, end=now, label=label, zone=zone)
    return Shares(complexity, known, chart, decisions)


PAGE: Final = Page(
    path="/",
    name="overview",
    title="Overview",
    sources=(FLEET, QUEUE, CONTROL, OPEN_FINDINGS, TRAFFIC, MINUTES, PAIRS, CHANGES, MONEY, EXPERIMENTS),
    build=build,
    parameters=("complexity", "models", "model"),
)
