"""The behaviour of the simulated models and providers: what each call draws, and what an operator changes at run time. Pure.

Deterministic: call n of a model draws from a generator that the seed, the model and n determine, whatever other models do.
"""

import random
from typing import Final, Literal

from msgspec import Struct

from instance_agent.simulation.world import OUTPUT_TOKENS, SimulatedModel, SimulatedProvider, World, column

Fault = Literal["rate_limited", "error", "hang"]
#: Shape of the gamma distribution of times: a standard deviation of half the mean.
_SHAPE: Final = 4.0
#: Share of the time of an answer until its first token.
_FIRST_TOKEN: Final = 0.3
_MIN_RETRY_SECONDS: Final = 0.1


class Draw(Struct, frozen=True):
    """One call.

    Attributes:
        fault: None: it is answered.
        retry_after: seconds, for ``rate_limited``.
        right: whether the answer is right.
        first_token_seconds, total_seconds: from the request.
        tokens: of a free text.
    """

    number: int
    fault: Fault | None
    retry_after: float
    right: bool
    first_token_seconds: float
    total_seconds: float
    tokens: int


class _Model:
    def __init__(self, model: SimulatedModel) -> None:
        self.model = model
        self.success_rates = list(model.success_rates)
        self.latency_factor = 1.0
        self.calls = 0
        self.right = 0


class _Provider:
    def __init__(self, provider: SimulatedProvider) -> None:
        self.provider = provider
        self.error_rate = provider.error_rate
        self.hang_rate = provider.hang_rate
        self.requests_per_second = provider.requests_per_second
        self.refused = 0
        self._tokens: float | None = None
        self._at = 0.0

    def admit(self, now: float) -> float:
        """Return 0 for a request within the limit, else the seconds until there is room. The burst is one second's worth."""
        rate = self.requests_per_second
        if rate is None:
            return 0.0
        burst = max(1.0, rate)
        tokens = burst if self._tokens is None else min(burst, self._tokens + (now - self._at) * rate)
        self._at = now
        if tokens >= 1:
            self._tokens = tokens - 1
            return 0.0
        self._tokens = tokens
        return max(_MIN_RETRY_SECONDS, (1 - tokens) / rate)


class Behaviour:
    """The world at this moment."""

    def __init__(self, world: World, *, seed: int = 1, speed: float = 1.0) -> None:
        """Create it; `speed` divides all times: 10 makes a model that takes 2 s answer in 0.2 s."""
        self.world = world
        self._seed = seed
        self._speed = speed
        self.reset()

    def reset(self) -> None:
        """Make every model and provider as it was at the start; the counts begin again."""
        self._models = {each.name: _Model(each) for each in self.world.models}
        self._providers = {each.name: _Provider(each) for each in self.world.providers}

    def has(self, provider: str, model: str) -> bool:
        """Whether this provider serves this model."""
        found = self._models.get(model)
        return found is not None and found.model.provider == provider

    def success_rate(self, model: str, complexity: str) -> float:
        """Return the hidden probability of a right answer, now."""
        return self._models[model].success_rates[column(complexity)]

    def change_model(
        self,
        model: str,
        *,
        complexity: str | None = None,
        success_rate: float | None = None,
        latency_factor: float | None = None,
    ) -> None:
        """Make a model better or worse from now on, silently. Raises KeyError for an unknown one.

        Args:
            complexity: of the tasks whose success rate changes; None: of all.
            success_rate: 0 to 1.
            latency_factor: of all its times, in relation to the start.
        """
        found = self._models[model]
        if success_rate is not None:
            places = range(3) if complexity is None else (column(complexity),)
            for place in places:
                found.success_rates[place] = success_rate
        if latency_factor is not None:
            found.latency_factor = latency_factor

    def change_provider(
        self,
        provider: str,
        *,
        error_rate: float | None = None,
        hang_rate: float | None = None,
        requests_per_second: float | None = None,
    ) -> None:
        """Change the faults of a provider from now on. Raises KeyError for an unknown one."""
        found = self._providers[provider]
        if error_rate is not None:
            found.error_rate = error_rate
        if hang_rate is not None:
            found.hang_rate = hang_rate
        if requests_per_second is not None:
            found.requests_per_second = requests_per_second

    def draw(self, model: str, complexity: str, now: float) -> Draw:
        """Draw the next call of a model; `now` is a time in seconds that never goes back, for the rate limit."""
        found = self._models[model]
        provider = self._providers[found.model.provider]
        found.calls += 1
        place = column(complexity)
        rng = random.Random(f"{self._seed}/{model}/{found.calls}")
        fault_at, right_at, size = rng.random(), rng.random(), 0.5 + rng.random()
        mean = found.model.latency_ms[place] / 1000 * found.latency_factor / self._speed
        seconds = rng.gammavariate(_SHAPE, mean / _SHAPE)
        wait = provider.admit(now)
        fault: Fault | None = None
        if wait:
            fault = "rate_limited"
        elif fault_at < provider.error_rate:
            fault = "error"
        elif fault_at < provider.error_rate + provider.hang_rate:
            fault = "hang"
        right = right_at < found.success_rates[place]
        if fault is None:
            found.right += right
        else:
            provider.refused += 1
        return Draw(
            number=found.calls,
            fault=fault,
            retry_after=wait,
            right=right,
            first_token_seconds=seconds * _FIRST_TOKEN,
            total_seconds=seconds,
            tokens=max(1, round(OUTPUT_TOKENS[complexity] * size)),
        )

    def state(self) -> dict[str, object]:
        """Return the hidden truth and the counts, as JSON."""
        return {
            "models": {
                name: {
                    "provider": each.model.provider,
                    "success_rates": each.success_rates,
                    "latency_factor": each.latency_factor,
                    "calls": each.calls,
                    "right": each.right,
                }
                for name, each in self._models.items()
            },
            "providers": {
                name: {
                    "error_rate": each.error_rate,
                    "hang_rate": each.hang_rate,
                    "requests_per_second": each.requests_per_second,
                    "not_answered": each.refused,
                }
                for name, each in self._providers.items()
            },
        }
