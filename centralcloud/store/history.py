"""The history of a database: what is remembered of one means nothing in another, after a failover, a restore, or a swap."""

from typing import Any, NamedTuple

import psycopg

from centralcloud.contracts import CentralCloudError
from centralcloud.runtime.postgres.query import Query

_READ_EPOCH = Query(__package__, "read_epoch", row=str)


class HistoryChangedError(CentralCloudError):
    """Two connections to the same URL led to databases with different histories."""


class Epoch(NamedTuple):
    """The parts of `centralcloud.epoch()`.

    Attributes:
        database: system identifier of the server, number of the database and generation, which stay over a failover.
        timeline: of the server, which rises with every promotion; None if the server does not show it.
    """

    database: str
    timeline: int | None

    @classmethod
    def parse(cls, text: str) -> "Epoch":
        """Return the parts of an epoch."""
        cluster, timeline, *database = text.split("/")
        known = timeline not in ("", "?")
        return cls("/".join([cluster, *database]), int(timeline, 16) if known else None)


def read_epoch(connection: psycopg.Connection[Any]) -> str:
    """Return the epoch of the database at the other end of `connection`."""
    return _READ_EPOCH.one(connection)
