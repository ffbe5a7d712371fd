"""An upstream for measurements: OpenAI's Chat Completions from ready bytes, in some 20 us a request.

    python benchmarks/_fast_upstream.py

Prints its port. After ``POST /pace`` with the body ``WAIT GAP`` it answers WAIT ms after the request, and sends the 10
chunks of a stream GAP ms apart; at first both are 0.
The tests' fake upstream misbehaves and records; this one only has to be fast enough never to be the limit.
"""

import asyncio
import json
import re
import sys
from typing import Any, Final

_STREAM: Final = re.compile(rb'"stream":\s*true')
_LENGTH: Final = re.compile(rb"content-length:\s*(\d+)", re.IGNORECASE)
_TEXT: Final = "The quick brown fox jumps over the lazy dog. "
_USAGE: Final = {"prompt_tokens": 300, "completion_tokens": 400, "total_tokens": 700}


def _plain() -> bytes:
    message = {"role": "assistant", "content": _TEXT * 36, "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    answer = {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": _USAGE}
    body = json.dumps(answer).encode()
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _stream() -> list[bytes]:
    head: dict[str, Any] = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    events = [
        {**head, "choices": [{"index": 0, "delta": {"role": "assistant", "content": _TEXT}, "finish_reason": None}]}
        for _ in range(8)
    ]
    events.append({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    events.append({**head, "choices": [], "usage": _USAGE})
    chunks = [_chunk(b"data: " + json.dumps(each).encode() + b"\n\n") for each in events]
    chunks[0] = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n" + chunks[0]
    chunks[-1] += _chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"
    return chunks


_PLAIN_BYTES: Final = _plain()
_STREAM_BYTES: Final = _stream()


class _Protocol(asyncio.Protocol):
    wait = 0.0
    gap = 0.0

    def __init__(self) -> None:
        self._buffer = b""
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def connection_lost(self, _error: Exception | None) -> None:
        if self._task is not None:
            self._task.cancel()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, end, body = self._buffer.partition(b"\r\n\r\n")
        if not end:
            return
        found = _LENGTH.search(head)
        if len(body) < (int(found[1]) if found else 0):
            return
        self._buffer = b""
        if head.startswith(b"POST /pace"):
            _Protocol.wait, _Protocol.gap = (float(each) / 1000 for each in body.split())
            self._transport.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        elif self.wait == 0 and self.gap == 0:
            self._transport.write(b"".join(_STREAM_BYTES) if _STREAM.search(body) else _PLAIN_BYTES)
        else:
            streams = _STREAM.search(body) is not None
            self._task = asyncio.create_task(self._answer(self.wait, self.gap, streams=streams))

    async def _answer(self, wait: float, gap: float, *, streams: bool) -> None:
        await asyncio.sleep(wait)
        if not streams:
            self._transport.write(_PLAIN_BYTES)
            return
        for place, chunk in enumerate(_STREAM_BYTES):
            if place and gap:
                await asyncio.sleep(gap)
            self._transport.write(chunk)


async def main() -> None:
    """Serve until standard input is closed."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Protocol, "127.0.0.1", 0, backlog=1000)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
