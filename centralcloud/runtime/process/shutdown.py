"""The end of a program: asked for by a signal, by a part that died, or by the program itself."""

import contextlib
import os
import signal
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any, Final

#: Supervisors and shells may signal a process and then its group: what comes this close together is one signal.
_ONE_SIGNAL_SECONDS: Final = 0.1


def end_on_signals_until_ready() -> None:
    """Until a `Shutdown` takes the signals over there is nothing to finish: end at once, and well."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(0))


class Shutdown:
    """Remembers that the end was asked for, and lets the main thread wait for it.

    Built on a SimpleQueue because its `put` may be called from a signal handler while the same thread is inside `get`; an
    Event may then wait for its own lock for ever.
    """

    def __init__(self) -> None:
        self._requested = False
        self._signalled_at: float | None = None
        self._requests: SimpleQueue[None] = SimpleQueue()
        self.before_forced_exit: Callable[[], None] | None = None

    def request(self) -> None:
        """Ask for the end. Safe from any thread and from signal handlers."""
        self._requested = True
        self._requests.put(None)

    @property
    def requested(self) -> bool:
        """Whether the end has been asked for."""
        return self._requested

    def wait(self, timeout_seconds: float | None = None) -> bool:
        """Wait until the end is asked for; True when it has been. For one thread at a time."""
        if not self._requested:
            with contextlib.suppress(Empty):
                self._requests.get(timeout=None if timeout_seconds is None else max(0.0, timeout_seconds))
        return self._requested

    def on_signals(self, *numbers: signal.Signals) -> None:
        """Let signals ask for the end; a second one ends the process at once, with 128 + its number. For the main thread."""
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
