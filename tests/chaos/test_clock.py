"""A server whose clock is set while it runs: what is deleted, leased, hidden or refused by time does not follow a jump."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from support.events import an_event, send
from support.faked_clock import FakedClock, a_server_with_a_clock
from support.history import pretend_all_came
from support.load import load, records
from support.programs import Program
from support.servers import execute, with_database
from support.waiting import eventually

from centralcloud.administration.verification import verify
from centralcloud.ingest.batch_ingest import BatchResult
from centralcloud.ingest.drain import drain
from centralcloud.maintenance.clock import ServerClock
from centralcloud.maintenance.clock_monitor import ClockMonitor
from centralcloud.maintenance.maintenance import Maintenance
from centralcloud.maintenance.retention import Retention
from centralcloud.monitoring.fleet_minutes import FleetMinuteRecorder
from centralcloud.monitoring.upkeep_checks import check_retention
from centralcloud.runtime.diagnostics import CheckResult, Verdict, ok
from centralcloud.runtime.postgres.database import Database
from centralcloud.store.leases import acquire_lease
from centralcloud.store.partitions import ensure_partitions, missing_weeks
from centralcloud.store.schema import migrate

DAY = 86_400.0
_DECISION_IDS = "SELECT count(*) FROM decision_ids"


@pytest.fixture(scope="module")
def faked() -> Iterator[FakedClock]:
    with a_server_with_a_clock() as clock:
        with Database(clock.url, application_name="tests") as database:
            migrate(database)
            ensure_partitions(database)
        with psycopg.connect(clock.url, autocommit=True) as connection:
            connection.execute("CREATE DATABASE template TEMPLATE postgres")
        yield clock


@pytest.fixture
def clock(faked: FakedClock) -> Iterator[FakedClock]:
    """The clock of a server whose database has the newest schema and nothing in it; as of now."""
    with psycopg.connect(faked.url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE test TEMPLATE template STRATEGY file_copy")
        try:
            clock = FakedClock(with_database(faked.url, "test"), faked._file)
            yield clock
        finally:
            faked.set(0)
            connection.execute("DROP DATABASE test WITH (FORCE)")


@pytest.fixture
def database(clock: FakedClock) -> Iterator[Database]:
    with Database(clock.url, application_name="tests") as database:
        yield database


class Ticking:
    """Counts seconds as a clock that is never set; `forward` lets time go on for it and for the server."""

    def __init__(self, clock: FakedClock) -> None:
        self._clock = clock
        self._passed = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self._passed

    def forward(self, seconds: float) -> None:
        self._passed += seconds
        self._clock.set(self._passed)


def now_events(count: int, *, ahead: timedelta = timedelta(0), instance_id: str = "i") -> list[dict]:
    """Make outcomes with ids, of now by the clock of this machine."""
    at = (datetime.now().astimezone() + ahead).isoformat()
    return [
        an_event(instance_id, outcome="success", decision_id=f"{instance_id}-{n}") | {"timestamp": at}
        for n in range(count)
    ]


def ingest(database: Database) -> BatchResult:
    return drain(database, batch_size=100).result


def retention_check(database: Database) -> CheckResult:
    with database.transaction() as connection:
        return check_retention(connection)


def findings(url: str) -> list[str]:
    return [kind for (kind,) in execute(url, "SELECT kind FROM findings WHERE closed_at IS NULL ORDER BY kind")]


@pytest.mark.parametrize("days", [200, pytest.param(60, marks=pytest.mark.soak)])
def test_a_clock_that_jumps_ahead_for_a_moment_deletes_nothing(
    clock: FakedClock, database: Database, days: int
) -> None:
    """Not by the daemon that ran before, nor by one that starts while the clock is wrong; and time goes on afterwards."""
    send(clock.url, now_events(400))
    drain(database, batch_size=1000)
    pretend_all_came(clock.url, 100)  # what retention should drop, and not before the clock is steady
    events = now_events(400, instance_id="j")
    send(clock.url, events)
    drain(database, batch_size=1000)
    ticking = Ticking(clock)
    running = ServerClock(database, counted_seconds=ticking)
    running.observe()
    for each, seconds in ((running, days * DAY), (ServerClock(database), days * DAY), (running, 0.0)):
        clock.set(seconds)
        Maintenance(database, clock=each).maintain()
        assert (records(clock.url), execute(clock.url, _DECISION_IDS)) == (800, [(800,)])
        check = retention_check(database)
        assert check.verdict == Verdict.WARN
        assert check.found.startswith("retention deletes nothing until")
        assert findings(clock.url) == ["server_clock_jumped"]
    send(clock.url, events)
    assert ingest(database).duplicates == 400, "a resend is not counted again"
    ticking.forward(DAY + 60)
    Maintenance(database, clock=running).maintain()
    assert records(clock.url) == 400, "a day later retention goes on"
    assert execute(clock.url, _DECISION_IDS) == [(800,)], "nothing of the last days"
    assert retention_check(database) == ok("the server's clock is steady")
    assert findings(clock.url) == []
    assert verify(database).differences == []


def test_a_round_deletes_little_even_after_a_jump_that_lasts(clock: FakedClock, database: Database) -> None:
    """After a day the new time counts. Retention goes on step by step, and never past the newest arrival."""
    ids = 10
    send(clock.url, now_events(ids))
    drain(database, batch_size=100)
    ticking = Ticking(clock)
    server_clock = ServerClock(database, counted_seconds=ticking)
    maintenance = Maintenance(database, clock=server_clock, retention=Retention(decision_ids_days=7))
    maintenance.maintain()
    ticking._clock.set(60 * DAY)
    maintenance.maintain()
    ticking._passed = DAY  # a day of steady time, at the wrong time
    clock.set(61 * DAY)
    for _ in range(3):
        maintenance.maintain()
        assert execute(clock.url, _DECISION_IDS) == [(ids,)], "the newest arrival says that no time has passed"
    ((stored,),) = execute(clock.url, "SELECT extract(epoch FROM now() - retention_as_of) / 86400 FROM server_clock")
    assert float(stored) > 50, "rounds catch up by about a day each"
    assert records(clock.url) == ids


def test_good_events_are_ingested_by_arrival_while_the_server_is_behind(clock: FakedClock, database: Database) -> None:
    send(clock.url, now_events(20, instance_id="before"))
    drain(database, batch_size=1000)
    clock.set(-2 * DAY)
    ensure_partitions(database)
    send(clock.url, now_events(500))
    result = ingest(database)
    assert (result.records, result.dead_letters) == (500, 0)
    assert execute(
        clock.url,
        """
        SELECT count(*), count(*) FILTER (WHERE timestamp BETWEEN now() - interval '1 minute' AND now()),
            count(*) FILTER (WHERE (extra->>'event.timestamp')::timestamptz > now() + interval '47 hours')
        FROM routing_records WHERE instance_id = 'i'
        """,
    ) == [(500, 500, 500)]
    assert findings(clock.url) == ["server_clock_behind"], "one finding, however many batches"
    assert verify(database).differences == []


def test_an_instance_that_is_ahead_of_a_fleet_is_dead_lettered(clock: FakedClock, database: Database) -> None:
    """The server agrees with the others: in the same batch, or in one before."""
    ahead = now_events(5, ahead=timedelta(days=2), instance_id="wrong")
    send(clock.url, [*now_events(5), *ahead])
    assert ingest(database).dead_letters == 5
    send(clock.url, ahead)
    assert ingest(database).dead_letters == 5
    assert execute(clock.url, "SELECT DISTINCT field FROM dead_letters") == [("timestamp",)]
    assert findings(clock.url) == []


def test_messages_and_leases_of_a_clock_that_was_ahead_are_released(clock: FakedClock, database: Database) -> None:
    server_clock = ServerClock(database)
    monitor = ClockMonitor(database, server_clock)
    monitor.run_once()
    clock.set(200 * DAY)
    monitor.run_once()
    send(clock.url, now_events(5))
    execute(clock.url, "SELECT pgmq.read('model_routing_decisions', 10, 2)")
    execute(clock.url, "INSERT INTO leases VALUES ('findings', 'killed/1:1', clock_timestamp() + interval '3 minutes')")
    clock.set(0)
    execute(clock.url, "SELECT pgmq.send('model_routing_decisions', '{}', 3600)")  # a delay on purpose
    assert ingest(database).messages == 0, "by the clock of now they are visible in 200 days"
    monitor.run_once()
    execute(clock.url, "UPDATE pgmq.q_model_routing_decisions SET read_ct = 0 WHERE read_ct > 0")
    assert ingest(database).records == 5
    assert execute(clock.url, "SELECT count(*) FROM pgmq.q_model_routing_decisions") == [(1,)]
    with database.transaction() as connection:
        assert acquire_lease(connection, "findings", seconds=180)


def test_the_fleet_by_the_minute_follows_the_clock_of_the_server(clock: FakedClock, database: Database) -> None:
    """A minute of real time has its counts, whatever the clock says; time that only the clock knows has none."""
    ticking = Ticking(clock)
    recorder = FleetMinuteRecorder(database, counted_seconds=ticking)
    sent = 0

    def read(jump: float = 0.0) -> None:
        """Let a minute pass in which five events come, and a jump of the clock; then read."""
        nonlocal sent
        sent += 1
        send(clock.url, now_events(5, instance_id=f"i-{sent}"))
        ingest(database)
        ticking.forward(60)
        clock.set(ticking._passed + jump)
        recorder.run_once()

    recorder.run_once()
    counts = "SELECT count(*), count(ingested), sum(ingested)::int, max(ingested)::int FROM fleet_minutes"
    in_the_future = "SELECT count(*) FROM fleet_minutes WHERE minute > now()"
    read()
    assert execute(clock.url, counts)[0][1:] == (1, 5, 5)
    read(jump=3600)
    assert execute(clock.url, counts)[0][1:] == (1, 5, 5), "an hour did not pass, and the minute is not known"
    read(jump=3600)
    assert execute(clock.url, counts)[0][1:] == (2, 10, 5)
    read(jump=0)
    assert execute(clock.url, in_the_future) == [(0,)]
    assert execute(clock.url, counts)[0][2] == 5, "the minutes ahead come again"
    read(jump=0)
    assert execute(clock.url, counts)[0][2] == 10
    read(jump=-30)  # between two readings of a minute the clock alone shows no jump
    assert execute(clock.url, counts)[0][2] == 10
    for _ in range(2):
        read(jump=-30)
    rows, counted, total, most = execute(clock.url, counts)[0]
    assert (total, most, rows >= counted) == (20, 5, True)
    assert verify(database).differences == []


def next_week_53() -> datetime:
    """Return when the next week with the number 53 begins; a year in five or six has one."""
    weeks = (datetime.now(UTC) + timedelta(weeks=number) for number in range(1, 400))
    year, week, _ = next(day for day in weeks if day.isocalendar().week == 53).isocalendar()
    return datetime.fromisocalendar(year, week, 1).replace(tzinfo=UTC)


@pytest.mark.parametrize("weeks_later", [0, pytest.param(1, marks=pytest.mark.soak)])
def test_a_week_begins_under_ingest(
    clock: FakedClock, database: Database, start_worker: Callable[..., Program], weeks_later: int
) -> None:
    """The 53rd of a year, and the first after it: each record is in the partition of its week."""
    boundary = next_week_53() + timedelta(weeks=weeks_later)
    weeks = [
        f"{day.isocalendar().year}w{day.isocalendar().week:02}" for day in (boundary - timedelta(days=1), boundary)
    ]
    assert weeks[1 - weeks_later].endswith("w53")

    def set_before(seconds: float) -> None:
        clock.set((boundary - datetime.now(UTC)).total_seconds() - seconds)

    set_before(60)
    worker = start_worker(clock.url, CENTRALCLOUD_MAINTENANCE_INTERVAL_SECONDS="1")
    set_before(1)
    partition = "right(tableoid::regclass::text, 7)"
    with load(clock.url, decisions=None, pause_seconds=0.05) as producers:
        found = f"SELECT array_agg(DISTINCT {partition}) FROM routing_records"
        eventually(lambda: execute(clock.url, found) == [(weeks,)], what="records of both weeks")
        producers.enough()
    wrong = f"SELECT count(*) FROM routing_records WHERE {partition} <> CASE WHEN created_at < %s THEN %s ELSE %s END"
    assert execute(clock.url, wrong, (boundary, *weeks)) == [(0,)]
    with database.connection() as connection:
        eventually(lambda: missing_weeks(connection) == [], what="the partition of another week by the daemon")
    Maintenance(database).maintain()
    assert verify(database).differences == []
    assert worker.process.poll() is None
    assert "background_task_failed" not in worker.events()


@pytest.mark.soak
def test_a_jump_of_200_days_for_12_seconds_under_a_running_daemon(
    clock: FakedClock, database: Database, start_worker
) -> None:
    send(clock.url, now_events(4000))
    drain(database, batch_size=1000)
    worker: Program = start_worker(clock.url, CENTRALCLOUD_MAINTENANCE_INTERVAL_SECONDS="1")
    clock.set(200 * DAY)
    worker.wait_for("server_clock_jumped")
    time.sleep(12)  # the length of the fault
    clock.set(0)
    worker.wait_for("server_clock_jumped", times=2)
    worker.wait_for("retention_paused", times=10)
    assert records(clock.url) == 4000
    assert execute(clock.url, _DECISION_IDS) == [(4000,)]
    assert retention_check(database).verdict == Verdict.WARN
    assert verify(database).differences == []
    assert worker.process.poll() is None
