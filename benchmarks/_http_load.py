"""A load generator for HTTP/1.1 that costs little itself: requests in closed or open loop, over kept connections."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

_TIMEOUT_SECONDS: Final = 60.0


@dataclass
class Outcome:
    """The outcomes of one load; times in seconds."""

    statuses: Counter[int] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    times: list[float] = field(default_factory=list)
    first_bytes: list[float] = field(default_factory=list)
    aborted: int = 0
    seconds: float = 0.0
    late: int = 0

    @property
    def answered(self) -> int:
        """Requests with the status 200."""
        return self.statuses[200]

    @property
    def ended(self) -> int:
        """Requests that have ended in any way."""
        return self.statuses.total() + self.errors.total()

    def problems(self) -> dict[str, int]:
        """Return every outcome that is not a 200."""
        return {**{str(k): n for k, n in self.statuses.items() if k != 200}, **self.errors}


class _Connection(asyncio.Protocol):
    """One connection. `abort_after`: bytes of the body after which the connection is cut."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._done: asyncio.Future[int] | None = None
        self.first_byte_at = 0.0
        self._head = b""
        self._status = 0
        self._left = 0
        self._chunked = False
        self._tail = b""
        self._abort = False
        self.usable = True

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def send(self, request: bytes, *, abort: bool) -> "asyncio.Future[int]":
        assert self._transport is not None
        self._done = asyncio.get_running_loop().create_future()
        self._head, self._status, self._tail, self._abort = b"", 0, b"", abort
        self._transport.write(request)
        return self._done

    def close(self) -> None:
        self.usable = False
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._status == 0:
            self._head += data
            head, end, data = self._head.partition(b"\r\n\r\n")
            if not end:
                return
            self._read_head(head)
            if not data:
                if self._left == 0 and not self._chunked:
                    self._finish()
                return
        if self.first_byte_at == 0.0:
            self.first_byte_at = time.perf_counter()
        if self._abort:
            self.close()
            self._finish()
        elif self._chunked:
            self._tail = (self._tail + data)[-7:]
            if self._tail.endswith(b"\r\n0\r\n\r\n") or data == b"0\r\n\r\n":
                self._finish()
        else:
            self._left -= len(data)
            if self._left <= 0:
                self._finish()

    def _read_head(self, head: bytes) -> None:
        lines = head.lower().split(b"\r\n")
        self._status = int(lines[0].split()[1])
        headers = dict(line.split(b": ", 1) for line in lines[1:] if b": " in line)
        self._left = int(headers.get(b"content-length", b"0"))
        self._chunked = headers.get(b"transfer-encoding") == b"chunked"
        if headers.get(b"connection") == b"close":
            self.usable = False
        self.first_byte_at = 0.0

    def _finish(self) -> None:
        if self._done is not None and not self._done.done():
            self._done.set_result(self._status)

    def connection_lost(self, _error: Exception | None) -> None:
        self.usable = False
        if self._done is not None and not self._done.done():
            self._done.set_exception(ConnectionError("closed by the server"))


class Load:
    """Sends one body, again and again, to one address."""

    def __init__(self, url: str, bodies: Sequence[bytes], headers: dict[str, str] | None = None) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port or 80
        given = {"host": f"{parts.hostname}:{parts.port}", "content-type": "application/json", **(headers or {})}
        lines = "".join(f"{name}: {value}\r\n" for name, value in given.items())
        self._requests = [
            f"POST {parts.path} HTTP/1.1\r\n{lines}content-length: {len(body)}\r\n\r\n".encode() + body
            for body in bodies
        ]
        self._idle: list[_Connection] = []

    async def closed_loop(self, total: int, in_parallel: int, *, abort_every: int | None = None) -> Outcome:
        """Send `total` requests, `in_parallel` at any time; every `abort_every`th is cut at its first byte."""
        outcome = Outcome()
        numbers = iter(range(total))
        began = time.perf_counter()

        async def work() -> None:
            for number in numbers:
                await self._one(number, outcome, abort=abort_every is not None and number % abort_every == 0)

        await asyncio.gather(*(work() for _ in range(in_parallel)))
        outcome.seconds = time.perf_counter() - began
        return self._ended(outcome)

    async def open_loop(self, rate: float, seconds: float, outcome: Outcome | None = None) -> Outcome:
        """Send `rate` requests a second, whatever the answers do; a time runs from the moment the request was due.

        Args:
            outcome: to look at while the load runs; None: a new one.
        """
        outcome = outcome or Outcome()
        tasks = []
        began = time.perf_counter()
        for number in range(round(rate * seconds)):
            due = began + number / rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            outcome.late += time.perf_counter() - due > 0.005
            tasks.append(asyncio.create_task(self._one(number, outcome, due=due)))
        await asyncio.gather(*tasks)
        outcome.seconds = time.perf_counter() - began
        return self._ended(outcome)

    async def _one(self, number: int, outcome: Outcome, *, abort: bool = False, due: float | None = None) -> None:
        request = self._requests[number % len(self._requests)]
        try:
            connection = await self._connection()
            began = time.perf_counter() if due is None else due
            status = await asyncio.wait_for(connection.send(request, abort=abort), _TIMEOUT_SECONDS)
        except (OSError, TimeoutError) as error:
            outcome.errors[type(error).__name__] += 1
            return
        outcome.aborted += abort
        outcome.statuses[status] += 1
        if not abort:
            outcome.times.append(time.perf_counter() - began)
            outcome.first_bytes.append(connection.first_byte_at - began)
        if connection.usable:
            self._idle.append(connection)

    async def _connection(self) -> _Connection:
        while self._idle:
            connection = self._idle.pop()
            if connection.usable:
                return connection
        _, connection = await asyncio.get_running_loop().create_connection(_Connection, self._host, self._port)
        return connection

    def _ended(self, outcome: Outcome) -> Outcome:
        for connection in self._idle:
            connection.close()
        self._idle.clear()
        return outcome
