"""The sessions of an experiment in the database: the open ones with their outcomes, and the keys of those that ended."""

from datetime import datetime
from typing import Any

import psycopg

from centralcloud.experiments import session_batches as batches
from centralcloud.experiments.array_rows import read_arrays
from centralcloud.experiments.decision_time import to_time
from centralcloud.experiments.session_batches import Clock, OpenSessions, outcome_type
from centralcloud.runtime.arrays import Booleans, Floats, Integers, np
from centralcloud.runtime.postgres.query import Query
from centralcloud.store.swallowed_rows import require_stored

_READ_SESSIONS = Query(__package__, "read_sessions")
_INSERT_SESSIONS = Query(__package__, "insert_sessions", row=int)
_UPSERT_SESSIONS = Query(__package__, "upsert_sessions")
_OLDEST_SESSION: Query[Any] = Query(__package__, "oldest_session", row=datetime)


class SessionTable:
    """The sessions of one experiment, in the connection's transaction. Times are in microseconds since 1970."""

    def __init__(self, connection: psycopg.Connection[Any], experiment: str) -> None:
        self._connection = connection
        self._key = {"experiment_id": experiment}

    def begin(self, key: Integers, at: Integers, share: Floats, arm: Integers) -> Booleans:
        """Store sessions at their first decisions; return which of them are neither open nor have ended. Each key once."""
        values = {"keys": key.tolist(), "at": at.tolist(), "share": share.tolist(), "arm": arm.tolist()}
        new = _INSERT_SESSIONS.all(self._connection, {**self._key, **values})
        found: Booleans = np.isin(key, np.array(new, dtype=np.int64))
        return found

    def read(self, keys: list[int], clock: Clock) -> OpenSessions:
        """Return the sessions with these keys, and the open ones that are idle by the end of a batch."""
        values = {"keys": keys, "idle_since": to_time(clock.until - clock.idle)}
        found = read_arrays(self._connection, _READ_SESSIONS, {**self._key, **values})
        # The outcomes are in the order of the rows.
        outcomes = np.frombuffer(found.pop("outcomes"), dtype=outcome_type())
        counts = found["bytes"] // batches.OUTCOME_BYTES
        order = np.argsort(found["key"], kind="stable")
        place = np.repeat(np.argsort(order), counts)
        by_key = np.argsort(place, kind="stable")
        share = np.where(found["share"] < 0, np.nan, found["share"])
        return OpenSessions(
            found["key"][order],
            found["first_at"][order],
            found["last_at"][order],
            found["arm"][order],
            share[order],
            found["is_folded"][order] > 0,
            found["has_ended"][order] > 0,
            counts[order],
            outcomes[by_key],
        )

    def store(self, changed: OpenSessions) -> None:
        """Store sessions that go on or have ended."""
        if not len(changed.key):
            return
        ends = np.cumsum(changed.counts) * batches.OUTCOME_BYTES
        outcomes = changed.outcomes.tobytes()
        starts = (ends - changed.counts * batches.OUTCOME_BYTES).tolist()
        stored = _UPSERT_SESSIONS.run(
            self._connection,
            {
                **self._key,
                "keys": changed.key.tolist(),
                "first_at": changed.first_at.tolist(),
                "last_at": changed.last_at.tolist(),
                "share": np.where(batches.are_compared(changed.arm, changed.share), changed.share, -1.0).tolist(),
                "arm": np.maximum(changed.arm, batches.CONTROL).tolist(),
                "is_folded": changed.is_folded.tolist(),
                "has_ended": changed.has_ended.tolist(),
                "outcomes": [outcomes[start:end] for start, end in zip(starts, ends.tolist(), strict=True)],
            },
        )
        require_stored("experiment_sessions", written=len(changed.key), stored=stored)

    def oldest(self, since: int) -> datetime | None:
        """Return when the oldest open session began, of those that began after a moment; None: there is none."""
        oldest: datetime | None = _OLDEST_SESSION.one(self._connection, {**self._key, "began": to_time(since)})
        return oldest
