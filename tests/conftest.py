"""Where the tests find PostgreSQL: the embedded one by default, any server by URL, or a container."""

import gc
import logging
import os
import signal
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from support.fleet import drop_fleet_template
from support.launcher import stop_launcher
from support.programs import Program, programs_in
from support.progress import Progress
from support.schedule import LongestFirst, sort_longest_first
from support.servers import (
    a_server,
    compact_catalog,
    ensure_weeks,
    new_database,
    remove_default_policies,
    with_database,
)
from support.shell_programs import share_starts
from support.tcp_proxy import TcpProxy
from support.waiting import passes
from xdist.remote import Producer

from centralcloud.runtime.postgres.database import Database
from centralcloud.store.schema import migrate

# A suite that was started in the background inherits that Ctrl-C is ignored, and would hand that on to what it starts.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("centralcloud")
    group.addoption("--database-url", help="run on this PostgreSQL; the role must be allowed to create databases")
    group.addoption("--database-image", help="run in a container of this image, e.g. postgres:18 (needs Docker)")
    group.addoption(
        "--soak-seconds", type=float, default=0, help="run the long tests only (make soak), the soak this long"
    )
    group.addoption("--rooms", action="store_true", help="longest tests first, and progress by room (make test)")
    group.addoption("--browser", action="store_true", help="run the tests in a real browser, too (make browser)")
    group.addoption(
        "--experiments-long", action="store_true", help="simulate experiments in full (make experiments-long)"
    )
    group.addoption("--record-durations", action="store_true", help="with --rooms: write tests/durations.json anew")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "soak: takes long; runs with make soak, and in a short form with make test")
    config.addinivalue_line(
        "markers", "timing: of processor time, or of the moments of a start; not run under coverage"
    )
    # Both compare wall time with a limit: a loaded machine would fail a test that shows nothing wrong.
    settings.register_profile("loaded", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("loaded")
    if config.option.rooms and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Progress(config))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LongestFirst | None:
    return LongestFirst(config, log) if config.option.rooms else None


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection() -> Iterator[None]:
    """Keep the garbage collector away from what lives until the end: it would traverse modules and tests again and again."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the long tests for the soak. On a server that was named, keep the tests that use it."""
    options = config.option
    kept = [item for item in items if (item.get_closest_marker("soak") is not None) == bool(options.soak_seconds)]
    if options.database_url or options.database_image:
        kept = [item for item in kept if "server" in getattr(item, "fixturenames", ())]
    if "COVERAGE_PROCESS_CONFIG" in os.environ:
        kept = [item for item in kept if item.get_closest_marker("timing") is None]
    config.hook.pytest_deselected(items=list(set(items).difference(kept)))
    if options.rooms:
        sort_longest_first(kept)
    items[:] = kept


def pytest_unconfigure() -> None:
    stop_launcher()


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    """Undo `configure_logs` of a command that ran in this process: later tests look at the log, too."""
    root = logging.getLogger()
    loggers = [root, *map(logging.getLogger, ("centralcloud", "instance_agent", "psycopg"))]
    handlers, levels = root.handlers[:], [logger.level for logger in loggers]
    yield
    root.handlers[:] = handlers
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


@pytest.fixture(autouse=True)
def _signals_as_before() -> Iterator[None]:
    """Undo the handlers of a command that ran in this process."""
    before = {number: signal.getsignal(number) for number in (signal.SIGHUP, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(autouse=True, scope="session")
def _shared_starts(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Let the processes of the tests know which commands a shell has started from their files."""
    folder = tmp_path_factory.getbasetemp()
    share_starts((folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder) / "started-by-shells")


@pytest.fixture(autouse=True)
def _own_state_folder(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Give each test a state folder of its own: an agent does not start in one that an agent of another run uses."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.getbasetemp() / f"state-{uuid.uuid4().hex[:8]}"))


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    """Fail a test that leaves a thread running: what it does later would disturb another test, or a user's program."""
    before = set(threading.enumerate())
    yield

    def left() -> list[str]:
        return [thread.name for thread in threading.enumerate() if thread not in before]

    assert passes(lambda: not left(), within_seconds=5), f"threads that the test left running: {', '.join(left())}"


@pytest.fixture(scope="session")
def server(request: pytest.FixtureRequest) -> Iterator[str]:
    """URL of a running PostgreSQL."""
    options = request.config.option
    with a_server(options.database_url, options.database_image) as url:
        yield url
        drop_fleet_template(url)


@pytest.fixture(scope="session")
def template(server: str) -> Iterator[str]:
    """Name of a database with the newest schema and an empty configuration, to be copied."""
    name = f"cc_template_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        with Database(with_database(server, name), application_name="tests") as database:
            migrate(database)
        ensure_weeks(server, name)
        remove_default_policies(with_database(server, name))
        compact_catalog(with_database(server, name))
        yield name
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def empty_url(server: str) -> Iterator[str]:
    """URL of an empty database of the test's own."""
    with new_database(server, "template1") as url:
        yield url


@pytest.fixture
def database_url(server: str, template: str) -> Iterator[str]:
    """URL of a database of the test's own, with the newest schema and nothing in it, not even the default policies."""
    with new_database(server, template) as url:
        yield url


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A database of the test's own, as the programs see one."""
    with Database(database_url, application_name="tests") as database:
        yield database


@pytest.fixture
def proxy(database_url: str) -> Iterator[TcpProxy]:
    """A proxy before the test's own database; `proxy.url` leads through it, `database_url` past it."""
    with TcpProxy(database_url) as proxy:
        yield proxy


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Program]]:
    """Starts programs; ends those that still run at the end of the test."""
    with programs_in(tmp_path) as start_one:
        yield start_one
