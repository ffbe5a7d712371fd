"""Decisions of the log with their outcomes, as arrays: those that say something about the choice. Pure."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple

from centralcloud.contracts import COMPLEXITIES
from centralcloud.runtime.arrays import Booleans, Floats, Integers, np
from centralcloud.runtime.wording import counted

#: Why an outcome says nothing about the choice, in words for `left_out_words`.
LEFT_OUT: Final = {
    "not_drawn": "whose model was not drawn: that of a session, one that the client named, one of a policy",
    "requested": "whose client named the model",
    "certain": "whose router could draw one model only, where a table wants others",
    "preference": "with a preference for speed or cost, which scores alone do not rank",
    "capabilities": "that needed capabilities which not every model was chosen for",
}


class LoggedOutcome(NamedTuple):
    """The outcome of the first attempt at a request, as it was recorded.

    Attributes:
        x: the reward, 0 to 1; without one, 1 for a success.
        propensity: the probability with which the model was drawn; None: it was not drawn.
        needs: the capabilities that the request needed, as one text.
        left_out: why it says nothing about the choice, a key of `LEFT_OUT`; None: it does.
    """

    complexity: str
    model: str
    x: float
    propensity: float | None
    task_type: str | None
    needs: str
    left_out: str | None
    at: datetime


@dataclass(frozen=True, slots=True)
class Decisions:
    """Decisions in the order in which their outcomes arrived; T of them, each with the numbers of names.

    Attributes:
        models, task_types: names by number.
        complexity, model, task_type: (T,) numbers of names; the number of a complexity is its place in `COMPLEXITIES`.
        x: (T,) outcomes, 0 to 1.
        propensity: (T,) above 0, at most 1.
        left_out: number of outcomes that say nothing about the choice, by the key of `LEFT_OUT`.
        first_at: of the oldest outcome that was read, left out or not; None: there is none.
        capped: whether there were more outcomes in this time, before the ones that were read.
    """

    models: tuple[str, ...]
    task_types: tuple[str | None, ...]
    complexity: Integers
    model: Integers
    task_type: Integers
    x: Floats
    propensity: Floats
    left_out: dict[str, int]
    first_at: datetime | None = None
    capped: bool = False

    def __len__(self) -> int:
        return len(self.x)

    def only(self, kept: Booleans) -> "Decisions":
        """Return some of them, in their order."""
        return Decisions(
            self.models,
            self.task_types,
            self.complexity[kept],
            self.model[kept],
            self.task_type[kept],
            self.x[kept],
            self.propensity[kept],
            dict(self.left_out),
            self.first_at,
            self.capped,
        )


class _Numbers(dict[str | None, int]):
    """Gives each name a number when it is first asked for."""

    def __missing__(self, name: str | None) -> int:
        self[name] = len(self)
        return self[name]


def decisions_of(newest_first: Iterable[LoggedOutcome], *, most: int | None = None) -> Decisions:
    """Return the outcomes that say something about the choice, oldest first, as arrays.

    Args:
        newest_first: as they are read.
        most: the number of rows that the reading was limited to.
    """
    models, task_types, needs = _Numbers(), _Numbers(), _Numbers()
    rows: list[tuple[int, int, int, int, float, float]] = []
    left_out: Counter[str] = Counter()
    first_at: datetime | None = None
    number = {name: place for place, name in enumerate(COMPLEXITIES)}
    read = 0
    for each in newest_first:
        read += 1
        first_at = each.at
        if each.left_out is not None or not each.propensity:
            left_out[each.left_out or "not_drawn"] += 1
            continue
        rows.append(
            (
                number[each.complexity],
                models[each.model],
                task_types[each.task_type],
                needs[each.needs],
                each.x,
                each.propensity,
            )
        )
    rows.reverse()
    columns: Floats = np.array(rows, dtype=np.float64).reshape(-1, 6).T
    complexity, model, task_type, need = (column.astype(np.int64) for column in columns[:4])
    found = Decisions(
        tuple(str(name) for name in models),
        tuple(task_types),
        complexity,
        model,
        task_type,
        columns[4],
        columns[5],
        left_out,
        first_at,
        read == most,
    )
    kept = _whole_choice(complexity, model, need, needs.get("", -1))
    if not kept.all():
        left_out["capabilities"] += int((~kept).sum())
        found = found.only(kept)
    return found


def _whole_choice(complexity: Integers, model: Integers, need: Integers, none: int) -> Booleans:
    """Return (T,) whether the request could go to every model that its complexity was drawn for.

    The log does not say which models a request could use. So requests that need capabilities count only if, for each set of
    them, every model of the complexity was drawn.
    """
    kept: Booleans = np.ones(len(need), dtype=bool)
    for each in np.unique(complexity):
        of_it = complexity == each
        drawn = set(np.unique(model[of_it]))
        for needed in np.unique(need[of_it]):
            rows = of_it & (need == needed)
            if needed != none and set(np.unique(model[rows])) != drawn:
                kept[rows] = False
    return kept


def left_out_words(left_out: dict[str, int]) -> Sequence[str]:
    """Return a sentence for each reason why outcomes do not count, the most frequent one first."""
    return [
        f"{counted(count, 'outcome')} left out, {LEFT_OUT[reason]}"
        for reason, count in sorted(left_out.items(), key=lambda item: -item[1])
        if count
    ]
