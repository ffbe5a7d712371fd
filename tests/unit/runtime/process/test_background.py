"""The one shape of background tasks: run, wait, wake up, stall, stop."""

import threading

import psycopg_pool
import pytest
from support.counting_task import Counting, stop
from support.waiting import eventually

from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.errors import DatabaseUnavailableError
from centralcloud.runtime.postgres.notifications import NotificationListener
from centralcloud.runtime.process.background import GRACE_SECONDS, BackgroundTask
from centralcloud.runtime.process.heartbeat import Heartbeat
from centralcloud.runtime.process.supervisor import Supervisor
from centralcloud.runtime.process.systemd import ServiceManager


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


def test_a_pause_in_a_run_ends_when_the_task_is_woken_again(nowhere: Database) -> None:
    task = Pausing(nowhere)
    task.start()
    eventually(lambda: task.runs == 1)
    task.wake()
    eventually(lambda: task.pausing)
    task.wake()
    eventually(lambda: task.runs == 3)
    stop(task)


def test_a_pool_has_the_connections_that_tasks_reserve(nowhere: Database) -> None:
    own = nowhere.max_connections
    assert own == 8, "nothing is reserved"
    tasks = [Counting(nowhere), Counting(nowhere), NotificationListener(nowhere, {"channel": lambda: None})]
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
