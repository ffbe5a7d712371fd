"""Clients that go away: before the first byte, in the midst of an answer, and while they send the body."""

import asyncio
import contextlib
import itertools
import json
import time
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

import uvloop

_MESSAGES: Final = [{"role": "user", "content": "one two three four five six seven " * 20}]
_WAIT_SECONDS: Final = 30.0
_SLOW: Final = "slow-headers=0.2"
_TRICKLE: Final = "trickle=0.02"


@dataclass(frozen=True)
class Kind:
    """One kind of request. `leave`: when the client goes away; `stays`: it reads the whole answer."""

    path: str
    body: dict[str, Any]
    leave: str

    @property
    def name(self) -> str:
        """For counts."""
        return f"{self.path} {'stream' if self.body.get('stream') else 'plain'} {self.leave}"

    @cached_property
    def json(self) -> bytes:
        """The body as it is sent."""
        return json.dumps(self.body).encode()


def _kinds() -> list[Kind]:
    chat: dict[str, Any] = {"messages": _MESSAGES, "max_tokens": 100}
    bodies = [
        ("/v1/chat/completions", "alpha/m", chat),
        ("/v1/chat/completions", "beta/m", chat),
        ("/v1/chat/completions", "gamma/m", chat),
        ("/v1/messages", "alpha/m", chat),
        ("/v1/messages", "beta/m", chat),
        ("/v1/messages/count_tokens", "beta/m", chat),
        ("/v1/embeddings", "embed", {"input": "one two three"}),
        ("/v1/responses", "alpha/m", {"input": "one two three"}),
    ]
    found = []
    for path, model, rest in bodies:
        own = {"model": model, **rest}
        found += [Kind(path, own, "stays"), Kind(path, own, "during the body")]
        slow = own if model == "embed" else {**own, "model": f"{model}!{_SLOW}"}
        found.append(Kind(path, slow, "before the first byte"))
        if rest is chat and not path.endswith("count_tokens"):
            trickling = {**own, "model": f"{model}!{_TRICKLE}", "stream": True}
            found += [
                Kind(path, {**own, "stream": True}, "stays"),
                Kind(path, trickling, "in mid-stream"),
                Kind(path, {**trickling, "model": f"{model}!{_SLOW}"}, "before the first byte"),
            ]
    return found


#: Every endpoint, plain and as a stream, with each way to leave.
KINDS: Final = _kinds()


@dataclass
class Sent:
    """The requests of a run, by kind and how they ended: the status for those that stayed, else `left`."""

    ends: Counter[tuple[str, str]] = field(default_factory=Counter)

    @property
    def total(self) -> int:
        """Number of requests."""
        return self.ends.total()

    def problems(self) -> dict[tuple[str, str], int]:
        """Return those that stayed and were not answered with 200."""
        return {end: count for end, count in self.ends.items() if end[1] not in ("200", "left")}


class AbortingClients:
    """Sends every kind of request in turn, over plain sockets."""

    def __init__(self, port: int, key: str, clients: int = 32) -> None:
        self._port = port
        self._clients = clients
        self._key = key
        self._turns = itertools.count()

    def run(self, requests: int, seconds: float) -> Sent:
        """Send `requests` requests, or as many as `seconds` allow."""
        sent = Sent()
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:  # half the time of asyncio's loop
            runner.run(self._run(sent, requests, time.monotonic() + seconds))
        return sent

    async def _run(self, sent: Sent, requests: int, until: float) -> None:
        left = iter(range(requests))

        async def client() -> None:
            for _ in left:
                if time.monotonic() > until:
                    return
                turn = next(self._turns)
                kind = KINDS[turn % len(KINDS)]
                async with asyncio.timeout(_WAIT_SECONDS):
                    end = await self._one(kind, resets=turn // len(KINDS) % 2 == 0)
                sent.ends[kind.name, end] += 1

        await asyncio.gather(*(client() for _ in range(self._clients)))

    async def _one(self, kind: Kind, *, resets: bool) -> str:
        """Send one request; `resets`: a client that leaves sends RST, not FIN."""
        body = kind.json
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            writer.write(
                f"POST {kind.path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {self._key}\r\nconnection: close\r\n"
                f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n".encode()
            )
            if kind.leave == "during the body":
                writer.write(body[: len(body) // 2])
                await writer.drain()
                await asyncio.sleep(0.001)
                return "left"
            writer.write(body)
            if kind.leave == "before the first byte":
                await asyncio.sleep(0.03)  # the request has reached the provider, mostly
                return "left"
            head = await reader.readuntil(b"\r\n\r\n")
            if kind.leave == "in mid-stream":
                await reader.read(100)
                return "left"
            if head.startswith(b"HTTP/1.1 429"):  # those that leave would not see it
                raise AssertionError("the clients' key has too low a rate limit: found the status 429")
            await reader.read(-1)
            return head.split()[1].decode()
        except (ConnectionError, asyncio.IncompleteReadError) as error:
            return type(error).__name__
        finally:
            if resets and kind.leave != "stays":
                writer.transport.abort()
            with contextlib.suppress(ConnectionError):
                writer.close()
