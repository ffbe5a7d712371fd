"""Reads evidence from the database, each slice once."""

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any, NamedTuple

import psycopg

from centralcloud.learning.evidence import FIELDS, RECENT_SLICES, Evidence, Pair, RecentOutcomes, Sums
from centralcloud.runtime.postgres.query import Query


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


class EvidenceReader:
    """Keeps the evidence that it has read: that of a closed slice changes only together with the generation.

    It reads the sums of the pairs that it is given; the outcomes of all others count in `Evidence.fleet` only. So neither
    memory nor the time of a run grows with the names that are not learned.
    """

    def __init__(self) -> None:
        self._generation: int | None = None
        self._kept: dict[frozenset[str], Evidence] = {}
        self._pairs: frozenset[Pair] = frozenset()

    def recent(
        self, connection: psycopg.Connection[Any], through_slice: int | None, *, pairs: Collection[Pair]
    ) -> RecentOutcomes:
        """Return the outcomes of `pairs` in the newest slices through one (None: also the open one), by instance."""
        newest = {"through_slice": through_slice, "slices": RECENT_SLICES, **_columns(pairs)}
        rows = _RECENT_INSTANCE_OUTCOMES.all(connection, newest)
        return RecentOutcomes.of(
            {(row.instance_id, (row.model, row.complexity)): (row.outcomes, row.reward) for row in rows}
        )

    def evidence(
        self,
        connection: psycopg.Connection[Any],
        through_slice: int | None,
        *,
        generation: int,
        pairs: Collection[Pair],
        excluded: Iterable[str],
        reported: dict[Pair, float],
    ) -> Evidence:
        """Return the evidence of `pairs` through a slice (None: also the open one), without that of `excluded` instances."""
        if generation != self._generation:
            self._kept.clear()
            self._generation = generation
        self._change_pairs(connection, frozenset(pairs))
        key = frozenset(excluded)
        evidence = self._kept.get(key) or Evidence(excluded=key)
        if through_slice is None or not evidence.slices or evidence.slices[-1] < through_slice:
            _read_on(connection, evidence, through_slice, self._pairs)
        evidence.reported = reported
        self._kept[key] = evidence
        return evidence

    def _change_pairs(self, connection: psycopg.Connection[Any], pairs: frozenset[Pair]) -> None:
        """Add the earlier evidence of pairs that are learned from now on; begin anew if a pair is not learned any more."""
        if not self._pairs <= pairs:
            self._kept.clear()
        added = pairs - self._pairs
        earlier = []
        for evidence in self._kept.values() if added else ():
            stretch = {"after_slice": 0, "through_slice": evidence.slices[-1] if evidence.slices else 0}
            earlier.append((evidence, _read_sums(connection, stretch, evidence.excluded, added)[0]))
        for evidence, sums in earlier:  # after the last query: one that fails must not leave a part of it
            if sums:
                evidence.add_pairs(sums)
        self._pairs = pairs

    def forget_all_but(self, used: Iterable[frozenset[str]]) -> None:
        """Keep only the evidence without one of the `used` sets of instances."""
        used = set(used)
        self._kept = {key: evidence for key, evidence in self._kept.items() if key in used}


def _read_on(
    connection: psycopg.Connection[Any], evidence: Evidence, through_slice: int | None, pairs: Collection[Pair]
) -> None:
    after_slice = evidence.slices[-1] if evidence.slices else 0
    stretch = {"after_slice": after_slice, "through_slice": through_slice}
    slices = _SLICES_AFTER.all(connection, stretch)
    sums, others = _read_sums(connection, stretch, evidence.excluded, pairs)
    for slice_no, opened_at in slices:
        evidence.append(slice_no, opened_at, sums.get(slice_no, {}), other_outcomes=others.get(slice_no, 0.0))


def _read_sums(
    connection: psycopg.Connection[Any], stretch: dict[str, Any], excluded: Iterable[str], pairs: Collection[Pair]
) -> tuple[dict[int, dict[Pair, Sums]], dict[int, float]]:
    """Return the sums of `pairs` by slice, and the outcomes of all other pairs by slice."""
    sums: dict[int, dict[Pair, Sums]] = {}
    others: dict[int, float] = {}
    rows = _EVIDENCE_AFTER.all(connection, {**stretch, "excluded": list(excluded), **_columns(pairs)})
    for row in rows:
        if row["model_name"] is None:
            others[row["slice_no"]] = row["outcomes"]
        else:
            pair = row["model_name"], row["complexity_level"]
            sums.setdefault(row["slice_no"], {})[pair] = Sums(**{name: row[name] for name in FIELDS})
    return sums, others


def _columns(pairs: Collection[Pair]) -> dict[str, list[str]]:
    models, complexities = zip(*pairs, strict=True) if pairs else ((), ())
    return {"models": list(models), "complexities": list(complexities)}
