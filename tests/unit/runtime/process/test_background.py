"""The one loop shape: it runs, waits, wakes, survives outages, dies loudly."""

import threading
import time

import psycopg
import pytest
from support.waiting import eventually

from centralcloud.contracts import CentralCloudError
from centralcloud.runtime.postgres.batch_send import send_isolating_rejects
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.errors import DatabaseUnavailableError, is_outage, retry_on_contention
from centralcloud.runtime.process.background import BackgroundTask
from centralcloud.runtime.process.supervisor import Supervisor
from centralcloud.runtime.process.systemd import ServiceManager


@pytest.fixture
def nowhere() -> Database:
    return Database("postgresql://nobody@127.0.0.1:1/none", application_name="tests")


class Counting(BackgroundTask):
    """Counts its runs, and fails as it is told."""

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


def end(part: BackgroundTask) -> None:
    part.stop()
    assert part.join(5)


def test_a_part_runs_at_the_start_and_then_when_woken(nowhere: Database) -> None:
    part = Counting(nowhere)
    part.start()
    eventually(lambda: part.runs == 1)
    part.wake()
    eventually(lambda: part.runs == 2)
    end(part)
    assert part.runs == 2
    assert part.released


def test_a_part_runs_again_after_its_interval(nowhere: Database) -> None:
    part = Counting(nowhere, interval_seconds=0.01)
    part.start()
    eventually(lambda: part.runs >= 5)
    end(part)


def test_a_part_goes_on_at_once_while_there_is_more(nowhere: Database) -> None:
    part = Counting(nowhere)
    part.more = 50
    part.start()
    eventually(lambda: part.runs == 50)
    end(part)


def test_an_outage_is_waited_out_and_said_once(nowhere: Database, caplog: pytest.LogCaptureFixture) -> None:
    failures = [psycopg.OperationalError("gone"), DatabaseUnavailableError("gone"), psycopg.InterfaceError("closed")]
    part = Counting(nowhere, interval_seconds=0.01, failures=failures)
    part.start()
    eventually(lambda: part.runs >= 5)
    end(part)
    assert caplog.text.count("database_unavailable") == 1
    assert not nowhere.unavailable


def test_every_reason_of_an_outage_is_said_once(nowhere: Database, caplog: pytest.LogCaptureFixture) -> None:
    """What is heard first is seldom why it lasts."""
    broken, refused = "server closed the connection", 'password authentication failed for user "u"'
    answers = [f"no answer, given up after {seconds} seconds" for seconds in (5.0, 5.1, 4.9)]
    for who, text in [("a", broken), ("b", refused), ("a", refused), ("b", broken), *(("a", each) for each in answers)]:
        nowhere.mark_unavailable(who, psycopg.OperationalError(text))
        assert nowhere.unavailable_reason == text
    said = [(record.msg["event"], record.msg["reason"]) for record in caplog.records]  # type: ignore[index]
    assert said == [
        ("database_unavailable", broken),
        ("database_still_unavailable", refused),
        ("database_still_unavailable", answers[0]),
    ]
    nowhere.mark_available("a")
    nowhere.mark_available("b")
    assert nowhere.unavailable_reason == ""
    nowhere.mark_unavailable("a", psycopg.OperationalError(refused))
    assert caplog.records[-1].msg["event"] == "database_unavailable"  # type: ignore[index]


def test_a_part_that_hangs_is_overdue_and_one_that_waits_is_not(nowhere: Database) -> None:
    released = threading.Event()

    class Hanging(Counting):
        def run_once(self) -> bool:
            super().run_once()
            released.wait(10)
            return False

    waiting, hanging = Counting(nowhere), Hanging(nowhere)
    waiting.start()
    hanging.start()
    eventually(lambda: waiting.runs == 1 and hanging.runs == 1 and hanging.seconds_overdue > 0.1)
    assert waiting.seconds_overdue <= 0
    released.set()
    eventually(lambda: hanging.seconds_overdue <= 0)
    end(waiting)
    end(hanging)


def test_an_outage_lasts_until_whoever_failed_has_succeeded(
    nowhere: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """On a read-only server some parts work and others do not: that is one outage, not one a second."""
    caplog.set_level("INFO")
    failing = Counting(nowhere, failures=[psycopg.errors.ReadOnlySqlTransaction("25006")] * 3)
    working = Counting(nowhere, interval_seconds=0.01)
    working.name = "working"
    failing.start()
    working.start()
    eventually(lambda: failing.runs == 4)
    end(failing)
    end(working)
    assert working.runs > 10
    assert (caplog.text.count("database_unavailable"), caplog.text.count("database_restored")) == (1, 1)


def test_contention_is_no_outage(nowhere: Database) -> None:
    part = Counting(
        nowhere, failures=[psycopg.errors.LockNotAvailable("busy"), psycopg.errors.DeadlockDetected("deadlock")]
    )
    part.start()
    eventually(lambda: part.runs == 3)
    end(part)
    assert not nowhere.unavailable


def test_a_right_that_is_missing_ends_the_program_with_what_to_do(nowhere: Database) -> None:
    part = Counting(nowhere, failures=[psycopg.errors.InsufficientPrivilege("permission denied for table t")])
    crashes: list[BaseException] = []
    part.on_crash = lambda _name, error: crashes.append(error)
    part.start()
    eventually(lambda: crashes)
    assert isinstance(crashes[0], CentralCloudError)
    assert str(crashes[0]).startswith("permission denied for table t: `centralcloud doctor` names")


def test_a_fault_ends_the_program_loudly(nowhere: Database) -> None:
    part = Counting(nowhere, failures=[ZeroDivisionError("fault")])
    supervisor = Supervisor([part])
    supervisor.start()
    with pytest.raises(Exception, match="a part died: ZeroDivisionError: fault"):
        supervisor.wait(ServiceManager({}))
    supervisor.stop()
    assert part.released


def test_stopping_before_the_start_runs_nothing(nowhere: Database) -> None:
    part = Counting(nowhere)
    part.stop()
    part.start()
    assert part.join(5)
    assert part.runs == 0


def test_stop_ends_a_wait_at_once(nowhere: Database) -> None:
    part = Counting(nowhere, interval_seconds=3600)
    part.start()
    eventually(lambda: part.runs == 1)
    stopper = threading.Thread(target=part.stop)
    stopper.start()
    assert part.join(5)
    stopper.join()


class Pausing(Counting):
    """Pauses for very long in the runs that it was woken for."""

    pausing = False

    def run_once(self) -> bool:
        super().run_once()
        if self.woken:
            self.pausing = True
            self.pause(3600)
            self.pausing = False
        return False


def test_a_run_knows_whether_it_was_woken_for(nowhere: Database) -> None:
    part = Pausing(nowhere, interval_seconds=0.01)
    part.start()
    eventually(lambda: part.runs >= 3)
    assert not part.pausing, "those were of the clock"
    part.wake()
    eventually(lambda: part.pausing)
    end(part)


def test_a_pause_in_a_run_ends_when_the_part_is_woken_again(nowhere: Database) -> None:
    part = Pausing(nowhere)
    part.start()
    eventually(lambda: part.runs == 1)
    part.wake()
    eventually(lambda: part.pausing)
    part.wake()
    eventually(lambda: part.runs == 3)
    end(part)


def test_a_command_tries_again_when_another_transaction_is_in_the_way() -> None:
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
def test_a_batch_is_sent_around_what_the_database_refuses(error: type[psycopg.Error]) -> None:
    sent: list[int] = []

    def send(batch) -> None:
        if 7 in batch or 12 in batch:
            raise error("refused")
        sent.extend(batch)

    refused = send_isolating_rejects(list(range(20)), send)
    assert [item for item, _ in refused] == [7, 12]
    assert sent == [item for item in range(20) if item not in (7, 12)]


def test_an_outage_is_no_refusal() -> None:
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
def test_what_counts_as_an_outage(error: Exception, outage: bool) -> None:
    assert is_outage(error) is outage


def test_a_run_that_may_take_long_is_not_overdue_for_it() -> None:
    class Slow(BackgroundTask):
        def run_once(self) -> bool:
            raise NotImplementedError

    quick, slow = (Slow(name, None, interval_seconds=1.0) for name in ("quick", "slow"))  # type: ignore[arg-type]
    slow.longest_run_seconds = 600.0
    for part in (quick, slow):
        part._thread = threading.current_thread()
        part._advanced_at = time.monotonic() - 100
    assert quick.seconds_overdue > 90
    assert slow.seconds_overdue < 0
