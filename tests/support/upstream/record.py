"""The record of the fake upstream: which requests arrived, and how each ended."""

import asyncio
import time
from collections import Counter, deque
from typing import Any

MAX_RECORDED = 500


class Record:
    """The last requests, counts of all of them, and the behaviours that were ordered for the next ones."""

    def __init__(self) -> None:
        #: Set when the held requests may go on; a later one waits for the next release.
        self.released = asyncio.Event()
        self.reset()

    def reset(self) -> None:
        self.release()
        self.requests: deque[dict[str, Any]] = deque(maxlen=MAX_RECORDED)
        self.counts: Counter[str] = Counter()
        self.ordered: list[dict[str, Any]] = []
        # By identity: a request that began before a reset must not count when it ends.
        self._open: dict[int, dict[str, Any]] = {}

    def begin(self, method: str, path: str, headers: dict[str, str], body: str, model: str | None) -> dict[str, Any]:
        entry: dict[str, Any] = {
            "number": sum(self.counts.values()),
            "method": method,
            "path": path,
            "headers": headers,
            "body": body,
            "model": model,
            "began": time.time(),
            "ended": None,
            "seconds": None,
        }
        self.requests.append(entry)
        self.counts[path] += 1
        self._open[id(entry)] = entry
        return entry

    def end(self, entry: dict[str, Any], how: str) -> None:
        """Record the end of a request: `answered`, `client gone`, or `broken` by the upstream itself."""
        if entry["ended"] is None:
            entry["ended"] = how
            entry["seconds"] = time.time() - entry["began"]
            self._open.pop(id(entry), None)

    def order(self, behaviour: str, times: int | None, model: str | None) -> None:
        self.ordered.append({"behaviour": behaviour, "times": times, "model": model})

    def release(self) -> None:
        """Let the requests that are held go on."""
        self.released.set()
        self.released = asyncio.Event()

    def take_order(self, model: str | None) -> str:
        """Return the behaviour ordered for this model, and count it as used."""
        for order in self.ordered:
            if order["model"] in (None, model):
                if order["times"] is not None:
                    order["times"] -= 1
                    if order["times"] <= 0:
                        self.ordered.remove(order)
                return order["behaviour"]
        return ""

    def state(self) -> dict[str, Any]:
        return {
            "requests": list(self.requests),
            "counts": dict(self.counts),
            "open": len(self._open),
            "total": self.counts.total(),
        }
