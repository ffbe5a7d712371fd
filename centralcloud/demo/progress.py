"""The course of a demonstration so far, second by second: rates, shares, costs and leaders. Pure."""

from typing import Final, NamedTuple

from centralcloud.demo.fleet import Counters
from centralcloud.demo.simulated_models import COMPLEXITIES, PAIRS, SIMULATED_MODELS

#: A point of the curve is the success rate of this many marks (seconds); the rate "now" that of more marks.
_POINT_MARKS: Final = 3
_RECENT_MARKS: Final = 5
_SHARE_MARKS: Final = 2
#: The share of the tasks above which a model leads a complexity.
LEADING_SHARE: Final = 0.5


class Point(NamedTuple):
    """A point of the curve: success rate and best possible success rate, 0 to 1, at some seconds after the start."""

    seconds: float
    rate: float
    best: float


class _Mark(NamedTuple):
    seconds: float
    counters: Counters


class Progress:
    """Remembers the fleet's counters once a second.

    Attributes:
        points: the curve, one point a mark.
        learning_since: when learning began, in seconds after the start; None before.
    """

    def __init__(self) -> None:
        self.points: list[Point] = []
        self.learning_since: float | None = None
        self._marks = [_Mark(0.0, Counters(0, 0, 0.0, dict.fromkeys(PAIRS, 0)))]
        self._learning_mark = 0

    def mark(self, seconds: float, counters: Counters, best: float) -> None:
        """Add the counters of a moment, `seconds` after the start, with the best possible success rate of that moment."""
        self._marks.append(_Mark(seconds, counters))
        before, now = self._window(_POINT_MARKS)
        if now.tasks > before.tasks:
            self.points.append(Point(seconds, _rate(before, now), best))

    def begin_learning(self) -> None:
        """Note that learning begins after the newest mark."""
        self._learning_mark = len(self._marks) - 1
        self.learning_since = self._marks[-1].seconds

    @property
    def rate_at_start(self) -> float | None:
        """Success rate of the tasks before learning began; None when there were none."""
        first, last = self._marks[0].counters, self._before_learning
        return _rate(first, last) if last.tasks else None

    @property
    def cost_at_start(self) -> float | None:
        """USD per 1,000 tasks before learning began; None when there were no tasks."""
        last = self._before_learning
        return 1000 * last.cost_usd / last.tasks if last.tasks else None

    @property
    def recent_rate(self) -> float | None:
        """Success rate of the last `recent_seconds`; None before the first task."""
        before, now = self._window(_RECENT_MARKS)
        return _rate(before, now) if now.tasks > before.tasks else None

    @property
    def recent_cost(self) -> float | None:
        """USD per 1,000 tasks in the last `recent_seconds`; None before the first task."""
        before, now = self._window(_RECENT_MARKS)
        tasks = now.tasks - before.tasks
        return 1000 * (now.cost_usd - before.cost_usd) / tasks if tasks > 0 else None

    @property
    def recent_seconds(self) -> float:
        """Length of the time for which the recent rate and cost stand: it begins after learning began."""
        first = self._first_of_window(_RECENT_MARKS)
        return self._marks[-1].seconds - self._marks[first].seconds

    def shares(self) -> dict[tuple[str, str], float]:
        """Share of the tasks of each complexity that each model got in the last two marks, 0 to 1."""
        before, now = self._window(_SHARE_MARKS)
        chosen = {pair: now.choices[pair] - before.choices[pair] for pair in PAIRS}
        totals = {
            complexity: sum(chosen[model, complexity] for model in SIMULATED_MODELS) for complexity in COMPLEXITIES
        }
        return {pair: chosen[pair] / max(1, totals[pair[1]]) for pair in PAIRS}

    def leaders(self) -> dict[str, str]:
        """The model that gets more than half of the tasks, by complexity; a complexity without one is left out."""
        return {complexity: model for (model, complexity), share in self.shares().items() if share > LEADING_SHARE}

    @property
    def _before_learning(self) -> Counters:
        return self._marks[-1 if self.learning_since is None else self._learning_mark].counters

    def _first_of_window(self, marks: int) -> int:
        """Index of the mark before the window; a window never begins before learning did, and has one mark at least."""
        last = len(self._marks) - 1
        return max(0, min(last - 1, max(last - marks, self._learning_mark)))

    def _window(self, marks: int) -> tuple[Counters, Counters]:
        return self._marks[self._first_of_window(marks)].counters, self._marks[-1].counters


def _rate(before: Counters, now: Counters) -> float:
    return (now.successes - before.successes) / max(1, now.tasks - before.tasks)
