"""No unit test of the instance side leaves a thread behind: it would go on in the tests that follow."""

import threading
from collections.abc import Iterator

import pytest
from support.waiting import eventually


@pytest.fixture(autouse=True)
def _no_thread_remains() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    eventually(lambda: not set(threading.enumerate()) - before, within_seconds=5, what="the end of the test's threads")
