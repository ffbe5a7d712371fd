"""Limits on HTTP connections, which aiohttp does not have: deadlines for slow clients, and a cap on their number.

aiohttp closes a connection that is idle, but waits without limit for the rest of a request and for a client that does not
read its answer. Here a connection goes through these phases, and the phase says how long it may last:

    receiving   from the first moment, or the first byte of a further request, until the whole request has arrived
    answering   while a handler works; the handler has its own time limit, but the client must read what was written
    idle        kept alive for another request
    closing     until the client has read the last bytes

A connection that outlasts its phase is aborted: a graceful close would wait for a client that does not read.
"""

import asyncio
import resource
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, cast

from centralcloud.runtime.logs import get_logger

log = get_logger(__name__)

#: A client that has sent a request and closed its side is answered. This is how long an incomplete request is kept.
_HALF_CLOSED_SECONDS: Final = 1.0
_MOST_CONNECTIONS: Final = 256


def connections_for_this_process() -> int:
    """How many connections HTTP may hold: at most 256, and a quarter of the file descriptors that the process may open."""
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(1, min(_MOST_CONNECTIONS, descriptors // 4))


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The limits of one HTTP server.

    Attributes:
        request_seconds: from the first moment of a request until all of it has arrived, header and body.
        unread_seconds: how long a client may leave an answer unread.
        idle_seconds: how long a connection is kept for another request.
        connections: open at the same time. At the cap the connection that has waited longest is closed; while every
            connection is being answered, further ones wait in the kernel.
        body_bytes: size of a request's body.
        answers_half_closed: whether a client that has closed its side is still answered. False where it counts as gone, so
            that its handler is cancelled at once: most clients close both sides, and that looks the same.
    """

    request_seconds: float = 10.0
    unread_seconds: float = 10.0
    idle_seconds: float = 75.0
    connections: int = field(default_factory=connections_for_this_process)
    body_bytes: int = 65_536
    answers_half_closed: bool = True


class Phase(Enum):
    """See the module."""

    RECEIVING = "the request did not arrive in time"
    ANSWERING = "the client did not read the answer in time"
    IDLE = "idle"
    CLOSING = "the client did not read the end of the answer in time"


class Connections:
    """The open connections of one server. For its event loop only."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._open: dict[asyncio.BaseProtocol, Connection] = {}
        self._changed = asyncio.Event()

    def __len__(self) -> int:
        return len(self._open)

    def of(self, protocol: asyncio.BaseProtocol) -> "Connection | None":
        """Return the connection that an aiohttp protocol works on; None when it is closed."""
        return self._open.get(protocol)

    async def wait_for_room(self) -> None:
        """Wait until one more connection may be opened; close the one that has waited longest to make room."""
        while len(self._open) >= self.limits.connections:
            self._changed.clear()
            waiting = [each for each in self._open.values() if each.phase in (Phase.IDLE, Phase.RECEIVING)]
            if waiting:
                min(waiting, key=lambda each: (each.phase is not Phase.IDLE, each.since)).abort("too many connections")
            await self._changed.wait()

    def abort_all(self) -> None:
        """Close every connection at once."""
        for each in list(self._open.values()):
            each.abort("the server stops")

    def add(self, protocol: asyncio.BaseProtocol, connection: "Connection") -> None:
        """Count a connection that was opened."""
        self._open[protocol] = connection

    def remove(self, protocol: asyncio.BaseProtocol) -> None:
        """Forget a connection that was closed."""
        self._open.pop(protocol, None)
        self._changed.set()

    def wake(self) -> None:
        """Let `wait_for_room` look again."""
        self._changed.set()


class Connection(asyncio.Protocol):
    """Passes everything on to aiohttp's protocol, and closes the connection when a phase lasts too long.

    Attributes:
        phase: what the connection waits for.
        since: when the phase began, by the event loop's clock.
    """

    def __init__(self, protocol: asyncio.Protocol, connections: Connections) -> None:
        self.phase = Phase.RECEIVING
        self._protocol = protocol
        self._connections = connections
        self._limits = connections.limits
        self._loop = asyncio.get_running_loop()
        self.since = self._loop.time()
        self._deadline: asyncio.TimerHandle | None = None
        self._phase_end: float | None = None
        self._unread: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport | None = None
        self._client = ""
        self._received = False
        self._half_closed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._client = str((transport.get_extra_info("peername") or ("",))[0])
        self._connections.add(self._protocol, self)
        self._enter(Phase.RECEIVING, self._limits.request_seconds)
        self._protocol.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        if self.phase is Phase.IDLE:
            self._enter(Phase.RECEIVING, self._limits.request_seconds)
        self._received = True
        self._protocol.data_received(data)

    def eof_received(self) -> bool:
        """Keep the connection open for the answer when the client has closed only its own side."""
        if not self._limits.answers_half_closed:
            return False
        self._half_closed = True
        if self.phase is Phase.RECEIVING and self._received:
            self._enter(Phase.RECEIVING, _HALF_CLOSED_SECONDS)  # all of it may be here and not looked at yet
            return True
        return self.phase is Phase.ANSWERING

    def connection_lost(self, exc: Exception | None) -> None:
        if self.phase is Phase.ANSWERING or exc is not None or (self.phase is Phase.RECEIVING and self._received):
            log.debug("http_client_gone", client=self._client, reason=str(exc or "closed in the middle of a request"))
        for timer in (self._deadline, self._unread):
            if timer is not None:
                timer.cancel()
        self._connections.remove(self._protocol)
        self._protocol.connection_lost(exc)

    def pause_writing(self) -> None:
        self._unread = self._loop.call_later(self._limits.unread_seconds, self.abort, Phase.ANSWERING.value)
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None
        self._protocol.resume_writing()

    def answering(self) -> None:
        """Record that the whole request has arrived."""
        self._received = False  # from now on: of a further request, sent before the answer to this one
        self._enter(Phase.ANSWERING, None)

    def answered(self, *, keep_alive: bool) -> None:
        """Record that the answer was written."""
        if self.phase is Phase.CLOSING:
            return
        if not keep_alive or self._half_closed:
            self._enter(Phase.CLOSING, self._limits.unread_seconds)
            if self._half_closed and self._transport is not None:
                self._transport.close()
        elif self._received:
            self._enter(Phase.RECEIVING, self._limits.request_seconds)
        else:
            self._enter(Phase.IDLE, self._limits.idle_seconds)
        self._connections.wake()

    def abort(self, reason: str) -> None:
        """Close the connection without waiting for the client."""
        log.debug("http_connection_closed", client=self._client, reason=reason)
        self.phase = Phase.CLOSING
        if self._transport is not None:
            self._transport.abort()

    def _enter(self, phase: Phase, seconds: float | None) -> None:
        """Begin a phase that may last `seconds`. One timer serves all phases: it is moved when it is due."""
        self.phase = phase
        self.since = self._loop.time()
        self._phase_end = None if seconds is None else self.since + seconds
        timer = self._deadline
        if self._phase_end is not None and (timer is None or timer.when() > self._phase_end):
            if timer is not None:
                timer.cancel()
            self._deadline = self._loop.call_at(self._phase_end, self._look)

    def _look(self) -> None:
        """Close the connection if its phase has lasted too long, or look again then."""
        self._deadline = None
        if self._phase_end is None:
            return
        if self._phase_end > self._loop.time():
            self._deadline = self._loop.call_at(self._phase_end, self._look)
        else:
            self.abort(self.phase.value)
