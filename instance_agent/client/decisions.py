"""The decisions of a process: the state of its catalog, and plans by the policy ``local_first`` over it. Calls no model."""

import contextlib
import threading
import time
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from centralcloud.contracts import SettingsError
from centralcloud.contracts.errors import quote
from centralcloud.contracts.fleet_configuration import FleetConfiguration
from centralcloud.contracts.task_classifier import classify
from centralcloud.contracts.task_classifier.trained import TrainedClassifier
from centralcloud.runtime.bounded_file import Fingerprint, fingerprint_of
from centralcloud.runtime.logs import get_logger
from centralcloud.runtime.process.lifecycle import watch_forks
from instance_agent.catalog.aliases import AUTO, AUTO_NAMES
from instance_agent.catalog.catalog import CatalogSnapshot, ModelCatalog
from instance_agent.catalog.source import CatalogSource
from instance_agent.client.local_first import ALIASES, LOCAL, POLICY, best_model, local_first, local_providers, spread
from instance_agent.client.request import GenerationRequest
from instance_agent.client.shared_experiments import SharedExperiments
from instance_agent.execution.local_providers import look
from instance_agent.execution.targets import CallTargets
from instance_agent.gateway.fleet_targets import FleetTargets
from instance_agent.gateway.routing_rules import RulesOfStates
from instance_agent.gateway.state import GatewayState
from instance_agent.providers.calls import ProviderCalls
from instance_agent.routing.local_failures import LocalFailures
from instance_agent.routing.plan import Plan, PlanError
from instance_agent.routing.planner import Planner
from instance_agent.routing.request import ALL_HEALTHY, HealthView, RoutingRequest
from instance_agent.routing.rules import POLICY_PREFIX
from instance_agent.settings import ClientSettings
from instance_agent.sync.classifier_file import ClassifierFile

log = get_logger(__name__)

#: Between two looks at the catalog file and the keys.
_LOOK_SECONDS: Final = 1.0
_MOST_NAMES: Final = 20


class _SharedFailures(LocalFailures):
    """The count of failures for several threads: one plans while another one reports an outcome."""

    def __init__(self) -> None:
        super().__init__(time.monotonic)
        self._lock = threading.RLock()

    def of(self, policy: str) -> int:
        """Return the failures in a row under a policy."""
        with self._lock:
            return super().of(policy)

    def failed(self, policy: str) -> None:
        """Count a failure of a local model that says something about it."""
        with self._lock:
            super().failed(policy)

    def succeeded(self, policy: str) -> None:
        """End the row: a local model has answered."""
        with self._lock:
            super().succeeded(policy)

    def after_fork(self) -> None:
        """Replace the lock in the child of a fork."""
        self._lock = threading.RLock()


class _SharedClassifier:
    """The trained classifier that a gateway of this instance keeps in its state folder; none without that file.

    Attributes:
        current: in use; None: the table of words answers.
    """

    def __init__(self, settings: ClientSettings) -> None:
        self.current: TrainedClassifier | None = None
        self._file: ClassifierFile | None = None
        self._fingerprint: Fingerprint | None = None
        with contextlib.suppress(SettingsError):  # a client works without a state folder
            self._file = ClassifierFile(settings.state_folder)
        self.changed()

    def changed(self) -> bool:
        """Read the file where it is another one, and return whether it was."""
        if self._file is None or (found := fingerprint_of(self._file.path)) == self._fingerprint:
            return False
        self._fingerprint = found
        self.current = self._file.load()
        return True


class Decisions:
    """The catalog of a process, and the plans for its requests. Thread-safe.

    Attributes:
        settings: of the process.
        failures: of local models in a row.
    """

    def __init__(self, settings: ClientSettings, catalog: Path | None) -> None:
        """Read the catalog; raise SettingsError where that is not possible."""
        self.settings = settings
        self._source = CatalogSource(catalog)
        self._catalog = ModelCatalog(())
        self._planner = Planner(selection=settings.selection, exploration=settings.exploration)
        self._rules = RulesOfStates()
        self._classifier = _SharedClassifier(settings)
        self._experiments = SharedExperiments(settings)
        self.failures = _SharedFailures()
        self._lock = threading.RLock()
        self._checked_at = time.monotonic()
        self._built = 0
        self._state = self._build()
        watch_forks(self, before=lambda _: None, in_child=Decisions._after_fork)

    @property
    def classifier(self) -> TrainedClassifier | None:
        """The trained classifier as of the last request; None: the table of words answers. Reads no file."""
        return self._state.classifier

    async def look(self, calls: ProviderCalls) -> None:
        """Ask the local providers for their models by these calls."""
        configuration = self.current().catalog.configuration
        if configuration is None:
            return
        listed = await look(calls, configuration)
        self.use_found({name: models for name, models in listed.items() if models is not None})

    def use_found(self, found: Mapping[str, frozenset[str]]) -> None:
        """Use these models of local providers from now on, by the name of the provider; others do not answer."""
        with self._lock:
            self._source.use_found(found)
            self._checked_at = float("-inf")

    def current(self) -> GatewayState:
        """Return the current state of the catalog; it is built again when the file, a key or the local models changed."""
        with self._lock:
            now = time.monotonic()
            if now - self._checked_at >= _LOOK_SECONDS:
                self._checked_at = now
                if self._source.changed():
                    try:
                        self._state = self._build()
                    except SettingsError as error:
                        effect = "the models of the last valid catalog stay in use"
                        log.error("catalog_invalid", reason=str(error), effect=effect)
                if self._experiments.changed():
                    fleet = self._fleet(self._state.catalog)
                    configuration = self._state.catalog.configuration
                    assert configuration is not None
                    rules = self._rules.of(fleet, configuration, self._state.targets)
                    self._state = replace(self._state, fleet=fleet, rules=rules)
                if self._classifier.changed():
                    self._state = replace(self._state, classifier=self._classifier.current)
            return self._state

    def routing_of(self, request: GenerationRequest, state: GatewayState, request_id: str) -> RoutingRequest:
        """Return a request as the planner needs it, with the model or the policy that it asks for.

        Raises:
            PlanError: it names a model that the catalog does not have.
        """
        name = request.force_model
        if name is None:
            if POLICY not in state.fleet.policies:
                raise PlanError(
                    "no_target", "the catalog is empty: name a YAML file with models in INSTANCE_AGENT_CATALOG"
                )
            return request.routing(POLICY_PREFIX + POLICY, request_id, time.time(), asked=AUTO)
        configuration = state.catalog.configuration
        assert configuration is not None
        own = name in AUTO_NAMES or name.startswith(POLICY_PREFIX)
        if not own and configuration.targets_of(configuration.resolve(name)[0]):
            return request.routing(name, request_id, time.time())
        if name not in ALIASES:
            raise PlanError("model_not_found", _unknown(name, state.catalog))
        level = request.level or classify(request.prompt, state.classifier).level
        best = best_model(state.catalog, name, level)
        if best is None:
            raise PlanError("model_not_found", _without(name, state.catalog))
        return request.routing(best, request_id, time.time())

    def plan(self, routing: RoutingRequest, state: GatewayState, health: HealthView = ALL_HEALTHY) -> Plan:
        """Return the plan for a request; unless its model is forced, another provider follows before a second model of one.

        Raises:
            RoutingError: no model can be used, or the one that is named is not known.
        """
        with self._lock:
            plan = self._planner.plan(
                routing,
                state.catalog,
                health,
                state.rules,
                self.failures,
                treating=self._experiments.treating(),
                classifier=state.classifier,
            )
        return plan if plan.kind == "forced" else replace(plan, targets=spread(plan.targets))

    def explained(self, error: PlanError, state: GatewayState) -> str:
        """Return the error of a plan with the problem of each provider: names of variables, and never a key."""
        problems = [
            f"{each.key.rpartition('@')[2].partition('#')[0]}: {problem}"
            for each in error.struck
            if (problem := self.problem(each.key, state)) is not None
        ]
        known = list(dict.fromkeys(problems))
        return f"{error} ({'; '.join(known)})" if known else str(error)

    @staticmethod
    def problem(key: str, state: GatewayState) -> str | None:
        """Return why a target cannot be called, in the words for operators; None: it can."""
        configuration = state.catalog.configuration
        return configuration.problem_of(key) if configuration is not None else None

    def _build(self) -> GatewayState:
        configuration = self._source.build()
        targets = CallTargets(configuration)
        self._catalog.use_configuration(configuration)
        snapshot = self._catalog.snapshot
        fleet = self._fleet(snapshot)
        self._built += 1
        return GatewayState(
            catalog=snapshot,
            targets=targets,
            fleet_targets=FleetTargets(),
            fleet=fleet,
            loaded=True,
            registered_hosts=frozenset(),
            names=frozenset(model.name for model in snapshot.models),
            rules=self._rules.of(fleet, configuration, targets),
            number=self._built,
            classifier=self._classifier.current,
        )

    def _fleet(self, snapshot: CatalogSnapshot) -> FleetConfiguration:
        """Return the policy of this process, with the experiments of the fleet."""
        policy, shared = local_first(snapshot), self._experiments
        own = {} if policy is None else {policy.name: policy}
        return FleetConfiguration(policies={**shared.policies, **own}, experiments=shared.experiments)

    def _after_fork(self) -> None:
        self._lock = threading.RLock()
        self._catalog.after_fork()
        self.failures.after_fork()


def _unknown(name: str, snapshot: CatalogSnapshot) -> str:
    """Return the error for a name that the catalog does not have."""
    names = sorted({model.name for model in snapshot.models})
    near = get_close_matches(name, [*ALIASES, *names], n=1, cutoff=0.75)
    hint = f" (did you mean {near[0]}?)" if near else ""
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    known = ", ".join(names[:_MOST_NAMES]) + more
    expected = f"{', '.join(ALIASES)}, or a model of the catalog ({known})"
    return f"context.force_model: found {quote(name)}{hint}, expected {expected}"


def _without(alias: str, snapshot: CatalogSnapshot) -> str:
    """Return the error for an alias of a provider of which the catalog has no model."""
    if alias != LOCAL:
        return (
            f"context.force_model: found {alias}, and the catalog has no model of that provider; expected another one"
        )
    local = " and ".join(sorted(local_providers(snapshot)))
    reason = f"{local} did not answer, or have no model" if local else "the catalog has no local provider"
    return f"context.force_model: found {alias}, and {reason}; expected a local model that is loaded, or another name"
