"""Checks of the doctor on the history of the database: its sequences, and whether one URL leads to two histories."""

from typing import Final

from centralcloud.runtime.diagnostics import CHECK_SECONDS, CheckResult, check_transaction, fail, ok
from centralcloud.runtime.postgres.database import LIMIT_SECONDS, Database
from centralcloud.runtime.postgres.query import Query
from centralcloud.store.history import read_epoch
from centralcloud.store.sequences import sequences_behind

_OPEN_HISTORY_FINDINGS = Query(__package__, "open_history_findings", row=str)
#: New connections that the check opens: a load balancer, or a URL of several hosts, may lead each to another server.
_CONNECTIONS: Final = 4


def check_sequences(database: Database) -> CheckResult:
    """Check that no sequence is behind its table."""
    with check_transaction(database, seconds=LIMIT_SECONDS) as connection:
        behind = sequences_behind(connection, count_queue=True)
    if behind:
        return fail(
            f"behind their tables: {'; '.join(map(str, behind))}",
            "run `centralcloud repair sequences`: they give out numbers that are in use, and the tasks that need them wait",
        )
    return ok("every sequence is ahead of its table")


def check_history(database: Database) -> CheckResult:
    """Check that every new connection leads to the same history, and that no daemon has seen another one."""
    epochs = set()
    for _ in range(_CONNECTIONS):
        with database.connect() as connection, connection.limited(CHECK_SECONDS):
            epochs.add(read_epoch(connection))
    if len(epochs) > 1:
        return fail(
            f"{_CONNECTIONS} connections led to {len(epochs)} histories: {', '.join(sorted(epochs))}",
            "shut down the old primary: it accepts writes that the new one will never have",
        )
    with check_transaction(database) as checked:
        found = _OPEN_HISTORY_FINDINGS.all(checked)
    if found:
        return fail("; ".join(found), "shut down the server with the older timeline; the finding closes an hour later")
    return ok(f"one history, {epochs.pop()}")
