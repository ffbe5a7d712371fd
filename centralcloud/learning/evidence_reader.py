"""Reads evidence from the database, each slice once."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any, Final, NamedTuple

import psycopg

from centralcloud.learning.evidence import (
    FIELDS,
    RECENT_SLICES,
    Evidence,
    ModelChange,
    NewVersion,
    Pair,
    RecentOutcomes,
    Sums,
)
from centralcloud.learning.task_evidence import TaskEvidence
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


class _TaskRow(NamedTuple):
    slice_no: int
    model: str
    complexity: str
    task_type: str
    outcomes: float
    reward: float


_SLICES_AFTER = Query(__package__, "slices_after", row=_Slice)
_EVIDENCE_AFTER = Query(__package__, "evidence_after", row=dict)
_TASK_EVIDENCE_AFTER = Query(__package__, "task_evidence_after", row=_TaskRow)
_RECENT_INSTANCE_OUTCOMES = Query(__package__, "recent_instance_outcomes", row=_RecentRow)
#: After the last slice with evidence.
_NO_SUMS: Final[tuple[int | None, dict[Pair, Sums], float]] = (None, {}, 0.0)


class EvidenceReader:
    """Keeps the evidence that it has read: that of a closed slice changes only together with the generation.

    Slices are known by their numbers, which mean nothing in another history of the database (after a failover, a restore, or
    a swap): the evidence of another history is discarded.
    It reads the sums of the pairs that it is given; the outcomes of all others count in `Evidence.fleet` only. So neither
    memory nor the time of a run grows with the names that are not learned.
    """

    def __init__(self) -> None:
        self._history: str | None = None
        self._generation: int | None = None
        self._kept: dict[frozenset[str], Evidence] = {}
        self._pairs: frozenset[Pair] = frozenset()

    def recent(
        self, connection: psycopg.Connection[Any], through_slice: int | None, *, pairs: Collection[Pair]
    ) -> RecentOutcomes:
        """Return the outcomes of `pairs` in the newest slices through one (None: also the open one), by instance."""
        newest = {"through_slice": through_slice, "slices": RECENT_SLICES, **_columns(pairs)}
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
        pairs: Collection[Pair],
        excluded: Iterable[str],
        reported: dict[Pair, float],
        changes: Mapping[Pair, Sequence[ModelChange]] | None = None,
        new_versions: Mapping[Pair, Sequence[NewVersion]] | None = None,
    ) -> Evidence:
        """Return the evidence of `pairs` through a slice (None: also the open one), without that of `excluded` instances.

        Args:
            history: identifies the history of the database, read in the transaction of `connection`.
            generation: that of the evidence in this history.
            pairs: the pairs whose sums are read.
            reported, changes, new_versions: kept in the evidence, for rules.
        """
        if history != self._history:
            if self._kept:
                log.warning("evidence_discarded", before=self._history, now=history, reason="another database history")
            self._kept.clear()
            self._history = history
        if generation != self._generation:
            self._kept.clear()
            self._generation = generation
        self._change_pairs(connection, frozenset(pairs))
        key = frozenset(excluded)
        evidence = self._kept.get(key) or Evidence(excluded=key)
        if through_slice is None or not evidence.slices or evidence.slices[-1] < through_slice:
            _read_on(connection, evidence, through_slice, self._pairs)
        evidence.reported = reported
        evidence.changes, evidence.new_versions = changes or {}, new_versions or {}
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
            sums_of_slices = _read_sums(connection, stretch, evidence.excluded, added)
            sums = {slice_no: sums for slice_no, sums, _ in sums_of_slices}
            if sums:  # of all pairs: that of task types is small, and this is rare
                tasks = TaskEvidence()
                _read_tasks(connection, tasks, stretch, evidence.excluded, pairs)
                earlier.append((evidence, sums, tasks))
        for evidence, sums, tasks in earlier:  # after the last query: one that fails must not leave a part of it
            evidence.add_pairs(sums)
            evidence.tasks = tasks
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
    _read_tasks(connection, evidence.tasks, stretch, evidence.excluded, pairs)
    sums_of_slices = _read_sums(connection, stretch, evidence.excluded, pairs)
    slice_no, sums, other_outcomes = next(sums_of_slices, _NO_SUMS)
    for each in slices:
        if slice_no == each.slice_no:
            evidence.append(each.slice_no, each.opened_at, sums, other_outcomes=other_outcomes)
            slice_no, sums, other_outcomes = next(sums_of_slices, _NO_SUMS)
        else:
            evidence.append(each.slice_no, each.opened_at, {}, other_outcomes=0.0)


def _read_sums(
    connection: psycopg.Connection[Any], stretch: dict[str, Any], excluded: Iterable[str], pairs: Collection[Pair]
) -> Iterator[tuple[int, dict[Pair, Sums], float]]:
    """Yield for each slice with evidence its number, the sums of `pairs`, and the outcomes of all other pairs.

    After a start these are all rows there are, far larger than their sums: a slice is summed up before the next is read.
    """
    rows = _EVIDENCE_AFTER.each(connection, {**stretch, "excluded": list(excluded), **_columns(pairs)})
    for slice_no, rows_of_slice in groupby(rows, key=lambda row: row["slice_no"]):
        sums: dict[Pair, Sums] = {}
        other_outcomes = 0.0
        for row in rows_of_slice:
            if row["model_name"] is None:
                other_outcomes += row["outcomes"]
            else:
                pair = row["model_name"], row["complexity_level"]
                sums[pair] = Sums(**{name: row[name] for name in FIELDS})
        yield slice_no, sums, other_outcomes


def _read_tasks(
    connection: psycopg.Connection[Any],
    tasks: TaskEvidence,
    stretch: dict[str, Any],
    excluded: Iterable[str],
    pairs: Collection[Pair],
) -> None:
    """Append the evidence of `pairs` by task type. The slices that an interrupted read has appended are not read again."""
    after_slice = max(stretch["after_slice"], tasks.newest_slice)
    values = {**stretch, "after_slice": after_slice, "excluded": list(excluded), **_columns(pairs)}
    rows = _TASK_EVIDENCE_AFTER.each(connection, values)
    for slice_no, rows_of_slice in groupby(rows, key=lambda row: row.slice_no):
        sums = {(row.model, row.complexity, row.task_type): (row.outcomes, row.reward) for row in rows_of_slice}
        tasks.append(slice_no, sums)


def _columns(pairs: Collection[Pair]) -> dict[str, list[str]]:
    models, complexities = zip(*pairs, strict=True) if pairs else ((), ())
    return {"models": list(models), "complexities": list(complexities)}
