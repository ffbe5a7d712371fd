"""The evidence of task types: outcomes and reward of every (model, complexity, task type), slice by slice. Pure."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence

from centralcloud.runtime.arrays import Floats, np

#: (model, complexity, task type)
Task = tuple[str, str, str]


class TaskEvidence:
    """Sums of the outcomes that came with a task type, oldest slice first; grows at the end.

    They are kept as the rows that there are, not as a table of slices and tasks: most tasks have no outcome in most slices.
    """

    def __init__(self) -> None:
        self._number: dict[Task, int] = {}
        self._tasks: list[Task] = []
        self._slices: list[int] = []
        self._ends: list[int] = [0]
        self._size = 0
        self._task = np.zeros(64, dtype=np.int64)
        self._sums = np.zeros((2, 64))

    @property
    def tasks(self) -> Sequence[Task]:
        """Every task, in the order of the numbers that `since` returns."""
        return self._tasks

    @property
    def newest_slice(self) -> int:
        """The newest slice with an outcome; 0: there is none."""
        return self._slices[-1] if self._slices else 0

    def append(self, slice_no: int, sums: Mapping[Task, tuple[float, float]]) -> None:
        """Add the outcomes and the reward of each task in a slice, which is later than those before."""
        if self._slices and slice_no <= self._slices[-1]:
            raise ValueError(f"slice {slice_no} after slice {self._slices[-1]}: expected a later one")
        if not sums:
            return
        end = self._size + len(sums)
        if end > len(self._task):
            grown = max(end, 2 * len(self._task))
            self._task = np.resize(self._task, grown)
            self._sums = np.concatenate([self._sums, np.zeros((2, grown - self._sums.shape[1]))], axis=1)
        for task in sums:
            if task not in self._number:
                self._number[task] = len(self._number)
                self._tasks.append(task)
        self._task[self._size : end] = [self._number[task] for task in sums]
        self._sums[:, self._size : end] = np.array(list(sums.values())).T
        self._size = end
        self._slices.append(slice_no)
        self._ends.append(end)

    def since(self, after_slices: Sequence[int]) -> tuple[Floats, Floats]:
        """Return the outcomes and the reward of each task, those after a slice of its own."""
        ends = np.array(self._ends, dtype=np.int64)
        begin = ends[[bisect_right(self._slices, slice_no) for slice_no in after_slices]]
        task = self._task[: self._size]
        counted = np.arange(self._size) >= begin[task] if len(begin) else np.zeros(0, dtype=np.bool_)
        outcomes, reward = (
            np.bincount(task[counted], weights=sums[: self._size][counted], minlength=len(begin)).astype(np.float64)
            for sums in self._sums
        )
        return outcomes, reward

    def up_to(self, slice_no: int) -> "TaskEvidence":
        """Return the evidence as it was when slice `slice_no` was the newest; nothing may be appended to the result."""
        earlier = TaskEvidence()
        number = bisect_right(self._slices, slice_no)
        earlier._number, earlier._tasks = self._number, self._tasks
        earlier._slices, earlier._ends = self._slices[:number], self._ends[: number + 1]
        earlier._size = earlier._ends[-1]
        earlier._task, earlier._sums = self._task, self._sums
        return earlier
