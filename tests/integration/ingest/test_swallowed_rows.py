"""Tables that swallow rows: a trigger returns NULL. The batch stays in the queue, and the table is named."""

from collections.abc import Callable
from typing import Any

import pytest
from psycopg import Connection
from support.events import an_event, send, send_texts
from support.operators import OPERATOR
from support.servers import execute

from centralcloud.contracts.limits import MAX_MESSAGE_BYTES
from centralcloud.ingest.drain import drain
from centralcloud.ingest.slow_path import SlowPath
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.errors import is_outage
from centralcloud.store.findings import Finding, open_finding
from centralcloud.store.fleet_settings import store_setting
from centralcloud.store.operator_actions import Action, record_action
from centralcloud.store.swallowed_rows import RowsSwallowedError


def swallow(database_url: str, table: str) -> None:
    execute(
        database_url,
        f"""
        CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
        CREATE TRIGGER swallow BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION swallow()
        """,
    )


@pytest.mark.parametrize("table", ["dead_letters", "routing_records", "decision_ids"])
def test_a_batch_of_which_a_table_swallows_rows_stays_in_the_queue(
    database: Database, database_url: str, table: str
) -> None:
    send(database_url, [an_event(decision_id="d"), {"no": "event"}, an_event(decision_id="e", outcome="success")])
    swallow(database_url, table)
    with pytest.raises(RowsSwallowedError, match=f"{table} swallows rows: .* remove the trigger") as raised:
        drain(database, batch_size=10)
    assert is_outage(raised.value), "a daemon waits, and names the table"
    counts = "SELECT taken, (SELECT count(*) FROM pgmq.q_model_routing_decisions) FROM accounting"
    assert execute(database_url, counts) == [(0, 3)]
    execute(database_url, f"DROP TRIGGER swallow ON {table}")
    drain(database, batch_size=10)
    assert execute(database_url, "SELECT records, dead_letters FROM accounting") == [(2, 1)]


def test_a_message_that_is_too_large_is_not_swallowed(database: Database, database_url: str) -> None:
    send_texts(database_url, ['{"note": "' + "x" * MAX_MESSAGE_BYTES + '"}'])
    swallow(database_url, "dead_letters")
    with pytest.raises(RowsSwallowedError, match="dead_letters swallows rows: 1 written, 0 stored"):
        drain(database, batch_size=10)
    assert execute(database_url, "SELECT count(*) FROM pgmq.q_model_routing_decisions") == [(1,)]


def test_a_message_that_was_attempted_too_often_is_not_swallowed(database: Database, database_url: str) -> None:
    send(database_url, [an_event()])
    execute(database_url, "UPDATE pgmq.q_model_routing_decisions SET read_ct = 9")
    swallow(database_url, "dead_letters")
    with pytest.raises(RowsSwallowedError, match="dead_letters"):
        SlowPath(database, max_attempts=2).ingest(10)
    assert execute(database_url, "SELECT count(*) FROM pgmq.q_model_routing_decisions") == [(1,)]


_WRITES: dict[str, Callable[[Connection[Any]], None]] = {
    "findings": lambda connection: open_finding(connection, Finding("slow", "m", "text", {})),
    "fleet_settings": lambda connection: store_setting(connection, "finding.surge_rise", 0.2),
    "operator_actions": lambda connection: record_action(connection, OPERATOR, Action.REPAIR, "subject"),
}


@pytest.mark.parametrize("table", _WRITES)
def test_a_row_that_an_operator_sees_or_writes_is_not_swallowed(
    database: Database, database_url: str, table: str
) -> None:
    swallow(database_url, table)
    with database.transaction() as connection, pytest.raises(RowsSwallowedError, match=f"{table} swallows rows"):
        _WRITES[table](connection)
