"""A background task whose run fails: it survives an outage, degrades, or ends the program loudly."""

import time

import psycopg
import pytest
from support.counting_task import Counting, stop
from support.waiting import eventually

from centralcloud.contracts import CentralCloudError
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.errors import DatabaseUnavailableError
from centralcloud.runtime.process import background
from centralcloud.runtime.process.supervisor import Supervisor
from centralcloud.runtime.process.systemd import ServiceManager
from centralcloud.store.sequences import SequencesBehindError


def test_runs_are_repeated_during_an_outage_which_is_logged_once(
    nowhere: Database, caplog: pytest.LogCaptureFixture
) -> None:
    failures = [psycopg.OperationalError("gone"), DatabaseUnavailableError("gone"), psycopg.InterfaceError("closed")]
    task = Counting(nowhere, interval_seconds=0.01, failures=failures)
    task.start()
    eventually(lambda: task.runs >= 5)
    stop(task)
    assert caplog.text.count("database_unavailable") == 1
    assert not nowhere.unavailable


def test_every_reason_of_an_outage_is_logged_once(nowhere: Database, caplog: pytest.LogCaptureFixture) -> None:
    """The first reason is seldom the lasting one."""
    broken, refused = "server closed the connection", 'password authentication failed for user "u"'
    answers = [f"no answer from the server, gave up after {seconds} seconds" for seconds in (5.0, 5.1, 4.9)]
    for task, text in [
        ("a", broken),
        ("b", refused),
        ("a", refused),
        ("b", broken),
        *(("a", each) for each in answers),
    ]:
        nowhere.mark_unavailable(task, psycopg.OperationalError(text))
        assert nowhere.unavailable_reason == (f"login_refused: {text}" if text == refused else text)
    logged = [(record.msg["event"], record.msg["reason"]) for record in caplog.records]  # type: ignore[index]
    assert logged == [
        ("database_unavailable", broken),
        ("login_refused", refused),
        ("database_still_unavailable", answers[0]),
    ]
    nowhere.mark_available("a")
    nowhere.mark_available("b")
    assert nowhere.unavailable_reason == ""
    nowhere.mark_unavailable("a", psycopg.OperationalError(broken))
    assert caplog.records[-1].msg["event"] == "database_unavailable"  # type: ignore[index]


def test_an_outage_lasts_until_every_task_that_failed_has_succeeded(
    nowhere: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """On a read-only server some tasks work and others do not: that is one outage, not one per second."""
    caplog.set_level("INFO")
    failing = Counting(nowhere, failures=[psycopg.errors.ReadOnlySqlTransaction("25006")] * 3)
    working = Counting(nowhere, interval_seconds=0.01)
    working.name = "working"
    failing.start()
    working.start()
    eventually(lambda: failing.runs == 4)
    stop(failing)
    stop(working)
    assert working.runs > 10
    assert (caplog.text.count("database_unavailable"), caplog.text.count("database_restored")) == (1, 1)


def test_contention_is_not_an_outage(nowhere: Database) -> None:
    task = Counting(
        nowhere, failures=[psycopg.errors.LockNotAvailable("busy"), psycopg.errors.DeadlockDetected("deadlock")]
    )
    task.start()
    eventually(lambda: task.runs == 3)
    stop(task)
    assert not nowhere.unavailable


def test_a_missing_right_ends_the_program_with_advice(nowhere: Database) -> None:
    task = Counting(nowhere, failures=[psycopg.errors.InsufficientPrivilege("permission denied for table t")])
    crashes: list[BaseException] = []
    task.on_crash = lambda _name, error: crashes.append(error)
    task.start()
    eventually(lambda: crashes)
    assert isinstance(crashes[0], CentralCloudError)
    assert str(crashes[0]).startswith("permission denied for table t: `centralcloud doctor` names")


def test_a_task_that_fails_ends_the_program_loudly(nowhere: Database) -> None:
    task = Counting(nowhere, failures=[ZeroDivisionError("fault")])
    supervisor = Supervisor([task])
    supervisor.start()
    with pytest.raises(
        Exception, match="stopped because the background task counting failed: ZeroDivisionError: fault"
    ):
        supervisor.wait(ServiceManager({}))
    supervisor.stop()
    assert task.released


def test_a_task_that_may_degrade_fails_alone_until_a_run_succeeds(
    nowhere: Database, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level("INFO")
    monkeypatch.setattr(background, "_FIRST_DEGRADED_BACKOFF_SECONDS", 0.01)
    failures = [ZeroDivisionError("fault"), ZeroDivisionError("fault"), SystemExit(3), psycopg.OperationalError("gone")]
    task, seen = Counting(nowhere, failures=failures), []
    task.may_degrade = True
    task.on_state = lambda task: seen.append(task.degradation)
    task.start()
    eventually(lambda: len(seen) == 4)
    stop(task)
    assert [each and (each.reason, each.failures) for each in seen] == [
        ("ZeroDivisionError: fault", 1), ("ZeroDivisionError: fault", 2), ("SystemExit: 3", 3), None,
    ]  # fmt: skip
    assert task.degradation is None
    degraded = [record for record in caplog.records if "background_task_degraded" in record.getMessage()]
    assert len(degraded) == 2, "each reason once, with its traceback"
    assert "ZeroDivisionError: fault" in degraded[0].getMessage()
    assert "Traceback" in degraded[0].getMessage()
    assert caplog.text.count("background_task_restored") == 1
    assert not nowhere.unavailable


def test_a_sequence_behind_its_table_degrades_a_task_and_leaves_the_database_available(
    nowhere: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The daemon stays ready as long as ingest goes on; ingest itself waits as in an outage."""
    monkeypatch.setattr(background, "_FIRST_DEGRADED_BACKOFF_SECONDS", 10.0)
    monkeypatch.setattr(background, "_FIRST_BACKOFF_SECONDS", 10.0)
    behind = SequencesBehindError("public.findings_finding_id_seq is at 1, public.findings at 50")
    findings, consumer = Counting(nowhere, failures=[behind]), Counting(nowhere, failures=[behind])
    findings.may_degrade = True
    findings.start()
    degradation = eventually(lambda: findings.degradation)
    assert degradation.reason == str(behind)
    assert nowhere.unavailable_reason == ""
    consumer.start()
    eventually(lambda: nowhere.unavailable_reason == str(behind))
    assert consumer.degradation is None
    stop(findings)
    stop(consumer)


def test_a_degraded_task_stops_at_once_and_says_so(nowhere: Database) -> None:
    task, seen = Counting(nowhere, failures=[ZeroDivisionError("fault")]), []
    task.may_degrade = True
    task.on_state = lambda task: seen.append(task.stopping)
    task.start()
    eventually(lambda: seen == [False])
    started = time.monotonic()
    stop(task)
    assert time.monotonic() - started < 0.4, "the backoff, at least half a second, does not delay it"
    assert seen == [False, True]


@pytest.mark.parametrize("error", [MemoryError("no memory left"), KeyboardInterrupt()])
def test_an_error_of_the_whole_process_ends_it_even_if_the_task_may_degrade(
    nowhere: Database, error: BaseException
) -> None:
    task, crashes = Counting(nowhere, failures=[error]), []
    task.may_degrade = True
    task.on_crash = lambda name, error: crashes.append((name, error))
    task.start()
    eventually(lambda: crashes == [("counting", error)])
    assert task.join(5)


def test_a_wake_during_the_backoff_of_a_failed_run_is_not_lost(nowhere: Database) -> None:
    """Maintenance by a calendar, for example, is woken once for each round."""
    woken: list[bool] = []

    class Noting(Counting):
        def run_once(self) -> bool:
            woken.append(self.woken)
            if len(woken) == 1:
                self.wake()
            return super().run_once()

    task = Noting(nowhere, failures=[DatabaseUnavailableError("gone")])
    task.start()
    eventually(lambda: len(woken) == 2)
    stop(task)
    assert woken == [False, True]
