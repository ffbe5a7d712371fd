"""Findings: problems that an operator should know about, each with the time when it was opened and closed."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import psycopg
from psycopg.types.json import Jsonb

from centralcloud.runtime.postgres.query import Query

_UPSERT_FINDING = Query(__package__, "upsert_finding")
_CLOSE_FINDINGS = Query(__package__, "close_findings")


class Finding(NamedTuple):
    """A problem that exists now.

    Attributes:
        kind: its category, such as "low_success_rate".
        subject: the pair, model, provider, instance or rule concerned. A subject has one open finding of a kind at most.
        message: what was found, with numbers, and what was expected.
        details: the same numbers, for programs.
    """

    kind: str
    subject: str
    message: str
    details: dict[str, Any]


def replace_findings(connection: psycopg.Connection[Any], kinds: Iterable[str], found: Iterable[Finding]) -> None:
    """Make `found` the only open findings of `kinds`: open the new ones, refresh the known ones, close the rest."""
    found = list(found)
    held = {"held_kinds": [each.kind for each in found], "held_subjects": [each.subject for each in found]}
    _CLOSE_FINDINGS.run(connection, {"kinds": list(kinds), **held})
    for each in found:
        open_finding(connection, each)


def open_finding(connection: psycopg.Connection[Any], finding: Finding) -> None:
    """Open a finding, or refresh it if it is open."""
    _UPSERT_FINDING.run(connection, {**finding._asdict(), "details": Jsonb(finding.details)})
