"""Reading evidence from the database, each slice once."""

from collections.abc import Iterable
from itertools import groupby
from typing import Any

import psycopg
from psycopg.rows import dict_row

from centralcloud.learning.evidence import FIELDS, RECENT_SLICES, Evidence, Pair, RecentOutcomes, Sums
from centralcloud.runtime.postgres.query import Query

_SLICES = Query(__package__, "slices_after")
_EVIDENCE = Query(__package__, "evidence_after")
_RECENT = Query(__package__, "recent_instance_outcomes")


class EvidenceReader:
    """Keeps what it has read: the evidence of a closed slice changes only with the generation."""

    def __init__(self) -> None:
        self._generation: int | None = None
        self._kept: dict[frozenset[str], Evidence] = {}

    def recent(self, connection: psycopg.Connection[Any], through_slice: int | None) -> RecentOutcomes:
        """Outcomes of the newest slices through one (None: also the open one), instance by instance."""
        newest = {"through_slice": through_slice, "slices": RECENT_SLICES}
        rows = connection.execute(_RECENT.text, newest).fetchall()
        return RecentOutcomes.of({(row[0], (row[1], row[2])): (row[3], row[4]) for row in rows})

    def evidence(
        self,
        connection: psycopg.Connection[Any],
        through_slice: int | None,
        *,
        generation: int,
        excluded: Iterable[str],
        reported: dict[Pair, float],
    ) -> Evidence:
        """Everything through a slice (None: also the open one), without what `excluded` instances sent."""
        if generation != self._generation:
            self._kept.clear()
            self._generation = generation
        key = frozenset(excluded)
        evidence = self._kept.get(key) or Evidence(excluded=key)
        if through_slice is None or not evidence.slices or evidence.slices[-1] < through_slice:
            _read_on(connection, evidence, through_slice)
        evidence.reported = reported
        self._kept[key] = evidence
        return evidence

    def forget_all_but(self, used: Iterable[frozenset[str]]) -> None:
        """Keep only the evidence without `used` sets of instances."""
        used = set(used)
        self._kept = {key: evidence for key, evidence in self._kept.items() if key in used}


def _read_on(connection: psycopg.Connection[Any], evidence: Evidence, through_slice: int | None) -> None:
    stretch = {
        "after_slice": evidence.slices[-1] if evidence.slices else 0,
        "through_slice": through_slice,
        "excluded": list(evidence.excluded),
    }
    slices = connection.execute(_SLICES.text, stretch).fetchall()
    sums: dict[int, dict[Pair, Sums]] = {}
    retired: dict[int, float] = {}
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(_EVIDENCE.text, stretch)
        for slice_no, all_of_slice in groupby(rows, key=lambda row: row["slice_no"]):
            of_slice = list(all_of_slice)
            retired[slice_no] = sum(row["outcomes"] for row in of_slice if row["retired"])
            sums[slice_no] = {
                (row["model_name"], row["complexity_level"]): Sums(**{name: row[name] for name in FIELDS})
                for row in of_slice
                if not row["retired"]
            }
    for slice_no, opened_at in slices:
        evidence.append(slice_no, opened_at, sums.get(slice_no, {}), retired_outcomes=retired.get(slice_no, 0.0))
