"""The request to end a program: by a signal, by a failed task, or by the program itself."""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from queue import Empty, SimpleQueue
from typing import Any, Final

#: A supervisor or a shell may signal a process and then its group: two signals within this time count as one.
_ONE_SIGNAL_SECONDS: Final = 0.1


def end_on_signals_until_ready() -> None:
    """Exit at once with code 0 on a signal. For the start, until a `Shutdown` handles signals: nothing is unfinished yet."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(0))


class SignalledInterrupt(KeyboardInterrupt):
    """A signal that interrupts the main thread as Ctrl-C does.

    Attributes:
        exit_code: 128 + the number of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = 128 + number


@contextlib.contextmanager
def interrupted_by(*numbers: signal.Signals) -> Iterator[None]:
    """Raise `SignalledInterrupt` on the first of these signals; a second one ends the process. For the main thread.

    A signal that the process ignores, as SIGHUP under ``nohup``, stays ignored.
    """

    def interrupt(number: int, _frame: Any) -> None:
        signal.signal(number, signal.SIG_DFL)
        raise SignalledInterrupt(number)

    before = {number: signal.getsignal(number) for number in numbers}
    try:
        for number, handler in before.items():
            if handler is not signal.SIG_IGN:
                signal.signal(number, interrupt)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Shutdown:
    """Remembers that the end was requested, and lets the main thread wait for it.

    Built on a SimpleQueue because a signal handler may call its `put` while the same thread is inside `get`; an Event may
    then deadlock on its own lock.
    """

    def __init__(self) -> None:
        self._requested = False
        self._signalled_at: float | None = None
        self._requests: SimpleQueue[None] = SimpleQueue()
        self.before_forced_exit: Callable[[], None] | None = None

    def request(self) -> None:
        """Request the end. Safe from any thread and from signal handlers."""
        self._requested = True
        self._requests.put(None)

    @property
    def requested(self) -> bool:
        """Whether the end was requested."""
        return self._requested

    def wait(self, timeout_seconds: float | None = None) -> bool:
        """Wait until the end is requested; True when it was. For one thread at a time."""
        if not self._requested:
            with contextlib.suppress(Empty):
                self._requests.get(timeout=None if timeout_seconds is None else max(0.0, timeout_seconds))
        return self._requested

    def on_signals(self, *numbers: signal.Signals) -> None:
        """Request the end on these signals. A second one exits at once, with code 128 + its number. For the main thread."""
        for number in numbers:
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, _frame: Any) -> None:
        now = time.monotonic()
        if self._signalled_at is None:
            self._signalled_at = now
        elif now - self._signalled_at > _ONE_SIGNAL_SECONDS:
            if self.before_forced_exit:
                self.before_forced_exit()
            os._exit(128 + number)
        self.request()
