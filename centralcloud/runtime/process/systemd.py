"""Telling systemd how the program is: its notification protocol, a datagram with lines of NAME=value.

https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html. Elsewhere nobody listens, and nothing is sent.
"""

import os
import socket
from collections.abc import Mapping

from centralcloud.runtime.logs import get_logger

log = get_logger(__name__)


class ServiceManager:
    """Says that the program is ready, that it lives, and that it ends. For the thread that supervises."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._address = environment.get("NOTIFY_SOCKET", "")
        self._said = ""
        self._heartbeat_seconds: float | None = None
        # Children inherit the environment: a watchdog that names another process is not ours to feed.
        if self._address and environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid()):
            microseconds = environment.get("WATCHDOG_USEC", "")
            if microseconds.isdigit() and int(microseconds):
                self._heartbeat_seconds = int(microseconds) / 1e6 / 3

    @property
    def heartbeat_seconds(self) -> float | None:
        """How often `heartbeat` is to be called: a third of what the watchdog allows; None when there is no watchdog."""
        return self._heartbeat_seconds

    def waiting(self, reason: str, seconds: float) -> None:
        """The start takes longer, for a good reason: grant it that many seconds more, from now."""
        self._send(f"EXTEND_TIMEOUT_USEC={int(seconds * 1e6)}", f"STATUS={reason}")

    def ready(self) -> None:
        """The start is over."""
        self._said = "running"
        self._send("READY=1", f"STATUS={self._said}")

    def heartbeat(self, wrong: list[str]) -> None:
        """Feed the watchdog when nothing is `wrong`; else say what is, and let it bite."""
        status = "; ".join(wrong) or "running"
        lines = [] if wrong else ["WATCHDOG=1"]
        if status != self._said:
            self._said = status
            lines.append(f"STATUS={status}")
        if lines:
            self._send(*lines)

    def stopping(self) -> None:
        """The end has begun."""
        self._send("STOPPING=1", "STATUS=stopping")

    def _send(self, *lines: str) -> None:
        if not self._address:
            return
        # An address that begins with @ is in the abstract namespace, where the kernel wants a zero byte.
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as notify:
                notify.settimeout(1.0)
                notify.sendto("\n".join(lines).encode(), address)
        except OSError as error:
            log.warning("sd_notify_failed", lines=lines, error=str(error))
