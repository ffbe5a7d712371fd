"""Sources: what the reader reads for all pages, and how often."""

from collections.abc import Callable
from enum import Enum
from typing import Any, Generic, TypeVar

import psycopg

_T_co = TypeVar("_T_co", covariant=True)


class Tier(Enum):
    """How often a source is read: the more it costs, the less often. Values: the seconds between two reads."""

    #: Counters and small tables, less than a millisecond each.
    SECOND = 1.0
    #: Rows that follow the scores: also read as soon as a newer version is published.
    SCORES = 30.0
    QUARTER = 15.0
    #: Sources that read many rows.
    MINUTE = 60.0


class Source(Generic[_T_co]):
    """A value that the reader keeps up to date.

    Attributes:
        name: unique; pages find the value by the source itself.
        read: reads the value in the transaction of the reader. Returns an immutable value that `==` compares, such as a
            tuple of NamedTuples: a fragment of a page is rendered again only when its values have changed.
    """

    def __init__(self, name: str, tier: Tier, read: Callable[[psycopg.Connection[Any]], _T_co]) -> None:
        self.name = name
        self.tier = tier
        self.read = read

    def __repr__(self) -> str:
        return f"Source({self.name!r}, {self.tier.name})"


class Lookup(Generic[_T_co]):
    """A value for some arguments, read when a page asks for it: the history of one pair, or one request.

    Attributes:
        read: reads the value in a transaction of its own, from a connection and the arguments.
        keep_seconds: how long the value is used again for the same arguments.
    """

    def __init__(self, name: str, read: Callable[..., _T_co], *, keep_seconds: float) -> None:
        self.name = name
        self.read = read
        self.keep_seconds = keep_seconds
