"""The one shape of background tasks: run, wait, wake up, survive outages, fail loudly."""

import threading
import time

import psycopg
import psycopg_pool
import pytest
from support.waiting import eventually

from centralcloud.contracts import CentralCloudError
from centralcloud.runtime.postgres.batch_send import send_isolating_rejects
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.errors import DatabaseUnavailableError, is_outage, retry_on_contention
from centralcloud.runtime.postgres.notifications import NotificationListener
from centralcloud.runtime.process import background
from centralcloud.runtime.process.background import GRACE_SECONDS, BackgroundTask
from centralcloud.runtime.process.heartbeat import Heartbeat
from centralcloud.runtime.process.supervisor import Supervisor
from centralcloud.runtime.process.systemd import ServiceManager
from centralcloud.store.sequences import SequencesBehindError


@pytest.fixture
def nowhere() -> Database:
    return Database("postgresql://user@127.0.0.1:1/none", application_name="tests")


class Counting(BackgroundTask):
    """Counts its runs; fails with the given errors first."""

    def __init__(
        self, database: Database, *, interval_seconds: float | None = None, failures: list | None = None
    ) -> None:
        super().__init__("counting", database, interval_seconds=interval_seconds)
        self.runs = 0
        self.more = 0
        self.failures = failures or []
        self.released = False

    def run_once(self) -> bool:
        self.runs += 1
        if self.failures:
            raise self.failures.pop(0)
        self.more -= 1
        return self.more > 0

    def on_stop(self) -> None:
        self.released = True


def stop(task: BackgroundTask) -> None:
    task.stop()
    assert task.join(5)


def test_a_task_runs_at_the_start_and_then_when_woken(nowhere: Database) -> None:
    task = Counting(nowhere)
    task.start()
    eventually(lambda: task.runs == 1)
    task.wake()
    eventually(lambda: task.runs == 2)
    stop(task)
    assert task.runs == 2
    assert task.released


def test_a_run_that_fails_after_the_stop_is_not_an_outage(nowhere: Database, caplog: pytest.LogCaptureFixture) -> None:
    """The pool may be closed before a run has ended."""
    running, closed = threading.Event(), threading.Event()

    class Waiting(BackgroundTask):
        def run_once(self) -> bool:
            running.set()
            closed.wait(5)
            raise psycopg_pool.PoolClosed("the pool 'pool-1' is closed")

    task = Waiting("waiting", nowhere, interval_seconds=None)
    task.start()
    assert running.wait(5)
    task.stop()
    closed.set()
    assert task.join(5)
    assert not nowhere.unavailable
    assert "pool" not in caplog.text


def test_a_stop_returns_after_the_report_of_an_outage_that_has_begun(
    nowhere: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the report could follow the last line of the program."""
    begun, may_end = threading.Event(), threading.Event()

    def report(_task: str, _error: BaseException) -> None:
        begun.set()
        may_end.wait(5)

    monkeypatch.setattr(nowhere, "mark_unavailable", report)
    task = Counting(nowhere, failures=[DatabaseUnavailableError("no route")])
    task.start()
    assert begun.wait(5)
    stopping = threading.Thread(target=task.stop)
    stopping.start()
    stopping.join(0.1)
    assert stopping.is_alive()
    may_end.set()
    stopping.join(5)
    assert not stopping.is_alive()
    assert task.join(5)


def test_a_task_runs_again_after_its_interval(nowhere: Database) -> None:
    task = Counting(nowhere, interval_seconds=0.01)
    task.start()
    eventually(lambda: task.runs >= 5)
    stop(task)


def test_a_task_goes_on_at_once_while_there_is_more(nowhere: Database) -> None:
    task = Counting(nowhere)
    task.more = 50
    task.start()
    eventually(lambda: task.runs == 50)
    stop(task)


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


def test_a_task_that_blocks_is_stalled_and_one_that_waits_is_not(
    nowhere: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("centralcloud.runtime.process.background.GRACE_SECONDS", 0.3)
    released = threading.Event()

    class Blocking(Counting):
        def run_once(self) -> bool:
            super().run_once()
            released.wait(10)
            return False

    waiting, ticking, blocking = Counting(nowhere), Counting(nowhere, interval_seconds=0.01), Blocking(nowhere)
    blocking.heartbeat.name = "blocking"
    supervisor = Supervisor([waiting, ticking, blocking])
    supervisor.start()
    eventually(supervisor.stalled_tasks)
    assert supervisor.stalled_tasks() == ["blocking: last heartbeat 0 seconds ago, limit 0"]
    assert waiting.heartbeat.age_seconds == 0.0, "it waits without a limit"
    assert ticking.runs > 5
    released.set()
    eventually(lambda: not supervisor.stalled_tasks())
    supervisor.stop()


def test_the_age_of_a_heartbeat_is_limited_by_interval_and_longest_run(nowhere: Database) -> None:
    task = Counting(nowhere, interval_seconds=5.0)
    assert task.heartbeat.limit_seconds == 5.0 + GRACE_SECONDS
    task.longest_run_seconds = 600.0
    assert task.heartbeat.limit_seconds == 5.0 + 600.0 + GRACE_SECONDS


def test_a_stalled_task_is_named_with_its_age(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("centralcloud.runtime.process.heartbeat.time.monotonic", lambda: now)
    heartbeat = Heartbeat("learner", lambda: 660.0)
    assert not heartbeat.stalled, "not started"
    heartbeat.beat()
    now += 660.0
    assert not heartbeat.stalled
    now += 1.0
    assert heartbeat.stalled
    assert str(heartbeat) == "learner: last heartbeat 661 seconds ago, limit 660"
    heartbeat.rest()
    assert not heartbeat.stalled


def test_a_stall_is_logged_once_and_so_is_its_end(
    nowhere: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    monkeypatch.setattr("centralcloud.runtime.process.background.GRACE_SECONDS", 0.1)
    monkeypatch.setattr("centralcloud.runtime.process.supervisor._WATCH_SECONDS", 0.02)
    released = threading.Event()

    class Blocking(Counting):
        def run_once(self) -> bool:
            released.wait(10)
            return False

    supervisor = Supervisor([Blocking(nowhere)])
    supervisor.start()
    main = threading.Thread(target=lambda: supervisor.wait(ServiceManager({})))
    main.start()
    eventually(lambda: "background_task_stalled" in caplog.text)
    released.set()
    eventually(lambda: "background_task_resumed" in caplog.text)
    supervisor.stop()
    main.join(5)
    assert caplog.text.count("background_task_stalled") == 1


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


def test_stopping_before_the_start_runs_nothing(nowhere: Database) -> None:
    task = Counting(nowhere)
    task.stop()
    task.start()
    assert task.join(5)
    assert task.runs == 0


def test_stop_ends_a_wait_at_once(nowhere: Database) -> None:
    task = Counting(nowhere, interval_seconds=3600)
    task.start()
    eventually(lambda: task.runs == 1)
    stopper = threading.Thread(target=task.stop)
    stopper.start()
    assert task.join(5)
    stopper.join()


class Pausing(Counting):
    """Pauses for a long time in every run that `wake` started."""

    pausing = False

    def run_once(self) -> bool:
        super().run_once()
        if self.woken:
            self.pausing = True
            self.pause(3600)
            self.pausing = False
        return False


def test_a_run_knows_whether_wake_started_it(nowhere: Database) -> None:
    task = Pausing(nowhere, interval_seconds=0.01)
    task.start()
    eventually(lambda: task.runs >= 3)
    assert not task.pausing, "the clock started those"
    task.wake()
    eventually(lambda: task.pausing)
    stop(task)


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


def test_a_pause_in_a_run_ends_when_the_task_is_woken_again(nowhere: Database) -> None:
    task = Pausing(nowhere)
    task.start()
    eventually(lambda: task.runs == 1)
    task.wake()
    eventually(lambda: task.pausing)
    task.wake()
    eventually(lambda: task.runs == 3)
    stop(task)


def test_a_command_retries_when_another_transaction_is_in_the_way() -> None:
    failures: list[Exception] = [psycopg.errors.LockNotAvailable("busy")] * 3

    def work() -> str:
        if failures:
            raise failures.pop()
        return "done"

    assert retry_on_contention(work) == "done"
    failures = [psycopg.errors.LockNotAvailable("busy")] * 99
    with pytest.raises(psycopg.errors.LockNotAvailable):
        retry_on_contention(work)
    failures = [psycopg.errors.UndefinedTable("gone")]
    with pytest.raises(psycopg.errors.UndefinedTable):
        retry_on_contention(work)


@pytest.mark.parametrize("error", [psycopg.errors.ProgramLimitExceeded, psycopg.errors.UntranslatableCharacter])
def test_a_batch_is_sent_without_the_items_that_the_database_rejects(error: type[psycopg.Error]) -> None:
    sent: list[int] = []

    def send(batch) -> None:
        if 7 in batch or 12 in batch:
            raise error("rejected")
        sent.extend(batch)

    rejected = send_isolating_rejects(list(range(20)), send)
    assert [item for item, _ in rejected] == [7, 12]
    assert sent == [item for item in range(20) if item not in (7, 12)]


def test_an_outage_is_not_a_rejection() -> None:
    def send(batch) -> None:
        raise psycopg.OperationalError("gone")

    with pytest.raises(psycopg.OperationalError):
        send_isolating_rejects([1, 2], send)


@pytest.mark.parametrize(
    ("error", "outage"),
    [
        (psycopg.errors.AdminShutdown("57P01"), True),
        (psycopg.errors.DiskFull("53100"), True),
        (psycopg.errors.ReadOnlySqlTransaction("25006"), True),
        (psycopg.errors.UniqueViolation("23505"), False),
        (psycopg.errors.NumericValueOutOfRange("22003"), False),
        (psycopg.errors.UndefinedTable("42P01"), False),
        (psycopg.errors.ProgramLimitExceeded("54000"), False),
        (ValueError("x"), False),
    ],
)
def test_which_errors_count_as_an_outage(error: Exception, outage: bool) -> None:
    assert is_outage(error) is outage


def test_a_pool_has_the_connections_that_tasks_reserve(nowhere: Database) -> None:
    own = nowhere.max_connections
    assert own == 8, "nothing is reserved"
    tasks = [Counting(nowhere), Counting(nowhere), NotificationListener(nowhere, "channel", lambda: None)]
    tasks[0].connections = 3
    supervisor = Supervisor(tasks)
    assert supervisor.connections == 4, "a listener has a connection of its own"
    supervisor.reserve_connections(nowhere)
    assert nowhere.max_connections == own + 4, "the caller, whose database it is, keeps its own"
    other = Supervisor([Counting(nowhere)])
    other.reserve_connections(nowhere)
    assert nowhere.max_connections == own + 5, "two programs share one database"
    for stopped in (supervisor, supervisor, other):
        stopped.stop()
    assert nowhere.max_connections == own


def test_a_program_whose_tasks_do_all_the_work_needs_no_other_connections() -> None:
    database = Database("postgresql://user@127.0.0.1:1/none", application_name="tests", own_connections=0)
    Supervisor([Counting(database), Counting(database)]).reserve_connections(database)
    assert database.max_connections == 2


def test_a_size_that_was_given_stays() -> None:
    database = Database("postgresql://user@127.0.0.1:1/none", application_name="tests", max_connections=2)
    database.reserve(10)
    assert database.max_connections == 2
