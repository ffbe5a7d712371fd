"""One pair of a model and a complexity: its score, how it came about, why, and what an operator can do."""

import shlex
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from markupsafe import Markup

from centralcloud.dashboard.charts.traffic_share import traffic_share
from centralcloud.dashboard.pages.addresses import COMPLEXITIES, action_url, instance_url, pair_url, with_parameters
from centralcloud.dashboard.pages.changes import ChangeGroup, page_of
from centralcloud.dashboard.pages.leaders import leader_now
from centralcloud.dashboard.pages.pair_history import RANGES, chosen_range, score_history
from centralcloud.dashboard.pages.pair_reasons import reasons, rule_names, rule_rows
from centralcloud.dashboard.pages.words import error_title, sentence
from centralcloud.dashboard.sources.findings import OPEN_FINDINGS, Finding
from centralcloud.dashboard.sources.history import (
    MOST_PAIR_CHANGES,
    NO_VERSION,
    PAIR_CHANGES,
    PAIR_STEPS,
    PublishedScore,
)
from centralcloud.dashboard.sources.pair import PAIR_ACTIONS, PAIR_OUTCOMES, PAIR_STATE, Outcomes, PairState
from centralcloud.dashboard.sources.rules import ACTIVE_RULE
from centralcloud.dashboard.sources.scores import PAIRS
from centralcloud.dashboard.sources.traffic import TRAFFIC, PairTraffic
from centralcloud.dashboard.web.page import Models, Page, PageContext, PageError
from centralcloud.runtime.wording import percent

_OTHERS: Final = "other models"
_MOST_INSTANCES: Final = 12


class Badge(NamedTuple):
    """A badge of the heading. `at`: a time that its text ends with."""

    state: str
    text: str
    at: datetime | None = None


class Sibling(NamedTuple):
    """The same model for another complexity."""

    complexity: str
    url: str
    current: bool


class Heading(NamedTuple):
    """The top of the page. `version`, `at`, `reason`: of the published score; None without one."""

    model: str
    complexity: str
    badges: tuple[Badge, ...]
    siblings: tuple[Sibling, ...]
    score: float | None
    version: int | None
    at: datetime | None
    reason: str | None
    reported: float | None


class Share(NamedTuple):
    """The pair's part of the tasks of its complexity over the day."""

    chart: Markup | None
    now: float
    day: float
    decisions: int


class Excluded(NamedTuple):
    """An instance whose outcomes do not count. `at`, `message`: of its finding, None where it is closed by now."""

    instance: str
    url: str
    at: datetime | None
    message: str | None


class InstanceRow(NamedTuple):
    """The outcomes of an instance; `rate` is None without any that count."""

    instance: str
    url: str
    successes: int
    failures: int
    blameless: int
    rate: float | None
    excluded: bool


class OutcomesView(NamedTuple):
    """The outcomes of the last day.

    Attributes:
        errors: failures by kind since `errors_since`; None: since the begin of the day.
        failures: of the whole day, blameless ones among them.
    """

    instances: tuple[InstanceRow, ...]
    hidden: int
    more: bool
    all_url: str
    errors: tuple[tuple[str, int], ...]
    errors_since: datetime | None
    failures: int


class Command(NamedTuple):
    """A command to copy, and what it does.

    Attributes:
        button, url: of the same action for operators; empty: there is none.
    """

    text: str
    command: str
    button: str = ""
    url: str = ""


class HistoryPage(NamedTuple):
    """A part of the pair's history."""

    groups: tuple[ChangeGroup, ...]
    older_url: str | None
    newest_url: str | None
    before: int | None


async def build(context: PageContext) -> Models:
    """Build the page."""
    model, complexity = _pair(context.query)
    state = await context.lookup(PAIR_STATE, model, complexity)
    if state is None:
        raise PageError(
            404,
            "No such pair",
            f"No decision has chosen {model} for {complexity} tasks, and it has no score. Expected a pair of the list"
            f" that this command prints.",
            command="centralcloud metrics",
        )
    traffic, active = context.of(TRAFFIC) or (), context.of(ACTIVE_RULE)
    findings, pairs = context.of(OPEN_FINDINGS) or (), context.of(PAIRS) or ()
    newest = state.published.version or 0 if state.published else 0
    hours = RANGES[chosen_range(context.query)]
    before = _version(context.query.get("before"))
    steps = await context.lookup(PAIR_STEPS, model, complexity, hours, newest)
    actions = await context.lookup(PAIR_ACTIONS, model, complexity)
    history = await context.lookup(PAIR_CHANGES, model, complexity, before or NO_VERSION, newest)
    outcomes = await context.lookup(PAIR_OUTCOMES, model, complexity)
    label = f"The score of {model} for {complexity} tasks"
    known = {each.complexity for each in pairs if each.model == model} | {complexity}
    rows = rule_rows(state, active)
    return {
        "heading": heading(model, complexity, state, traffic, known, context.now),
        "score": score_history(steps, actions, context.query, label, context.now, context.zone),
        "reasons": reasons(state, active, label),
        "share": share(traffic, model, complexity, context.now, context.zone),
        "rules": (rows, rule_names(rows)),
        "excluded": excluded(state, findings),
        "outcomes": outcomes_view(outcomes, state, context.query),
        "history": history_page(history, context.query, before),
        "commands": commands(model, complexity, state, history, context.now),
    }


def _pair(query: Mapping[str, str]) -> tuple[str, str]:
    model, complexity = query.get("model", ""), query.get("complexity", "")
    if not model or complexity not in COMPLEXITIES or "\0" in model:
        found = f"model {model!r} and complexity {complexity!r}" if model or complexity else "neither"
        raise PageError(
            404,
            "No such pair",
            f"The address needs a model and a complexity. Found {found}, expected a model, and one of"
            f" {', '.join(COMPLEXITIES)}.",
            command="centralcloud metrics",
        )
    return model, complexity


def _version(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdecimal() and len(text) <= 18 else None


def heading(
    model: str,
    complexity: str,
    state: PairState,
    traffic: Sequence[PairTraffic],
    known: set[str],
    now: datetime,
) -> Heading:
    """Return the pair, its state and its score."""
    badges = []
    leader = leader_now(traffic, complexity)
    if leader is not None and leader.model == model:
        badges.append(Badge("good", f"got the most {complexity} tasks since", leader.since))
    if is_pinned(state, now):
        text = f"pinned at {state.pin_score:.3f}"
        badges.append(
            Badge("note", f"{text} until" if state.pinned_until else f"{text} without an end", state.pinned_until)
        )
    if state.held_since is not None:
        badges.append(Badge("look", "held after a rollback", None))
    if state.retired_at is not None:
        badges.append(Badge("neutral", "retired", None))
    if state.frozen_at is not None:
        badges.append(Badge("look", "learning is frozen", None))
    siblings = tuple(Sibling(each, pair_url(model, each), each == complexity) for each in COMPLEXITIES if each in known)
    score = state.published
    return Heading(
        model,
        complexity,
        tuple(badges),
        siblings,
        score and score.score,
        score and score.version,
        score and score.updated_at,
        score and score.reason,
        state.last_reported_score,
    )


def is_pinned(state: PairState, now: datetime) -> bool:
    """Return whether a pin holds: one whose end has passed does not, though its row may still stand."""
    return state.pin_score is not None and (state.pinned_until is None or state.pinned_until > now)


def share(traffic: Sequence[PairTraffic], model: str, complexity: str, now: datetime, zone: ZoneInfo) -> Share:
    """Return the pair's share of the tasks of its complexity over the day."""
    mine: dict[datetime, int] = defaultdict(int)
    others: dict[datetime, int] = defaultdict(int)
    for each in traffic:
        if each.complexity == complexity:
            (mine if each.model == model else others)[each.start] += each.decisions
    moments = sorted({each.start for each in traffic})
    total, decisions = sum(mine.values()) + sum(others.values()), sum(mine.values())
    if not total:
        return Share(None, 0.0, 0.0, 0)
    newest = next((at for at in reversed(moments) if mine[at] + others[at]), moments[-1])
    share_now = mine[newest] / max(1, mine[newest] + others[newest])
    label = (
        f"{model} gets {percent(share_now)} of the {complexity} tasks now, {percent(decisions / total)} over the day"
    )
    amounts = {model: [float(mine[at]) for at in moments]}
    if any(others.values()):
        amounts[_OTHERS if model != _OTHERS else f"{_OTHERS} "] = [float(others[at]) for at in moments]
    chart = traffic_share(moments, amounts, leader=model, end=now, label=label, zone=zone)
    return Share(chart, share_now, decisions / total, decisions)


def excluded(state: PairState, findings: Sequence[Finding]) -> tuple[Excluded, ...]:
    """Return the instances whose outcomes the active rule has left out of the score."""
    open_ones = {each.subject: each for each in findings if each.kind == "quarantined_instance"}
    rows = []
    for instance in state.excluded:
        finding = open_ones.get(instance)
        message = finding and sentence(finding.message, finding.names)
        rows.append(Excluded(instance, instance_url(instance), finding and finding.opened_at, message))
    return tuple(rows)


def outcomes_view(outcomes: Outcomes, state: PairState, query: Mapping[str, str]) -> OutcomesView:
    """Return the outcomes of the last day by instance, those with the most failures first, and by kind of error."""
    rows = [
        InstanceRow(
            each.instance_id,
            instance_url(each.instance_id),
            each.successes,
            each.failures,
            each.blameless,
            each.successes / (each.successes + each.failures) if each.successes + each.failures else None,
            each.instance_id in state.excluded,
        )
        for each in outcomes.instances
    ]
    shown = rows if query.get("instances") == "all" else rows[:_MOST_INSTANCES]
    all_url = with_parameters("/pair", query, instances="all")
    errors = tuple((error_title(kind), count) for kind, count in outcomes.errors)
    failures = sum(each.failures + each.blameless for each in outcomes.instances)
    more, since = outcomes.more_instances, outcomes.errors_since
    return OutcomesView(tuple(shown), len(rows) - len(shown), more, all_url, errors, since, failures)


def history_page(history: Sequence[PublishedScore], query: Mapping[str, str], before: int | None) -> HistoryPage:
    """Return one page of the pair's history, newest first."""
    groups, last = page_of(history, MOST_PAIR_CHANGES)
    older = with_parameters("/pair", query, before=str(last)) if last else None
    newest = with_parameters("/pair", query, before=None) if before is not None else None
    return HistoryPage(groups, older and f"{older}#history", newest and f"{newest}#history", before)


def commands(
    model: str, complexity: str, state: PairState, history: Sequence[PublishedScore], now: datetime
) -> tuple[Command, ...]:
    """Return the commands that show and change the score of the pair."""
    # A name that begins with a dash would be read as an option.
    name = shlex.quote(model) if not model.startswith("-") else f"-- {shlex.quote(model)}"
    score = state.published.score if state.published else state.last_reported_score
    until = (now + timedelta(hours=25)).replace(minute=0, second=0, microsecond=0)
    pair = {"model": model, "complexity": complexity}
    found = [
        Command("Explain it", f"centralcloud scores explain {name} {complexity}"),
        Command("Show its history", f"centralcloud scores history --complexity {complexity} {name}"),
    ]
    if state.retired_at is not None:
        return (*found, Command("Reinstate the model", f"centralcloud models retire --undo {name}"))
    if is_pinned(state, now):
        unpin = f"centralcloud scores unpin --reason 'why' {name} {complexity}"
        found.append(Command("Remove the pin", unpin, "Unpin", action_url("unpin", **pair)))
    else:
        found.append(
            Command(
                "Pin it for a day",
                f"centralcloud scores pin --until {until:%Y-%m-%dT%H:%M}Z --reason 'why' {name} {complexity}"
                f" {0.0 if score is None else score:.3f}",
                "Pin the score",
                action_url("pin", **pair),
            )
        )
    if len(history) > 1 and state.published and history[0].version == state.published.version:
        found.append(
            Command(
                f"Roll all scores back to the time of version {history[1].version}",
                f"centralcloud scores rollback --to {history[1].version} --reason 'why'",
                "Roll back",
                action_url("rollback", to=str(history[1].version)),
            )
        )
    if state.frozen_at is not None:
        unfreeze = "centralcloud unfreeze --reason 'why'"
        found.append(Command("Publish learned scores again", unfreeze, "Unfreeze learning", action_url("unfreeze")))
    else:
        freeze = "centralcloud freeze --reason 'why'"
        found.append(Command("Publish no learned score", freeze, "Freeze learning", action_url("freeze")))
    return tuple(found)


PAGE: Final = Page(
    path="/pair",
    name="pair",
    title="Pair",
    sources=(PAIRS, ACTIVE_RULE, TRAFFIC, OPEN_FINDINGS),
    build=build,
    parameters=("model", "complexity", "range", "before", "instances"),
    in_navigation=False,
    under="scores",
)
