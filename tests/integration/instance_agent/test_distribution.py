"""Every instance gets every score, whenever it starts and whatever it missed."""

import shutil
import threading
import time
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from support.distribution import NewUpdater, learn_once, score_of, send_manual_score
from support.events import outcomes, send
from support.servers import execute, with_database
from support.waiting import eventually

from centralcloud.contracts import UPDATES_CHANNEL
from centralcloud.ingest.drain import drain
from centralcloud.learning.learner import Learner
from centralcloud.learning.rules import AdaptiveRule, ThresholdRule
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.notifications import NotificationListener
from centralcloud.store.schema import migrate
from instance_agent import InstanceAgent
from instance_agent.catalog.learned_scores_file import LearnedScoresFile
from instance_agent.sync.score_updater import ScoreUpdater
from instance_agent.sync.token_bucket import TokenBucket


def test_three_instances_each_apply_every_update(
    new_updater: NewUpdater, database: Database, database_url: str
) -> None:
    early, stopped = new_updater("early"), new_updater("stopped")
    learn_once(database, database_url)
    early.run_once()
    stopped.run_once()
    learn_once(database, database_url, model="llama")  # `stopped` misses this one, and the next
    learn_once(database, database_url)
    early.run_once()
    late = new_updater("late")  # starts after the learner has run
    late.run_once()
    back = new_updater("stopped")
    back.run_once()
    for updater in (early, late, back):
        assert score_of(updater) == 2.6
        assert score_of(updater, "llama") == 2.3
        assert updater.learned.version == 3
    assert execute(database_url, "SELECT count(*) FROM pgmq.q_model_score_updates") == [(3,)], (
        "no instance deletes them"
    )


def test_an_applied_version_is_acknowledged(new_updater: NewUpdater, database: Database, database_url: str) -> None:
    updater = new_updater("i-1")
    updater.run_once()
    query = "SELECT instance_id, applied_version, last_seen_at > now() - interval '1 minute' FROM instances"
    assert execute(database_url, query) == [("i-1", 0, True)]
    learn_once(database, database_url)
    updater.run_once()
    assert execute(database_url, query) == [("i-1", 1, True)]


def test_the_log_alone_is_enough(new_updater: NewUpdater, database: Database, database_url: str) -> None:
    updater = new_updater("i-1", reconcile_interval_seconds=3600)
    updater.run_once()
    learn_once(database, database_url)
    updater.run_once()
    assert score_of(updater) == 2.3


def test_the_snapshot_alone_is_enough(new_updater: NewUpdater, database: Database, database_url: str) -> None:
    """An instance was stopped for longer than messages are kept."""
    updater = new_updater("i-1", reconcile_interval_seconds=0)
    learn_once(database, database_url)
    updater.run_once()
    learn_once(database, database_url)
    execute(database_url, "DELETE FROM pgmq.q_model_score_updates")
    updater.run_once()
    assert score_of(updater) == 2.6
    newcomer = new_updater("i-2")
    newcomer.run_once()
    assert (score_of(newcomer), newcomer.learned.version) == (2.6, 2)


def test_log_and_snapshot_lead_to_the_same_scores(
    new_updater: NewUpdater, database: Database, database_url: str
) -> None:
    """Estimates included: an equal version never replaces the other one."""
    by_log = new_updater("i-1", reconcile_interval_seconds=3600)
    by_log.run_once()
    send(database_url, outcomes(80, 20))
    drain(database, batch_size=1000)
    Learner(database, [AdaptiveRule()]).learn()
    by_log.run_once()
    by_snapshot = new_updater("i-2")
    by_snapshot.run_once()
    assert by_log.learned.scores == by_snapshot.learned.scores
    assert next(iter(by_log.learned.scores.values())).estimate.mean is not None


def test_a_manual_score_is_used_until_the_next_version(
    new_updater: NewUpdater, database: Database, database_url: str
) -> None:
    updater = new_updater("i-1", reconcile_interval_seconds=0)
    learn_once(database, database_url)
    send_manual_score(database_url, 4.75, reason="on call decided")
    for _ in range(3):  # also after the snapshot, which still has version 1
        updater.run_once()
        assert score_of(updater) == 4.75
    newcomer = new_updater("i-2")
    newcomer.run_once()
    assert score_of(newcomer) == 4.75, "an instance that starts later has the same score"
    learn_once(database, database_url)
    updater.run_once()
    newcomer.run_once()
    third = new_updater("i-3")
    third.run_once()
    assert [score_of(each) for each in (updater, newcomer, third)] == [2.6, 2.6, 2.6]


def test_estimates_arrive_by_snapshot_and_by_message(
    new_updater: NewUpdater, database: Database, database_url: str
) -> None:
    learn_once(database, database_url)
    execute(database_url, "UPDATE model_scores SET mean = 0.84, n_eff = 1204, probe_share = 0.003")
    estimate = {"mean": 0.9, "n_eff": 2, "probe_share": 0.01}
    send_manual_score(database_url, 4.5, model="llama", **estimate)
    send_manual_score(database_url, 4.5, model="odd", mean="high", n_eff=2)
    updater = new_updater("i-1")
    updater.run_once()
    again = new_updater("i-1")  # reads the file of the first one
    for known in (updater.learned, again.learned):
        estimates = {
            pair[0]: (one.estimate.mean, one.estimate.n_eff, one.estimate.probe_share)
            for pair, one in known.scores.items()
        }
        assert estimates == {"gpt-4o": (0.84, 1204, 0.003), "llama": (0.9, 2, 0.01), "odd": (None, None, None)}


def test_another_database_under_the_same_name_is_detected(new_updater: NewUpdater, server: str, tmp_path: Path) -> None:
    """It was restored or recreated: the cursor and the versions of the old one mean nothing in the new one."""
    name = f"cc_epoch_{tmp_path.name[-8:].replace('-', '_')}".lower()
    url = with_database(server, name)

    def recreate() -> None:
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
            connection.execute(f"CREATE DATABASE {name}")
        with Database(url, application_name="tests") as fresh:
            migrate(fresh)

    try:
        recreate()
        with Database(url, application_name="tests") as old:
            updater = new_updater("i-1", database=old)
            for score in (2.0, 2.0, 2.0):
                learn_once(old, url, score=score)
            learn_once(old, url, model="llama")
            updater.run_once()
            assert (score_of(updater), updater.learned.version) == (2.9, 4)
        recreate()
        with Database(url, application_name="tests") as new:
            learn_once(new, url, score=1.0)
            again = new_updater("i-1", database=new)
            again.run_once()
            assert (score_of(again), again.learned.version) == (1.3, 1)
            assert score_of(again, "llama") is None, "scores of the old database are dropped"
            assert execute(url, "SELECT applied_version FROM instances") == [(1,)]
    finally:
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def test_a_database_restored_in_place_is_detected(
    new_updater: NewUpdater, database: Database, database_url: str
) -> None:
    """A restored cold copy has the same epoch, but its versions have decreased."""
    updater = new_updater("i-1", reconcile_interval_seconds=0)
    learn_once(database, database_url)
    copy = execute(database_url, "SELECT score, version, evaluated_through_slice FROM model_scores")[0]
    execute(database_url, "CREATE TABLE copy_of_rule_scores AS SELECT * FROM rule_scores")
    for _ in range(3):
        learn_once(database, database_url)
    learn_once(database, database_url, model="llama")
    updater.run_once()
    assert (score_of(updater), score_of(updater, "llama"), updater.learned.version) == (3.2, 2.3, 5)
    execute(database_url, "DELETE FROM pgmq.q_model_score_updates")
    execute(database_url, "DELETE FROM model_scores WHERE model_name = 'llama'")
    execute(database_url, "DELETE FROM model_score_history WHERE version > 1")
    execute(database_url, "DELETE FROM rule_scores; INSERT INTO rule_scores SELECT * FROM copy_of_rule_scores")
    execute(database_url, "UPDATE model_scores SET score = %s, version = %s, evaluated_through_slice = %s", copy)
    execute(database_url, "SELECT setval('model_score_version', 1)")
    updater.run_once()
    assert (score_of(updater), score_of(updater, "llama"), updater.learned.version) == (2.3, None, 1)
    learn_once(database, database_url)
    updater.run_once()
    assert (score_of(updater), score_of(updater, "llama")) == (2.6, 2.3), "and so are the scores that come after"


def test_a_forged_version_does_not_last(new_updater: NewUpdater, database: Database, database_url: str) -> None:
    updater = new_updater("i-1", reconcile_interval_seconds=0)
    learn_once(database, database_url)
    send_manual_score(database_url, 0.5, version=10**15)
    for _ in range(3):
        updater.run_once()
    assert (score_of(updater), updater.learned.version) == (2.3, 1)


def test_a_run_that_waits_replaces_a_manual_score_that_was_sent_meanwhile(
    new_updater: NewUpdater, database: Database, database_url: str
) -> None:
    send(database_url, outcomes(100, 0, complexity_score=2.0))
    drain(database, batch_size=1000)
    with psycopg.connect(database_url) as other:
        other.execute("SELECT pg_advisory_xact_lock(hashtext('centralcloud.scores'))")
        thread = threading.Thread(target=Learner(database, [ThresholdRule()]).learn)
        thread.start()
        waiting = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        eventually(lambda: execute(database_url, waiting), what="the run waiting for the score lock")
        send_manual_score(database_url, 1.0)
        other.rollback()
        thread.join()
    for name in ("i-1", "i-2"):
        updater = new_updater(name)
        updater.run_once()
        assert score_of(updater) == 2.3


def test_routing_uses_scores_that_could_not_be_written(
    agent: InstanceAgent, database: Database, database_url: str, tmp_path: Path
) -> None:
    learn_once(database, database_url, model="good")
    eventually(lambda: agent.router.route("complex").model.name == "good")
    state = tmp_path / "state"
    shutil.rmtree(state)
    state.write_text("a file where the folder should be")
    for _ in range(4):
        learn_once(database, database_url, model="bad", score=2.1)
    eventually(lambda: agent.updater.learned.version == 5)
    for _ in range(3):
        assert agent.router.route("complex").model.name == "bad"


def test_a_notification_brings_a_score_long_before_the_poll(
    new_updater: NewUpdater, database: Database, database_url: str
) -> None:
    updater = new_updater("i-1", poll_interval_seconds=3600)
    listener = NotificationListener(database, {UPDATES_CHANNEL: updater.wake})
    updater.start()
    listener.start()
    try:
        eventually(
            lambda: execute(
                database_url,
                "SELECT 1 FROM pg_stat_activity WHERE datname = current_database()"
                " AND query ~ '^(LISTEN|SELECT set_config.*pg_notify)'",
            )
        )
        learn_once(database, database_url)
        eventually(lambda: score_of(updater) == 2.3)
    finally:
        for task in (updater, listener):
            task.stop()
        assert updater.join(5)
        assert listener.join(5)


def test_an_update_is_used_before_it_is_acknowledged(
    new_updater: NewUpdater, database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A notification wakes the whole fleet: an instance that has the scores pauses before it acknowledges them."""
    monkeypatch.setattr("instance_agent.sync.score_updater._PAUSE_SECONDS", (3600, 3600))
    updater = new_updater("i-1", poll_interval_seconds=3600)
    acknowledged = "SELECT applied_version FROM instances"
    updater.start()
    try:
        eventually(lambda: execute(database_url, acknowledged) == [(0,)])
        learn_once(database, database_url)
        updater.wake()
        eventually(lambda: score_of(updater) == 2.3)
        assert execute(database_url, acknowledged) == [(0,)]
    finally:
        updater.stop()
        assert updater.join(5)
    assert execute(database_url, acknowledged) == [(1,)]


def test_with_a_full_disk_scores_are_used_and_not_acknowledged(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    used = []
    blocked = tmp_path / "state"
    updater = ScoreUpdater(database, instance_id="i-1", file=LearnedScoresFile(blocked), on_change=used.append)
    blocked.write_text("a file where the folder should be")
    learn_once(database, database_url)
    updater.run_once()
    assert used[-1].scores["gpt-4o", "complex"].score == 2.3
    assert execute(database_url, "SELECT count(*) FROM instances") == [(0,)]
    blocked.unlink()
    updater.run_once()
    assert execute(database_url, "SELECT applied_version FROM instances") == [(1,)]


def test_a_version_from_the_future_is_reset(new_updater: NewUpdater, database: Database, database_url: str) -> None:
    """The state file was damaged, or written by another program; so was an acknowledgement."""
    learn_once(database, database_url)
    first = new_updater("i-1")
    first.run_once()
    first._file.write(replace(first.learned, version=2**63 - 1))
    updater = new_updater("i-1")
    assert updater.learned.version == 2**63 - 1
    updater.run_once()
    assert (updater.learned.version, score_of(updater)) == (1, 2.3)
    execute(database_url, "SELECT centralcloud.acknowledge('i-1', 9223372036854775807)")
    assert execute(database_url, "SELECT applied_version FROM instances") == [(1,)]


def test_a_storm_of_notifications_costs_a_bounded_rate_of_polls(
    new_updater: NewUpdater, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    updater = new_updater("i-1", poll_interval_seconds=3600)
    updater._wakes = TokenBucket(per_second=2, burst=1)
    polled = []
    read = updater._read
    monkeypatch.setattr(updater, "_read", lambda *args, **named: (polled.append(1), read(*args, **named))[1])
    updater.start()
    try:
        eventually(lambda: polled, what="the first poll")
        started = time.monotonic()
        while len(polled) < 4:
            updater.wake()
        assert time.monotonic() - started > 2 * 0.5
    finally:
        updater.stop()
        assert updater.join(5)
