"""The open findings."""

import json
from datetime import datetime
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
    def about(self) -> dict[str, Any]:
        """The details, as a value."""
        found = json.loads(self.details)
        return found if isinstance(found, dict) else {}

    @property
    def names(self) -> tuple[str, ...]:
        """The names that its message may begin with: the subject, its parts, and what it is about."""
        about = (str(value) for value in self.about.values() if isinstance(value, str))
        return (self.subject, self.subject.rpartition("/")[0], *about)


_OPEN_FINDINGS = Query(__package__, "open_findings", row=Finding)


def _read(connection: psycopg.Connection[Any]) -> tuple[Finding, ...]:
    return tuple(_OPEN_FINDINGS.all(connection))


#: By their share of traffic, those of unknown share first, at most 500.
OPEN_FINDINGS: Final = Source("open_findings", Tier.QUARTER, _read)
