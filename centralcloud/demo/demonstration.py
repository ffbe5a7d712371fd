"""`centralcloud demo`: embedded PostgreSQL, the daemon and a fleet in one process, with a live view."""

import shutil
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final, Literal

from rich.console import Console
from rich.live import Live

from centralcloud.contracts import DECISIONS_QUEUE, UPDATES_QUEUE, CentralCloudError
from centralcloud.daemon import Daemon
from centralcloud.demo.fleet import DECISIONS_PER_SECOND, Fleet
from centralcloud.demo.incident import Incident
from centralcloud.demo.simulated_models import SimulatedModels
from centralcloud.demo.view import Snapshot, headline, live_view, plural, print_summary, story_line, take_snapshot
from centralcloud.runtime.logs import configure_logs
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.embedded import DEFAULT_FOLDER
from centralcloud.runtime.postgres.query import Query
from centralcloud.runtime.postgres.url import EMBEDDED_PREFIX
from centralcloud.runtime.process.shutdown import Shutdown
from centralcloud.runtime.settings import load_settings
from centralcloud.settings import Settings
from centralcloud.store.schema import downgrade, migrate

FOLDER: Final = Path(DEFAULT_FOLDER) / "demo"
_PLAIN_LINE_SECONDS: Final = 5
_CONVERGE_SECONDS: Final = 2.0
_INGEST_SECONDS: Final = 5
#: Share of decisions that try any model: the threshold rule needs it to keep every score up to date. The adaptive rule asks
#: for the probes that it needs.
_EXPLORATION: Final = {"threshold": 0.12, "adaptive": 0.0}
_TRY_LOCK_DEMO = Query(__package__, "try_lock_demo", row=bool)


class DemoError(CentralCloudError):
    """The demonstration cannot run."""


def run_demo(*, rule: Literal["threshold", "adaptive"], instances: int, seconds: float | None, seed: int) -> int:
    """Run for `seconds`, or until a signal arrives; returns the exit code, 0 in both cases.

    With the adaptive rule there is an incident: see the module `incident`.
    """
    console = Console()
    configure_logs("warning")
    shutdown = Shutdown()
    shutdown.on_signals(signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    url = f"{EMBEDDED_PREFIX}{FOLDER}"
    simulated, exploration = SimulatedModels(), _EXPLORATION[rule]
    incident = Incident(simulated, seconds=seconds) if rule == "adaptive" else None
    _say(
        console,
        f"{plural(instances, 'router')} with misleading scores: the outcomes correct them. "
        + (
            "Watch the fleet's success rate climb, and what happens to it when a leading model silently degrades."
            if incident
            else "Watch the fleet's success rate climb; this takes about 30 seconds."
        ),
    )
    _say(console, f"starting PostgreSQL in {FOLDER}/ (the first run creates it, which takes some seconds)")
    with ExitStack() as stack:
        database = stack.enter_context(Database(url, application_name="centralcloud/demo", max_connections=60))
        shutdown.before_forced_exit = database.kill_embedded_server
        if not shutdown.requested:
            stack.enter_context(_only_one(database))
            _say(console, "creating an empty database: pgmq, tables, functions")
            _start_afresh(database)
        if not shutdown.requested:
            _say(
                console,
                f"starting the daemon with the rule {rule}, and {plural(instances, 'instance')} with "
                f"{DECISIONS_PER_SECOND} decisions a second each"
                + (f", of which {exploration:.0%} try any model" if exploration else ""),
            )
            stack.enter_context(_daemon(database, rule))
            fleet = Fleet(
                database, FOLDER / "instances", simulated, instances=instances, exploration=exploration, seed=seed
            )
            fleet.start()
            try:
                snapshot = _show(console, database, fleet, simulated, incident, shutdown, seconds)
            finally:
                _say(console, "stopping the fleet")
                fleet.stop()
            print_summary(console, snapshot, _ingested(database, snapshot), fleet, simulated, incident)
            _say(
                console,
                f"the database is kept: DATABASE_URL={url} {sys.argv[0]} scores (in this folder) shows the learned scores",
            )
    return 0


def _show(
    console: Console,
    database: Database,
    fleet: Fleet,
    simulated: SimulatedModels,
    incident: Incident | None,
    shutdown: Shutdown,
    seconds: float | None,
) -> Snapshot:
    """Refresh the view every second until the end; returns the last state."""
    started = time.monotonic()
    snapshot = take_snapshot(database, 0.0, None)
    live = console.is_terminal
    with Live(console=console, auto_refresh=False, transient=True) if live else _nothing() as screen:
        for tick in _ticks(shutdown, started, seconds):
            fleet.mark_second()
            snapshot = take_snapshot(database, time.monotonic() - started, snapshot)
            news = incident.advance(database, fleet, snapshot.seconds) if incident else []
            if screen is not None:
                story = incident.story if incident else []
                screen.update(live_view(snapshot, fleet, simulated, story), refresh=True)
                continue
            for line in news:
                _say(console, story_line(line))
            if tick % _PLAIN_LINE_SECONDS == 0:
                _say(console, headline(snapshot, fleet, simulated))
    return _converged(database, fleet, snapshot)


def _converged(database: Database, fleet: Fleet, last: Snapshot) -> Snapshot:
    """The state as soon as every instance has applied the newest scores: between two runs of the learner."""
    deadline = time.monotonic() + _CONVERGE_SECONDS
    snapshot = last
    while snapshot.instances_up_to_date < fleet.size and time.monotonic() < deadline:
        time.sleep(0.05)
        snapshot = take_snapshot(database, last.seconds, last)
    return snapshot


def _ingested(database: Database, last: Snapshot) -> Snapshot:
    """The state once the daemon has ingested the last events of the fleet."""
    deadline = time.monotonic() + _INGEST_SECONDS
    while True:
        snapshot = take_snapshot(database, last.seconds, last)
        if not snapshot.queue_length or time.monotonic() > deadline:
            return replace(snapshot, events_per_second=snapshot.events / max(last.seconds, 1.0))
        time.sleep(0.1)


def _ticks(shutdown: Shutdown, started: float, seconds: float | None) -> Iterator[int]:
    tick = 0
    while not shutdown.wait(min(1.0, seconds - (time.monotonic() - started)) if seconds else 1.0):
        tick += 1
        yield tick
        if seconds and time.monotonic() - started >= seconds:
            return


@contextmanager
def _nothing() -> Iterator[None]:
    yield None


@contextmanager
def _only_one(database: Database) -> Iterator[None]:
    """Make sure that no other demonstration uses the folder: each wipes the database."""
    connection = database.connect(autocommit=True)
    try:
        if not _TRY_LOCK_DEMO.one(connection):
            raise DemoError(f"another demonstration is running in {FOLDER.absolute()}")
        yield
    finally:
        connection.close()


@contextmanager
def _daemon(database: Database, rule: str) -> Iterator[None]:
    settings = load_settings(Settings, poll_interval_seconds=1, learn_interval_seconds=0.5, rule=rule, http_port=0)
    daemon = Daemon(settings, database)
    daemon.start()
    try:
        yield
    finally:
        daemon.stop()


def _start_afresh(database: Database) -> None:
    """Empty the database of an earlier demonstration."""
    downgrade(database)
    migrate(database)
    with database.transaction() as connection:
        connection.execute("SELECT pgmq.purge_queue(%s), pgmq.purge_queue(%s)", (DECISIONS_QUEUE, UPDATES_QUEUE))
    shutil.rmtree(FOLDER / "instances", ignore_errors=True)


def _say(console: Console, line: str) -> None:
    console.print(line, highlight=False, markup=False, soft_wrap=True)
