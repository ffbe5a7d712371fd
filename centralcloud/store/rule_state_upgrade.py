"""The states of rules in the upgrade to revision 0007: checked before it, corrected after it.

The migration turns the states into typed columns. It stays as it is, because databases have run it.
"""

from typing import Any, Final, NamedTuple

import psycopg

from centralcloud.contracts import CentralCloudError
from centralcloud.runtime.postgres.query import Query
from centralcloud.runtime.wording import printable

#: The first revision with states of rules, and the one that gives them typed columns.
_FIRST: Final = "0003"
_TYPED: Final = "0007"


class _StateBeyondBigint(NamedTuple):
    table: str
    rule: str
    model: str
    complexity: str
    number: str


_STATE_BEYOND_BIGINT = Query(__package__, "state_beyond_bigint", row=_StateBeyondBigint)
_MARK_SCORES_OF_OPERATORS = Query(__package__, "mark_scores_of_operators")


class RuleStateError(CentralCloudError):
    """A state of a rule does not fit into the columns of revision 0007."""


def check_rule_states(connection: psycopg.Connection[Any], revision: str | None) -> None:
    """Check that the states of a database at this revision fit into the typed columns.

    Raises:
        RuleStateError: one has a slice number beyond bigint; the message names its row.
    """
    if revision is None or not _FIRST <= revision < _TYPED:
        return
    found = _STATE_BEYOND_BIGINT.maybe(connection)
    if found is not None:
        raise RuleStateError(
            f"{found.table}: the state of rule {printable(found.rule)} for {printable(found.model)} "
            f"({printable(found.complexity)}) has after_slice {found.number[:40]}, expected a slice number up to "
            f"9223372036854775807: correct the column `state` or delete the row, then migrate again"
        )


def correct_rule_states(connection: psycopg.Connection[Any], before: str | None, after: str | None) -> None:
    """Mark scores that no rule can compute again, if the database has just got the typed columns."""
    if before is not None and after is not None and _FIRST <= before < _TYPED <= after:
        _MARK_SCORES_OF_OPERATORS.run(connection)
