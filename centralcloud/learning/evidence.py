"""The evidence that a rule sees, slice by slice and pair by pair. Pure: no database."""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from centralcloud.learning.task_evidence import TaskEvidence
from centralcloud.runtime.arrays import Floats, Integers, np

#: (model, complexity)
Pair = tuple[str, str]

#: Boundaries at which a rule may look for a change are at least this many fleet outcomes apart: if they are closer together,
#: false alarms rise from 0 to 13-20 per million outcomes (measured, docs/explanation/learning.md).
BOUNDARY_OUTCOMES: Final = 50
#: Instances are compared with each other on this many of the newest slices (docs/explanation/learning.md, step 0).
RECENT_SLICES: Final = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelChange:
    """A change of a pair's model that its provider or an operator told.

    Attributes:
        change_id: grows with every change of the fleet.
        after_slice: the evidence after this slice is that of the changed model.
        version_before, version_after: the ids that answers name; None where an operator told the change.
        instance_id: the instance whose outcomes told it; None: those of all instances, or an operator.
        undone: an operator has taken it back.
    """

    change_id: int
    after_slice: int
    version_before: str | None = None
    version_after: str | None = None
    instance_id: str | None = None
    undone: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class NewVersion:
    """An id that the newest answers of a model name, and that does not count as its version yet.

    Attributes:
        after_slice: the first of these answers arrived after this slice.
        instances: those whose newest answer names it.
    """

    version: str
    after_slice: int
    instances: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """The sums of one pair in one slice. Blameless failures (kind caller or policy) are counted in `blameless` only.

    Attributes:
        outcomes: number of successes and failures.
        successes: number of successes.
        reward, reward_squares: sum and sum of squares of their rewards, each 0 to 1. An outcome without a reward of its own
            has 1 for a success and 0 for a failure, so both are the number of successes where no outcome has one.
        timed, response_time_ms: number of outcomes with a response time, and the sum of these times.
        latency: sum of min(response time / reference, 1) over the timed ones, with the reference of the slice.
        priced, cost: number of outcomes with a cost, and the sum of min(cost / reference, 1) over them.
        routed, blameless, late: number of decisions, of blameless failures, and of outcomes that arrived more than an hour
            after the timestamp of their own event.
    """

    outcomes: float = 0.0
    successes: float = 0.0
    reward: float = 0.0
    reward_squares: float = 0.0
    timed: float = 0.0
    response_time_ms: float = 0.0
    latency: float = 0.0
    priced: float = 0.0
    cost: float = 0.0
    routed: float = 0.0
    blameless: float = 0.0
    late: float = 0.0


FIELDS: Final = tuple(Sums.__dataclass_fields__)
_FIELD: Final = {name: position for position, name in enumerate(FIELDS)}


class Evidence:
    """Sums of every slice and pair, oldest slice first; grows at the end.

    The sums are kept as running totals, so those of any range of slices are one subtraction. Positions count slices from 0:
    `total(name, position)` covers the slices before `position`, and `size` is the position after the newest one.

    Attributes:
        slices: slice numbers, ascending.
        opened_at: when each slice was opened.
        fleet: outcomes of the whole fleet before each position, also those of retired models and of pairs that are not
            learned: the age of evidence is counted in them, and must not change when a model is retired.
        reported: the score that instances last reported for each pair, 0.0 to 5.0.
        changes: of the model of each pair, as they were told of late, oldest first.
        new_versions: of the model of each pair, oldest first.
        excluded: the instances whose evidence is left out.
        tasks: the part of it that came with a task type.
    """

    def __init__(self, *, excluded: Iterable[str] = ()) -> None:
        self.slices: list[int] = []
        self.opened_at: list[datetime] = []
        self.reported: dict[Pair, float] = {}
        self.changes: Mapping[Pair, Sequence[ModelChange]] = {}
        self.new_versions: Mapping[Pair, Sequence[NewVersion]] = {}
        self.excluded = frozenset(excluded)
        self._pairs: dict[Pair, int] = {}
        self._listed: list[Pair] = []
        self._first_slices: list[int] = []
        self._running = np.zeros((len(FIELDS), 1, 8))
        self.fleet: list[float] = [0.0]
        self.tasks = TaskEvidence()
        self._boundaries: list[int] = []
        self._outcomes_at_boundary = 0.0

    @property
    def pairs(self) -> list[Pair]:
        """Every pair, in the order of the columns of `total`."""
        if len(self._listed) != len(self._pairs):  # a list for each call would make rules quadratic in the pairs
            self._listed = list(self._pairs)
        return self._listed

    def column_of(self, pair: Pair) -> int | None:
        """Return the column of a pair in `total`; None for a pair without evidence."""
        return self._pairs.get(pair)

    @property
    def size(self) -> int:
        """Number of slices."""
        return len(self.slices)

    def append(
        self, slice_no: int, opened_at: datetime, sums: Mapping[Pair, Sums], *, other_outcomes: float = 0.0
    ) -> None:
        """Add the next slice. `other_outcomes`: its outcomes of pairs that are not learned, which count in `fleet` only."""
        if self.slices and slice_no <= self.slices[-1]:
            raise ValueError(f"slice {slice_no} after slice {self.slices[-1]}: expected a later one")
        for pair in sums:
            if pair not in self._pairs:
                self._pairs[pair] = len(self._pairs)
                self._first_slices.append(slice_no)
        self._make_room()
        row = self.size + 1
        self._running[:, row, :] = self._running[:, row - 1, :]
        for pair, values in sums.items():
            self._running[:, row, self._pairs[pair]] += [getattr(values, name) for name in FIELDS]
        self.slices.append(slice_no)
        self.opened_at.append(opened_at)
        self.fleet.append(self.fleet[-1] + sum(values.outcomes for values in sums.values()) + other_outcomes)
        if self.fleet[-1] - self._outcomes_at_boundary >= BOUNDARY_OUTCOMES:
            self._boundaries.append(row)
            self._outcomes_at_boundary = self.fleet[-1]

    def add_pairs(self, sums_by_slice: Mapping[int, Mapping[Pair, Sums]]) -> None:
        """Add pairs whose outcomes counted in `fleet` only, with their sums in slices that were appended before.

        The columns are then as if the pairs had been appended with their slices: in the order of their first slice, and of
        their names within a slice.
        """
        for slice_no in sorted(sums_by_slice):
            for pair in sums_by_slice[slice_no]:
                if pair not in self._pairs:
                    self._pairs[pair] = len(self._pairs)
                    self._first_slices.append(slice_no)
        self._make_room()
        steps = np.zeros((len(FIELDS), self.size + 1, len(self._pairs)))
        for slice_no, sums in sums_by_slice.items():
            row = self.position_after(slice_no)
            for pair, values in sums.items():
                steps[:, row, self._pairs[pair]] += [getattr(values, name) for name in FIELDS]
        order = sorted(self._pairs, key=lambda pair: (self._first_slices[self._pairs[pair]], pair))
        columns = [self._pairs[pair] for pair in order]
        grown = np.zeros_like(self._running)
        used = self._running[:, : self.size + 1, : len(columns)] + steps.cumsum(axis=1)
        grown[:, : self.size + 1, : len(columns)] = used[:, :, columns]
        self._running = grown
        self._first_slices = [self._first_slices[column] for column in columns]
        self._pairs = {pair: column for column, pair in enumerate(order)}
        self._listed = order

    def up_to(self, slice_no: int) -> "Evidence":
        """Return the evidence as it was when slice `slice_no` was the newest; later pairs have sums of 0.

        The result shares its numbers with this object, which may grow; nothing may be appended to the result.
        """
        earlier = Evidence(excluded=self.excluded)
        size = self.position_after(slice_no)
        earlier.slices, earlier.opened_at = self.slices[:size], self.opened_at[:size]
        earlier.changes, earlier.new_versions = self.changes, self.new_versions
        earlier.reported, earlier._pairs, earlier._running = self.reported, dict(self._pairs), self._running
        earlier._first_slices = self._first_slices[:]
        earlier.fleet = self.fleet[: size + 1]
        earlier.tasks = self.tasks.up_to(slice_no)
        earlier._boundaries = [position for position in self._boundaries if position <= size]
        return earlier

    def total(self, name: str, position: int | Integers | None = None) -> Floats:
        """Return the sum of one of `FIELDS` over the slices before `position` (default: all), for each pair.

        Shape (pairs,), or (positions, pairs) for an array of positions.
        """
        where = self.size if position is None else position
        return self._running[_FIELD[name], where, : len(self._pairs)]

    def since(self, name: str, positions: Integers) -> Floats:
        """Return the sum of one of `FIELDS` from each pair's own position to the end; shape (pairs,)."""
        columns = np.arange(len(self._pairs))
        return self.total(name) - self._running[_FIELD[name], positions, columns]  # type: ignore[no-any-return]

    def position_after(self, slice_no: int) -> int:
        """Return the position after slice `slice_no`: the number of slices that are not newer."""
        return bisect_right(self.slices, slice_no)

    def boundaries(self, finest: int) -> Integers:
        """Return the positions at which a rule may look for a change, ascending.

        They are at least `BOUNDARY_OUTCOMES` apart, and coarser with age: a boundary that lies k boundaries back has its
        neighbour about k / `finest` away. So their number grows with the logarithm of the number of outcomes.
        """
        boundaries = np.array(self._boundaries, dtype=np.int64)
        number = np.arange(1, len(boundaries) + 1)
        age = len(boundaries) + 1 - number
        step = 2 ** np.floor(np.log2(np.maximum(age / finest, 1))).astype(np.int64)
        coarser: Integers = boundaries[number % step == 0]
        return coarser

    def _make_room(self) -> None:
        _, rows, columns = self._running.shape
        if self.size + 2 <= rows and len(self._pairs) <= columns:
            return
        wanted_rows = rows if self.size + 2 <= rows else (self.size + 2) * 5 // 4 + 8
        wanted_columns = columns if len(self._pairs) <= columns else len(self._pairs) * 5 // 4 + 8
        grown = np.zeros((len(FIELDS), wanted_rows, wanted_columns))
        grown[:, :rows, :columns] = self._running
        self._running = grown


@dataclass(frozen=True, slots=True)
class RecentOutcomes:
    """Outcomes of the newest slices, instance by instance.

    Attributes:
        instances, pairs: the rows and the columns.
        outcomes, reward: sums; shape (instances, pairs).
    """

    instances: tuple[str, ...]
    pairs: tuple[Pair, ...]
    outcomes: Floats
    reward: Floats

    @classmethod
    def of(cls, sums: Mapping[tuple[str, Pair], tuple[float, float]]) -> "RecentOutcomes":
        """Make them from the outcomes and the reward of each (instance, pair)."""
        instances = sorted({instance for instance, _ in sums})
        pairs = sorted({pair for _, pair in sums})
        row, column = ({name: i for i, name in enumerate(names)} for names in (instances, pairs))
        both = np.zeros((2, len(instances), len(pairs)))
        for (instance, pair), values in sums.items():
            both[:, row[instance], column[pair]] = values
        return cls(tuple(instances), tuple(pairs), both[0], both[1])
