"""Findings: problems that an operator should know about, each with the time when it was opened and closed."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

import psycopg
from psycopg.types.json import Jsonb

from centralcloud.contracts.limits import OTHER
from centralcloud.runtime.postgres.query import Query
from centralcloud.store.swallowed_rows import require_stored

_UPSERT_FINDING = Query(__package__, "upsert_finding")
_CLOSE_FINDINGS = Query(__package__, "close_findings")
_CLOSE_STALE_FINDINGS = Query(__package__, "close_stale_findings")
#: Open findings of one kind, besides the one that counts the others.
MOST_OF_A_KIND: Final = 50
#: Details that say how much traffic a finding concerns, the best first.
_TRAFFIC: Final = ("decisions", "outcomes", "events", "pairs")


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
    """Make `found` the only open findings of `kinds`: open the new ones, refresh the known ones, close the rest.

    The `MOST_OF_A_KIND` with the most traffic are kept of each kind, and one finding counts the others.
    """
    found = list(limit_findings(found))
    held = {"held_kinds": [each.kind for each in found], "held_subjects": [each.subject for each in found]}
    _CLOSE_FINDINGS.run(connection, {"kinds": list(kinds), **held})
    for each in found:
        open_finding(connection, each)


def open_finding(connection: psycopg.Connection[Any], finding: Finding) -> None:
    """Open `finding`, or refresh it if it is open."""
    stored = _UPSERT_FINDING.run(connection, {**finding._asdict(), "details": Jsonb(finding.details)})
    require_stored("findings", written=1, stored=stored)


def close_stale_findings(connection: psycopg.Connection[Any], kind: str, *, seconds: float) -> None:
    """Close the findings of `kind` that no process has confirmed for `seconds`."""
    _CLOSE_STALE_FINDINGS.run(connection, {"kind": kind, "seconds": seconds})


def limit_findings(found: Iterable[Finding]) -> Iterator[Finding]:
    """Yield the findings; of a kind with too many, those with the most traffic, and one that counts the others."""
    by_kind: dict[str, list[Finding]] = defaultdict(list)
    for each in found:
        by_kind[each.kind].append(each)
    for kind, findings in by_kind.items():
        if len(findings) <= MOST_OF_A_KIND:
            yield from findings
            continue
        findings.sort(key=lambda each: (-_traffic(each), each.subject))
        yield from findings[:MOST_OF_A_KIND]
        number = len(findings) - MOST_OF_A_KIND
        yield Finding(
            kind,
            OTHER,
            f"{number:,} more findings of this kind are not listed: those with the most traffic are; "
            f"`centralcloud models forget` removes names that are not models",
            {"number": number},
        )


def _traffic(finding: Finding) -> float:
    return next((finding.details[name] for name in _TRAFFIC if name in finding.details), 0)
