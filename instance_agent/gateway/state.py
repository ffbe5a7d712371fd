"""The state that one request uses from its begin to its end, and the task that builds the next one after a change."""

import time
from collections.abc import Callable
from typing import Final

from msgspec import Struct

from centralcloud.contracts import SettingsError
from centralcloud.contracts.fleet_configuration import FleetConfiguration
from centralcloud.contracts.task_classifier.trained import TrainedClassifier
from centralcloud.runtime.logs import get_logger
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.process.background import BackgroundTask
from instance_agent.catalog.catalog import CatalogSnapshot, ModelCatalog
from instance_agent.catalog.learned_scores import LearnedScores
from instance_agent.catalog.registry import registry_layer
from instance_agent.catalog.source import CatalogSource
from instance_agent.execution.targets import CallTargets
from instance_agent.gateway.fleet_targets import FleetTargets
from instance_agent.gateway.routing_rules import RulesOfStates
from instance_agent.routing.planner import Planner
from instance_agent.routing.rules import NO_RULES, RoutingRules

log = get_logger(__name__)

_NO_FLEET: Final = FleetConfiguration()


class GatewayState(Struct, frozen=True, kw_only=True):
    """One state of everything that a request depends on. Immutable.

    Attributes:
        catalog: models, providers and aliases, with the scores.
        targets: the same, ready to be called.
        fleet_targets: the same, as gateways report them to each other.
        fleet: the fleet's configuration: keys, registry and posted health.
        loaded: whether it is known; False: it was not received yet, and no copy of an earlier run exists.
        registered_hosts: hosts that only the registry names.
        names: of the models of the catalog: what may be a label of a metric.
        rules: of the fleet, compiled for the catalog.
        number: of the state: a newer one has a greater one.
        classifier: trained by the site; None: the table of words answers.
    """

    catalog: CatalogSnapshot
    targets: CallTargets
    fleet_targets: FleetTargets
    fleet: FleetConfiguration
    loaded: bool
    registered_hosts: frozenset[str]
    names: frozenset[str]
    rules: RoutingRules = NO_RULES
    number: int = 0
    classifier: TrainedClassifier | None = None


class StateBuilder(BackgroundTask):
    """Builds a state whenever the catalog file, a key, the registry, the scores or the local models change.

    It works in a thread of its own, so that no request waits for a file or for list prices. Ready states are handed to
    `on_built`, in that thread.

    Attributes:
        current: the newest state; None until the first one was built.
        problem: why the newest edit of the catalog file is not used; None: it is.
        on_built: called with each new state.
    """

    def __init__(
        self,
        database: Database,
        source: CatalogSource,
        catalog: ModelCatalog,
        planner: Planner,
        *,
        private: bool,
        interval_seconds: float,
    ) -> None:
        """Create it; `private`: whether registered endpoints may be in private networks."""
        super().__init__("catalog", database, interval_seconds=interval_seconds, connections=0)
        self.uses_database = False
        self.current: GatewayState | None = None
        self.problem: str | None = None
        self.on_built: Callable[[GatewayState], object] | None = None
        self._source = source
        self._catalog = catalog
        self._planner = planner
        self._private = private
        self._fleet: FleetConfiguration = _NO_FLEET
        self._learned: LearnedScores | None = None
        self._hosts: frozenset[str] = frozenset()
        self._used: LearnedScores | None = None
        self._classifier: TrainedClassifier | None = None
        self._targets: CallTargets | None = None
        self._fleet_targets = FleetTargets()
        self._rules = RulesOfStates()
        self._problems: dict[str, str] = {}
        self._forced = False
        self._built = 0

    def use_fleet(self, fleet: FleetConfiguration) -> None:
        """Use another configuration of the fleet from the next run on."""
        self._fleet = fleet
        self.wake()

    def use_learned(self, learned: LearnedScores) -> None:
        """Use other scores from the next run on."""
        self._learned = learned
        self.wake()

    def use_classifier(self, classifier: TrainedClassifier | None) -> None:
        """Use another trained classifier, or none, from the next run on."""
        self._classifier = classifier
        self.wake()

    def read_again(self) -> None:
        """Read the catalog file and the keys now, changed or not."""
        self._forced = True
        self.wake()

    def build(self) -> GatewayState:
        """Build the first state, in the calling thread.

        Raises:
            SettingsError: the catalog file is not valid.
        """
        self._take_registry(self._fleet)
        self._use_configuration()
        state = self._assemble(self._fleet)
        self.current = state
        return state

    def run_once(self) -> bool:
        forced, self._forced = self._forced, False
        fleet, learned = self._fleet, self._learned
        known = self.current
        changed = known is None or known.classifier is not self._classifier
        if known is None or fleet.models is not known.fleet.models or fleet.endpoints is not known.fleet.endpoints:
            self._take_registry(fleet)
        if forced or self._source.changed():
            try:
                self._use_configuration(whole=forced)
                changed = True
                if self.problem is not None:
                    log.info("catalog_accepted")
                self.problem = None
            except SettingsError as error:
                self.problem = str(error)
                effect = "the models of the last valid catalog stay in use"
                log.error("catalog_invalid", reason=self.problem, effect=effect)
        if learned is not None and learned is not self._used:
            self._used = learned
            self._planner.prepare(self._catalog.next(learned=learned))
            self._catalog.use(learned)
            changed = True
        if changed or (known is not None and fleet is not known.fleet):
            self.current = state = self._assemble(fleet)
            if self.on_built is not None:
                self.on_built(state)
        return False

    def _take_registry(self, fleet: FleetConfiguration) -> None:
        layer = registry_layer(fleet, private=self._private)
        self._source.use_registry(layer, fleet.version)
        for path, reason in layer.problems.items():
            if self._problems.get(path) != reason:
                log.warning("registry_entry_unusable", entry=path, reason=reason)
        self._problems = dict(layer.problems)
        self._hosts = layer.hosts

    def _use_configuration(self, *, whole: bool = False) -> None:
        began = time.monotonic()
        configuration = self._source.build(whole=whole)
        targets = CallTargets(configuration)
        self._planner.prepare(self._catalog.next(configuration=configuration))
        self._catalog.use_configuration(configuration)
        self._targets, self._fleet_targets = targets, FleetTargets(configuration, targets)
        usable = sum(target.problem is None for group in configuration.targets.values() for target in group)
        log.info(
            "catalog_applied",
            models=len(configuration.targets),
            usable_targets=usable,
            version=configuration.version,
            seconds=round(time.monotonic() - began, 3),
        )

    def _assemble(self, fleet: FleetConfiguration) -> GatewayState:
        assert self._targets is not None
        snapshot = self._catalog.snapshot
        configuration = snapshot.configuration
        rules = NO_RULES if configuration is None else self._rules.of(fleet, configuration, self._targets)
        self._built += 1
        return GatewayState(
            catalog=snapshot,
            targets=self._targets,
            fleet_targets=self._fleet_targets,
            fleet=fleet,
            loaded=fleet is not _NO_FLEET,
            rules=rules,
            number=self._built,
            classifier=self._classifier,
            registered_hosts=self._hosts - self._source.file_hosts(),
            names=frozenset(model.name for model in snapshot.models),
        )
