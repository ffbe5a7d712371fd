"""Forks and the end of a process. tests/integration/instance_agent/test_publishing_forks.py has them for real."""

import gc
import os
import signal
import weakref

from centralcloud.runtime.process import lifecycle


class Owner:
    """Records what happens to it at a fork."""

    def __init__(self, seen: list[str]) -> None:
        self._seen = seen
        lifecycle.watch_forks(self, before=Owner._before, in_child=Owner._in_child)

    def _before(self) -> None:
        self._seen.append("before")

    def _in_child(self) -> None:
        self._seen.append("in child")


def exit_code_of_a_child(seen: list[str], expected: list[str]) -> int:
    """Fork; the child ends with 0 if it has seen what is expected."""
    if (child := os.fork()) == 0:
        os._exit(seen != expected)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_an_owner_is_called_at_each_fork_as_long_as_it_exists() -> None:
    seen: list[str] = []
    owner = Owner(seen)
    assert exit_code_of_a_child(seen, ["before", "in child"]) == 0
    assert seen == ["before"], "the parent goes on as before"
    gone = weakref.ref(owner)
    del owner
    gc.collect()
    assert gone() is None, "it is not kept alive"
    assert exit_code_of_a_child(seen, ["before"]) == 0


def end_of_a_child(former: object) -> tuple[int, bytes]:
    """Fork; the child ends by SIGTERM. Return its wait status, and the handlers that were called in it."""
    read_end, write_end = os.pipe()
    if (child := os.fork()) == 0:
        signal.signal(signal.SIGTERM, former)  # type: ignore[arg-type]
        if callable(former):
            signal.signal(signal.SIGTERM, lambda *_: os.write(write_end, b"former"))
        lifecycle.on_sigterm(lambda ends: os.write(write_end, b"ends " if ends else b"goes on "))
        os.kill(os.getpid(), signal.SIGTERM)
        os._exit(0)
    os.close(write_end)
    status = os.waitpid(child, 0)[1]
    with os.fdopen(read_end, "rb") as stream:
        return os.waitstatus_to_exitcode(status), stream.read()


def test_sigterm_is_handled_and_then_does_what_it_did_before() -> None:
    assert end_of_a_child(signal.SIG_DFL) == (-signal.SIGTERM, b"ends ")
    assert end_of_a_child(signal.SIG_IGN) == (0, b"goes on ")
    assert end_of_a_child(lambda *_: None) == (0, b"goes on former")
