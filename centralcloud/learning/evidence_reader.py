"""Reads evidence from the database, each slice once."""

from collections.abc import Iterable
from datetime import datetime
from itertools import groupby
from typing import Any, Final, NamedTuple

import psycopg

from centralcloud.learning.evidence import FIELDS, RECENT_SLICES, Evidence, Pair, RecentOutcomes, Sums
from centralcloud.runtime.logs import get_logger
from centralcloud.runtime.postgres.query import Query

log = get_logger(__name__)


class _Slice(NamedTuple):
    slice_no: int
    opened_at: datetime


class _RecentRow(NamedTuple):
    instance_id: str
    model: str
    complexity: str
    outcomes: float
    reward: float


_SLICES_AFTER = Query(__package__, "slices_after", row=_Slice)
_EVIDENCE_AFTER = Query(__package__, "evidence_after", row=dict)
_RECENT_INSTANCE_OUTCOMES = Query(__package__, "recent_instance_outcomes", row=_RecentRow)
_NO_ROWS: Final[tuple[int | None, Iterable[dict[str, Any]]]] = (None, ())


class EvidenceReader:
    """Keeps the evidence that it has read: that of a closed slice changes only together with the generation.

    Slices are known by their numbers, which mean nothing in another history of the database (after a failover, a restore, or
    a swap): the evidence of another history is discarded.
    """

    def __init__(self) -> None:
        self._history: str | None = None
        self._generation: int | None = None
        self._kept: dict[frozenset[str], Evidence] = {}

    def recent(self, connection: psycopg.Connection[Any], through_slice: int | None) -> RecentOutcomes:
        """Return the outcomes of the newest slices through one (None: also the open one), instance by instance."""
        newest = {"through_slice": through_slice, "slices": RECENT_SLICES}
        rows = _RECENT_INSTANCE_OUTCOMES.each(connection, newest)
        return RecentOutcomes.of(
            {(row.instance_id, (row.model, row.complexity)): (row.outcomes, row.reward) for row in rows}
        )

    def evidence(
        self,
        connection: psycopg.Connection[Any],
        through_slice: int | None,
        *,
        history: str,
        generation: int,
        excluded: Iterable[str],
        reported: dict[Pair, float],
    ) -> Evidence:
        """Return all evidence through a slice (None: also the open one), without that of the `excluded` instances.

        Args:
            history: identifies the history of the database, read in the transaction of `connection`.
            generation: that of the evidence in this history.
        """
        if history != self._history:
            if self._kept:
                log.warning("evidence_discarded", before=self._history, now=history, reason="another database history")
            self._kept.clear()
            self._history = history
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
        """Keep only the evidence without one of the `used` sets of instances."""
        used = set(used)
        self._kept = {key: evidence for key, evidence in self._kept.items() if key in used}


def _read_on(connection: psycopg.Connection[Any], evidence: Evidence, through_slice: int | None) -> None:
    stretch = {
        "after_slice": evidence.slices[-1] if evidence.slices else 0,
        "through_slice": through_slice,
        "excluded": list(evidence.excluded),
    }
    slices = _SLICES_AFTER.all(connection, stretch)
    # After a start these are all rows there are, far larger than their sums: a slice is summed up before the next is read.
    rows_of_slices = groupby(_EVIDENCE_AFTER.each(connection, stretch), key=lambda row: row["slice_no"])
    slice_no, rows = next(rows_of_slices, _NO_ROWS)
    for each in slices:
        sums: dict[Pair, Sums] = {}
        retired_outcomes = 0.0
        if slice_no == each.slice_no:
            for row in rows:
                if row["retired"]:
                    retired_outcomes += row["outcomes"]
                else:
                    pair = row["model_name"], row["complexity_level"]
                    sums[pair] = Sums(**{name: row[name] for name in FIELDS})
            slice_no, rows = next(rows_of_slices, _NO_ROWS)
        evidence.append(each.slice_no, each.opened_at, sums, retired_outcomes=retired_outcomes)
