"""Reading of a report: every number from one transaction, with the rights of the dashboard's role."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

import psycopg

from centralcloud.contracts import COMPLEXITIES
from centralcloud.dashboard.costs import unknown_share
from centralcloud.dashboard.report.experiments import ReportedExperiment, read_reported
from centralcloud.dashboard.report.worth import Weighed, Worth, highest, worth_of
from centralcloud.dashboard.sources.findings import Finding
from centralcloud.dashboard.sources.money import HOUR, MoneyReader, PairMoney, SpendHour
from centralcloud.dashboard.spend import spent
from centralcloud.runtime.comparison import outcomes_of
from centralcloud.runtime.postgres.query import Query
from centralcloud.runtime.wording import counted
from centralcloud.store.operator_actions import Action

#: Outcomes that estimates rest on at most, the newest ones: some seconds of reading.
MOST_WEIGHED: Final = 1_000_000
#: Outcomes of the 24 hours before an incident that its cost is measured against, at least.
_LEAST_BEFORE: Final = 20
#: Decisions of an instance that is silent about their outcomes, at least.
_LEAST_SILENT: Final = 20
_MOST_MOVES: Final = 10
_ACTIONS: Final = [
    Action.PIN, Action.UNPIN, Action.ROLLBACK, Action.FREEZE, Action.UNFREEZE, Action.RENAME_MODEL, Action.RETIRE_MODEL,
    Action.REINSTATE_MODEL, Action.FORGET_MODELS,
]  # fmt: skip


class Totals(NamedTuple):
    """All decisions of a time. `unknown`: share of the outcomes without a known cost, which `cost_nano_usd` lacks."""

    decisions: int
    successes: int
    failures: int
    cost_nano_usd: int
    unknown: float


class Incident(NamedTuple):
    """A finding that was open in the time.

    Attributes:
        lost: successes that came less than at the rate of the 24 hours before; at least 0; None: not known.
        unknown: why not.
    """

    kind: str
    subject: str
    message: str
    opened_at: datetime
    closed_at: datetime | None
    traffic_share: float | None
    lost: int | None
    unknown: str | None


class LeaderChange(NamedTuple):
    """Another model with the highest score. None: several had it, or none had a score.

    Attributes:
        best_before, best_after: how many models had the highest score; 0: none had a score.
    """

    complexity: str
    before: str | None
    after: str | None
    best_before: int
    best_after: int


class Move(NamedTuple):
    """The change of a score over the time."""

    model: str
    complexity: str
    before: float
    after: float


class Intervention(NamedTuple):
    """An action of an operator on scores or models."""

    at: datetime
    who: str
    action: str
    subject: str
    reason: str | None


class Changes(NamedTuple):
    """Published changes of scores."""

    changes: int
    first_version: int | None
    last_version: int | None
    runs: int


class Learning(NamedTuple):
    """The changes that learning and operators made. `new`: pairs that got their first score."""

    changes: Changes
    new: int
    leaders: tuple[LeaderChange, ...]
    moves: tuple[Move, ...]
    interventions: tuple[Intervention, ...]
    worth: tuple[Worth, ...]


class Budget(NamedTuple):
    """A budget in one of its periods."""

    meter: str
    period_start: datetime
    period_end: datetime
    limit_nano_usd: int
    spent_nano_usd: int
    estimated_nano_usd: int


class SilentInstance(NamedTuple):
    """An instance without outcomes."""

    instance: str
    decisions: int


class Report(NamedTuple):
    """Everything that the report of a time says.

    Attributes:
        made_at: when it was read, by the database's clock.
        first_hour: the first hour of the fleet with a record; None: no decision has ever arrived.
        before: of the time of the same length before; None: the fleet is younger.
        hours, pairs: spend and outcomes.
        experiments: those that ran or were decided.
        scored: pairs that have a score at the end of the time.
    """

    since: datetime
    until: datetime
    made_at: datetime
    first_hour: datetime | None
    totals: Totals
    before: Totals | None
    hours: tuple[SpendHour, ...]
    pairs: tuple[PairMoney, ...]
    incidents: tuple[Incident, ...]
    learning: Learning
    budgets: tuple[Budget, ...]
    silent: tuple[SilentInstance, ...]
    scored: tuple[tuple[str, str], ...]
    experiments: tuple[ReportedExperiment, ...]


class _Outcomes(NamedTuple):
    successes: int
    failures: int


class _ScoreAt(NamedTuple):
    model: str
    complexity: str
    score: float
    retired: bool


_LIST_INCIDENTS = Query(__package__, "list_incidents", row=Finding)
_COUNT_ROLLED_UP_OUTCOMES = Query(__package__, "count_rolled_up_outcomes", row=_Outcomes)
_LIST_SCORES_AT = Query(__package__, "list_scores_at", row=_ScoreAt)
_COUNT_SCORE_CHANGES = Query(__package__, "count_score_changes", row=Changes)
_LIST_INTERVENTIONS = Query(__package__, "list_interventions", row=Intervention)
_WEIGH_OUTCOMES = Query(__package__, "weigh_outcomes", row=Weighed)
_LIST_BUDGETS = Query(__package__, "list_budgets", row=Budget)
_LIST_SILENT_INSTANCES = Query(__package__, "list_silent_instances", row=SilentInstance)


def read_report(connection: psycopg.Connection[Any], since: datetime, until: datetime) -> Report:
    """Read the report of a time. The transaction should be a repeatable-read one, so that its numbers belong together.

    Args:
        since, until: the full hours (UTC) that they lie in are taken as a whole; a moment in the future counts as now.
    """
    money = MoneyReader(connection)
    since, until = _full_hour(since), min(_full_hour(until + HOUR - timedelta(microseconds=1)), money.now)
    length = until - since
    before = None
    if money.first_hour is not None and money.first_hour <= since - length + HOUR:
        before = _totals(money, since - length, since)
    time = {"since": since, "until": until}
    return Report(
        since,
        until,
        money.now,
        money.first_hour,
        _totals(money, since, until),
        before,
        money.hours(since, until),
        money.pairs(since, until),
        tuple(_incident(connection, money, each, since, until) for each in _LIST_INCIDENTS.all(connection, time)),
        _learning(connection, since, until),
        tuple(_LIST_BUDGETS.all(connection, time)),
        tuple(_LIST_SILENT_INSTANCES.all(connection, {**time, "least": _LEAST_SILENT})),
        tuple((each.model, each.complexity) for each in _scores_at(connection, until)),
        read_reported(connection, since, until),
    )


def _full_hour(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def _totals(money: MoneyReader, since: datetime, until: datetime) -> Totals:
    pairs = money.pairs(since, until)
    return Totals(
        sum(each.decisions for each in pairs),
        sum(each.successes for each in pairs),
        sum(outcomes_of(each) - each.successes for each in pairs),
        spent(money.hours(since, until), since, until, money.now),
        unknown_share(pairs),
    )


def _incident(
    connection: psycopg.Connection[Any], money: MoneyReader, found: Finding, since: datetime, until: datetime
) -> Incident:
    lost: int | None = None
    unknown: str | None = "the finding is not about a model"
    model, complexity = found.about.get("model"), found.about.get("complexity")
    if isinstance(model, str):
        opened = found.opened_at.astimezone(UTC)
        begin = max(opened, since)
        end = min(found.closed_at or until, until).astimezone(UTC)
        first_hour = opened.replace(minute=0, second=0, microsecond=0)
        pair = str(complexity) if complexity in COMPLEXITIES else None
        during = _outcomes(connection, money, model, pair, begin, max(end, begin + timedelta(microseconds=1)))
        before = _outcomes(connection, money, model, pair, first_hour - timedelta(days=1), first_hour)
        lost, unknown = lost_outcomes(before, during)
    return Incident(
        found.kind, found.subject, found.message, found.opened_at, found.closed_at, found.traffic_share, lost, unknown
    )


def lost_outcomes(before: tuple[int, int], during: tuple[int, int]) -> tuple[int | None, str | None]:
    """Return the successes that were lost against the rate before, or why they are not known.

    Args:
        before, during: successes and failures.
    """
    if sum(before) < _LEAST_BEFORE:
        seen = f"only {counted(sum(before), 'outcome')}" if sum(before) else "no outcomes"
        return None, f"{seen} in the 24 hours before"
    return max(0, round(sum(during) * before[0] / sum(before) - during[0])), None


def _outcomes(
    connection: psycopg.Connection[Any],
    money: MoneyReader,
    model: str,
    complexity: str | None,
    since: datetime,
    until: datetime,
) -> tuple[int, int]:
    """Return successes and failures of the hours that touch a time."""
    where = {"model": model, "complexity": complexity, "since": since, "until": until}
    rows = _COUNT_ROLLED_UP_OUTCOMES.one(connection, {**where, "complete_until": money.complete_until})
    newest = [
        each
        for each in money.unrolled
        if each.model == model and complexity in (None, each.complexity) and since - HOUR < each.hour < until
    ]
    return rows.successes + sum(each.successes for each in newest), rows.failures + sum(
        each.failures for each in newest
    )


def _learning(connection: psycopg.Connection[Any], since: datetime, until: datetime) -> Learning:
    time = {"since": since, "until": until}
    before = _by_complexity(_LIST_SCORES_AT.all(connection, {"at": since}))
    after = _by_complexity(_scores_at(connection, until))
    moves = [
        Move(model, complexity, before[complexity][model], score)
        for complexity, scores in after.items()
        for model, score in scores.items()
        if model in before[complexity] and before[complexity][model] != score
    ]
    moves.sort(key=lambda move: (-abs(move.after - move.before), move.model, move.complexity))
    leaders = [_leader_change(each, before[each], after[each]) for each in COMPLEXITIES]
    weighed: dict[str, list[Weighed]] = defaultdict(list)
    for row in _WEIGH_OUTCOMES.all(connection, {**time, "most": MOST_WEIGHED}):
        weighed[row.complexity].append(row)
    return Learning(
        _COUNT_SCORE_CHANGES.one(connection, time),
        sum(model not in before[complexity] for complexity, scores in after.items() for model in scores),
        tuple(each for each in leaders if each.before != each.after),
        tuple(moves[:_MOST_MOVES]),
        tuple(_LIST_INTERVENTIONS.all(connection, {**time, "actions": [str(each) for each in _ACTIONS]})),
        tuple(worth_of(each, weighed[each], before[each]) for each in COMPLEXITIES if weighed[each]),
    )


def _leader_change(complexity: str, before: Mapping[str, float], after: Mapping[str, float]) -> LeaderChange:
    best = [list(scores.values()).count(max(scores.values(), default=0.0)) for scores in (before, after)]
    return LeaderChange(complexity, highest(before), highest(after), *best)


def _scores_at(connection: psycopg.Connection[Any], at: datetime) -> list[_ScoreAt]:
    """Return the scores of a moment of the models that are not retired."""
    return [each for each in _LIST_SCORES_AT.all(connection, {"at": at}) if not each.retired]


def _by_complexity(scores: Iterable[_ScoreAt]) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {each: {} for each in COMPLEXITIES}
    for row in scores:
        found[row.complexity][row.model] = row.score
    return found
