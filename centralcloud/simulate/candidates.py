"""The rules that can be simulated, by name: ours, those that others have installed, and what they are compared with."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from centralcloud.contracts import SettingsError
from centralcloud.learning.rule import HIGHEST_SCORE, LOWEST_SCORE, Rule
from centralcloud.learning.rules import AdaptiveRule, AdaptiveSettings, ThresholdRule
from centralcloud.learning.rules.installed import installed_rules
from centralcloud.simulate.baselines import HALF_LIFE_OUTCOMES, SilentRule, ThompsonRule
from centralcloud.simulate.fleet import UNTRIED_SCORE
from centralcloud.simulate.ground_truth import World, single_best_model
from centralcloud.simulate.scenario import Weights

RULES: Final = ("threshold", "adaptive")
BASELINES: Final = ("thompson", "thompson-half-life", "best-fixed", "random")


@dataclass(frozen=True, slots=True)
class Contestant:
    """A rule, and learned scores that instances have of models before it has said anything."""

    rule: Rule
    known: Mapping[str, float]


def check_rule(name: str) -> None:
    """Whether there is such a rule.

    Raises:
        SettingsError: there is none; names those that are.
        BadRuleError: an installed one cannot be used.
    """
    known = [*RULES, *BASELINES, *_installed()]
    if name not in known:
        raise SettingsError(f"--rule: found {name!r}, expected one of {', '.join(known)}")


def contestant(name: str, world: World) -> Contestant:
    """The rule of that name, with the weights of the scenario.

    Raises:
        SettingsError: there is none.
        BadRuleError: an installed one cannot be used.
    """
    check_rule(name)
    weights = world.scenario.weights
    if name == "best-fixed":
        best = single_best_model(world)
        scores = {model: float(HIGHEST_SCORE if model == best else LOWEST_SCORE) for model in world.models}
        return Contestant(SilentRule(name), scores)
    if name == "random":
        return Contestant(SilentRule(name), dict.fromkeys(world.models, UNTRIED_SCORE))
    return Contestant(_rule(name, weights), {})


def _rule(name: str, weights: Weights) -> Rule:
    if name == "threshold":
        return ThresholdRule()
    if name == "adaptive":
        return AdaptiveRule(AdaptiveSettings(latency_weight=weights.latency, cost_weight=weights.cost))
    if name == "thompson":
        return ThompsonRule(name, None, weights)
    if name == "thompson-half-life":
        return ThompsonRule(name, HALF_LIFE_OUTCOMES, weights)
    return _installed()[name]


def _installed() -> dict[str, Rule]:
    return {rule.name: rule for rule in installed_rules()}
