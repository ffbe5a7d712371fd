"""Findings of the last month, the changes before those that are open, and the runs of the learner."""

from datetime import datetime
from typing import Any, Final, NamedTuple

import psycopg

from centralcloud.dashboard.reader.source import Source, Tier
from centralcloud.dashboard.sources.findings import Finding
from centralcloud.runtime.postgres.query import Query


class Cause(NamedTuple):
    """A change within 15 minutes before a finding was opened.

    Attributes:
        kind: ``score``, ``action`` or ``configuration``.
        subject: the model, the subject of the action, or the author of the configuration.
        what: the kind of the score's change, the name of the action, or the reason of the configuration.
        before, after: scores; `after` of a configuration is the number of its entries.
        number: the version of the scores, the id of the action, or the version of the configuration.
    """

    finding_id: int
    kind: str
    at: datetime
    subject: str
    complexity: str | None
    what: str | None
    before: float | None
    after: float | None
    number: int


class ModelVersion(NamedTuple):
    """A version of a model that was used for the first time within 15 minutes before a finding was opened.

    `told`: answers name it; else it is the name that the provider was sent.
    """

    finding_id: int
    model: str
    version: str
    at: datetime
    told: bool = False


class Runs(NamedTuple):
    """The runs of the learner within 24 hours.

    Attributes:
        publishing: those that have changed a score.
        excluding: those that have left instances out.
        pairs_changed: scores that they have changed.
    """

    runs: int
    publishing: int
    excluding: int
    last_at: datetime | None
    pairs_changed: int


class Exclusion(NamedTuple):
    """An instance that runs of a rule have left out within 7 days."""

    instance_id: str
    rule: str
    first_at: datetime
    last_at: datetime
    runs: int


_RECENT_FINDINGS = Query(__package__, "recent_findings", row=Finding)
_LIST_CAUSES = Query(__package__, "list_causes", row=Cause)
_LIST_MODEL_VERSIONS = Query(__package__, "list_model_versions", row=ModelVersion)
_READ_RUNS = Query(__package__, "read_runs", row=Runs)
_LIST_EXCLUSIONS = Query(__package__, "list_exclusions", row=Exclusion)


def _read_exclusions(connection: psycopg.Connection[Any]) -> tuple[Exclusion, ...]:
    return tuple(_LIST_EXCLUSIONS.all(connection))


#: Open findings, and those that were closed within 31 days, newest first: at most `MOST_FINDINGS`.
RECENT_FINDINGS: Final = Source(
    "recent_findings", Tier.QUARTER, lambda connection: tuple(_RECENT_FINDINGS.all(connection))
)
MOST_FINDINGS: Final = 2000
#: By finding, newest first.
CAUSES: Final = Source("causes", Tier.MINUTE, lambda connection: tuple(_LIST_CAUSES.all(connection)))
MODEL_VERSIONS: Final = Source(
    "model_versions", Tier.MINUTE, lambda connection: tuple(_LIST_MODEL_VERSIONS.all(connection))
)
RUNS: Final = Source("runs", Tier.QUARTER, lambda connection: _READ_RUNS.one(connection))
EXCLUSIONS: Final = Source("exclusions", Tier.MINUTE, _read_exclusions)
