"""Scores: how well each model is known, what the other rules would do, what changed."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple

from markupsafe import Markup

from centralcloud.dashboard.charts.intervals import Interval, Panel, intervals
from centralcloud.dashboard.pages.addresses import COMPLEXITIES, pair_url, with_parameters
from centralcloud.dashboard.pages.changes import ChangeGroup, page_of
from centralcloud.dashboard.pages.estimates import FEW_OUTCOMES, estimate
from centralcloud.dashboard.pages.leaders import Leader, inactive_models, leader_now
from centralcloud.dashboard.pages.rule_comparison import Published, compare
from centralcloud.dashboard.pages.words import CHANGE_KINDS, change_title
from centralcloud.dashboard.sources.control import CONTROL
from centralcloud.dashboard.sources.history import MOST_CHANGES, PUBLISHED_CHANGES, PublishedScore
from centralcloud.dashboard.sources.rules import ACTIVE_RULE, RULE_SCORES, RuleScore
from centralcloud.dashboard.sources.scores import PAIRS, PairScore
from centralcloud.dashboard.sources.targets import REGISTERED
from centralcloud.dashboard.sources.traffic import TRAFFIC, PairTraffic
from centralcloud.dashboard.web.page import Models, Page, PageContext
from centralcloud.runtime.wording import percent

#: Models that are shown at first: those with the most traffic.
MOST_MODELS: Final = 16
#: Models of one drawing.
_MODELS_IN_CHART: Final = 40
#: Held pairs that are named; more are counted.
_MOST_HELD: Final = 3
_PATH: Final = "/scores"
_PARAMETERS: Final = ("model", "complexity", "kind", "before", "models", "rules")


class Fixed(NamedTuple):
    """A pair, or pairs, whose score an operator has fixed. `state`: of its badge."""

    text: str
    url: str
    state: str


class Summary(NamedTuple):
    """The answer at the top.

    Attributes:
        pairs: with a score; `many`: whether their models are worth a filter.
        few: pairs that rest on few outcomes; `weak`: the ones of them with the most traffic.
    """

    pairs: int
    many: bool
    few: int
    weak: tuple[tuple[str, str], ...]
    limit: int
    fixed: tuple[Fixed, ...]
    filter: str


class Chart(NamedTuple):
    """One drawing; `title` is empty where there is only one."""

    title: str
    drawing: Markup


class Known(NamedTuple):
    """The estimates of the success rates.

    Attributes:
        own: whether the active rule estimates a success rate with an interval; else it is computed from the outcomes.
        hidden: models that are not shown; `hidden_share`: their share of the tasks of the day.
        led_since: the begin of the time in which the marked models got the most tasks; None: none got any.
    """

    rule: str | None
    own: bool
    charts: tuple[Chart, ...]
    hidden: int
    hidden_share: float
    filter: str
    all_url: str
    limit: int
    led_since: datetime | None


class Filters(NamedTuple):
    """The form over the changes."""

    model: str
    complexity: str
    kind: str
    complexities: tuple[str, ...]
    kinds: tuple[tuple[str, str], ...]
    chosen: bool


class Changes(NamedTuple):
    """A part of the history. URLs are None where there is nothing to go to."""

    groups: tuple[ChangeGroup, ...]
    older_url: str | None
    newest_url: str | None
    filtered: bool
    before: int | None


async def build(context: PageContext) -> Models:
    """Build the page."""
    pairs, rows = context.of(PAIRS), context.of(RULE_SCORES) or ()
    traffic, active = context.of(TRAFFIC) or (), context.of(ACTIVE_RULE)
    query = context.query
    if not pairs:
        why = "unread" if pairs is None else None
        return {"summary": why, "known": None, "rules": None, "filters": None, "changes": None}
    newest = max(pair.version for pair in pairs)
    before = _version(query.get("before"))
    complexity = query.get("complexity", "") if query.get("complexity") in COMPLEXITIES else ""
    kind = query.get("kind", "") if query.get("kind") in CHANGE_KINDS else ""
    wanted = query.get("model", "").replace("\0", "").strip()
    history = await context.lookup(PUBLISHED_CHANGES, before or newest + 1, wanted, complexity, kind, newest)
    estimates = _estimates(pairs, rows, active)
    return {
        "summary": summary(pairs, estimates, traffic, wanted),
        "known": known(estimates, traffic, query, active),
        "rules": compare(
            rows,
            active,
            query,
            _by_complexity(traffic),
            Published(pairs, context.of(CONTROL), inactive_models(context.of(REGISTERED) or ())),
        ),
        "filters": filters(wanted, complexity, kind),
        "changes": changes(history, query, before),
    }


def _version(text: str | None) -> int | None:
    """Return the version in an address; None for anything that is not one."""
    return int(text) if text and text.isascii() and text.isdecimal() and len(text) <= 18 else None


def _estimates(pairs: Sequence[PairScore], rows: Sequence[RuleScore], active: str | None) -> tuple[RuleScore, ...]:
    """Return the estimates of the active rule, which also learns about pinned pairs; else the published ones."""
    ruled = {(row.model, row.complexity): row for row in rows if row.rule == active}
    return tuple(
        ruled.get((pair.model, pair.complexity))
        or RuleScore(
            pair.rule,
            pair.model,
            pair.complexity,
            pair.score,
            pair.samples or 0,
            None,
            pair.mean,
            pair.low,
            pair.high,
        )
        for pair in pairs
    )


def _decisions(traffic: Sequence[PairTraffic]) -> Mapping[tuple[str, str], int]:
    counts: dict[tuple[str, str], int] = defaultdict(int)
    for each in traffic:
        counts[each.model, each.complexity] += each.decisions
    return counts


def _by_complexity(traffic: Sequence[PairTraffic]) -> Mapping[str, int]:
    counts: dict[str, int] = defaultdict(int)
    for each in traffic:
        counts[each.complexity] += each.decisions
    return counts


def summary(
    pairs: Sequence[PairScore], estimates: Sequence[RuleScore], traffic: Sequence[PairTraffic], wanted: str
) -> Summary:
    """Return how many pairs are known well, which are not, and which are fixed by an operator."""
    decisions = _decisions(traffic)
    few = [row for row in estimates if row.samples < FEW_OUTCOMES]
    few.sort(key=lambda row: (-decisions.get((row.model, row.complexity), 0), row.samples, row.model))
    weak = tuple((f"{row.model} for {row.complexity} tasks", pair_url(row.model, row.complexity)) for row in few[:3])
    pinned = [Fixed(f"{pair.model} / {pair.complexity} is pinned", _url(pair), "note") for pair in pairs if pair.pinned]
    held = [
        Fixed(f"{pair.model} / {pair.complexity} is held after a rollback", _url(pair), "look")
        for pair in pairs
        if pair.held and not pair.pinned
    ]
    if len(held) > _MOST_HELD:
        url = f"{with_parameters(_PATH, {}, kind='rollback')}#changes"
        held = [Fixed(f"{len(held)} pairs are held after a rollback", url, "look")]
    fixed = (*pinned, *held)
    many = len({pair.model for pair in pairs}) > MOST_MODELS
    return Summary(len(estimates), many, len(few), weak, FEW_OUTCOMES, fixed, wanted)


def _url(pair: PairScore) -> str:
    return pair_url(pair.model, pair.complexity)


def known(
    estimates: Sequence[RuleScore], traffic: Sequence[PairTraffic], query: Mapping[str, str], active: str | None
) -> Known:
    """Return the estimates of the models, those with the most traffic first."""
    wanted = query.get("model", "").strip()
    decisions = _decisions(traffic)
    by_model: dict[str, int] = defaultdict(int)
    for (model, _), count in decisions.items():
        by_model[model] += count
    names = {row.model for row in estimates if wanted.lower() in row.model.lower()}
    models = sorted(names, key=lambda model: (-by_model.get(model, 0), model))
    shown = models if query.get("models") == "all" else models[:MOST_MODELS]
    hidden = models[len(shown) :]
    total = sum(by_model.values())
    leaders = [leader for complexity in COMPLEXITIES if (leader := leader_now(traffic, complexity)) is not None]
    charts = []
    for first in range(0, len(shown), _MODELS_IN_CHART):
        part = shown[first : first + _MODELS_IN_CHART]
        title = f"Models {first + 1} to {first + len(part)} by traffic" if len(shown) > _MODELS_IN_CHART else ""
        charts.append(Chart(title, _intervals(part, estimates, leaders)))
    own = all(row.mean is not None for row in estimates if row.samples)
    share = sum(by_model.get(model, 0) for model in hidden) / total if total else 0.0
    all_url = with_parameters(_PATH, query, models="all")
    led_since = min((each.since for each in leaders), default=None)
    return Known(active, own, tuple(charts), len(hidden), share, wanted, all_url, FEW_OUTCOMES, led_since)


def _intervals(models: Sequence[str], estimates: Sequence[RuleScore], leaders: Sequence[Leader]) -> Markup:
    wanted, panels, findings = set(models), [], []
    led = {(each.model, each.complexity): each for each in leaders}
    for complexity in COMPLEXITIES:
        rows = []
        for row in estimates:
            if row.complexity != complexity or row.model not in wanted:
                continue
            rate, low, high = estimate(row.mean, row.low, row.high, row.success_rate, row.samples)
            leader = led.get((row.model, complexity))
            if leader is not None and rate is not None:
                findings.append(
                    f"{row.model} gets {percent(leader.share)} of the {complexity} tasks, with {percent(rate)}"
                )
            rows.append(
                Interval(row.model, rate, low, high, row.samples, leader is not None, pair_url(row.model, complexity))
            )
        if rows:
            panels.append(Panel(complexity, rows))
    label = f"Estimated success rates: {'; '.join(findings)}" if findings else "Estimated success rates"
    return intervals(panels, label=label, few=FEW_OUTCOMES)


def filters(model: str, complexity: str, kind: str) -> Filters:
    """Return the form of the page."""
    kinds = tuple((each, change_title(each)) for each in CHANGE_KINDS)
    return Filters(model, complexity, kind, COMPLEXITIES, kinds, bool(model or complexity or kind))


def changes(history: Sequence[PublishedScore], query: Mapping[str, str], before: int | None) -> Changes:
    """Return one page of the history, newest first."""
    groups, last = page_of(history, MOST_CHANGES)
    older = with_parameters(_PATH, query, before=str(last)) if last else None
    newest = with_parameters(_PATH, query, before=None) if before is not None else None
    filtered = any(query.get(name) for name in ("model", "complexity", "kind"))
    return Changes(
        groups,
        older and f"{older}#changes",
        newest and f"{newest}#changes",
        filtered,
        before,
    )


PAGE: Final = Page(
    path=_PATH,
    name="scores",
    title="Scores",
    sources=(PAIRS, RULE_SCORES, ACTIVE_RULE, TRAFFIC, CONTROL, REGISTERED),
    build=build,
    parameters=_PARAMETERS,
)
