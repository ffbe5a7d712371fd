"""A cache of whole answers for requests that are the same to the byte. Off by default.

An answer is given only to the tenant (key or workspace) that caused it. Only plain requests that ask for a deterministic
answer (`temperature` 0) are kept, unless `any_temperature` is set.
"""

import hashlib
from collections import OrderedDict
from typing import Final

import msgspec
from msgspec import Struct

#: Bytes that an entry needs beside its answer.
_ENTRY_BYTES: Final = 400


class CacheSettings(Struct, frozen=True, kw_only=True):
    """Bounds of the cache.

    Attributes:
        max_bytes: of all answers in memory.
        max_answer_bytes: a longer answer is not kept.
        seconds: that an answer is kept.
        any_temperature: keep answers of requests that do not set `temperature` to 0, too.
    """

    max_bytes: int = 64 * 1024 * 1024
    max_answer_bytes: int = 1024 * 1024
    seconds: float = 300.0
    any_temperature: bool = False


class CachedAnswer(Struct, frozen=True):
    """A kept answer: its bytes in the client's protocol, the key of its target, and the id of its request."""

    body: bytes
    target: str
    request_id: str


class _Head(Struct):
    temperature: float | None = None
    stream: bool | None = None
    n: int | None = None


_HEAD: Final = msgspec.json.Decoder(_Head)


class ResponseCache:
    """Answers by tenant and request; the ones not used for longest are dropped first. Not thread-safe."""

    def __init__(self, settings: CacheSettings | None = None) -> None:
        self._settings = settings or CacheSettings()
        self._entries: OrderedDict[bytes, tuple[CachedAnswer, float, float]] = OrderedDict()
        self._bytes = 0
        self.hits = 0
        self.misses = 0

    def key(self, tenant: str, protocol: str, body: bytes) -> bytes | None:
        """Return the key of a request, None for one whose answer is not kept."""
        try:
            head = _HEAD.decode(body)
        except (ValueError, RecursionError):
            return None
        if head.stream or (head.n or 1) != 1:
            return None
        if head.temperature != 0 and not self._settings.any_temperature:
            return None
        parts = (tenant.encode("utf-8", "surrogatepass"), protocol.encode(), body)
        digest = hashlib.sha256()
        for part in parts:  # with their lengths: no tenant can end where a body begins
            digest.update(len(part).to_bytes(8, "big"))
            digest.update(part)
        return digest.digest()

    def get(self, key: bytes, now: float, seconds: float | None = None) -> CachedAnswer | None:
        """Return the answer that is kept for `key`; `seconds`: the greatest age; None: any that it was kept for."""
        found = self._entries.get(key)
        if found is not None and found[2] <= now:
            self._drop(key)
            found = None
        if found is None or (seconds is not None and found[1] + seconds <= now):
            self.misses += 1
            return None
        self._entries.move_to_end(key)
        self.hits += 1
        return found[0]

    def put(self, key: bytes, answer: CachedAnswer, now: float, seconds: float | None = None) -> None:
        """Keep an answer, unless it is too long; `seconds`: None: as the settings say."""
        size = len(answer.body) + _ENTRY_BYTES
        if len(answer.body) > self._settings.max_answer_bytes or size > self._settings.max_bytes:
            return
        if key in self._entries:
            self._drop(key)
        self._entries[key] = (answer, now, now + (self._settings.seconds if seconds is None else seconds))
        self._bytes += size
        while self._bytes > self._settings.max_bytes:
            self._drop(next(iter(self._entries)))

    @property
    def size(self) -> int:
        """Bytes in memory, by an estimate."""
        return self._bytes

    def _drop(self, key: bytes) -> None:
        answer, _, _ = self._entries.pop(key)
        self._bytes -= len(answer.body) + _ENTRY_BYTES
