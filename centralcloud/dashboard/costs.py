"""The arithmetic of costs: what a success costs, which model is worth it, and what another leader would change. Pure."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from centralcloud.dashboard.charts import CostPanel, CostPoint, frontier_of
from centralcloud.dashboard.sources.money import PairMoney
from centralcloud.runtime.comparison import (
    FEW_OUTCOMES,
    cost_of_success,
    cost_of_task,
    difference_interval,
    outcomes_of,
    success_rate,
)

NANO: Final = 1e9
#: From this share of outcomes without a known cost on, an operator should act.
MUCH_UNKNOWN: Final = 0.01


class Alternative(NamedTuple):
    """A cheaper model in the place of a leader: an estimate for one day.

    Attributes:
        leader, model: the one that leads, and the next cheaper one on the frontier.
        tasks: of the leader, a day.
        saving_usd: a day; at least 0.
        lost: successes a day that would be lost, below 0 where more would succeed.
        lost_low, lost_high: the 95% interval of `lost`, from the numbers of outcomes alone.
        outcomes: of the cheaper model, on which its rate rests.
    """

    complexity: str
    leader: str
    model: str
    tasks: float
    saving_usd: float
    lost: float
    lost_low: float
    lost_high: float
    outcomes: int


def unknown_share(pairs: Sequence[PairMoney]) -> float:
    """Return the share of outcomes, 0 to 1, whose cost is not known."""
    outcomes = sum(outcomes_of(each) for each in pairs)
    unknown = sum(outcomes_of(each) * (1 - (each.priced or 0.0)) for each in pairs)
    return unknown / outcomes if outcomes else 0.0


def cost_panel(complexity: str, pairs: Sequence[PairMoney], leader: str | None) -> CostPanel:
    """Return the models of a complexity as points, with the frontier.

    Models with fewer than `FEW_OUTCOMES` are not on it: three successes of three beat everything. Only where all have fewer,
    all are compared.
    """
    chosen = [each for each in pairs if each.complexity == complexity]
    decisions = sum(each.decisions for each in chosen)
    points = [
        CostPoint(
            each.model,
            cost_of_success(each),
            success_rate(each),
            each.decisions / decisions if decisions else 0.0,
            leads=each.model == leader,
        )
        for each in chosen
    ]
    enough = {each.model for each in chosen if outcomes_of(each) >= FEW_OUTCOMES}
    best = frontier_of([each for each in points if not enough or each.name in enough])
    marked = [
        CostPoint(
            each.name,
            each.cost_of_success_usd,
            each.success_rate,
            each.share,
            each.leads,
            on_frontier=each.name in best,
        )
        for each in points
    ]
    return CostPanel(complexity, tuple(marked))


def next_cheaper(panel: CostPanel) -> tuple[str, str] | None:
    """Return the leader, and the model on the frontier whose success costs less, but the most of these; None without one."""
    leader = next((each for each in panel.points if each.leads), None)
    if leader is None or leader.cost_of_success_usd is None:
        return None
    cheaper = [
        (each.cost_of_success_usd, each.name)
        for each in panel.points
        if each.on_frontier and each.cost_of_success_usd is not None
        and each.cost_of_success_usd < leader.cost_of_success_usd
    ]  # fmt: skip
    return (leader.name, max(cheaper)[1]) if cheaper else None


def alternative(panel: CostPanel, pairs: Sequence[PairMoney], days: float) -> Alternative | None:
    """Return what a day would cost and lose if the next cheaper model on the frontier led; None where that is not known.

    Args:
        days: the length of the time of `pairs`, above 0.
    """
    found = next_cheaper(panel)
    if found is None:
        return None
    by_model = {each.model: each for each in pairs if each.complexity == panel.title}
    leader, model = by_model[found[0]], by_model[found[1]]
    if outcomes_of(model) < FEW_OUTCOMES:
        return None
    costs = cost_of_task(leader), cost_of_task(model)
    rates = success_rate(leader), success_rate(model)
    if costs[0] is None or costs[1] is None or rates[0] is None or rates[1] is None:
        return None
    tasks = leader.decisions / days
    low, high = difference_interval((leader.successes, outcomes_of(leader)), (model.successes, outcomes_of(model)))
    return Alternative(
        panel.title,
        leader.model,
        model.model,
        tasks,
        max(0.0, tasks * (costs[0] - costs[1])),
        tasks * (rates[0] - rates[1]),
        tasks * low,
        tasks * high,
        outcomes_of(model),
    )
