"""`centralcloud demo`: embedded PostgreSQL, the daemon and a fleet in one process, with a live view."""

import shlex
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final, Literal

from rich.live import Live

from centralcloud.contracts import DECISIONS_QUEUE, UPDATES_QUEUE, CentralCloudError
from centralcloud.daemon import Daemon
from centralcloud.demo.course import Course
from centralcloud.demo.dashboard import serving_dashboard
from centralcloud.demo.fleet import Fleet
from centralcloud.demo.gateway import DemoGateway
from centralcloud.demo.incident import SHORTEST_SECONDS
from centralcloud.demo.second_terminal import second_terminal
from centralcloud.demo.simulated_models import SimulatedModels
from centralcloud.demo.state import LoopState, State, read_costs, read_loop
from centralcloud.demo.story import Line as StoryLine
from centralcloud.demo.summary import SUMMARY_COLUMNS, summarize, summary_rows
from centralcloud.demo.view import STORY_INDENT, LiveView, needs_ascii, status_line, story_line
from centralcloud.fleet_settings import FleetSettingsSource
from centralcloud.learning.learner import Learner
from centralcloud.maintenance.maintenance import Maintenance
from centralcloud.runtime.logs import configure_logs
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.embedded import DEFAULT_FOLDER
from centralcloud.runtime.postgres.errors import retry_on_contention
from centralcloud.runtime.postgres.query import Query
from centralcloud.runtime.postgres.url import EMBEDDED_PREFIX
from centralcloud.runtime.process.shutdown import Shutdown
from centralcloud.runtime.settings import load_settings
from centralcloud.runtime.styles import is_dumb_terminal
from centralcloud.runtime.terminal.emphasis import rich_console
from centralcloud.runtime.terminal.lines import Line, print_lines
from centralcloud.runtime.terminal.output import print_line, print_table
from centralcloud.runtime.wording import counted
from centralcloud.settings import Settings
from centralcloud.store.schema import downgrade, migrate

FOLDER: Final = Path(DEFAULT_FOLDER) / "demo"
#: A line with the state on an output that is not a terminal.
_STATUS_LINE_SECONDS: Final = 5
_REFRESHES_PER_SECOND: Final = 4
_CONVERGE_SECONDS: Final = 5.0
_INGEST_SECONDS: Final = 5.0
#: The server needs a moment to notice that the process of an earlier demonstration was killed.
_LOCK_SECONDS: Final = 3.0
#: Hourly roll-ups are repeated this often: a demonstration rarely lasts an hour.
_MAINTENANCE_SECONDS: Final = 10.0
#: How often the row of the running minute is renewed in `fleet_minutes`: a demonstration lasts a minute or two.
_FLEET_MINUTE_SECONDS: Final = 5.0
#: Share of decisions that try any model: the threshold rule needs it to keep every score up to date. The adaptive rule asks
#: for the probes that it needs.
_EXPLORATION: Final = {"threshold": 0.12, "adaptive": 0.0}
_TRY_LOCK_DEMO = Query(__package__, "try_lock_demo", row=bool)


class DemoError(CentralCloudError):
    """The demonstration cannot run."""


def run_demo(
    *,
    rule: Literal["threshold", "adaptive"],
    instances: int,
    seconds: float | None,
    seed: int,
    dashboard: bool = False,
    observe: Callable[[State], None] | None = None,
) -> int:
    """Run for `seconds`, or until a signal arrives; returns the exit code, 0 in both cases.

    With the adaptive rule there is an incident: see the module `incident`. With `dashboard` the pages of the dashboard show
    the same database. `observe` receives the state of every second.
    """
    configure_logs("warning")
    shutdown = Shutdown()
    shutdown.on_signals(signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    url = f"{EMBEDDED_PREFIX}{FOLDER}"
    simulated, exploration = SimulatedModels(), _EXPLORATION[rule]
    _say(_introduction(rule, instances, seconds))
    _say(f"starting PostgreSQL in {FOLDER}/ (the first run creates it, which takes some seconds)")
    with ExitStack() as stack:
        database = stack.enter_context(Database(url, application_name="centralcloud/demo", max_connections=60))
        shutdown.before_forced_exit = database.kill_embedded_server
        if not shutdown.requested:
            stack.enter_context(only_one(database))
            _say("creating an empty database: pgmq, tables, functions")
            _start_afresh(database)
        if shutdown.requested:
            return 0
        settings = daemon_settings(rule)
        daemon = Daemon(settings, database, fleet_minute_seconds=_FLEET_MINUTE_SECONDS)
        pages = stack.enter_context(_pages(database, url)) if dashboard else None
        gateway = (
            stack.enter_context(_a_gateway(database, simulated, exploration=exploration, seed=seed))
            if instances > 1
            else None
        )
        fleet = Fleet(
            database,
            FOLDER / "instances",
            simulated,
            instances=instances - 1 if gateway else instances,
            exploration=exploration,
            seed=seed,
            gateway=gateway,
        )
        with_incident = rule == "adaptive" and (seconds is None or seconds >= SHORTEST_SECONDS)
        course = Course(
            database,
            fleet,
            simulated,
            exploration=exploration,
            incident=with_incident,
            seconds=seconds,
            dashboard=pages,
            exports=second_terminal(url),
        )
        try:
            fleet.start()
            last = _Show(course, daemon, observe).run(shutdown, seconds)
            _say("ending: the last events are ingested and learned from")
            fleet.stop_tasks()
            loop, costs = _finish(database, daemon, fleet, settings, learned=course.learning)
        finally:
            daemon.stop()
            fleet.stop()
        _print_end(course, last, loop, costs, url)
    return 0


@contextmanager
def _a_gateway(
    database: Database, simulated: SimulatedModels, *, exploration: float, seed: int
) -> Iterator[DemoGateway | None]:
    """Start the gateway, which takes the place of one router; None, after a line that says why, when it does not start."""
    folder = FOLDER / "instances" / "demo-gateway"
    gateway = DemoGateway(database.conninfo, folder, simulated, exploration=exploration, seed=seed)
    try:
        gateway.start()
    except CentralCloudError as error:
        _say(f"without a gateway: {error}")
        started = None
    else:
        _say("one of the routers is a gateway; it answers while the demonstration runs:")
        print_line(f"  {gateway.curl}")  # a whole line, to be copied
        started = gateway
    try:
        yield started
    finally:
        gateway.stop()


@contextmanager
def _pages(database: Database, url: str) -> Iterator[str]:
    """Serve the dashboard, after lines with its address and with the database of its commands; yields the address."""
    with serving_dashboard(database) as address:
        _say("watch it in a browser:")
        print_line(f"  {address}")
        _say("the commands that its pages show need this line, in a second terminal in this folder:")
        print_line(f"  {second_terminal(url)}")  # a whole line, to be copied
        yield address


class _Show:
    """Shows a demonstration: on a terminal as a live view, elsewhere as lines."""

    def __init__(self, course: Course, daemon: Daemon, observe: Callable[[State], None] | None) -> None:
        self._course = course
        self._daemon = daemon
        self._observe = observe
        self._printed = 0

    def run(self, shutdown: Shutdown, seconds: float | None) -> State:
        """Measure every second until the end, and return the last state."""
        started = time.monotonic()
        live = sys.stdout.isatty() and not is_dumb_terminal()
        view = LiveView(ascii_only=needs_ascii(sys.stdout.encoding or "ascii"))
        state = self._course.tick(0.0)
        with self._screen(view) if live else _no_screen():
            for tick in _ticks(shutdown, started, seconds):
                elapsed = time.monotonic() - started
                state = self._course.tick(elapsed)
                if not self._course.learning and elapsed >= self._course.learning_begins:
                    self._daemon.start()
                    self._course.begin_learning()
                view.state = state
                if self._observe:
                    self._observe(state)
                if not live:
                    self._print_story()
                    if tick % _STATUS_LINE_SECONDS == 0:
                        self._say_line(StoryLine(elapsed, status_line(state)))
        self._print_story()
        return state

    def _screen(self, view: LiveView) -> Live:
        return Live(
            view, console=rich_console(), screen=True, refresh_per_second=_REFRESHES_PER_SECOND, redirect_stderr=False
        )

    def _print_story(self) -> None:
        """Print the lines of the story that were not printed yet."""
        for line in self._course.story.lines[self._printed :]:
            self._say_line(line)
        self._printed = len(self._course.story.lines)

    def _say_line(self, line: StoryLine) -> None:
        _say(story_line(line), indent=STORY_INDENT)


def _introduction(rule: str, instances: int, seconds: float | None) -> str:
    routers = counted(instances, "router")
    length = "It goes on until Ctrl-C." if seconds is None else f"It ends after {counted(round(seconds), 'second')}."
    return f"CentralCloud demo: {routers}, simulated models, the rule {rule}. {length}"


def _print_end(course: Course, last: State, loop: LoopState, costs: dict[tuple[str, str], float], url: str) -> None:
    """Print the table of the models, the result and how to look at the database."""
    _say("")
    print_table(SUMMARY_COLUMNS, summary_rows(loop, costs=costs), empty="")
    _say("")
    for sentence in (*summarize(course.result(last, loop)), *course.incident_summary()):
        _say(sentence)
    _say("")
    _say("The database is kept; no daemon runs on it any more. These commands show it, from this folder:")
    program = shlex.quote(sys.argv[0])
    print_line(f"  export DATABASE_URL={url}")  # whole lines, to be copied
    for command in ("status", "scores", "findings", "doctor"):
        print_line(f"  {program} {command}")


def _finish(
    database: Database, daemon: Daemon, fleet: Fleet, settings: Settings, *, learned: bool
) -> tuple[LoopState, dict[tuple[str, str], float]]:
    """Ingest what the fleet has sent, learn from it, and let every router apply the newest scores.

    Afterwards nothing changes any more: `centralcloud status` shows the same numbers as the summary.
    """
    if learned:
        _wait(lambda: not fleet.events_waiting and not read_loop(database).queue_length, _INGEST_SECONDS)
        daemon.stop()
        source = FleetSettingsSource(settings)
        retry_on_contention(lambda: Learner(database, read_settings=source.read).learn())
        Maintenance(database).run_once()  # the daemon's last roll-up was earlier
        _wait(lambda: _all_newest(database, fleet), _CONVERGE_SECONDS)
    with database.transaction() as connection:
        costs = read_costs(connection)
    return read_loop(database), costs


def _all_newest(database: Database, fleet: Fleet) -> bool:
    loop = read_loop(database)
    return loop.at_newest >= fleet.size


def _wait(condition: Callable[[], bool], limit_seconds: float) -> None:
    deadline = time.monotonic() + limit_seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.1)


def _ticks(shutdown: Shutdown, started: float, seconds: float | None) -> Iterator[int]:
    """Yield 1, 2, ... once a second, and at the end."""
    tick = 0
    while not shutdown.wait(min(1.0, seconds - (time.monotonic() - started)) if seconds else 1.0):
        tick += 1
        yield tick
        if seconds and time.monotonic() - started >= seconds:
            return


@contextmanager
def _no_screen() -> Iterator[None]:
    yield None


@contextmanager
def only_one(database: Database) -> Iterator[None]:
    """Make sure that no other demonstration uses the folder: each wipes the database.

    Raises:
        DemoError: another one is running.
    """
    connection = database.connect(autocommit=True)
    try:
        deadline = time.monotonic() + _LOCK_SECONDS
        while not _TRY_LOCK_DEMO.one(connection):
            if time.monotonic() > deadline:
                raise DemoError(
                    f"another demonstration is running in {FOLDER.absolute()}: end it, or start this one in another folder"
                )
            time.sleep(0.1)
        yield
    finally:
        connection.close()


def daemon_settings(rule: str) -> Settings:
    """Return the settings of the demonstration's daemon: everything happens within seconds."""
    return load_settings(
        Settings,
        poll_interval_seconds=1,
        learn_interval_seconds=0.5,
        maintenance_interval_seconds=_MAINTENANCE_SECONDS,
        rule=rule,
        http_port=0,
    )


def _start_afresh(database: Database) -> None:
    """Empty the database of an earlier demonstration."""
    downgrade(database)
    migrate(database)
    with database.transaction() as connection:
        connection.execute("SELECT pgmq.purge_queue(%s), pgmq.purge_queue(%s)", (DECISIONS_QUEUE, UPDATES_QUEUE))
    shutil.rmtree(FOLDER / "instances", ignore_errors=True)


def _say(sentence: str, *, indent: str = "  ") -> None:
    print_lines([Line(sentence)], indent=indent)
