"""A stand-in for systemd: a socket that receives the notifications of a service."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from support.waiting import eventually


class NotificationSocket:
    """A socket that listens like systemd; `address` is the value of NOTIFY_SOCKET."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.heard: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + address[1:] if address.startswith("@") else address)

    def hear(self, line: str, *, within_seconds: float = 30.0) -> None:
        """Wait for a new message that contains a line with this beginning."""
        seen = len(self.heard)
        eventually(
            lambda: self._receive(0.1) and any(each.startswith(line) for each in self.heard[seen:]),
            within_seconds=within_seconds,
            what=f"{line} of {self.heard[-5:]}",
        )

    def hears(self, line: str, *, for_seconds: float) -> bool:
        """Return whether such a message arrives during that time."""
        seen = len(self.heard)
        with_patience = self._receive(for_seconds)
        return with_patience and any(each.startswith(line) for each in self.heard[seen:])

    def close(self) -> None:
        self._socket.close()

    def _receive(self, timeout_seconds: float) -> bool:
        self._socket.settimeout(timeout_seconds)
        try:
            self.heard += self._socket.recv(4096).decode().split("\n")
        except TimeoutError:
            return False
        return True


@contextmanager
def a_service_manager(address: str) -> Iterator[NotificationSocket]:
    listener = NotificationSocket(address)
    try:
        yield listener
    finally:
        listener.close()
