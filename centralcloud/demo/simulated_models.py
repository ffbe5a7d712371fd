"""The simulated models: their scores and prices in the catalog, and how good they really are.

They are those of the instance's simulated providers, whose world says why its scores mislead.
"""

import random
from collections.abc import Callable
from typing import Final, NamedTuple

from instance_agent.catalog.model import Model, Pricing
from instance_agent.simulation.world import built_in_world


class Truth(NamedTuple):
    """A model at one complexity: its score in the catalog, and the truth.

    Attributes:
        claimed: score in the instances' catalog at the start, 0.0 to 5.0.
        success_rate: hidden true probability of success.
        latency_ms: hidden mean response time.
    """

    claimed: float
    success_rate: float
    latency_ms: float


class Answer(NamedTuple):
    """The answer of a model to one task. `cost_usd` is the price of its tokens."""

    success: bool
    response_time_ms: int
    input_tokens: int
    output_tokens: int
    cost_usd: float


_WORLD: Final = built_in_world()
SIMULATED_MODELS: Final = {
    model.name: tuple(map(Truth, model.scores, model.success_rates, model.latency_ms)) for model in _WORLD.models
}
#: USD per million tokens.
PRICES: Final = {model.name: Pricing(input=model.price[0], output=model.price[1]) for model in _WORLD.models}
#: Mean tokens of a task, and of its answer; the tokens of one task lie between half and one and a half times the mean.
_TOKENS: Final = {"simple": (300, 120), "medium": (1200, 400), "complex": (3500, 900)}
COMPLEXITIES: Final = ("simple", "medium", "complex")
PAIRS: Final = tuple((model, complexity) for model in SIMULATED_MODELS for complexity in COMPLEXITIES)


def truth(model: str, complexity: str) -> Truth:
    """Return the truth about a model at one complexity."""
    return SIMULATED_MODELS[model][COMPLEXITIES.index(complexity)]


def catalog() -> list[Model]:
    """Return the models as in every instance's catalog at the start."""
    return [
        Model(
            name=name,
            provider=f"{name.split('-')[0]}-cloud",
            pricing=PRICES[name],
            complexity_scores={complexity: row[i].claimed for i, complexity in enumerate(COMPLEXITIES)},
        )
        for name, row in SIMULATED_MODELS.items()
    ]


class SimulatedModels:
    """The simulated models at this moment: as in the table, except for those that have degraded.

    Attributes:
        on_change: called with model, complexity and success rate when one of them changes.
    """

    def __init__(self) -> None:
        self._success_rates = {pair: truth(*pair).success_rate for pair in PAIRS}
        self.on_change: Callable[[str, str, float], object] | None = None

    def success_rate(self, model: str, complexity: str) -> float:
        """Hidden true probability of success, now."""
        return self._success_rates[model, complexity]

    def set_success_rate(self, model: str, complexity: str, success_rate: float) -> None:
        """Make a model better or worse from now on, silently."""
        self._success_rates[model, complexity] = success_rate
        if self.on_change is not None:
            self.on_change(model, complexity, success_rate)

    def degraded(self) -> frozenset[tuple[str, str]]:
        """The (model, complexity) that are worse now than they were at the start."""
        return frozenset(pair for pair in PAIRS if self._success_rates[pair] < truth(*pair).success_rate)

    def best_success_rate(self) -> float:
        """Success rate of a fleet that always chooses the best model; complexities are equally frequent."""
        best = [max(self.success_rate(model, complexity) for model in SIMULATED_MODELS) for complexity in COMPLEXITIES]
        return sum(best) / len(best)

    def call(self, model: str, complexity: str, rng: random.Random) -> Answer:
        """Let a model do a task; returns its answer without waiting."""
        latency_ms = truth(model, complexity).latency_ms
        success = rng.random() < self.success_rate(model, complexity)
        response_time_ms = max(1, round(rng.gammavariate(4.0, latency_ms / 4.0)))
        size = 0.5 + rng.random()
        input_tokens, output_tokens = (round(mean * size) for mean in _TOKENS[complexity])
        price = PRICES[model]
        cost_usd = round((input_tokens * price.input + output_tokens * price.output) / 1e6, 8)
        return Answer(success, response_time_ms, input_tokens, output_tokens, cost_usd)
