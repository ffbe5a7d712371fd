"""The health of targets for plans: a view that is built again only when a breaker has changed."""

from instance_agent.execution.breakers import Breakers
from instance_agent.execution.targets import CallTargets
from instance_agent.routing.request import HealthView


class TargetHealth:
    """Builds health views; `view` is one comparison while nothing changes."""

    def __init__(self, breakers: Breakers) -> None:
        self._breakers = breakers
        self._view = HealthView()
        self._valid_until = float("-inf")
        self._changes = -1
        self._targets: CallTargets | None = None

    def view(self, targets: CallTargets, now: float) -> HealthView:
        """Return the view of the breakers of `targets`: those of the current configuration."""
        if now < self._valid_until and self._changes == self._breakers.changes and self._targets is targets:
            return self._view
        open_keys = set()
        until = float("inf")
        for target in targets.made():
            found = self._breakers.unavailable(target, now)
            if found is not None and not found.probing:
                open_keys.add(target.key)
                if found.seconds is not None:
                    until = min(until, now + found.seconds)
        self._valid_until = until
        self._changes = self._breakers.changes
        self._targets = targets
        self._view = HealthView(breaker_open=frozenset(open_keys))
        return self._view
