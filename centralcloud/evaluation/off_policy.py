"""The success that a score table would have had on the decisions of a log, which other scores have made. Pure.

A decision counts with w = (the probability of its model by the table) / (the one it was drawn with). Two numbers come of it.

The estimate is doubly robust: the mean of M + min(w, 50) (x - m). Here x is the outcome, m the mean outcome of the chosen
model at this complexity in the decisions before this one, and M the mean of these means over all models, by the table. As m
comes from earlier decisions alone it cannot have been chosen to please, and as it is a plain mean of what the model has done
it is not optimistic: a model that began with bad luck is chosen less from then on, and its mean stays low.

The bounds are by min(w, 50) x and min(w, 50) (1 - x), without any m: an outcome is never negative, so that cutting weights
off makes a lower bound lower and an upper one higher, and never wrong. They are wide; they are not to be compared with the
interval of an experiment.

The log answers only where it has tried what the table would do. Weights that differ much say that it has not: then a few
decisions stand for all. So the effective number of decisions, (sum of w)^2 / (sum of w^2), must be 500 at every complexity;
below it the estimate was wrong by up to 22 points in a simulation. There is no estimate then, but the name of the canary
that would answer.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from centralcloud.contracts import COMPLEXITIES
from centralcloud.contracts.model_choice.score_table import ScoreTable
from centralcloud.evaluation.bound import lower_bound
from centralcloud.evaluation.decisions import Decisions
from centralcloud.runtime.arrays import Booleans, Floats, Integers, np
from centralcloud.runtime.wording import counted, percent

#: A decision counts at most like so many. Fixed beforehand: a limit that is chosen by the data is a choice of the result.
CLIP: Final = 50.0
#: The effective number of decisions that every complexity needs.
LEAST_EFFECTIVE: Final = 500.0
#: A complexity with a smaller share of the decisions does not matter: the whole does not wait for it.
MATTERS: Final = 0.01
#: The largest share of a table's choices that may go to models without a decision in the log.
_MOST_UNSEEN: Final = 0.01
#: The mean of the weights is 1 where requests had the models of the table to choose from.
_MOST_OFF: Final = 0.2
#: Mean outcome of a model without a decision, and the number of decisions that it counts like.
_FIRST_SUM, _FIRST_COUNT = 0.5, 1.0


#: A router that could draw one model only says nothing about a table that gives others more than this share.
_MOST_ELSEWHERE: Final = 0.01


class Value(NamedTuple):
    """The success of a table at one complexity, or at all.

    Attributes:
        complexity: None: all.
        decisions: that count.
        effective: decisions of equal weight that would say as much; of the whole, the least of a complexity that matters.
        logged: mean outcome as it was.
        success: as the table would have had it; None: refused.
        low, high: bounds; each is wrong with a probability of at most 2.5%, however often it is looked at. None: refused.
        refused: why the log cannot tell, in a sentence; None: it can.
        canary: the model whose canary at this complexity would tell; None where none is needed.
    """

    complexity: str | None
    decisions: int
    effective: float
    logged: float
    success: float | None = None
    low: float | None = None
    high: float | None = None
    refused: str | None = None
    canary: str | None = None


class TableValue(NamedTuple):
    """The success of a table: at each complexity with decisions, and as a whole."""

    name: str
    complexities: tuple[Value, ...]
    whole: Value


class Difference(NamedTuple):
    """The success of one table less that of another, where neither is refused.

    Attributes:
        complexity: None: all.
        success: the difference of the estimates.
        low, high: bounds, as of a `Value`. They use that both tables are judged by the same outcomes.
    """

    complexity: str | None
    success: float
    low: float
    high: float


class _Weighed(NamedTuple):
    """(T,) numbers of each decision: w, the clipped w, and what the decision adds to the doubly robust estimate."""

    weight: Floats
    clipped: Floats
    robust: Floats


def evaluate_table(decisions: Decisions, table: ScoreTable) -> TableValue:
    """Return the success that a table would have had, or why the log cannot tell."""
    weighed = _weigh(decisions, table)
    found = []
    for number, complexity in enumerate(COMPLEXITIES):
        of_it = decisions.complexity == number
        if of_it.any():
            found.append(_value(decisions, table, weighed, of_it, complexity))
    return TableValue(table.name, tuple(found), _whole(decisions, weighed, found))


def compare_tables(
    decisions: Decisions, tables: tuple[ScoreTable, ScoreTable], values: tuple[TableValue, TableValue]
) -> tuple[Difference, ...]:
    """Return the success of the first table less that of the second one, at each complexity and as a whole."""
    first, second = (_weigh(decisions, table) for table in tables)
    return tuple(
        _difference(decisions, first, second, one)
        for one, other in zip(
            (*values[0].complexities, values[0].whole), (*values[1].complexities, values[1].whole), strict=True
        )
        if one.success is not None and other.success is not None
    )


def supported(decisions: Decisions, tables: Sequence[ScoreTable]) -> Decisions:
    """Return the decisions that say something about all of the tables.

    A router that could draw one model only (its probability is 1) says nothing about a table that wants others there. That
    depends on the request and the scores of the time alone, not on the draw, so that leaving these out biases nothing. The
    values are those of the other decisions. Where too few would remain at a complexity, all of them stay: a table that wants
    what the router could not draw is then refused, and the canary is named.
    """
    certain = decisions.propensity >= 1.0
    context = _contexts(decisions)
    other: Booleans = np.zeros(len(decisions), dtype=bool)
    for table in tables:
        other |= certain & (_chances(decisions, table)[context, decisions.model] < 1 - _MOST_ELSEWHERE)
    for number in range(len(COMPLEXITIES)):
        of_it = decisions.complexity == number
        if (of_it & ~other).sum() < LEAST_EFFECTIVE:
            other[of_it] = False
    found = decisions.only(~other)
    found.left_out["certain"] = int(other.sum())
    return found


def _difference(decisions: Decisions, first: _Weighed, second: _Weighed, value: Value) -> Difference:
    rows = _rows(decisions, value.complexity)
    x, one, other = decisions.x[rows], first.clipped[rows], second.clipped[rows]
    # The first table's successes and the second one's failures: never negative, and with a mean of at most
    # (success of the first) + 1 - (success of the second).
    return Difference(
        value.complexity,
        float(first.robust[rows].mean() - second.robust[rows].mean()),
        lower_bound(one * x + other * (1 - x), most=2.0) - 1,
        1 - lower_bound(other * x + one * (1 - x), most=2.0),
    )


def _rows(decisions: Decisions, complexity: str | None) -> Booleans:
    if complexity is None:
        return np.ones(len(decisions), dtype=bool)
    rows: Booleans = decisions.complexity == COMPLEXITIES.index(complexity)
    return rows


def effective(weights: Floats) -> float:
    """Return the number of equal weights that say as much as these."""
    squares = float((weights**2).sum())
    return float(weights.sum()) ** 2 / squares if squares else 0.0


def means_before(groups: Booleans, x: Floats) -> Floats:
    """Return (T,) the mean of the outcomes of a group that came before each decision: 1/2 before the first."""
    own = np.where(groups, x, 0.0)
    count: Integers = np.cumsum(groups) - groups
    means: Floats = (np.cumsum(own) - own + _FIRST_SUM) / (count + _FIRST_COUNT)
    return means


def _weigh(decisions: Decisions, table: ScoreTable) -> _Weighed:
    size = len(decisions)
    weight, expected, own = np.zeros(size), np.zeros(size), np.zeros(size)
    chances = _chances(decisions, table)
    context = _contexts(decisions)
    for number in range(len(COMPLEXITIES)):
        rows = np.flatnonzero(decisions.complexity == number)
        x, model, where = decisions.x[rows], decisions.model[rows], context[rows]
        for each in range(len(decisions.models)):
            chosen, chance = model == each, chances[where, each]
            if not chance.any() and not chosen.any():
                continue
            mean = means_before(chosen, x)
            expected[rows] += chance * mean
            own[rows[chosen]] = mean[chosen]
            weight[rows[chosen]] = chance[chosen] / decisions.propensity[rows[chosen]]
    clipped: Floats = np.minimum(weight, CLIP)
    return _Weighed(weight, clipped, expected + clipped * (decisions.x - own))


def _contexts(decisions: Decisions) -> Integers:
    """Return (T,) the row of `_chances` of each decision."""
    rows: Integers = decisions.complexity * max(1, len(decisions.task_types)) + decisions.task_type
    return rows


def _chances(decisions: Decisions, table: ScoreTable) -> Floats:
    """Return (complexities x task types, models) the probability of each model by the table."""
    types = decisions.task_types or (None,)
    number = {name: place for place, name in enumerate(decisions.models)}
    found: Floats = np.zeros((len(COMPLEXITIES) * len(types), len(decisions.models)))
    for row, (complexity, task_type) in enumerate((each, name) for each in COMPLEXITIES for name in types):
        for model, chance in table.chances(complexity, task_type).items():
            if model in number:
                found[row, number[model]] = chance
    return found


def _value(decisions: Decisions, table: ScoreTable, weighed: _Weighed, rows: Booleans, complexity: str) -> Value:
    weight = weighed.weight[rows]
    value = Value(complexity, int(rows.sum()), effective(weight), float(decisions.x[rows].mean()))
    shares = _shares(decisions, table, rows, complexity)
    if not shares:
        return value._replace(refused=f"the table has no score for {complexity} tasks")
    if refused := _refusal(value, weight, shares, drawn=_logged_shares(decisions, rows)):
        return value._replace(refused=refused[0], canary=refused[1])
    return _estimated(decisions, weighed, rows, value)


def _estimated(decisions: Decisions, weighed: _Weighed, rows: Booleans, value: Value) -> Value:
    x, clipped = decisions.x[rows], weighed.clipped[rows]
    return value._replace(
        success=min(max(float(weighed.robust[rows].mean()), 0.0), 1.0),
        low=lower_bound(clipped * x),
        high=1 - lower_bound(clipped * (1 - x)),
    )


def _refusal(
    value: Value, weight: Floats, shares: dict[str, float], *, drawn: dict[str, float]
) -> tuple[str, str | None] | None:
    """Return why the log cannot tell, and the model whose canary would; None: it can tell.

    Args:
        value: the numbers of the complexity.
        weight: of its decisions.
        shares: of each model by the table.
        drawn: share of each model in the log.
    """
    missing = max(shares, key=lambda model: shares[model] - drawn.get(model, 0.0))
    canary = f"a canary of {missing} at {value.complexity} tasks would tell"
    if value.decisions < LEAST_EFFECTIVE:
        return f"{counted(value.decisions, 'decision')}, expected {LEAST_EFFECTIVE:.0f}: read a longer time", None
    unseen = {model: share for model, share in shares.items() if model not in drawn}
    if sum(unseen.values()) > _MOST_UNSEEN:
        most = max(unseen, key=lambda model: unseen[model])
        reason = f"{percent(unseen[most])} of the choices would go to {most}, which was never drawn"
        return f"{reason}: a canary of it at {value.complexity} tasks would tell", most
    if value.effective < LEAST_EFFECTIVE:
        worth = f"{counted(value.decisions, 'decision')} are worth {value.effective:,.0f} of equal weight"
        return f"{worth}, expected {LEAST_EFFECTIVE:.0f}: {canary}", missing
    if abs(float(weight.mean()) - 1) > _MOST_OFF:
        reason = (
            f"requests had other models to choose from than the table has (mean weight {weight.mean():.2f}, expected 1)"
        )
        return f"{reason}: {canary}", missing
    return None


def _whole(decisions: Decisions, weighed: _Weighed, found: list[Value]) -> Value:
    size = len(decisions)
    matter = [each for each in found if each.decisions >= MATTERS * size]
    least = min((each.effective for each in matter), default=0.0)
    logged = float(decisions.x.mean()) if size else 0.0
    value = Value(None, size, least, logged)
    if not size:
        return value._replace(refused="no decision of this time says something about the choice")
    if refused := [str(each.complexity) for each in matter if each.refused]:
        return value._replace(refused=f"the log cannot tell for {' and '.join(refused)} tasks")
    return _estimated(decisions, weighed, np.ones(size, dtype=bool), value)


def _shares(decisions: Decisions, table: ScoreTable, rows: Booleans, complexity: str) -> dict[str, float]:
    """Return the share of the choices of each model by the table, over the task types of these decisions."""
    counts: Integers = np.bincount(decisions.task_type[rows], minlength=len(decisions.task_types))
    shares: dict[str, float] = {}
    for task_type, count in zip(decisions.task_types, counts.tolist(), strict=True):
        if count:
            for model, chance in table.chances(complexity, task_type).items():
                shares[model] = shares.get(model, 0.0) + chance * count / int(rows.sum())
    return shares


def _logged_shares(decisions: Decisions, rows: Booleans) -> dict[str, float]:
    counts: Integers = np.bincount(decisions.model[rows], minlength=len(decisions.models))
    return {
        model: count / int(rows.sum()) for model, count in zip(decisions.models, counts.tolist(), strict=True) if count
    }
