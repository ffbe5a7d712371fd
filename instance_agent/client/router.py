"""The router of a Python process: the catalog, and the policy ``local_first`` over it. It decides, and calls no model."""

import asyncio
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TypedDict

import uuid_utils

from centralcloud.contracts import SettingsError
from centralcloud.contracts.errors import quote
from centralcloud.contracts.fleet_configuration import FleetConfiguration
from centralcloud.contracts.task_classifier import classify
from centralcloud.runtime.logs import get_logger
from centralcloud.runtime.process.lifecycle import watch_forks
from centralcloud.runtime.settings import load_settings
from instance_agent.catalog.aliases import AUTO_NAMES
from instance_agent.catalog.catalog import CatalogSnapshot, ModelCatalog
from instance_agent.catalog.source import CatalogSource
from instance_agent.chat.errors import ChatError
from instance_agent.client.local_first import ALIASES, POLICY, best_model, local_first, local_providers
from instance_agent.client.request import GenerationRequest, read_request
from instance_agent.client.task_type import TaskType
from instance_agent.execution.local_providers import look
from instance_agent.execution.targets import CallTargets
from instance_agent.gateway.fleet_targets import FleetTargets
from instance_agent.gateway.routing_rules import RulesOfStates
from instance_agent.gateway.state import GatewayState
from instance_agent.providers.calls import ProviderCalls
from instance_agent.providers.transport import Transport
from instance_agent.routing.errors import RoutingError
from instance_agent.routing.local_failures import LocalFailures
from instance_agent.routing.plan import Plan, PlanError
from instance_agent.routing.planner import Planner
from instance_agent.routing.request import ALL_HEALTHY, HealthView, RoutingRequest
from instance_agent.routing.rules import POLICY_PREFIX
from instance_agent.settings import ClientSettings

log = get_logger(__name__)

#: Between two looks at the catalog file and the keys.
_LOOK_SECONDS: Final = 1.0


class RouteDecision(TypedDict):
    """The decision for one task.

    Attributes:
        model: that would be called first.
        provider: of it.
        fallbacks: the models that would be called after it, in their order.
        reasoning: why it is the first, in words.
        forced: whether the caller named it.
        task_type: as the caller said, else as it was classified.
        complexity: 1 to 10 likewise; None when only a word is known.
        left_out: why models cannot be used, by target.
    """

    model: str
    provider: str
    fallbacks: list[str]
    reasoning: str
    forced: bool
    task_type: str | None
    complexity: int | None
    left_out: dict[str, str]


class ModelStatus(TypedDict):
    """The state of one model.

    Attributes:
        provider: of the model; the first one that can be used, where there are several.
        available: whether it can be called.
        reason: why it cannot; None: it can.
        local: whether the provider is local.
    """

    provider: str
    available: bool
    reason: str | None
    local: bool


class IntelligentModelRouter:
    """Chooses models by the policy ``local_first``. Thread-safe; several clients may share one.

    The catalog is the file that INSTANCE_AGENT_CATALOG names, else the built-in one. A provider is available when its key is
    set (ANTHROPIC_API_KEY, OPENAI_API_KEY, GEMINI_API_KEY), a local one while it answers. An edit of the file and another
    key count within a second.

    Example:
        router = IntelligentModelRouter()
        router.refresh_sync()  # asks LM Studio and Ollama for their models
        print(router.route("Rename a variable", TaskType.CODE_REFACTOR, complexity=2)["model"])
    """

    def __init__(self, catalog: Path | str | None = None) -> None:
        """Read the catalog; calls nothing.

        Args:
            catalog: a catalog YAML; None: INSTANCE_AGENT_CATALOG, else the built-in catalog.

        Raises:
            SettingsError: the file cannot be read or has an invalid value, or a setting is wrong; one line.
        """
        self.settings = load_settings(ClientSettings)
        path = Path(catalog) if catalog is not None else self.settings.catalog
        self._source = CatalogSource(path)
        self._catalog = ModelCatalog(())
        self._planner = Planner(selection=self.settings.selection, exploration=self.settings.exploration)
        self._rules = RulesOfStates()
        self.failures = LocalFailures(time.monotonic)
        self._lock = threading.RLock()
        self._checked_at = time.monotonic()
        self._built = 0
        self._state = self._build()
        watch_forks(self, before=lambda _: None, in_child=IntelligentModelRouter._after_fork)

    def route(
        self,
        prompt: str,
        task_type: TaskType | str | None = None,
        complexity: int | str | None = None,
        context: Mapping[str, Any] | None = None,
    ) -> RouteDecision:
        """Return the decision for a task; calls no model.

        Args:
            prompt: the task; it is classified where the caller says neither type nor complexity.
            task_type: one of `TaskType`, or another name; None: as classified.
            complexity: 1 to 10, or ``simple``, ``medium``, ``complex``; None: as classified.
            context: as for `UnifiedModelClient.generate`.

        Raises:
            RoutingError: an argument is not valid, or no model can be used; names the reasons.
        """
        try:
            request = read_request(prompt, task_type, complexity, context)
        except ChatError as error:
            raise RoutingError(error.message) from None
        state = self.current()
        try:
            plan = self.plan(self.routing_of(request, state, str(uuid_utils.uuid7())), state)
        except PlanError as error:
            raise PlanError(error.code, self.explained(error, state), error.struck) from None
        first = plan.first.target.model
        names = [each.target.model.name for each in plan.targets]
        return {
            "model": first.name,
            "provider": first.provider,
            "fallbacks": [name for name in dict.fromkeys(names) if name != first.name],
            "reasoning": plan.first.words,
            "forced": plan.kind == "forced",
            "task_type": plan.task.task_type,
            "complexity": plan.task.complexity,
            "left_out": {each.key: self._problem(each.key, state) or each.words for each in plan.struck},
        }

    def get_available_models(self) -> dict[str, ModelStatus]:
        """Return the models of the catalog with whether each can be used, and why not. Calls nothing."""
        state = self.current()
        configuration = state.catalog.configuration
        found: dict[str, ModelStatus] = {}
        for name, targets in configuration.targets.items() if configuration is not None else ():
            usable = [each for each in targets if each.problem is None]
            target = (usable or targets)[0]
            reason = None if usable else "; ".join(dict.fromkeys(str(each.problem) for each in targets))
            local = target.provider is not None and target.provider.local
            found[name] = {
                "provider": target.model.provider,
                "available": bool(usable),
                "reason": reason,
                "local": local,
            }
        return found

    async def refresh(self) -> None:
        """Ask the local providers for their models, in the running event loop. Costs nothing; takes up to 5 seconds."""
        async with Transport() as transport:
            await self.look(ProviderCalls(transport))

    def refresh_sync(self) -> None:
        """Do what `refresh` does, from a thread with or without an event loop."""
        errors: list[BaseException] = []

        def work() -> None:
            try:
                asyncio.run(self.refresh())
            except BaseException as error:  # noqa: BLE001 - raised in the caller's thread
                errors.append(error)

        thread = threading.Thread(target=work, name="local-models")
        thread.start()
        thread.join()
        if errors:
            raise errors[0]

    async def look(self, calls: ProviderCalls) -> None:
        """Ask the local providers for their models by these calls."""
        configuration = self.current().catalog.configuration
        if configuration is None:
            return
        listed = await look(calls, configuration)
        with self._lock:
            self._source.use_found({name: models for name, models in listed.items() if models is not None})
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
            return self._state

    def routing_of(self, request: GenerationRequest, state: GatewayState, request_id: str) -> RoutingRequest:
        """Return a request as the planner needs it, with the model or the policy that it asks for.

        Raises:
            PlanError: it names a model that the catalog does not have.
        """
        name = request.force_model
        if name is None:
            if not state.fleet.policies:
                raise PlanError(
                    "no_target", "the catalog is empty: name a YAML file with models in INSTANCE_AGENT_CATALOG"
                )
            return request.routing(POLICY_PREFIX + POLICY, request_id, time.time())
        if name in AUTO_NAMES or name.startswith(POLICY_PREFIX):
            message = f"context.force_model: found {quote(name)}, expected a model or one of {', '.join(ALIASES)}"
            raise PlanError("model_not_found", message)
        configuration = state.catalog.configuration
        if name in ALIASES and (configuration is None or not configuration.targets_of(name)):
            level = request.level or classify(request.prompt).level
            best = best_model(state.catalog, name, level)
            if best is None:
                raise PlanError("model_not_found", _without(name, state.catalog))
            return request.routing(best, request_id, time.time())
        return request.routing(name, request_id, time.time())

    def plan(self, routing: RoutingRequest, state: GatewayState, health: HealthView = ALL_HEALTHY) -> Plan:
        """Return the plan for a request.

        Raises:
            RoutingError: no model can be used, or the one that is named is not known.
        """
        with self._lock:
            return self._planner.plan(routing, state.catalog, health, state.rules, self.failures)

    def explained(self, error: PlanError, state: GatewayState) -> str:
        """Return the error of a plan with the problem of each provider: names of variables, and never a key."""
        problems = [problem for each in error.struck if (problem := self._problem(each.key, state)) is not None]
        known = list(dict.fromkeys(problems))
        return f"{error} ({'; '.join(known)})" if known else str(error)

    @staticmethod
    def _problem(key: str, state: GatewayState) -> str | None:
        configuration = state.catalog.configuration
        return configuration.problem_of(key) if configuration is not None else None

    def _build(self) -> GatewayState:
        configuration = self._source.build()
        targets = CallTargets(configuration)
        self._catalog.use_configuration(configuration)
        snapshot = self._catalog.snapshot
        policy = local_first(snapshot)
        fleet = FleetConfiguration(policies={} if policy is None else {policy.name: policy})
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
        )

    def _after_fork(self) -> None:
        self._lock = threading.RLock()
        self._catalog.after_fork()


def _without(alias: str, snapshot: CatalogSnapshot) -> str:
    """Return the error for an alias of a provider of which the catalog has no model."""
    local = ", ".join(sorted(local_providers(snapshot))) or "no local provider"
    place = f"the local providers ({local})" if alias == ALIASES[0] else f"the provider of {alias}"
    return f"context.force_model: found {alias}, and the catalog has no model of {place}; expected another model"
