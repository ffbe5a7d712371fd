"""The report of `centralcloud evaluate`: everything that the log tells about the worth of learning."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

import psycopg

from centralcloud.contracts import SettingsError
from centralcloud.contracts.model_choice.score_table import ScoreTable
from centralcloud.evaluation.before_after import BeforeAfter, compare
from centralcloud.evaluation.decisions import Decisions, left_out_words
from centralcloud.evaluation.exploration import NOT_SAID, WEEK, Exploration, Leaders, changes_of, weeks_of
from centralcloud.evaluation.off_policy import Difference, TableValue, compare_tables, evaluate_table, supported
from centralcloud.evaluation.reading import (
    MOST_OUTCOMES,
    MOST_RECORDS,
    last_rule_switch,
    read_decisions,
    read_exploration_budgets,
    read_probes,
    read_published,
    read_score_changes,
    read_strata,
    read_version_time,
)
from centralcloud.runtime.wording import age

#: Limits of every estimate from a log.
_NOT_SAID: Final = (
    "a table stands for what a router does that may use all of its models, by an order without preference, and that chooses "
    "none at random; models that cannot be reached at times, and limits of workspaces, are not known here",
    "decisions without an outcome do not count",
)
_LONGEST_SIDE: Final = WEEK


class OffPolicy(NamedTuple):
    """Two score tables, valued by the decisions of a time.

    Attributes:
        since, until: the time; `first_at`: the oldest outcome that was read.
        decisions: that count.
        tables: the published scores, then those that they are compared with.
        differences: of the first table less the second one, where the log can tell.
        notes: what was left out and what limits the numbers.
    """

    since: datetime
    until: datetime
    first_at: datetime | None
    decisions: int
    tables: tuple[TableValue, ...]
    differences: tuple[Difference, ...]
    notes: tuple[str, ...]


class Evaluation(NamedTuple):
    """All sections. `before_after`: None: no switch is known."""

    off_policy: OffPolicy
    before_after: BeforeAfter | None
    exploration: Exploration


class Switch(NamedTuple):
    """The moment that two times are compared around, and what happened then."""

    at: datetime
    words: str


def value_tables(
    connection: psycopg.Connection[Any],
    tables: Sequence[ScoreTable],
    since: datetime,
    until: datetime,
    *,
    most: int = MOST_OUTCOMES,
    compare_first: bool = False,
) -> OffPolicy:
    """Value score tables by the newest decisions of a time, at most `most`.

    Args:
        compare_first: also compare the first table with the second one.
    """
    decisions = supported(read_decisions(connection, since, until, most=most), tables)
    values = tuple(evaluate_table(decisions, table) for table in tables)
    differences: tuple[Difference, ...] = ()
    if compare_first:
        differences = compare_tables(decisions, (tables[0], tables[1]), (values[0], values[1]))
    notes = [*_limits(decisions, since, most), *(note for table in tables for note in table.notes)]
    return OffPolicy(since, until, decisions.first_at, len(decisions), values, differences, (*notes, *_NOT_SAID))


def evaluate(
    connection: psycopg.Connection[Any],
    since: datetime,
    until: datetime,
    *,
    against: Callable[[psycopg.Connection[Any]], ScoreTable],
    switch: Callable[[psycopg.Connection[Any]], Switch | None],
    weeks: int,
) -> Evaluation:
    """Read every section. The transaction should be a repeatable-read one, so that the numbers belong together.

    Args:
        since, until: the time of the decisions by which score tables are valued.
        against: reads the table that the published scores are compared with.
        switch: reads the moment that times before and after are compared around.
        weeks: of exploration, up to `until`.
    """
    tables = read_published(connection), against(connection)
    off_policy = value_tables(connection, tables, since, until, compare_first=True)
    moment = switch(connection)
    around = None if moment is None else compare_around(connection, moment, until)
    return Evaluation(off_policy, around, read_exploration(connection, until - weeks * WEEK, until))


def switch_of_rule(connection: psycopg.Connection[Any], until: datetime) -> Switch | None:
    """Return the newest switch of the rule before a moment; None: there was none."""
    found = last_rule_switch(connection, until)
    return None if found is None else Switch(found.at, f"the rule changed from {found.before} to {found.after}")


def switch_of_version(connection: psycopg.Connection[Any], version: int, option: str) -> Switch:
    """Return the publication of a version of the scores.

    Args:
        option: that the version came with, for an error.

    Raises:
        SettingsError: there is no such version, or it was trimmed.
    """
    at = read_version_time(connection, version)
    if at is None:
        raise SettingsError(f"{option}: found {version}, expected a version that `centralcloud scores history` shows")
    return Switch(at, f"version {version} of the scores was published")


def compare_around(
    connection: psycopg.Connection[Any], switch: Switch, until: datetime, *, most: int = MOST_RECORDS
) -> BeforeAfter:
    """Compare the time from a switch on, up to 7 days of it, with as long a time before it."""
    length = max(min(until - switch.at, _LONGEST_SIDE), timedelta())
    before = read_strata(connection, switch.at - length, switch.at, newest=True, most=most)
    after = read_strata(connection, switch.at, switch.at + length, newest=False, most=most)
    result = BeforeAfter(switch.at, switch.words, switch.at - length, switch.at + length, (0, 0), (None, None))
    found = compare(result, before, after)
    capped = tuple(
        f"there are more outcomes {side} the switch: the {most:,} nearest to it count"
        for side, rows in (("before", before), ("after", after))
        if sum(row.outcomes for row in rows) >= most
    )
    return found._replace(notes=(*capped, *found.notes))


def read_exploration(
    connection: psycopg.Connection[Any], since: datetime, until: datetime, *, most: int = MOST_RECORDS
) -> Exploration:
    """Read what probes cost, by week, and which changes of leaders followed them."""
    rows = read_probes(connection, since, until, most=most)
    notes = list(NOT_SAID)
    if rows and rows[0].records >= most:
        since = max(since, rows[0].first_at)
        begin = f"{since.astimezone():%Y-%m-%d %H:%M}"
        notes.insert(0, f"the newest {most:,} records were read: these numbers begin at {begin}")
    leaders = Leaders(read_score_changes(connection, since, until))
    return Exploration(
        tuple(weeks_of(rows, leaders, since, until)),
        tuple(changes_of(rows, leaders, since, until)),
        tuple(read_exploration_budgets(connection)),
        tuple(notes),
    )


def _limits(decisions: Decisions, since: datetime, most: int) -> list[str]:
    notes = list(left_out_words(decisions.left_out))
    if decisions.capped and decisions.first_at is not None:
        read = age((decisions.first_at - since).total_seconds())
        notes.insert(
            0,
            f"the newest {most:,} outcomes were read, from {decisions.first_at.astimezone():%Y-%m-%d %H:%M} on: "
            f"the {read} before are left out",
        )
    return notes
