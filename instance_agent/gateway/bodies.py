"""Bounds of the bodies that clients send: no request delays the others by the time that its body needs.

The reader of JSON holds the interpreter, so that a thread alone does not help: the number of elements is bounded before. The
Python code around it, which translates a request, gives way to the event loop in a thread.
"""

import asyncio
from collections.abc import Callable
from typing import Final, TypeVar

from instance_agent.chat.json_body import LARGE_BODY_BYTES
from instance_agent.gateway.errors import GatewayError

_T = TypeVar("_T")

#: Bytes of a request to /api: a prompt of a million tokens has about 4 MiB.
MAX_API_BODY_BYTES: Final = 4 * 1024 * 1024
#: Bytes of feedback, whose longest text has 2,000 characters.
MAX_FEEDBACK_BYTES: Final = 64 * 1024
#: Objects, lists and commas. A conversation of 1,000 messages with 50 tools has about 10,000.
MAX_ELEMENTS: Final = 100_000
#: The same for embeddings: OpenAI takes 300,000 tokens, each of which may be a number.
MAX_EMBEDDINGS_ELEMENTS: Final = 500_000
#: OpenAI takes 2,048.
MAX_EMBEDDINGS_INPUTS: Final = 10_000
#: Scanned in one go, in about a millisecond.
_SCAN_BYTES: Final = 256 * 1024


def body_limit(path: str, most: int) -> int:
    """Return how many bytes the body of a request to `path` may have; `most`: where images are possible."""
    if path.startswith("/api/"):
        return MAX_API_BODY_BYTES
    return MAX_FEEDBACK_BYTES if path == "/v1/feedback" else most


async def check_elements(path: str, body: bytes) -> None:
    """Count the elements of JSON outside of texts, and let other requests go on meanwhile.

    Raises:
        GatewayError: 413, there are more than a request to `path` may have.
    """
    most = MAX_EMBEDDINGS_ELEMENTS if path == "/v1/embeddings" else MAX_ELEMENTS
    if _count(body) <= most:
        return
    found, start, in_text = 0, 0, False
    while start < len(body):
        end = start + _SCAN_BYTES
        piece = body[start:end]
        if (len(piece) - len(piece.rstrip(b"\\"))) % 2:
            piece += body[end : end + 1]  # its last backslash belongs to the next character
        start += len(piece)
        parts = piece.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')
        found += _count(b"".join(parts[int(in_text) :: 2]))
        in_text ^= len(parts) % 2 == 0
        if found > most:
            raise GatewayError(
                f"found a body of more than {most:,} elements of JSON (objects, lists and commas), expected fewer",
                status=413,
                code="too_large",
            )
        await asyncio.sleep(0)


async def read_apart(read: Callable[[bytes], _T], body: bytes) -> _T:
    """Read a body; a large one in a thread."""
    if len(body) <= LARGE_BODY_BYTES:
        return read(body)
    return await asyncio.to_thread(read, body)


def _count(text: bytes) -> int:
    return text.count(b",") + text.count(b"[") + text.count(b"{")
