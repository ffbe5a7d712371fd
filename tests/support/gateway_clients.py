"""Clients of several gateways: they spread their requests as a load balancer does, and note each answer."""

import asyncio
import json
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp

_TEXT: Final = "one two three four five six seven"
_CONNECTION_ERRORS: Final = (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, ConnectionError)
_REQUEST_SECONDS: Final = 30.0


class _StoppingError(ConnectionError):
    """A replica takes no new requests."""


@dataclass
class Answered:
    """The outcomes of requests, as clients saw them.

    Attributes:
        decisions: decision id -> request id, of the requests that were answered whole.
        errors: of requests that failed, also at the second replica: what the client saw, and how often.
        broken_streams: streams that began and did not end properly; no retry can help them.
        retried: requests that were sent to a second replica.
        longest_seconds: of one request, from its begin to the end of its answer.
    """

    decisions: dict[str, str] = field(default_factory=dict)
    errors: Counter[str] = field(default_factory=Counter)
    broken_streams: int = 0
    retried: int = 0
    longest_seconds: float = 0.0


class GatewayClients:
    """Clients in a thread of their own; use it as a context. Each sends one request after the other until the end.

    A request goes to the next replica in turn. On an error of the connection, and when a replica answers that it stops, it
    is sent once more, to the one after that: as a load balancer or a client's library does. No other answer is repeated.
    """

    def __init__(
        self,
        urls: Sequence[str],
        key: str,
        *,
        clients: int = 8,
        pause_seconds: float = 0.01,
        streams_every: int = 4,
    ) -> None:
        self.seen = Answered()
        self._urls = list(urls)
        self._headers = {"authorization": f"Bearer {key}"}
        self._clients = clients
        self._pause_seconds = pause_seconds
        self._streams_every = streams_every
        self._turn = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="clients")
        self._failure: BaseException | None = None

    def __enter__(self) -> "GatewayClients":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        if self._failure is not None:
            raise self._failure

    @property
    def answered(self) -> int:
        """Number of requests that were answered whole."""
        return len(self.seen.decisions)

    async def _run(self) -> None:
        timeout = aiohttp.ClientTimeout(total=_REQUEST_SECONDS)
        try:
            async with aiohttp.ClientSession(headers=self._headers, timeout=timeout) as session:
                await asyncio.gather(*(self._client(session, number) for number in range(self._clients)))
        except BaseException as error:  # raised at the end of the block
            self._failure = error

    async def _client(self, session: aiohttp.ClientSession, number: int) -> None:
        loop = asyncio.get_running_loop()
        sent = number
        while not self._stop.is_set():
            stream = bool(self._streams_every) and sent % self._streams_every == 0
            sent += 1
            began = loop.time()
            await self._request(session, stream=stream)
            self.seen.longest_seconds = max(self.seen.longest_seconds, loop.time() - began)
            await asyncio.sleep(self._pause_seconds)

    async def _request(self, session: aiohttp.ClientSession, *, stream: bool) -> None:
        self._turn += 1
        first = self._turn
        ask: Callable[..., Any] = self._stream if stream else self._plain
        for attempt in range(2):
            try:
                await ask(session, self._urls[(first + attempt) % len(self._urls)])
                return
            except (*_CONNECTION_ERRORS, TimeoutError) as error:
                problem = f"{type(error).__name__}: {error}"
            self.seen.retried += attempt == 0
        self.seen.errors[problem] += 1

    def _refused(self, status: int, text: str) -> None:
        if status == 503 and '"stopping"' in text:
            raise _StoppingError(text)
        if status == 429:  # it ends the test: a rate limit would make the load of it a short one
            raise AssertionError(f"the clients' key has too low a rate limit: {text[:200]}")
        self.seen.errors[f"{status}: {text[:200]}"] += 1

    async def _plain(self, session: aiohttp.ClientSession, url: str) -> None:
        body = {"model": "auto", "messages": [{"role": "user", "content": _TEXT}]}
        async with session.post(f"{url}/v1/chat/completions", json=body) as answer:
            text = await answer.text()
            if answer.status == 200:
                headers = answer.headers
                self.seen.decisions[headers["x-centralcloud-decision-id"]] = headers["x-centralcloud-request-id"]
            else:
                self._refused(answer.status, text)

    async def _stream(self, session: aiohttp.ClientSession, url: str) -> None:
        body = {"model": "auto", "stream": True, "messages": [{"role": "user", "content": _TEXT}]}
        async with session.post(f"{url}/v1/chat/completions", json=body) as answer:
            if answer.status != 200:
                self._refused(answer.status, await answer.text())
                return
            try:
                text = await answer.text()
            except _CONNECTION_ERRORS:
                self.seen.broken_streams += 1
                return
        if not text.endswith("data: [DONE]\n\n"):
            self.seen.broken_streams += 1
            return
        comment = next(line for line in text.splitlines() if line.startswith(": centralcloud "))
        found = json.loads(comment.removeprefix(": centralcloud "))
        self.seen.decisions[found["decision_id"]] = found["request_id"]
