"""The recommendations of a report: rules over its rows. Pure."""

import shlex
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from centralcloud.contracts import COMPLEXITIES
from centralcloud.dashboard.costs import MUCH_UNKNOWN
from centralcloud.dashboard.report.reading import Report
from centralcloud.dashboard.sources.money import PairMoney
from centralcloud.dashboard.web.formats import usd
from centralcloud.runtime.comparison import FEW_OUTCOMES, advise, cost_of_success, leader_of, outcomes_of, success_rate
from centralcloud.runtime.wording import counted, listed, percent

_MOST_NAMES: Final = 5


class Recommendation(NamedTuple):
    """One sentence, and the command that shows the rows it rests on."""

    text: str
    command: str


def recommendations(report: Report) -> tuple[Recommendation, ...]:
    """Return what to look at, the most valuable first."""
    return tuple(
        recommendation
        for rule in (_better_models, _silent_instances, _unchosen_models, _few_outcomes, _unknown_costs)
        for recommendation in rule(report)
    )


def leaders_of(pairs: Sequence[PairMoney]) -> dict[str, str]:
    """Return the model of each complexity that got the most tasks."""
    leaders = {name: leader_of([each for each in pairs if each.complexity == name]) for name in COMPLEXITIES}
    return {complexity: leader.model for complexity, leader in leaders.items() if leader is not None}


def _better_models(report: Report) -> Iterator[Recommendation]:
    """Models to prefer to the leader of a complexity, as `instance-agent recommendations` names them."""
    for complexity in COMPLEXITIES:
        for kind, leader, other in advise([each for each in report.pairs if each.complexity == complexity]):
            price, cost = usd(cost_of_success(other)), usd(cost_of_success(leader))
            than = f"{leader.model} on {complexity} tasks"
            rates = percent(success_rate(other) or 0.0), percent(success_rate(leader) or 0.0)
            text = (
                f"{other.model} succeeds as often as {than}, and a success costs {price} and not {cost}"
                if kind == "cheaper"
                else f"{other.model} succeeds more often than {than}: {rates[0]} and not {rates[1]}, and a success does "
                "not cost more"
            )
            yield Recommendation(
                f"{text}: give it more of them, or compare the two by an experiment",
                shlex.join(["centralcloud", "scores", "explain", other.model, complexity]),
            )


def _silent_instances(report: Report) -> Iterator[Recommendation]:
    for each in report.silent[:_MOST_NAMES]:
        yield Recommendation(
            f"{each.instance} has sent {counted(each.decisions, 'decision')} and no outcome: the fleet cannot learn from it",
            "centralcloud instances",
        )
    if len(report.silent) > _MOST_NAMES:
        more = counted(len(report.silent) - _MOST_NAMES, "more instance")
        yield Recommendation(f"{more} without outcomes", "centralcloud instances")


def _unchosen_models(report: Report) -> Iterator[Recommendation]:
    chosen = {each.model for each in report.pairs if each.decisions or outcomes_of(each)}
    unchosen = sorted({model for model, _ in report.scored} - chosen)
    if unchosen:
        verb, them = ("was", "it") if len(unchosen) == 1 else ("were", "them")
        yield Recommendation(
            f"{listed(unchosen, _MOST_NAMES)} {verb} never chosen: retire {them}, or probe more",
            shlex.join(["centralcloud", "models", "retire", unchosen[0]]),
        )


def _few_outcomes(report: Report) -> Iterator[Recommendation]:
    few = [
        f"{each.model}/{each.complexity}"
        for each in report.pairs
        if each.decisions and outcomes_of(each) < FEW_OUTCOMES
    ]
    if few:
        noun, rates = counted(len(few), "pair"), "its success rate is" if len(few) == 1 else "their success rates are"
        yield Recommendation(
            f"{noun} had fewer than {FEW_OUTCOMES} outcomes, so {rates} known only roughly: {listed(few, _MOST_NAMES)}",
            "centralcloud metrics",
        )


def _unknown_costs(report: Report) -> Iterator[Recommendation]:
    if report.totals.unknown >= MUCH_UNKNOWN and report.totals.successes + report.totals.failures:
        yield Recommendation(
            f"{percent(report.totals.unknown)} of the outcomes have no known cost: send cost_usd, or give the models prices",
            "centralcloud doctor",
        )
