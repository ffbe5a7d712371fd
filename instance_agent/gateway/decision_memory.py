"""The newest requests of this replica, as their events say it, for explanations before they are ingested."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

from centralcloud.contracts import RequestEvent

#: About 3 kB each: 2 kB of plan at most, and the events of one or two attempts.
MOST: Final = 2000
#: A request makes at most 20 attempts; a decision has at most two events.
_MOST_EVENTS: Final = 40


class DecisionMemory:
    """Keeps the events of the newest requests. For the event loop."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._events: OrderedDict[str, list[RequestEvent]] = OrderedDict()

    def add(self, events: Sequence[RequestEvent]) -> None:
        """Remember the events of one attempt."""
        request_id = events[0].request_id if events else None
        if request_id is None:
            return
        known = self._events.get(request_id)
        if known is None:
            self._events[request_id] = list(events)
            if len(self._events) > self._most:
                self._events.popitem(last=False)
        elif len(known) < _MOST_EVENTS:
            known += events

    def find(self, request_id: str) -> tuple[RequestEvent, ...]:
        """Return the events of a request, oldest first; none when it is not among the newest ones."""
        return tuple(self._events.get(request_id, ()))
