"""The price of exploration: what probes cost, and which changes of the leader followed them. Pure.

A probe is a decision that its scores asked for, to keep the score of a model up to date, although another model leads. Its
cost is the success and the money that the leader of its complexity would have had at that time: the model with the highest
published score, at the rate that it had in the same week at tasks that were not probes.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby, pairwise
from typing import Final, NamedTuple

WEEK: Final = timedelta(days=7)
#: Outcomes of a leader that its rate is taken from, at least.
LEAST_OF_LEADER: Final = 30
_Z: Final = 1.96
#: The limits of the numbers.
NOT_SAID: Final = (
    "choices at random (INSTANCE_AGENT_EXPLORATION) are not marked in the records and not in these numbers; nor are those "
    "by which Thompson sampling tries models",
    "a change of the leader that followed probes might have come without them, later; that probes kept a worse model from "
    "leading is not counted",
    "more successes: than of the earlier leader at its rate of the 7 days before, which may have changed since",
)


class Part(NamedTuple):
    """The outcomes of a model in a part of the time, of probes or of the others.

    Attributes:
        records, first_at: number and oldest one of all records that were read.
    """

    begins: datetime
    complexity: str
    model: str
    probe: bool
    outcomes: int
    total: float
    squares: float
    priced: int
    cost_usd: float
    records: int
    first_at: datetime


class ScoreChange(NamedTuple):
    """A published score. `learned`: by a rule, not by an operator."""

    model: str
    complexity: str
    score: float
    at: datetime
    learned: bool


class WeekPrice(NamedTuple):
    """The probes of one complexity in a week, or of all.

    Attributes:
        complexity: None: all.
        decisions: with an outcome, probes included.
        probes: with an outcome.
        compared: probes with a leader to compare with; the next numbers are theirs.
        lost: successes that the leaders would have had in addition; below 0: the probes had more. None: nothing compared.
        low, high: the interval of `lost`, 95%.
        extra_usd: the cost of the probes less that of the leaders; None where a cost is not known.
    """

    since: datetime
    until: datetime
    complexity: str | None
    decisions: int
    probes: int
    compared: int
    lost: float | None
    low: float | None
    high: float | None
    extra_usd: float | None


class LeaderChange(NamedTuple):
    """Another model with the highest score, by a rule.

    Attributes:
        outcomes, probes: of the new leader at this complexity in the 7 days before, and how many of them were probes.
        gained: successes of the new leader since, up to the next change, in addition to those at the rate of the earlier
            leader in the 7 days before; None: too few outcomes.
        tasks: those that `gained` counts.
    """

    at: datetime
    complexity: str
    before: str
    after: str
    outcomes: int
    probes: int
    gained: float | None
    tasks: int


class ExplorationBudget(NamedTuple):
    """A budget of the extra cost of probes in its period of now."""

    budget_id: str
    period: str
    limit_usd: float
    spent_usd: float
    period_start: datetime | None
    period_end: datetime | None


class Exploration(NamedTuple):
    """The price of exploration.

    Attributes:
        weeks: newest first; for each the complexities, then all.
        changes: of leaders, by rules, newest first; with at least one probe before them, and the others.
        budgets: of exploration.
        notes: what the numbers are not, and what was not read.
    """

    weeks: tuple[WeekPrice, ...]
    changes: tuple[LeaderChange, ...]
    budgets: tuple[ExplorationBudget, ...]
    notes: tuple[str, ...]


@dataclass(slots=True)
class _Sums:
    outcomes: int = 0
    total: float = 0.0
    squares: float = 0.0
    priced: int = 0
    cost_usd: float = 0.0

    def add(self, row: Part) -> None:
        self.outcomes += row.outcomes
        self.total += row.total
        self.squares += row.squares
        self.priced += row.priced
        self.cost_usd += row.cost_usd

    @property
    def rate(self) -> float:
        return self.total / self.outcomes

    @property
    def variance(self) -> float:
        """The variance of an outcome, with one success and one failure more."""
        count = self.outcomes + 2
        return max(0.0, (self.squares + 1) / count - ((self.total + 1) / count) ** 2)


class Leaders:
    """The model with the highest score of each complexity over time; None where several have it, or none has a score."""

    def __init__(self, changes: Iterable[ScoreChange]) -> None:
        """`changes`: in the order of versions, the scores of the start first."""
        scores: dict[str, dict[str, float]] = defaultdict(dict)
        self._steps: dict[str, list[tuple[datetime, str | None, bool]]] = defaultdict(list)
        # Scores of one moment are published together: none of them leads before the others are there.
        for (at, learned), together in groupby(changes, key=lambda change: (change.at, change.learned)):
            changed = list(together)
            for each in changed:
                scores[each.complexity][each.model] = each.score
            for complexity in {each.complexity for each in changed}:
                leader = _highest(scores[complexity])
                steps = self._steps[complexity]
                if not steps or steps[-1][1] != leader:
                    steps.append((at, leader, learned))

    def at(self, complexity: str, moment: datetime) -> str | None:
        """Return the leader at a moment."""
        leader = None
        for since, model, _ in self._steps.get(complexity, ()):
            if since > moment:
                break
            leader = model
        return leader

    def changes(self) -> list[tuple[str, datetime, datetime | None, str, str]]:
        """Return complexity, time, time of the next change, earlier and new leader of each change by a rule."""
        found = []
        for complexity, steps in self._steps.items():
            led = [step for step in steps if step[1] is not None]
            for number, (earlier, later) in enumerate(pairwise(led)):
                if later[2] and earlier[1] != later[1]:
                    end = led[number + 2][0] if number + 2 < len(led) else None
                    found.append((complexity, later[0], end, str(earlier[1]), str(later[1])))
        return sorted(found, key=lambda change: change[1], reverse=True)


def _highest(scores: Mapping[str, float]) -> str | None:
    best = max(scores.values())
    found = [model for model, score in scores.items() if score == best]
    return found[0] if len(found) == 1 else None


def weeks_of(rows: Sequence[Part], leaders: Leaders, since: datetime, until: datetime) -> list[WeekPrice]:
    """Return the price of each week, newest first; the oldest one may be shorter."""
    found = []
    end = until
    while end > since:
        begin = max(since, end - WEEK)
        of_week = [row for row in rows if begin <= row.begins < end]
        if of_week:
            found += _prices(of_week, leaders, begin, end)
        end = begin
    return found


def changes_of(rows: Sequence[Part], leaders: Leaders, since: datetime, until: datetime) -> list[LeaderChange]:
    """Return the changes of leaders by rules in a time, newest first, each with the evidence before it."""
    return [_change(rows, *change, until=until) for change in leaders.changes() if since <= change[1] < until]


def _prices(rows: Sequence[Part], leaders: Leaders, begin: datetime, end: datetime) -> list[WeekPrice]:
    others: dict[tuple[str, str], _Sums] = defaultdict(_Sums)
    probes: dict[tuple[str, str | None], _Sums] = defaultdict(_Sums)
    decisions: dict[str, int] = defaultdict(int)
    for row in rows:
        decisions[row.complexity] += row.outcomes
        if row.probe:
            probes[row.complexity, leaders.at(row.complexity, row.begins)].add(row)
        else:
            others[row.complexity, row.model].add(row)
    found = [
        _price(
            begin, end, complexity, count, {key: each for key, each in probes.items() if key[0] == complexity}, others
        )
        for complexity, count in sorted(decisions.items())
    ]
    whole = _price(begin, end, None, sum(decisions.values()), probes, others)
    return [*found, whole] if len(found) > 1 else [whole]


def _price(
    begin: datetime,
    end: datetime,
    complexity: str | None,
    decisions: int,
    probes: Mapping[tuple[str, str | None], _Sums],
    others: Mapping[tuple[str, str], _Sums],
) -> WeekPrice:
    compared, lost, squared_error, extra, is_priced = 0, 0.0, 0.0, 0.0, True
    for (level, leader), own in probes.items():
        best = others.get((level, leader)) if leader is not None else None
        if best is None or best.outcomes < LEAST_OF_LEADER:
            continue
        compared += own.outcomes
        lost += own.outcomes * best.rate - own.total
        squared_error += own.outcomes * own.variance + own.outcomes**2 * best.variance / best.outcomes
        is_priced = is_priced and own.priced == own.outcomes and best.priced > 0
        if is_priced:
            extra += own.cost_usd - own.outcomes * best.cost_usd / best.priced
    count = sum(own.outcomes for own in probes.values())
    error = _Z * math.sqrt(squared_error)
    return WeekPrice(
        begin,
        end,
        complexity,
        decisions,
        count,
        compared,
        lost if compared else None,
        lost - error if compared else None,
        lost + error if compared else None,
        extra if compared and is_priced else None,
    )


def _change(
    rows: Sequence[Part],
    complexity: str,
    at: datetime,
    end: datetime | None,
    before: str,
    after: str,
    *,
    until: datetime,
) -> LeaderChange:
    own = [row for row in rows if row.complexity == complexity]
    evidence = [row for row in own if row.model == after and at - WEEK <= row.begins < at]
    earlier, later = _Sums(), _Sums()
    for row in own:
        if row.model == before and not row.probe and at - WEEK <= row.begins < at:
            earlier.add(row)
        if row.model == after and not row.probe and at <= row.begins < (end or until):
            later.add(row)
    known = min(earlier.outcomes, later.outcomes) >= LEAST_OF_LEADER
    return LeaderChange(
        at,
        complexity,
        before,
        after,
        sum(row.outcomes for row in evidence),
        sum(row.outcomes for row in evidence if row.probe),
        later.outcomes * (later.rate - earlier.rate) if known else None,
        later.outcomes,
    )
