"""The end of a demonstration: a table of every model, and the result in sentences that are true at any moment. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from centralcloud.demo.simulated_models import PAIRS, truth
from centralcloud.demo.state import LoopState
from centralcloud.runtime.wording import age, counted, decimals, percent

#: Differences below this are chance.
_NOTICEABLE: Final = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The numbers at the end.

    Attributes:
        seconds: length of the demonstration.
        routers, in_sync: the instances, and those that use the newest scores.
        rate_at_start: success rate before learning began; None without tasks.
        rate, recent_seconds: success rate of the last seconds; None without tasks.
        best: success rate of a fleet that always chooses the best model, at the end.
        learning: whether learning had begun.
        degraded: the model that is worse at the end because of the incident; None for none.
        exploration: share of the tasks for which a router tries any model.
    """

    seconds: float
    routers: int
    in_sync: int
    tasks: int
    events: int
    version: int
    cost_usd: float
    rate_at_start: float | None
    rate: float | None
    recent_seconds: float
    best: float
    learning: bool
    degraded: str | None
    exploration: float


def summarize(result: Result) -> list[str]:
    """The result in sentences."""
    return [*_work(result), *_learned(result)]


def _work(result: Result) -> Iterator[str]:
    fleet = counted(result.routers, "router")
    rate = f" ({decimals(result.tasks / result.seconds)} a second)" if result.seconds else ""
    yield (
        f"{fleet} did {counted(result.tasks, 'task')} in {age(result.seconds)}{rate}, for ${result.cost_usd:,.2f}; "
        f"CentralCloud ingested {counted(result.events, 'event')}."
    )
    if result.version:
        yield f"{result.in_sync} of {fleet} in sync with score version {result.version}, the newest one."


def _learned(result: Result) -> Iterator[str]:
    start, rate = result.rate_at_start, result.rate
    if start is None or rate is None:
        yield "The demonstration ended before the first task was done."
    elif not result.learning:
        yield (
            f"The demonstration ended before learning began: {percent(start)} of the tasks succeeded; "
            f"the best possible is {percent(result.best)}."
        )
    elif not result.version:
        yield (
            f"Nothing was learned yet: {percent(rate)} of the tasks succeed, {percent(start)} at the start; "
            f"the best possible is {percent(result.best)}."
        )
    else:
        recent = age(max(1.0, result.recent_seconds))
        change = "rose from" if rate - start >= _NOTICEABLE else "has not risen yet:"
        recent_rate = (
            f"{percent(start)} at the start to {percent(rate)} in the last {recent}"
            if rate - start >= _NOTICEABLE
            else f"{percent(start)} at the start, {percent(rate)} in the last {recent}"
        )
        yield f"Success {change} {recent_rate}; the best possible is {percent(result.best)}{_because(result)}."
        if result.best - rate >= _NOTICEABLE:
            yield from _missing(result)


def _because(result: Result) -> str:
    return f" while {result.degraded} is worse" if result.degraded else ""


def _missing(result: Result) -> Iterator[str]:
    """The reason for the distance to the best possible."""
    if result.exploration:
        yield (
            f"The routers try any model for {percent(result.exploration, 0)} of the tasks, so that they notice which one "
            "is best; this costs success."
        )
    elif result.degraded:
        yield f"The demonstration ended in the middle of the incident: {result.degraded} was worse at the end."
    else:
        yield "In that time some tasks still went to weaker models."


SUMMARY_COLUMNS: Final = ("model", "complexity", "tasks", "succeed", "avg ms", "cost $", "score", "now")


def summary_rows(loop: LoopState, *, costs: dict[tuple[str, str], float]) -> list[Sequence[str | None]]:
    """One row a model and complexity: tasks, success, response time, cost, and the score at the start and now."""
    rows: list[Sequence[str | None]] = []
    for pair in PAIRS:
        metrics = loop.metrics.get(pair, {})
        rate, average = metrics.get("success_rate"), metrics.get("avg_response_time")
        claimed = truth(*pair).claimed
        learned = loop.scores.get(pair)
        rows.append(
            (
                *pair,
                decimals(metrics.get("usage_count", 0)),
                None if rate is None else percent(rate),
                None if average is None else decimals(average),
                decimals(costs.get(pair, 0), 2),
                decimals(claimed, 1),
                decimals(claimed if learned is None else learned["score"], 2),
            )
        )
    return rows
