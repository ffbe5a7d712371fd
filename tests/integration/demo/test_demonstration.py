"""The demonstration has its folder for itself, and its daemon reports a model that degrades."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.waiting import eventually

from centralcloud.daemon import Daemon
from centralcloud.demo import demonstration
from centralcloud.demo.course import Course
from centralcloud.demo.demonstration import DemoError, daemon_settings, only_one
from centralcloud.demo.fleet import Fleet
from centralcloud.demo.simulated_models import SimulatedModels
from centralcloud.demo.state import State
from centralcloud.runtime.postgres.database import Database


def test_a_second_demonstration_is_refused(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demonstration, "_LOCK_SECONDS", 0.2)
    with (
        only_one(database),
        pytest.raises(DemoError, match=r"another demonstration is running in .*: end it, or start this one"),
        only_one(database),
    ):
        pass


def test_the_lock_of_a_killed_demonstration_is_waited_for(database: Database) -> None:
    before = only_one(database)
    before.__enter__()
    waiting = threading.Thread(target=lambda: taken.append(only_one(database).__enter__()))
    taken: list[None] = []
    waiting.start()
    assert not taken
    before.__exit__(None, None, None)
    waiting.join()
    assert taken == [None]


class Stage:
    """A demonstration whose clock the test moves forward, to leave out the times in which nothing happens."""

    def __init__(self, course: Course) -> None:
        self._course = course
        self._started = self._ticked = time.monotonic()
        self._state = course.tick(0.0)

    def state(self) -> State:
        """Return the state, a new one after enough tasks for rates and shares that are not chance."""
        now = time.monotonic()
        if now - self._ticked > 0.3:
            self._ticked = now
            self._state = self._course.tick(now - self._started)
        return self._state

    def forward_to(self, seconds: float) -> None:
        self._started = min(self._started, time.monotonic() - seconds)

    def wait_for(self, text: str) -> None:
        """Let the demonstration go on until its story contains `text`."""
        eventually(
            lambda: any(text in line.text for line in self.state().story),
            within_seconds=60,
            what=f"{text!r} in the story",
        )


@contextmanager
def _running(database: Database, folder: Path) -> Iterator[tuple[Stage, Course]]:
    """Run a fleet of three routers and a daemon with the rule adaptive."""
    simulated = SimulatedModels()
    fleet = Fleet(database, folder, simulated, instances=3, exploration=0.0, seed=1)
    course = Course(database, fleet, simulated, exploration=0.0, incident=True, seconds=None)
    stage = Stage(course)
    daemon = Daemon(daemon_settings("adaptive"), database)
    try:
        fleet.start()
        eventually(lambda: stage.state().rate_at_start)
        daemon.start()
        course.begin_learning()
        yield stage, course
    finally:
        fleet.stop_tasks()
        daemon.stop()
        fleet.stop()


def test_the_whole_incident_is_reported(database_url: str, tmp_path: Path) -> None:
    """A short form of the demonstration, with its own fleet, daemon and script, and without the waiting times."""
    with (
        Database(database_url, application_name="tests", max_connections=60) as database,
        _running(database, tmp_path) as (stage, course),
    ):
        stage.wait_for("complex tasks now go to ember-reason")
        stage.forward_to(30)
        stage.wait_for("INCIDENT: ember-reason silently drops from 98% to 30% on complex tasks")
        stage.wait_for("CentralCloud notices it after ")
        stage.wait_for("ember-reason gets only ")
        stage.forward_to(60)
        stage.wait_for("ember-reason silently recovers; ")
        stage.wait_for("ember-reason succeeds again")
        state = stage.state()
        assert state.loop.version > 0
        began, noticed, recovered = course.incident_summary()
    assert began.startswith("The incident: ember-reason had ")
    assert noticed.startswith("CentralCloud noticed it after ")
    assert "; this was noticed after " in recovered
    assert [line.seconds for line in state.story] == sorted(line.seconds for line in state.story)
