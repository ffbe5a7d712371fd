"""The rules that can be simulated, by name: the built-in and the installed ones, and the baselines to compare them with."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from centralcloud.contracts import SettingsError
from centralcloud.learning.rule import HIGHEST_SCORE, LOWEST_SCORE, Rule
from centralcloud.learning.rules import AdaptiveSettings
from centralcloud.learning.rules.registry import make_rules
from centralcloud.simulate.baselines import HALF_LIFE_OUTCOMES, SilentRule, ThompsonRule
from centralcloud.simulate.fleet import UNTRIED_SCORE
from centralcloud.simulate.ground_truth import GroundTruth, single_best_model
from centralcloud.simulate.scenario import Weights

BASELINES: Final = ("thompson", "thompson-half-life", "best-fixed", "random")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A rule, and the learned scores of models that instances have before the rule gives any."""

    rule: Rule
    known: Mapping[str, float]


def check_rule(name: str) -> None:
    """Check that a rule of that name exists.

    Raises:
        SettingsError: there is none; the message names the rules that exist.
        BadRuleError: an installed rule cannot be used.
    """
    known = [*make_rules(), *BASELINES]
    if name not in known:
        raise SettingsError(f"--rule: found {name!r}, expected one of {', '.join(known)}")


def make_candidate(name: str, ground_truth: GroundTruth) -> Candidate:
    """Make the rule of that name, with the weights of the scenario.

    Raises:
        SettingsError: there is none.
        BadRuleError: an installed rule cannot be used.
    """
    check_rule(name)
    if name == "best-fixed":
        best = single_best_model(ground_truth)
        scores = {model: float(HIGHEST_SCORE if model == best else LOWEST_SCORE) for model in ground_truth.models}
        return Candidate(SilentRule(name), scores)
    if name == "random":
        return Candidate(SilentRule(name), dict.fromkeys(ground_truth.models, UNTRIED_SCORE))
    return Candidate(_rule(name, ground_truth.scenario.weights), {})


def _rule(name: str, weights: Weights) -> Rule:
    if name == "thompson":
        return ThompsonRule(name, None, weights)
    if name == "thompson-half-life":
        return ThompsonRule(name, HALF_LIFE_OUTCOMES, weights)
    return make_rules({"adaptive": AdaptiveSettings(latency_weight=weights.latency, cost_weight=weights.cost)})[name]
