"""The newest values of all sources, as one immutable object. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar, cast

from centralcloud.dashboard.reader.outages import Outage, Problem
from centralcloud.dashboard.reader.source import Source

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The knowledge of the dashboard.

    Attributes:
        number: rises with each snapshot of one process.
        read_at: when the newest values were read, by the database's clock; None: nothing was read yet.
        values: by the name of the source. A value that has not changed is the same object as before.
        denied: why a source cannot be read, by its name: mostly the login has no right.
        outage: set while nothing can be read; the values are then those of before.
    """

    number: int = 0
    read_at: datetime | None = None
    values: Mapping[str, object] = field(default_factory=dict)
    denied: Mapping[str, Problem] = field(default_factory=dict)
    outage: Outage | None = None

    def of(self, source: Source[_T]) -> _T | None:
        """Return the value of a source; None where it was not read yet, or may not be read."""
        return cast("_T | None", self.values.get(source.name))
