"""The rules of the fleet's configuration, compiled for the catalog of a state, and again only when one of both changes."""

from typing import Any, Final

from centralcloud.contracts.fleet_configuration import FleetConfiguration
from centralcloud.runtime.logs import get_logger
from instance_agent.catalog.configuration import CatalogConfiguration, Target
from instance_agent.execution.price_list import list_prices
from instance_agent.execution.targets import CallTargets
from instance_agent.providers.errors import ProviderError
from instance_agent.routing.rules import NO_RULES, RoutingRules
from instance_agent.routing.spend import PriceOf, catalog_prices

log = get_logger(__name__)

#: Prices of models that only a name has made; those of the catalog are ready.
_MOST_NAMED: Final = 1000


class RulesOfStates:
    """Compiles rules for the task that builds states."""

    def __init__(self) -> None:
        self._rules = NO_RULES
        self._of: tuple[Any, ...] = ()
        self._problems: dict[str, str] = {}

    def of(self, fleet: FleetConfiguration, configuration: CatalogConfiguration, targets: CallTargets) -> RoutingRules:
        """Return the rules of a configuration of the fleet for a catalog."""
        parts = (
            fleet.rules,
            fleet.policies,
            fleet.task_policies,
            fleet.agents,
            fleet.workspaces,
            fleet.experiments,
            configuration,
            targets,
        )
        # Reports of health make another configuration of the same parts.
        if len(parts) != len(self._of) or any(new is not old for new, old in zip(parts, self._of, strict=True)):
            self._rules = RoutingRules(fleet, configuration, prices_by(configuration, targets))
            self._log_problems()
            self._of = parts
        return self._rules

    def _log_problems(self) -> None:
        """Log, once, an experiment whose treatment this gateway cannot serve: it has none of its requests in an arm."""
        found = self._rules.experiments.problems if self._rules.experiments is not None else {}
        for experiment, reason in found.items():
            if self._problems.get(experiment) != reason:
                effect = "requests through this gateway are in none of its arms; the next experiment may have them"
                log.warning("experiment_unusable", experiment=experiment, reason=reason, effect=effect)
        self._problems = found


def prices_by(configuration: CatalogConfiguration, targets: CallTargets) -> PriceOf:
    """Return the prices of targets: those of the catalog, else list prices. Safe from any thread."""
    known = {target.key for group in configuration.targets.values() for target in group}
    named: dict[str, tuple[int, int] | None] = {}

    def price_of(target: Target) -> tuple[int, int] | None:
        if target.key in known:
            try:
                prices = targets.ready(target).prices if target.problem is None else None
            except ProviderError:
                prices = None
            return catalog_prices(target) if prices is None else (prices.input, prices.output)
        if target.key not in named:
            if len(named) >= _MOST_NAMED:
                named.clear()
            listed = list_prices(target.model.provider, target.base_url, target.model.sent_as)
            named[target.key] = catalog_prices(target) if listed is None else (listed.input, listed.output)
        return named[target.key]

    return price_of
