"""Reading of outcomes, score tables and switches from the database."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final, NamedTuple

import psycopg

from centralcloud.contracts import SettingsError
from centralcloud.contracts.estimate import parse_estimate
from centralcloud.contracts.model_choice.score_table import ScoreTable, TableScore
from centralcloud.contracts.task_score import parse_task_scores
from centralcloud.evaluation.before_after import Stratum
from centralcloud.evaluation.decisions import Decisions, LoggedOutcome, decisions_of
from centralcloud.evaluation.exploration import ExplorationBudget, Part, ScoreChange
from centralcloud.runtime.postgres.query import Query

#: Outcomes that estimates rest on at most, the newest ones: some seconds of reading.
MOST_OUTCOMES: Final = 200_000
#: Records that the price of exploration rests on at most, and the outcomes on each side of a switch.
MOST_RECORDS: Final = 1_000_000


class _TableRow(NamedTuple):
    model: str
    complexity: str
    score: float
    learned: bool
    mean: float | None
    n_eff: float | None
    draw_n: float | None
    probe_share: float | None
    task_types: dict[str, Any] | None


class _Version(NamedTuple):
    version: int
    at: datetime


class RuleSwitch(NamedTuple):
    """A change of the fleet setting `rule`."""

    at: datetime
    before: str | None
    after: str | None


_READ_OUTCOMES = Query(__package__, "read_outcomes", row=LoggedOutcome)
_READ_PUBLISHED_TABLE = Query(__package__, "read_published_table", row=_TableRow)
_READ_TABLE_AT = Query(__package__, "read_table_at", row=_TableRow)
_READ_RULE_TABLES = Query(__package__, "read_rule_tables", row=dict)
_NEWEST_VERSION_BEFORE = Query(__package__, "newest_version_before", row=int)
_OLDEST_VERSION = Query(__package__, "oldest_version", row=_Version)
_READ_VERSION = Query(__package__, "read_version", row=datetime)
_LAST_RULE_SWITCH = Query(__package__, "last_rule_switch", row=RuleSwitch)
_COUNT_AROUND = Query(__package__, "count_around", row=Stratum)
_COUNT_PROBES = Query(__package__, "count_probes", row=Part)
_LIST_SCORE_CHANGES = Query(__package__, "list_score_changes", row=ScoreChange)
_LIST_EXPLORATION_BUDGETS = Query(__package__, "list_exploration_budgets", row=ExplorationBudget)


def read_decisions(
    connection: psycopg.Connection[Any], since: datetime, until: datetime, *, most: int = MOST_OUTCOMES
) -> Decisions:
    """Read the newest outcomes of a time, `most` of them, that say something about the choice of their model."""
    time = {"since": since, "until": until, "most": most}
    return decisions_of(_READ_OUTCOMES.each(connection, time), most=most)


def read_published(connection: psycopg.Connection[Any]) -> ScoreTable:
    """Read the score table of now."""
    return _table("the published scores", _READ_PUBLISHED_TABLE.all(connection))


def read_configured(connection: psycopg.Connection[Any]) -> ScoreTable:
    """Read the scores that instances reported before any was learned."""
    table = _table("the configured scores, without learning", _READ_TABLE_AT.all(connection, {"version": 0}))
    oldest = _OLDEST_VERSION.maybe(connection)
    if oldest is None or oldest.version <= 1:
        return table
    note = (
        f"the history of scores begins with version {oldest.version}: for pairs with older ones the score before that "
        "version stands for the configured one"
    )
    return ScoreTable(table.name, table.scores, [note])


def read_at_version(connection: psycopg.Connection[Any], version: int, option: str) -> ScoreTable:
    """Read the scores of the time when a version was the newest.

    Args:
        option: that the version came with, for an error.

    Raises:
        SettingsError: there is no such version, or it was trimmed.
    """
    if _READ_VERSION.maybe(connection, {"version": version}) is None:
        raise SettingsError(f"{option}: found {version}, expected a version that `centralcloud scores history` shows")
    return _table(f"the scores of version {version}", _READ_TABLE_AT.all(connection, {"version": version}))


def read_at(connection: psycopg.Connection[Any], at: datetime) -> ScoreTable:
    """Read the scores of a moment."""
    version = _NEWEST_VERSION_BEFORE.one(connection, {"at": at})
    name = f"the scores of {at.astimezone():%Y-%m-%d %H:%M} (version {version})"
    table = _table(name, _READ_TABLE_AT.all(connection, {"version": version}))
    oldest = _OLDEST_VERSION.maybe(connection)
    if oldest is None or oldest.version <= 1 or oldest.at <= at:
        return table
    note = (
        f"the history of scores begins at {oldest.at.astimezone():%Y-%m-%d %H:%M}: the scores before it are not known"
    )
    return ScoreTable(table.name, table.scores, [note])


def read_rules(connection: psycopg.Connection[Any]) -> dict[str, ScoreTable]:
    """Read the score table of every rule, by its name."""
    rows: dict[str, list[_TableRow]] = defaultdict(list)
    for row in _READ_RULE_TABLES.all(connection):
        rows[str(row.pop("rule"))].append(_TableRow(**row))
    return {rule: _table(f"the scores of {rule}", of_rule) for rule, of_rule in rows.items()}


def read_version_time(connection: psycopg.Connection[Any], version: int) -> datetime | None:
    """Return when a version was published; None: never, or it was trimmed."""
    return _READ_VERSION.maybe(connection, {"version": version})


def last_rule_switch(connection: psycopg.Connection[Any], until: datetime) -> RuleSwitch | None:
    """Return the newest change of the fleet's rule before a moment; None: there was none."""
    return _LAST_RULE_SWITCH.maybe(connection, {"until": until})


def read_strata(
    connection: psycopg.Connection[Any],
    since: datetime,
    until: datetime,
    *,
    newest: bool,
    most: int = MOST_RECORDS,
) -> list[Stratum]:
    """Count the outcomes of a time, the newest ones or the oldest ones if there are more than `most`."""
    time = {"since": since, "until": until, "newest": newest, "most": most}
    return _COUNT_AROUND.all(connection, time)


def read_probes(
    connection: psycopg.Connection[Any], since: datetime, until: datetime, *, most: int = MOST_RECORDS
) -> list[Part]:
    """Count the decisions with an outcome of a time, probes apart, in the newest `most` records."""
    return _COUNT_PROBES.all(connection, {"since": since, "until": until, "most": most})


def read_score_changes(connection: psycopg.Connection[Any], since: datetime, until: datetime) -> list[ScoreChange]:
    """Read the scores of a moment, and those that were published from then on, in the order of versions."""
    return _LIST_SCORE_CHANGES.all(connection, {"since": since, "until": until})


def read_exploration_budgets(connection: psycopg.Connection[Any]) -> list[ExplorationBudget]:
    """Read the budgets of exploration."""
    return _LIST_EXPLORATION_BUDGETS.all(connection)


def _table(name: str, rows: Iterable[_TableRow]) -> ScoreTable:
    return ScoreTable(
        name,
        [
            TableScore(
                row.model,
                row.complexity,
                row.score,
                row.learned,
                parse_estimate(row._asdict()),
                parse_task_scores(row.task_types),
            )
            for row in rows
        ],
    )
