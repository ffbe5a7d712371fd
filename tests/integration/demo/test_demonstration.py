"""The demonstration has its folder for itself, also right after the process of an earlier one was killed."""

import threading

import pytest

from centralcloud.demo import demonstration
from centralcloud.demo.demonstration import DemoError, only_one
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
