"""The health of targets for plans: a view that is built again only when a breaker has changed, or a report was posted."""

from collections.abc import Mapping

from instance_agent.execution.breakers import Breakers
from instance_agent.execution.targets import CallTargets
from instance_agent.routing.request import HealthView


class TargetHealth:
    """Builds health views; `view` is a few comparisons while nothing changes. For one thread."""

    def __init__(self, breakers: Breakers) -> None:
        self._breakers = breakers
        self._posted: dict[str, tuple[str, float]] = {}
        self._view = HealthView()
        self._valid_until = float("-inf")
        self._changes = -1
        self._targets: CallTargets | None = None
        self._latency_ms: Mapping[str, float] = {}
        self._output_tokens: Mapping[str, int] = {}

    def post(self, name: str, reason: str | None, until: float = 0.0) -> None:
        """Report a model (by its name) or a target (by its key) as unhealthy until a time; `reason` None: as healthy."""
        if reason is None:
            self._posted.pop(name, None)
        else:
            self._posted[name] = (reason, until)
        self._valid_until = float("-inf")

    def measure(self, latency_ms: Mapping[str, float], output_tokens: Mapping[str, int]) -> None:
        """Use these times and tokens of whole answers, by the key of the target, from now on."""
        if latency_ms != self._latency_ms or output_tokens != self._output_tokens:
            self._latency_ms, self._output_tokens = latency_ms, output_tokens
            self._valid_until = float("-inf")

    def view(self, targets: CallTargets, now: float) -> HealthView:
        """Return the view of `targets`, those of the current configuration: the same one until something changes."""
        if now < self._valid_until and self._changes == self._breakers.changes and self._targets is targets:
            return self._view
        self._posted = {name: each for name, each in self._posted.items() if each[1] > now}
        until = min((each[1] for each in self._posted.values()), default=float("inf"))
        open_keys = set()
        for target in targets.made():
            found = self._breakers.unavailable(target, now)
            if found is not None and not found.half_open:
                open_keys.add(target.key)
                until = min(until, now + found.returns_in)
        self._valid_until = until
        self._changes = self._breakers.changes
        self._targets = targets
        unhealthy = {name: reason for name, (reason, _) in self._posted.items()}
        self._view = HealthView(
            breaker_open=frozenset(open_keys),
            unhealthy=unhealthy,
            latency_ms=self._latency_ms,
            output_tokens=self._output_tokens,
        )
        return self._view
