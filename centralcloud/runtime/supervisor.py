"""Starting and ending a program made of parts: signals, crashes, deadlines, health."""

import os
import signal
import threading
import time
import traceback
from collections.abc import Sequence
from typing import Any, Final

from centralcloud.contracts import CentralCloudError
from centralcloud.runtime.health import HealthServer
from centralcloud.runtime.logs import get_logger
from centralcloud.runtime.loops import Part

log = get_logger(__name__)

#: Stopping takes at most this long: what is in hand by then is rolled back, and done by the next start.
_STOP_SECONDS: Final = 4.0
#: A loop that has not come round for this long beyond its interval does not live.
_STUCK_SECONDS: Final = 60.0


class Supervisor:
    """Runs parts until it is told to stop or one of them dies."""

    def __init__(self, parts: Sequence[Part]) -> None:
        """`parts` in the order in which they start and are asked to stop."""
        self._parts = parts
        self._crash: BaseException | None = None
        self._over = threading.Event()
        for part in parts:
            part.on_crash = self._on_crash

    def start(self, *, health: HealthServer | None = None) -> None:
        """Start every part in its thread, and the HTTP server when there is one."""
        if health:
            health.start()
        for part in self._parts:
            part.start()
        log.info("started", parts=[part.name for part in self._parts])

    def stop(self, *, health: HealthServer | None = None) -> None:
        """End every part after the work in hand, within a few seconds. Safe to call twice."""
        self._over.set()
        log.info("stopping")
        for part in self._parts:
            part.stop()
        deadline = time.monotonic() + _STOP_SECONDS
        unfinished = [part.name for part in self._parts if not part.join(max(0.0, deadline - time.monotonic()))]
        if unfinished:
            log.warning("stopped_with_work_in_hand", parts=unfinished, effect="the database rolls it back")
        if health:
            health.stop()
        log.info("stopped")

    def handle_signals(self) -> None:
        """Let SIGTERM and SIGINT end `wait`; a second signal ends the process at once. For the main thread."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)

    def wait(self, timeout_seconds: float | None = None) -> bool:
        """Wait for a signal, a crash or `stop()`; True when it has come.

        Raises:
            CentralCloudError: a part died.
        """
        over = self._over.wait(timeout_seconds)
        if self._crash is not None:
            raise CentralCloudError(f"stopped because a part died: {type(self._crash).__name__}: {self._crash}")
        return over

    @property
    def over(self) -> bool:
        """Whether the end has been asked for."""
        return self._over.is_set()

    def stuck_parts(self) -> list[str]:
        """The parts whose loop no longer comes round, a line each. Asks nothing of the database."""
        return [
            f"{part.name} has not advanced for {part.seconds_since_advance:.0f} seconds"
            for part in self._parts
            if part.interval_seconds is not None and part.seconds_since_advance > part.interval_seconds + _STUCK_SECONDS
        ]

    def _on_signal(self, number: int, _frame: Any) -> None:
        if self._over.is_set():
            os._exit(128 + number)
        self._over.set()

    def _on_crash(self, part: str, error: BaseException) -> None:
        log.error("part_died", part=part, error=repr(error), traceback=traceback.format_exception(error))
        self._crash = error
        self._over.set()
