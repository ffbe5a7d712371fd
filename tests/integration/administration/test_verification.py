"""`verify` finds every difference from the records, `--repair` corrects it, and neither blocks ingest."""

import json
import random
import threading
from datetime import timedelta

import pytest
from support.commands import run_command
from support.events import an_event, random_events, send
from support.history import create_week, pretend_all_came
from support.operators import OPERATOR
from support.servers import execute

from centralcloud.administration.verification import DetachedRecordsError, Difference, LargeLossError, repair, verify
from centralcloud.ingest.drain import drain
from centralcloud.maintenance.maintenance import Maintenance
from centralcloud.runtime.postgres.database import Database
from centralcloud.store.slices import close_slice


@pytest.fixture
def filled(database: Database, database_url: str) -> Database:
    """Fill a database with some hundred ingested events in two slices, with ids, resends and dead letters among them."""
    rng = random.Random(3)
    linked = [
        an_event(decision_id=str(number % 60), outcome=rng.choice(["routed", "success"])) for number in range(150)
    ]
    for events in (random_events(300, rng), linked):
        send(database_url, [*events, {"no": "event"}])
        drain(database, batch_size=100)
        close_slice(database)
    return database


def test_the_counts_of_the_ledger_add_up(filled: Database) -> None:
    verification = verify(filled)
    assert verification.differences == []
    ledger = verification.ledger
    assert ledger["sent"] == 452
    assert ledger["dead_letters_open"] == 2
    assert ledger["records"] + ledger["duplicates"] == 450
    assert ledger["duplicates"] > 0


BREAKAGES = {
    "a counter": ("UPDATE model_routing_metrics SET success_count = success_count + 1 WHERE model_name = 'atlas'", 3),
    "a linked decision": ("UPDATE model_routing_metrics SET linked_decision_count = 0 WHERE model_name = 'gpt-4o'", 1),
    "the sum of times": ("UPDATE model_routing_metrics SET response_time_sum_ms = 0 WHERE model_name = 'dune'", 3),
    "the newest times": ("UPDATE model_routing_metrics SET response_times = '{}' WHERE model_name = 'dune'", 3),
    "the newest score": ("UPDATE model_routing_metrics SET last_reported_score = 0.1 WHERE model_name = 'dune'", 3),
    "a row of metrics gone": ("DELETE FROM model_routing_metrics WHERE model_name = 'atlas'", 3),
    "a row of metrics too many": (
        "INSERT INTO model_routing_metrics (model_name, complexity_level, success_count) VALUES ('ghost', 'simple', 4)", 1,
    ),
    "evidence": ("UPDATE evidence SET failures = failures + 2 WHERE model_name = 'gpt-4o'", 1),
    "a fraction of a cent": ("UPDATE evidence SET cost_usd = 0.001 WHERE model_name = 'gpt-4o'", 1),
    "evidence gone": ("DELETE FROM evidence WHERE model_name = 'gpt-4o'", 1),
    "evidence too much": (
        """INSERT INTO evidence (slice_no, model_name, complexity_level, provider, instance_id)
        VALUES (1, 'ghost', 'simple', 'p', 'i')""", 1,
    ),
    "the number of records": ("UPDATE accounting SET records = records - 1, taken = taken - 1", 2),
    "the number of dead letters": ("UPDATE accounting SET dead_letters = dead_letters + 1, taken = taken + 1", 3),
    "the number taken": ("UPDATE accounting SET taken = taken + 1", 2),
}  # fmt: skip


@pytest.mark.parametrize("what", BREAKAGES)
def test_a_manual_change_is_found_and_repaired(filled: Database, database_url: str, what: str) -> None:
    before = snapshot(database_url)
    statement, rows = BREAKAGES[what]
    execute(database_url, statement)
    found = verify(filled)
    assert len(found.differences) == rows, found.differences
    assert repair(filled, OPERATOR).differences == found.differences
    assert verify(filled).differences == []
    assert snapshot(database_url) == before


def snapshot(database_url: str) -> list[tuple]:
    """Return everything that a repair may change."""
    queries = (
        """SELECT model_name, complexity_level, usage_count, routed_count, success_count, failure_count, blameless_count,
           avg_response_time, response_times, last_reported_score FROM model_routing_metrics ORDER BY 1, 2""",
        "SELECT * FROM evidence ORDER BY slice_no, model_name, complexity_level, provider, instance_id",
        "SELECT * FROM accounting",
    )
    return [row for query in queries for row in execute(database_url, query)]


def test_a_lost_or_duplicated_record_is_found(filled: Database, database_url: str) -> None:
    execute(database_url, "DELETE FROM routing_records WHERE id = (SELECT min(id) FROM routing_records)")
    assert {difference.table for difference in verify(filled).differences} == {
        "accounting", "model_routing_metrics", "evidence",
    }  # fmt: skip
    execute(
        database_url,
        """
        INSERT INTO routing_records (timestamp, instance_id, complexity, model, provider, score, outcome, slice_no, msg_id)
        SELECT timestamp, instance_id, complexity, model, provider, score, outcome, slice_no, msg_id
        FROM routing_records ORDER BY id LIMIT 1
        """,
    )
    ((msg_id,),) = execute(database_url, "SELECT msg_id FROM routing_records ORDER BY id LIMIT 1")
    doubled = Difference("routing_records", {"msg_id": msg_id}, {"records": 2}, {"records": 1})
    assert doubled in verify(filled).differences
    assert doubled in repair(filled, OPERATOR).differences
    assert verify(filled).differences == [doubled], "a difference that cannot be repaired is still reported"


def test_more_messages_ingested_than_sent_are_found(filled: Database, database_url: str) -> None:
    execute(database_url, "SELECT setval('pgmq.q_model_routing_decisions_msg_id_seq', 100)")
    assert verify(filled).differences == [Difference("accounting", {}, {"sent": 452}, {"sent": 100})]


def test_a_repair_during_ingest_loses_and_duplicates_nothing(filled: Database, database_url: str) -> None:
    """Events that are ingested between the recount and the repair are neither lost nor counted twice."""
    stop = threading.Event()

    def ingest() -> None:
        rng = random.Random(5)
        with Database(database_url, application_name="tests") as database:
            while not stop.is_set():
                send(database_url, random_events(40, rng))
                drain(database, batch_size=20)

    thread = threading.Thread(target=ingest)
    thread.start()
    try:
        for _ in range(5):
            execute(database_url, "UPDATE model_routing_metrics SET success_count = success_count + 7")
            execute(database_url, "UPDATE accounting SET records = records + 7, taken = taken + 7")
            assert not repair(filled, OPERATOR).ok
            assert verify(filled).differences == []
    finally:
        stop.set()
        thread.join()
    assert verify(filled).differences == []


def test_the_command_prints_the_differences_and_exits_with_1(filled: Database, database_url: str) -> None:
    env = {"DATABASE_URL": database_url}
    clean = run_command("centralcloud", "verify", "--json", env=env)
    assert clean.returncode == 0
    assert json.loads(clean.stdout)["ok"] is True
    execute(
        database_url, "UPDATE model_routing_metrics SET success_count = success_count + 1 WHERE model_name = 'gpt-4o'"
    )
    wrong = run_command("centralcloud", "verify", "--json", env=env)
    assert wrong.returncode == 1
    (difference,) = json.loads(wrong.stdout)["differences"]
    assert difference["table"] == "model_routing_metrics"
    assert difference["key"] == {"model_name": "gpt-4o", "complexity_level": "complex"}
    assert difference["stored"]["success_count"] == difference["recounted"]["success_count"] + 1
    assert "success_count" in run_command("centralcloud", "verify", env=env).stdout
    repaired = run_command("centralcloud", "verify", "--repair", "--json", env=env)
    assert (repaired.returncode, json.loads(repaired.stdout)["repaired"]) == (0, 1)
    assert run_command("centralcloud", "verify", env=env).returncode == 0


def test_newest_response_times_of_dropped_records_are_not_a_difference(filled: Database, database_url: str) -> None:
    pretend_all_came(database_url, 100)
    send(database_url, [an_event(selected_model="newest")])  # records expire by the newest arrival
    drain(filled, batch_size=100)
    Maintenance(filled).run_once()
    assert verify(filled).differences == []
    execute(database_url, "UPDATE model_routing_metrics SET response_times = '{}' WHERE model_name = 'dune'")
    assert verify(filled).differences == [], "no record is left to take them from"
    execute(database_url, "DELETE FROM model_routing_metrics WHERE model_name = 'dune'")
    assert len(repair(filled, OPERATOR).differences) == 3
    assert verify(filled).differences == []


def test_a_missing_ledger_is_reported_and_created_again(filled: Database, database_url: str) -> None:
    before = execute(database_url, "SELECT records, dead_letters FROM accounting")
    execute(database_url, "DELETE FROM accounting")
    for arguments in (["verify"], ["queue", "--seconds", "0.1"], ["dead-letters", "discard", "--all"]):
        reported = run_command("centralcloud", *arguments, env={"DATABASE_URL": database_url})
        assert (reported.returncode, reported.stderr.count("\n")) == (1, 1)
        assert "accounting: found no row, expected one" in reported.stderr
    repair(filled, OPERATOR)
    assert execute(database_url, "SELECT records, dead_letters FROM accounting") == before
    assert {difference.table for difference in verify(filled).differences} == set(), "duplicates cannot be recounted"


def test_a_repair_does_not_forget_the_records_of_a_detached_partition(filled: Database, database_url: str) -> None:
    ((table,),) = execute(
        database_url, "SELECT tableoid::regclass::text FROM routing_records GROUP BY 1 ORDER BY count(*) DESC LIMIT 1"
    )
    before = verify(filled).ledger
    execute(database_url, f"ALTER TABLE routing_records DETACH PARTITION {table}")
    assert verify(filled).differences
    with pytest.raises(
        DetachedRecordsError, match=f"INSERT INTO routing_records OVERRIDING SYSTEM VALUE TABLE {table}"
    ):
        repair(filled, OPERATOR)
    Maintenance(filled).run_once()  # creates another partition of that week
    execute(database_url, f"INSERT INTO routing_records OVERRIDING SYSTEM VALUE TABLE {table}; DROP TABLE {table}")
    verification = verify(filled)
    assert (verification.ledger, verification.differences) == (before, [])


def test_a_repair_asks_before_it_forgets_more_than_half_of_the_events(filled: Database, database_url: str) -> None:
    before = snapshot(database_url)
    execute(database_url, "DELETE FROM routing_records")
    with pytest.raises(LargeLossError, match=r"forget 398 of 398 events of the message ledger and .* of the evidence"):
        repair(filled, OPERATOR)
    env = {"DATABASE_URL": database_url}
    refused = run_command("centralcloud", "verify", "--repair", env=env)
    assert "Nothing was repaired; --yes is required" in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert snapshot(database_url) == before
    assert run_command("centralcloud", "verify", "--repair", "--yes", env=env).returncode == 0
    assert execute(database_url, "SELECT records FROM accounting") == [(0,)]


def test_decisions_that_were_recorded_twice_are_found_when_their_ids_were_lost(
    database: Database, database_url: str
) -> None:
    """A crash of the server empties an unlogged table: then resends count again."""
    events = [
        an_event("edge-1", decision_id=f"d{number}", outcome=outcome)
        for number in range(4)
        for outcome in ("routed", "success")
    ]
    send(database_url, [*events, an_event("edge-2", decision_id="d0")])
    drain(database, batch_size=100)
    execute(database_url, "TRUNCATE decision_ids")
    send(database_url, events[:3])
    drain(database, batch_size=100)
    twice = Difference(
        "decision_ids", {"instance_id": "edge-1", "first_decision_id": "d0"}, {"records": 6}, {"records": 3}
    )
    assert twice in verify(database).differences
    create_week(database_url, timedelta(minutes=1))
    execute(database_url, "UPDATE routing_records SET created_at = created_at - interval '1 minute' WHERE id <= 9")
    assert twice in verify(database).differences
    execute(database_url, "DELETE FROM routing_records WHERE id > 9")
    assert "decision_ids" not in {difference.table for difference in verify(database).differences}
