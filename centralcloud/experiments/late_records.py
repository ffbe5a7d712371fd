"""Records that came too late: the newest minutes are counted again later, and what is new in them was not folded.

A minute is counted when it is folded, when it is 16 minutes old and a day (1,440 minutes) later. So the count needs no index
of its own, and no time at which a record arrived: transactions do not commit in the order in which they began.
"""

import struct
from typing import Any, Final, NamedTuple

import psycopg

from centralcloud.contracts import CentralCloudError
from centralcloud.experiments.decision_time import to_time
from centralcloud.runtime.postgres.query import Query

#: Minutes after which a minute is counted again, and for the last time.
_SOON: Final = 16
_LAST: Final = 1440
_FORMAT: Final = 1
_HEAD: Final = struct.Struct("<BIqq")
_ROW: Final = struct.Struct("<qI")


class _Count(NamedTuple):
    minute: int
    records: int


_COUNT_RECORDS = Query(__package__, "count_records", row=_Count)


class LateRecords:
    """How many records each of the newest minutes had, when they were counted last."""

    def __init__(self, counts: dict[int, int], counted_until: dict[int, int]) -> None:
        self._counts = counts
        #: By age: minutes before are counted again.
        self._counted_until = counted_until

    @classmethod
    def none(cls, first: int) -> "LateRecords":
        """Return the counts of an experiment that begins with a minute."""
        return cls({}, {_SOON: first, _LAST: first})

    @classmethod
    def read(cls, state: bytes) -> "LateRecords":
        """Return the counts in `state`.

        Raises:
            CentralCloudError: it has another format.
        """
        state = bytes(state)
        _, size, soon, last = _HEAD.unpack_from(state) if len(state) >= _HEAD.size else (0, -1, 0, 0)
        if not state or state[0] != _FORMAT or len(state) != _HEAD.size + size * _ROW.size:
            raise CentralCloudError(
                f"experiment_progress.state: found {len(state)} bytes of format {state[:1].hex() or 'none'}, expected "
                f"format {_FORMAT:02x}: run the version of CentralCloud that has written it"
            )
        return cls(dict(_ROW.iter_unpack(state[_HEAD.size :])), {_SOON: soon, _LAST: last})

    def to_bytes(self) -> bytes:
        """Return them as bytes."""
        rows = b"".join(_ROW.pack(*item) for item in self._counts.items())
        return _HEAD.pack(_FORMAT, len(self._counts), self._counted_until[_SOON], self._counted_until[_LAST]) + rows

    def advance(self, connection: psycopg.Connection[Any], experiment: str, minute: int, since: int, until: int) -> int:
        """Count the minutes that are folded, `since` to before `until`; return how many late records others have had."""
        late = 0
        for age in (_SOON, _LAST):
            start, end = self._counted_until[age], min(until - age, since)
            if end > start:
                self._counted_until[age] = end
                for each, records in _count(connection, experiment, minute, start, end).items():
                    late += max(0, records - self._counts.get(each, 0))
                    self._counts[each] = max(records, self._counts.get(each, 0))
        self._counts.update(_count(connection, experiment, minute, since, until))
        self._counts = {each: count for each, count in self._counts.items() if each >= self._counted_until[_LAST]}
        return late


def _count(connection: psycopg.Connection[Any], experiment: str, minute: int, since: int, until: int) -> dict[int, int]:
    span = {"since": to_time(since * minute), "until": to_time(until * minute)}
    rows = _COUNT_RECORDS.all(connection, {"experiment": experiment, "minute": minute, **span})
    return {row.minute: row.records for row in rows}
