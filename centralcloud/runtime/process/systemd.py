"""Notifications to systemd, by its protocol: a datagram with lines of NAME=value.

https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html. Without systemd nothing is sent.
"""

import os
import socket
from collections.abc import Mapping

from centralcloud.runtime.logs import get_logger

log = get_logger(__name__)


class ServiceManager:
    """Notifies systemd that the program is ready, that it works, and that it stops. For the thread that supervises."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._address = environment.get("NOTIFY_SOCKET", "")
        self._socket: socket.socket | None = None
        self._status = ""
        self._heartbeat_seconds: float | None = None
        # Children inherit the environment. A watchdog that names another process must not get our heartbeats.
        if self._address and environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid()):
            microseconds = environment.get("WATCHDOG_USEC", "")
            if microseconds.isdigit() and int(microseconds):
                self._heartbeat_seconds = int(microseconds) / 1e6 / 3

    @property
    def heartbeat_seconds(self) -> float | None:
        """How often to call `heartbeat`: a third of the watchdog's timeout; None without a watchdog."""
        return self._heartbeat_seconds

    def waiting(self, reason: str, seconds: float) -> None:
        """Extend the start timeout to `seconds` from now, because the program waits for something."""
        self._send(f"EXTEND_TIMEOUT_USEC={int(seconds * 1e6)}", f"STATUS={reason}")

    def ready(self) -> None:
        """Report that the start is complete."""
        self._status = "running"
        self._send("READY=1", f"STATUS={self._status}")

    def heartbeat(self, problems: list[str]) -> None:
        """Reset the watchdog when there are no `problems`; else show them as the status, and let the watchdog restart us."""
        status = "; ".join(problems) or "running"
        lines = ["WATCHDOG=1"] if self._heartbeat_seconds and not problems else []
        if status != self._status:
            self._status = status
            lines.append(f"STATUS={status}")
        if lines:
            self._send(*lines)

    def stopping(self) -> None:
        """Report that the stop has begun."""
        self._send("STOPPING=1", "STATUS=stopping")
        self._close()

    def _close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def __del__(self) -> None:
        self._close()

    def _send(self, *lines: str) -> None:
        if not self._address:
            return
        # A leading @ means the abstract namespace, for which the kernel expects a zero byte.
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        try:
            if self._socket is None:  # kept, because later there may be no file descriptor left for a heartbeat
                self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
                self._socket.settimeout(1.0)
            self._socket.sendto("\n".join(lines).encode(), address)
        except OSError as error:
            log.warning("sd_notify_failed", lines=lines, error=str(error))
