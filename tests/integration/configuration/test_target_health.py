"""The health of targets in the database: reports, their bounds and their leases; and the task that exchanges them."""

import json
from typing import Any

import psycopg
import pytest
from support.servers import execute
from support.waiting import eventually

from centralcloud.contracts.target_health import TARGET_HEALTH_CHANNEL, ReportedHealth, TargetReport
from centralcloud.maintenance.maintenance import Maintenance
from centralcloud.runtime.postgres.database import Database
from instance_agent.sync.health_exchange import HealthExchange


def report(url: str, reporter: str, *reports: dict[str, Any]) -> int:
    body = json.dumps([{"kind": "breaker", "state": "open", "seconds": 60, **each} for each in reports])
    ((stored,),) = execute(url, "SELECT centralcloud.report_target_health(%s, %s::jsonb)", (reporter, body))
    return int(stored)


def rows(url: str) -> list[tuple]:
    return execute(url, "SELECT kind, key, reporter, state FROM centralcloud.current_target_health()")


def claim(url: str, holder: str, seconds: float, *names: str) -> set[str]:
    found = execute(url, "SELECT centralcloud.claim_target_leases(%s, %s, %s)", (holder, list(names), seconds))
    return {name for (name,) in found}


def test_a_target_has_one_row_and_of_many_reporters_one_a_second_is_stored(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as listener:
        listener.execute(f"LISTEN {TARGET_HEALTH_CHANNEL}")
        body = json.dumps([{"kind": "breaker", "state": "open", "seconds": 60, "key": "a"}])
        statement = "SELECT centralcloud.report_target_health(%s, %s::jsonb)"
        stored = [listener.execute(statement, (f"gw-{number}", body)).fetchall()[0][0] for number in range(10)]
        heard = list(listener.notifies(timeout=0.3))
    assert stored == [1] + [0] * 9
    assert len(heard) == 1, "a storm of reports wakes the others once"
    assert rows(database_url) == [("breaker", "a", "gw-0", "open")]

    assert report(database_url, "gw-5", {"key": "a", "state": "closed"}) == 0, "a recovery is of the same gateway"
    assert report(database_url, "gw-0", {"key": "a", "state": "closed"}) == 1
    execute(database_url, "UPDATE target_health SET reported_at = reported_at - interval '2 seconds'")
    assert report(database_url, "gw-5", {"key": "a"}, {"key": "b", "state": "closed"}) == 1
    assert rows(database_url) == [("breaker", "a", "gw-5", "open")]


def test_reports_expire_and_maintenance_removes_them(database: Database, database_url: str) -> None:
    report(database_url, "gw-1", {"key": "a", "seconds": 0}, {"key": "b"}, {"key": "c", "seconds": -1})
    assert rows(database_url) == [("breaker", "b", "gw-1", "open")]
    execute(database_url, "UPDATE target_health SET expires_at = now() - interval '2 hours' WHERE key = 'a'")
    assert Maintenance(database).maintain()
    assert execute(database_url, "SELECT key FROM target_health") == [("b",)]


def test_the_table_is_bounded(database_url: str) -> None:
    execute(
        database_url,
        "INSERT INTO target_health SELECT 'breaker', n::text, 'gw-1', 'open', NULL, now(), now() + interval '1 hour' "
        "FROM generate_series(1, 9999) AS n",
    )
    assert report(database_url, "gw-1", {"key": "new-1"}, {"key": "new-2"}, {"key": "1"}) == 2
    execute(database_url, "UPDATE target_health SET expires_at = now() - interval '1 s' WHERE key <> '1'")
    assert report(database_url, "gw-1", {"key": "new-2"}) == 1, "what has expired makes room"


def test_a_lease_has_one_holder_who_renews_and_shortens_it(database_url: str) -> None:
    assert claim(database_url, "gw-1", 60, "a", "b") == {"a", "b"}
    assert claim(database_url, "gw-2", 60, "a", "b", "c") == {"c"}
    assert claim(database_url, "gw-1", 0, "a") == {"a"}
    assert claim(database_url, "gw-2", 60, "a", "b") == {"a"}
    assert rows(database_url) == [], "leases are not reports"


@pytest.mark.parametrize("reports", ['{"a": 1}', "null", json.dumps([{}] * 1001)])
def test_other_reports_are_refused(database_url: str, reports: str) -> None:
    with pytest.raises(psycopg.errors.InvalidParameterValue, match="expected an array of at most 1000"):
        execute(database_url, "SELECT centralcloud.report_target_health('gw', %s::jsonb)", (reports,))


def test_a_login_for_one_instance_speaks_for_no_other(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("INSERT INTO instance_logins (role_name, instance_id) VALUES (session_user, 'gw-1')")
        connection.execute("SELECT centralcloud.report_target_health('gw-1', '[]')")
        for statement in (
            "SELECT centralcloud.report_target_health('gw-2', '[]')",
            "SELECT centralcloud.claim_target_leases('gw-2', '{a}', 1)",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege), connection.transaction():
                connection.execute(statement)
        connection.rollback()


def test_the_exchange_sends_the_newest_state_once_a_second_and_reads_the_others(
    database: Database, database_url: str
) -> None:
    exchange = HealthExchange(database, instance_id="gw-1")
    read: list[list[ReportedHealth]] = []
    answers: list[frozenset[str] | None] = []
    exchange.on_read = read.append
    for state in ("open", "closed", "open", "cooling"):
        exchange.report(TargetReport("breaker", "a", state, 60.0))
    exchange.claim(("lease",), 60.0, answers.append)
    exchange.run_once()
    assert (exchange.sent, exchange.up, answers) == (1, True, [frozenset({"lease"})])
    assert [(each.key, each.state, each.reporter) for each in read[-1]] == [("a", "cooling", "gw-1")]
    exchange.report(TargetReport("breaker", "a", "closed", 60.0))
    exchange.run_once()
    assert exchange.sent == 1, "the next one waits for the end of the second"
    assert exchange.interval_seconds is not None
    assert 0 < exchange.interval_seconds <= 1.0

    report(database_url, "gw-2", {"key": "b"})
    exchange.notified()
    eventually(lambda: exchange.run_once() or len(read[-1]) == 2)
    assert {each.key: each.reporter for each in read[-1]} == {"a": "gw-1", "b": "gw-2"}


def test_without_the_functions_the_gateway_goes_on_and_no_claim_stays_without_an_answer(
    database: Database, database_url: str
) -> None:
    execute(database_url, "DROP FUNCTION centralcloud.claim_target_leases, centralcloud.current_target_health")
    exchange = HealthExchange(database, instance_id="gw-1")
    answers: list[frozenset[str] | None] = []
    exchange.claim(("lease",), 60.0, answers.append)
    exchange.start()
    try:
        eventually(lambda: exchange.degradation is not None)
        assert answers == [None]
        assert "centralcloud migrate" in str(exchange.degradation)
        assert (exchange.up, database.unavailable) == (False, False)
    finally:
        exchange.stop()
        assert exchange.join(10)
