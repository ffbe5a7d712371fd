"""The recommendations of a report: rules over its rows. Pure."""

import shlex
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from centralcloud.contracts import COMPLEXITIES
from centralcloud.dashboard.costs import (
    FEW_OUTCOMES,
    MUCH_UNKNOWN,
    cost_of_success,
    cost_panel,
    difference_interval,
    outcomes_of,
)
from centralcloud.dashboard.report.reading import Report
from centralcloud.dashboard.sources.money import PairMoney
from centralcloud.dashboard.web.formats import usd
from centralcloud.runtime.wording import counted, listed, percent

#: A cheaper model must save this share of the cost of a success, at least.
_LEAST_SAVING: Final = 0.1
#: Its success rate must not be lower by more than this, also at the lower end of the interval.
_EQUAL_SUCCESS: Final = 0.02
_MOST_NAMES: Final = 5


class Recommendation(NamedTuple):
    """One sentence, and the command that shows the rows it rests on."""

    text: str
    command: str


def recommendations(report: Report) -> tuple[Recommendation, ...]:
    """Return what to look at, the most valuable first."""
    return tuple(
        recommendation
        for rule in (_cheaper_models, _silent_instances, _unchosen_models, _few_outcomes, _unknown_costs)
        for recommendation in rule(report)
    )


def leaders_of(pairs: Sequence[PairMoney]) -> dict[str, str]:
    """Return the model of each complexity that got the most tasks."""
    found = {}
    for complexity in COMPLEXITIES:
        chosen = [each for each in pairs if each.complexity == complexity and each.decisions]
        if chosen:
            found[complexity] = max(chosen, key=lambda each: (each.decisions, each.model)).model
    return found


def _cheaper_models(report: Report) -> Iterator[Recommendation]:
    """Models on the frontier that cost less than the leader, and succeed as often as far as the outcomes tell."""
    for complexity, name in leaders_of(report.pairs).items():
        panel = cost_panel(complexity, report.pairs, name)
        on_frontier = {point.name for point in panel.points if point.on_frontier}
        pairs = {each.model: each for each in report.pairs if each.complexity == complexity}
        leader = pairs[name]
        cost = cost_of_success(leader)
        for model in sorted(on_frontier - {name}):
            other = pairs[model]
            price = cost_of_success(other)
            if cost is None or price is None or price > (1 - _LEAST_SAVING) * cost or outcomes_of(other) < FEW_OUTCOMES:
                continue
            low, _ = difference_interval(_counts(other), _counts(leader))
            if low < -_EQUAL_SUCCESS:
                continue
            yield Recommendation(
                f"{model} succeeds as often as {name} on {complexity} tasks, and a success costs {usd(price)} and not "
                f"{usd(cost)}: give it more of them, or compare the two by an experiment",
                shlex.join(["centralcloud", "scores", "explain", model, complexity]),
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


def _counts(pair: PairMoney) -> tuple[float, float]:
    return pair.successes, outcomes_of(pair)
