"""The balance of the queue over the last hour: ids that were drawn, less the messages that are accounted for."""

import time
from collections import deque
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

import psycopg

from centralcloud.runtime.postgres.query import Query
from centralcloud.runtime.wording import age, apart
from centralcloud.store.findings import Finding
from centralcloud.store.history import read_epoch
from centralcloud.store.queue import read_newest_id

#: The kind of the finding.
UNACCOUNTED_FINDING: Final = "unaccounted_messages"

_HOUR_SECONDS: Final = 3600.0
_LARGEST_SHARE: Final = 0.01
#: A crash or a failover skips up to 32 ids: PostgreSQL logs a sequence 32 values ahead.
_FEWEST_MESSAGES: Final = 40
#: For each start of the server between the samples, beside what is always accepted.
_IDS_OF_A_RESTART: Final = 33
#: A send in progress has drawn ids without a message. It takes milliseconds, so the least of some samples is free of it.
_SETTLED_SAMPLES: Final = 3


class Sample(NamedTuple):
    """The queue at one moment, `at` in seconds of one clock.

    Attributes:
        accounted: messages in the queue, and those that have left it.
        drawn_before, drawn_after: ids that were drawn before and after these were counted.
        server_started: when the server was started.
    """

    at: float
    drawn_before: int
    accounted: int
    drawn_after: int
    server_started: datetime


class _Accounted(NamedTuple):
    """The columns of ``messages_accounted.sql``."""

    messages: int
    server_started: datetime


_MESSAGES_ACCOUNTED = Query(__package__, "messages_accounted", row=_Accounted)


class MessageBalance:
    """Samples of the last hour, of one history of the database."""

    def __init__(self) -> None:
        self._epoch: str | None = None
        self._samples: deque[Sample] = deque()

    def sample(self, connection: psycopg.Connection[Any]) -> list[Finding] | None:
        """Add a sample; return the finding that holds now, if there is one. Counts the queue.

        Returns:
            None: there are too few samples to say, and an open finding stays as it is.
        """
        epoch, now = read_epoch(connection), time.monotonic()
        if epoch != self._epoch:
            self._samples.clear()
            self._epoch = epoch
        before = read_newest_id(connection)
        accounted = _MESSAGES_ACCOUNTED.maybe(connection)
        if accounted is None:  # the ledger has no row, which the doctor reports
            return None
        after = read_newest_id(connection)
        self._samples.append(Sample(now, before, accounted.messages, after, accounted.server_started))
        while len(self._samples) > 1 and now - self._samples[1].at >= _HOUR_SECONDS:
            self._samples.popleft()
        return unaccounted_findings(self._samples) if len(self._samples) > _SETTLED_SAMPLES else None


def unaccounted_findings(samples: Sequence[Sample]) -> list[Finding]:
    """Return a finding if too many of the ids that were drawn between the samples are nowhere.

    Too many: more than 1%, and more than 40 and 33 for each start of the server between the samples.
    """
    first, newest = samples[0], list(samples)[1:][-_SETTLED_SAMPLES:]
    if len(newest) < _SETTLED_SAMPLES:
        return []
    # While the sequence is behind, fewer ids were drawn than are accounted for.
    before = max(0, first.drawn_after - first.accounted)
    unaccounted = min(each.drawn_before - each.accounted for each in newest) - before
    drawn = newest[-1].drawn_before - first.drawn_after
    restarts = len({each.server_started for each in samples}) - 1
    skipped = _FEWEST_MESSAGES + _IDS_OF_A_RESTART * restarts
    if drawn <= 0 or unaccounted <= max(skipped, _LARGEST_SHARE * drawn):
        return []
    found, most = apart(unaccounted / drawn, _LARGEST_SHARE)
    window = age(newest[-1].at - first.at)
    message = (
        f"{unaccounted:,} of {drawn:,} message ids drawn in the last {window} are nowhere ({found}): expected at most "
        f"{most}. Others remove messages from the queue, or sends are rolled back; `centralcloud verify` shows the ids"
    )
    details = {"unaccounted": unaccounted, "drawn": drawn, "share": round(unaccounted / drawn, 4)}
    return [Finding(UNACCOUNTED_FINDING, "queue", message, details)]
