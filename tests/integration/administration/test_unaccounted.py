"""Messages that others removed from the queue: `verify` shows their ids, whatever else happened to the others."""

import json
import threading
from datetime import datetime, timedelta

import psycopg
import pytest
from support.commands import run_command
from support.events import an_event, send
from support.operators import OPERATOR
from support.servers import execute
from support.waiting import eventually

from centralcloud.administration.decision_queue import purge
from centralcloud.administration.unaccounted import accept
from centralcloud.administration.verification import verify
from centralcloud.cli.verify import print_outcome, verify_database
from centralcloud.ingest.drain import drain
from centralcloud.maintenance.maintenance import Maintenance
from centralcloud.monitoring.finding_detector import FindingDetector
from centralcloud.runtime.postgres.database import Database
from centralcloud.store.message_ids import ranges_of
from centralcloud.store.slices import close_slice


def steal(database_url: str, first: int, last: int) -> None:
    execute(database_url, "DELETE FROM pgmq.q_model_routing_decisions WHERE msg_id BETWEEN %s AND %s", (first, last))


def missing(database: Database) -> list[tuple[int, int]]:
    return [(each.first_id, each.last_id) for each in verify(database).unaccounted.ranges]


def test_150_of_1000_stolen_messages_are_shown_by_range(database: Database, database_url: str) -> None:
    """The rest becomes records, duplicates and dead letters, is purged, or stays queued."""
    events = [an_event(decision_id=str(number % 300), outcome="success") for number in range(700)]
    send(database_url, [*events, {"no": "event"}])
    execute(database_url, "SELECT pgmq.pop('model_routing_decisions', 50)")
    steal(database_url, 401, 480)
    drain(database, batch_size=100)
    ((now,),) = execute(database_url, "SELECT clock_timestamp()")
    send(database_url, [an_event()] * 199)
    purge(database, OPERATOR, before=now + timedelta(hours=1))
    send(database_url, [an_event()] * 100)
    steal(database_url, 981, 1000)
    verification = verify(database)
    assert verification.differences == []
    unaccounted = verification.unaccounted
    assert (unaccounted.number, unaccounted.drawn, unaccounted.limit()) == (150, 1000, 40)
    assert [each[:2] for each in unaccounted.ranges] == [(981, 1000), (401, 480), (1, 50)]
    last, middle, first = unaccounted.ranges
    assert first.after is None, "it was the first message"
    assert first.before is not None
    assert isinstance(middle.after, datetime)
    assert isinstance(middle.before, datetime)
    assert middle.after <= middle.before < last.after  # type: ignore[operator]


def test_dropped_records_are_not_missing(database: Database, database_url: str) -> None:
    send(database_url, [an_event()] * 50)
    drain(database, batch_size=50)
    close_slice(database)
    execute(database_url, "DELETE FROM routing_records")
    assert verify(database).unaccounted.number == 0


def test_the_command_exits_with_1_until_the_ids_are_accepted(database: Database, database_url: str) -> None:
    env = {"DATABASE_URL": database_url}
    send(database_url, [an_event()] * 100)
    steal(database_url, 11, 60)
    drain(database, batch_size=100)
    for _ in range(2):
        found = run_command("centralcloud", "verify", "--json", env=env)
        assert found.returncode == 1, found.stderr
        unaccounted = json.loads(found.stdout)["unaccounted"]
        assert (unaccounted["number"], unaccounted["limit"], unaccounted["ids_drawn"]) == (50, 40, 100)
        assert unaccounted["accepted"] is None
        (shown,) = unaccounted["ranges"]
        assert (shown["first_id"], shown["last_id"]) == (11, 60)
        assert shown["after"] <= shown["before"]
    printed = run_command("centralcloud", "verify", env=env)
    assert "50 of 100 message ids drawn are nowhere: expected at most 40" in printed.stdout
    accepted = run_command("centralcloud", "verify", "--unaccounted-limit", "50", env=env)
    assert accepted.returncode == 0, accepted.stdout
    assert "accepted 50 missing messages, ids 11 to 60: later verifications do not report them" in accepted.stdout
    send(database_url, [an_event()] * 100)
    steal(database_url, 111, 151)
    again = run_command("centralcloud", "verify", "--json", env=env)
    assert (again.returncode, json.loads(again.stdout)["unaccounted"]["number"]) == (1, 41), "only what is new"
    repaired = run_command("centralcloud", "repair", "--yes", "--json", env=env)
    assert repaired.returncode == 0, repaired.stderr
    accepted_by_repair = json.loads(repaired.stdout)["verification"]["unaccounted"]["accepted"]
    assert accepted_by_repair == {"number": 41, "first_id": 111, "last_id": 151}
    nothing_left = run_command("centralcloud", "verify", env=env)
    assert (nothing_left.returncode, "accepted" in nothing_left.stdout) == (0, False)
    ((after,),) = execute(database_url, "SELECT after FROM operator_actions ORDER BY id DESC LIMIT 1")
    assert after == {"number": 41, "newest_ranges": [[111, 151]]}


def test_a_repair_says_which_missing_messages_it_accepts(
    database: Database, database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Messages that are beyond the limit, and lie in several ranges; and one message."""
    send(database_url, [an_event()] * 200)
    for first in range(1, 200, 2):
        steal(database_url, first, first)
    drain(database, batch_size=100)
    for last, numbers in ((199, "100 missing messages, ids 1 to 199"), (201, "1 missing message, id 201")):
        print_outcome(verify_database(database, OPERATOR, repair=True, limit=None), repair=True)
        assert f"accepted {numbers}: later verifications do not report" in capsys.readouterr().out
        send(database_url, [an_event()] * 2)
        steal(database_url, last + 2, last + 2)
        drain(database, batch_size=100)


def test_a_few_rolled_back_sends_are_accepted(database: Database, database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("SELECT pgmq.send('model_routing_decisions', '{}') FROM generate_series(1, 40)")
        connection.rollback()
    unaccounted = verify(database).unaccounted
    assert (unaccounted.number, unaccounted.limit()) == (40, 40)
    assert [each[:2] for each in unaccounted.ranges] == [(1, 40)]


def test_a_start_of_the_server_since_the_last_verification_may_have_skipped_33_ids(
    database: Database, database_url: str
) -> None:
    execute(database_url, "UPDATE accounting SET verified_at = clock_timestamp()")
    assert verify(database).unaccounted.limit() == 40
    execute(database_url, "UPDATE accounting SET verified_at = pg_postmaster_start_time() - interval '1 second'")
    assert verify(database).unaccounted.limit() == 73
    execute(database_url, "UPDATE accounting SET verified_at = NULL")
    assert verify(database).unaccounted.limit() == 40, "the database was created after the start"
    execute(
        database_url, "UPDATE database_generation SET created_at = pg_postmaster_start_time() - interval '1 second'"
    )
    assert verify(database).unaccounted.limit() == 73


def test_a_send_that_is_not_committed_yet_is_waited_for(database: Database, database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("SELECT pgmq.send('model_routing_decisions', '{}') FROM generate_series(1, 30)")
        found: list[int] = []
        thread = threading.Thread(target=lambda: found.append(verify(database).unaccounted.number))
        thread.start()
        looks = "SELECT 1 FROM pg_stat_activity WHERE query LIKE %s AND datname = current_database()"
        eventually(lambda: execute(database_url, looks, ("%virtualtransaction%",)), what="a look at the sends")
        connection.commit()
    thread.join()
    assert found == [0]


def test_messages_of_a_worker_of_an_earlier_version_are_not_missing(database: Database, database_url: str) -> None:
    """Such a worker counts its messages, and does not store their ids."""
    send(database_url, [an_event()] * 50)
    steal(database_url, 1, 10)
    drain(database, batch_size=100)
    execute(database_url, "DELETE FROM message_ids")
    assert verify(database).unaccounted.number == 10
    accept(database, verify(database).unaccounted)
    send(database_url, [an_event()] * 50)
    steal(database_url, 61, 65)
    drain(database, batch_size=100)
    assert missing(database) == [(61, 65)]


def test_ids_that_are_complete_are_trimmed(database: Database, database_url: str) -> None:
    execute(database_url, "SELECT setval('pgmq.q_model_routing_decisions_msg_id_seq', 9950)")
    execute(
        database_url, "UPDATE accounting SET ids_tracked_after = 9950, verified_ids = 9950, verified_unaccounted = 9950"
    )
    send(database_url, [an_event()] * 100)
    steal(database_url, 10_011, 10_015)
    drain(database, batch_size=30)
    assert execute(database_url, "SELECT count(*) FROM message_ids") == [(2,)]
    Maintenance(database).run_once()
    assert execute(database_url, "SELECT block FROM message_ids") == [(1,)]
    assert execute(database_url, "SELECT ids_tracked_after FROM accounting") == [(9999,)]
    assert missing(database) == [(10_011, 10_015)]


def test_more_than_one_percent_within_an_hour_is_a_finding(database: Database, database_url: str) -> None:
    detector = FindingDetector(database)
    send(database_url, [an_event()] * 100)
    detector.run_once()
    send(database_url, [an_event()] * 1000)
    execute(database_url, "SELECT pgmq.pop('model_routing_decisions', 150)")
    drain(database, batch_size=1000)
    for _ in range(3):
        detector.run_once()
    ((message,),) = execute(database_url, "SELECT message FROM findings WHERE kind = 'unaccounted_messages'")
    assert message.startswith("150 of 1,000 message ids drawn")


def test_the_finding_stays_open_when_another_process_detects(database: Database, database_url: str) -> None:
    """A new process knows nothing of the last hour until it has samples of its own."""
    open_findings = "SELECT count(*) FROM findings WHERE kind = 'unaccounted_messages' AND closed_at IS NULL"
    before = FindingDetector(database)
    before.run_once()
    send(database_url, [an_event()] * 200)
    steal(database_url, 1, 100)
    for _ in range(3):
        before.run_once()
    after = FindingDetector(database)
    for run in range(3):
        after.run_once()
        assert execute(database_url, open_findings) == [(1,)], f"after {run + 1} samples"
    after.run_once()
    assert execute(database_url, open_findings) == [(0,)], "four samples show that no more are nowhere"


@pytest.mark.parametrize(
    ("ids", "ranges"),
    [([], ([], [])), ([7], ([7], [7])), ([3, 1, 2], ([1], [3])), ([1, 5, 6, 9], ([1, 5, 9], [1, 6, 9]))],
)
def test_neighbours_are_one_range(ids: list[int], ranges: tuple[list[int], list[int]]) -> None:
    assert ranges_of(ids) == ranges
