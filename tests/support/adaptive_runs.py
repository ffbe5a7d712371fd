"""Runs of the adaptive rule over slices of evidence, in one step or run by run."""

from centralcloud.learning.evidence import Pair
from centralcloud.learning.rule import RuleResult, RuleState, Score
from centralcloud.learning.rules import AdaptiveRule, AdaptiveSettings
from support.adaptive_by_hand import Slice, evidence_of

A, B, C = (("a", "simple"), ("b", "simple"), ("c", "simple"))
NO_COSTS = AdaptiveRule(AdaptiveSettings(latency_weight=0))
HARD = ("a", "complex")
#: States with the prior that every pair had before there were predictions: the numbers of a manual calculation are round.
HALF: dict[Pair, RuleState] = {pair: RuleState(payload={"prior": [0.5, 2.0]}) for pair in (A, B, C, HARD)}


def evaluate(
    slices: list[Slice], state: dict[Pair, RuleState] | None = None, rule: AdaptiveRule = NO_COSTS
) -> RuleResult:
    """Evaluate the slices in one run."""
    return rule.evaluate(evidence_of(slices), state or {})


def scores(result: RuleResult) -> dict[Pair, Score]:
    """Return the scores by pair."""
    return {score.pair: score for score in result.scores}


def run_by_run(slices: list[Slice], rule: AdaptiveRule = NO_COSTS) -> list[RuleResult]:
    """Evaluate after every slice, each time on the state of the previous run, as the learner does."""
    evidence, results, state = evidence_of([]), [], {}
    for number, of_slice in enumerate(slices):
        evidence.append(number + 1, evidence_of([{}] * (number + 1)).opened_at[-1], of_slice)
        results.append(rule.evaluate(evidence, state))
        state = results[-1].states
    return results
