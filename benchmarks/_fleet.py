"""Real instances in several processes that report when their catalogs had a version of the scores."""

import multiprocessing
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Final, NamedTuple, TypeAlias

from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.settings import load_settings
from instance_agent import AgentSettings, InstanceAgent, ModelCatalog
from instance_agent.catalog.catalog_file import read_catalog_file
from instance_agent.catalog.learned_scores import LearnedScores
from instance_agent.catalog.learned_scores_file import LearnedScoresFile
from instance_agent.sync.score_updater import ScoreUpdater

_CATALOG: Final = Path(__file__).parents[1] / "examples" / "catalog.yaml"
_LONGEST_WAIT_SECONDS: Final = 60.0

_Pipe: TypeAlias = "Connection[Any, Any]"


class Fleet(NamedTuple):
    """The instances to run.

    Attributes:
        url: the database.
        folder: parent of the instances' state folders.
        numbers: one per instance, in its name.
        listening: whether the instances listen for notifications, as agents do, or only poll.
    """

    url: str
    folder: Path
    numbers: Sequence[int]
    poll_interval_seconds: float
    listening: bool


class _Change(NamedTuple):
    """The time at which an instance's catalog had `version`, in ns of CLOCK_REALTIME."""

    number: int
    version: int
    at_ns: int


class RunningFleet:
    """The processes of a fleet, seen from the benchmark."""

    def __init__(self, pipes: Sequence[_Pipe]) -> None:
        self._pipes = pipes

    @property
    def processes(self) -> int:
        """Number of processes."""
        return len(self._pipes)

    def applied_at_ns(self, version: int) -> list[int]:
        """Wait until every instance has `version`; return when each had it, in ns of CLOCK_REALTIME."""
        for pipe in self._pipes:
            pipe.send(version)
        return [at_ns for pipe in self._pipes for at_ns in _receive(pipe)]


@contextmanager
def run_fleet(fleet: Fleet, *, instances_per_process: int) -> Iterator[RunningFleet]:
    """Run the fleet in separate processes."""
    context = multiprocessing.get_context("spawn")
    pipes: list[_Pipe] = []
    for first in range(0, len(fleet.numbers), instances_per_process):
        ours, theirs = context.Pipe()
        part = fleet._replace(numbers=fleet.numbers[first : first + instances_per_process])
        context.Process(target=_run_instances, args=(theirs, part), daemon=True).start()
        pipes.append(ours)
    for pipe in pipes:
        _receive(pipe)  # its instances have started
    try:
        yield RunningFleet(pipes)
    finally:
        for pipe in pipes:
            pipe.send(None)
        for process in multiprocessing.active_children():
            process.join(_LONGEST_WAIT_SECONDS)


def _receive(pipe: _Pipe) -> Any:
    if not pipe.poll(_LONGEST_WAIT_SECONDS):
        raise TimeoutError(f"no answer from a process of the fleet within {_LONGEST_WAIT_SECONDS:.0f} s")
    return pipe.recv()


def _run_instances(pipe: _Pipe, fleet: Fleet) -> None:
    """Run some instances in this process: answer each version with the times at which they had it; stop at None."""
    changes: SimpleQueue[_Change] = SimpleQueue()
    start = _start_agent if fleet.listening else _start_updater
    stops = [start(fleet, number, changes) for number in fleet.numbers]
    pipe.send("started")
    while (version := pipe.recv()) is not None:
        applied_at_ns: dict[int, int] = {}
        while len(applied_at_ns) < len(fleet.numbers):
            change = changes.get()
            if change.version >= version:
                applied_at_ns.setdefault(change.number, change.at_ns)
        pipe.send(list(applied_at_ns.values()))
    with ThreadPoolExecutor(len(stops)) as pool:  # in parallel: each takes up to half a second
        list(pool.map(lambda stop: stop(), stops))


def _start_agent(fleet: Fleet, number: int, changes: "SimpleQueue[_Change]") -> Callable[[], None]:
    """Start an agent, and return the function that stops it."""
    settings = load_settings(
        AgentSettings,
        INSTANCE_ID=f"instance-{number}",
        database_url=fleet.url,
        catalog=_CATALOG,
        state_dir=fleet.folder / str(number),
        poll_interval_seconds=fleet.poll_interval_seconds,
    )
    agent = InstanceAgent(settings, routes=False)
    agent.updater.on_change = _use_and_report(agent.catalog, number, changes)
    agent.start()
    return agent.stop


def _start_updater(fleet: Fleet, number: int, changes: "SimpleQueue[_Change]") -> Callable[[], None]:
    """Start the parts of an agent without its listener, and return the function that stops them."""
    catalog = ModelCatalog(read_catalog_file(_CATALOG))
    updater = ScoreUpdater(
        Database(fleet.url, application_name=f"instance-{number}", max_connections=3),
        instance_id=f"instance-{number}",
        file=LearnedScoresFile(fleet.folder / str(number)),
        poll_interval_seconds=fleet.poll_interval_seconds,
        on_change=_use_and_report(catalog, number, changes),
    )
    updater.start()
    return updater.stop


def _use_and_report(
    catalog: ModelCatalog, number: int, changes: "SimpleQueue[_Change]"
) -> Callable[[LearnedScores], None]:
    """Return a function that passes new scores to the catalog, as the agent does, and reports when it had them."""

    def on_change(learned: LearnedScores) -> None:
        catalog.use(learned)
        changes.put(_Change(number, learned.version, time.time_ns()))

    return on_change
