"""Sessions that wait until they are folded, and the shape in which the statistics take them."""

import math
from collections import defaultdict

from centralcloud.experiments.e_process import Sessions
from centralcloud.runtime.arrays import Booleans, Floats, Integers, np
from centralcloud.simulate.experiments.scenario import CONTROL
from centralcloud.simulate.experiments.sessions import Batch


class Waiting:
    """Batches of sessions by the look at which their time has come."""

    def __init__(self, look: float) -> None:
        """`look`: seconds between two looks."""
        self._look = look
        self._by_look: dict[int, list[tuple[Batch, Floats]]] = defaultdict(list)

    def add(self, batch: Batch, at: Floats) -> None:
        """Keep sessions until these times."""
        looks = np.ceil(at / self._look).astype(np.int64)
        for look in np.unique(looks).tolist():
            chosen = looks == look
            self._by_look[look].append((batch.chosen(chosen), at[chosen]))

    def take(self, now: float) -> Batch:
        """Remove the sessions whose time came since the look before, and return them in its order."""
        found = self._by_look.pop(math.floor(now / self._look + 0.5), [])
        if not found:
            return Batch.empty()
        at = np.concatenate([times for _, times in found])
        return Batch.joined([batch for batch, _ in found]).chosen(np.argsort(at, kind="stable"))


def first_outcomes(batch: Batch) -> tuple[Batch, Floats]:
    """Return sessions of one request each: the first whose outcome was known, and when. One without any is left out."""
    requests = batch.requests
    first = np.cumsum(requests) - requests
    earliest = np.minimum.reduceat(batch.arrives, first) if len(first) else batch.arrives
    place = np.flatnonzero((batch.arrives == earliest[batch.owner]) & np.isfinite(batch.arrives))
    owner = batch.owner[place]
    place = place[np.diff(owner, prepend=-1) > 0]
    owner = batch.owner[place]
    found = Batch(
        *(batch.run[owner], batch.arm[owner], batch.share[owner], batch.spell[owner], batch.fold_at[owner]),
        np.arange(len(place)),
        *(batch.at[place], batch.complexity[place], batch.arrives[place], batch.success[place]),
        *(batch.latency[place], batch.cost[place]),
    )
    return found, batch.arrives[place]


def arrange(batch: Batch, counted: Booleans, metric: str, *, runs: int, strata: int) -> Sessions:
    """Arrange sessions in (T, R) columns, one for each run, in their order; columns are filled up with empty sessions.

    Args:
        counted: (D,) requests that are folded. Success counts each of them, other metrics those whose outcome is known.
    """
    if metric == "success":
        value = batch.success.astype(np.float64)
    else:
        value, counted = getattr(batch, metric), counted & np.isfinite(batch.arrives)
    value = value * counted
    place = batch.owner * strata + batch.complexity
    size = len(batch.run) * strata
    counts = np.bincount(place, counted, size).reshape(-1, strata)
    sums = np.bincount(place, value, size).reshape(-1, strata)
    squares = np.bincount(batch.owner, value * value, len(batch.run))
    row, length = _rows_of(batch.run, runs)
    shape = (length, runs)
    treated = np.zeros(shape, dtype=bool)
    share = np.full(shape, 0.5)
    of_columns = np.zeros((*shape, strata)), np.zeros((*shape, strata)), np.zeros(shape)
    treated[row, batch.run] = batch.arm != CONTROL
    share[row, batch.run] = batch.share
    for column, values in zip(of_columns, (counts, sums, squares), strict=True):
        column[row, batch.run] = values
    return Sessions(treated, share, *of_columns)


def arrange_flags(batch: Batch, flags: Booleans, *, runs: int) -> Booleans:
    """Arrange a flag of each session as `arrange` does the sessions."""
    row, length = _rows_of(batch.run, runs)
    found: Booleans = np.zeros((length, runs), dtype=bool)
    found[row, batch.run] = flags
    return found


def _rows_of(run: Integers, runs: int) -> tuple[Integers, int]:
    """Return the place of each session among those of its run, and the number of places."""
    order = np.argsort(run, kind="stable")
    counts = np.bincount(run, minlength=runs)
    row = np.empty(len(run), dtype=np.int64)
    row[order] = np.arange(len(run)) - np.repeat(np.cumsum(counts) - counts, counts)
    return row, int(counts.max(initial=0))
