"""The record of the fake upstream: which requests arrived, and how each ended."""

import time
from collections import Counter, deque
from typing import Any

MAX_RECORDED = 500


class Record:
    """The last requests, counts of all of them, and the behaviours that were ordered for the next ones."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.requests: deque[dict[str, Any]] = deque(maxlen=MAX_RECORDED)
        self.counts: Counter[str] = Counter()
        self.ordered: list[dict[str, Any]] = []
        self.open = 0

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
        self.open += 1
        return entry

    def end(self, entry: dict[str, Any], how: str) -> None:
        """Record the end of a request: `answered`, `client gone`, or `broken` by the upstream itself."""
        if entry["ended"] is None:
            entry["ended"] = how
            entry["seconds"] = time.time() - entry["began"]
            self.open -= 1

    def order(self, behaviour: str, times: int | None, model: str | None) -> None:
        self.ordered.append({"behaviour": behaviour, "times": times, "model": model})

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
            "open": self.open,
            "total": self.counts.total(),
        }
