"""The open findings."""

import json
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any, Final, NamedTuple

import psycopg

from centralcloud.dashboard.reader.source import Source, Tier
from centralcloud.runtime.postgres.query import Query


class Finding(NamedTuple):
    """A finding.

    Attributes:
        kind: its name in code, such as ``low_success_rate``.
        subject: the pair, instance, rule or other thing that it is about.
        details: JSON, with ``model``, ``complexity``, ``provider``, ``instance`` where it is about these.
        traffic_share: share of the fleet's decisions of the last 24 hours that it concerns, 0 to 1; None: unknown.
        closed_at: None while it is open.
    """

    finding_id: int
    kind: str
    subject: str
    message: str
    details: str
    traffic_share: float | None
    opened_at: datetime
    seen_at: datetime
    closed_at: datetime | None

    @property
    def about(self) -> Mapping[str, Any]:
        """The details, as a value that is not to be changed."""
        return _value_of(self.details)

    @property
    def names(self) -> tuple[str, ...]:
        """The names that its message may begin with: the subject, its parts, and what it is about."""
        about = (str(value) for value in self.about.values() if isinstance(value, str))
        return (self.subject, self.subject.rpartition("/")[0], *about)


@lru_cache(maxsize=1024)  # each update of a page asks for them several times
def _value_of(details: str) -> Mapping[str, Any]:
    found = json.loads(details)
    return found if isinstance(found, dict) else {}


_OPEN_FINDINGS = Query(__package__, "open_findings", row=Finding)


def _read(connection: psycopg.Connection[Any]) -> tuple[Finding, ...]:
    return tuple(_OPEN_FINDINGS.all(connection))


#: By their share of traffic, those of unknown share first, at most 500.
OPEN_FINDINGS: Final = Source("open_findings", Tier.QUARTER, _read)
