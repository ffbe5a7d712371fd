"""The router of a Python process: which model would be called for a task, and why. It calls no model."""

import asyncio
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypedDict

import uuid_utils

from centralcloud.runtime.settings import load_settings
from instance_agent.chat.errors import ChatError
from instance_agent.client.decisions import Decisions
from instance_agent.client.request import read_request
from instance_agent.client.task_type import TaskType
from instance_agent.providers.calls import ProviderCalls
from instance_agent.providers.transport import Transport
from instance_agent.routing.errors import RoutingError
from instance_agent.routing.plan import PlanError
from instance_agent.settings import ClientSettings


class RouteDecision(TypedDict):
    """The decision for one task.

    Attributes:
        model: that would be called first.
        provider: of it.
        fallbacks: the models that would be called after it, in their order.
        reasoning: why it is the first, in words.
        forced: whether the caller named a model.
        experiment: that has the task; None: none. Without a session each call draws its arm anew.
        arm: of the experiment: the name of a treatment, or ``control``; None without one.
        task_type: as the caller said, else as it was classified.
        complexity: 1 to 10 likewise; None when only a word is known.
        left_out: why models cannot be used, by target.
    """

    model: str
    provider: str
    fallbacks: list[str]
    reasoning: str
    forced: bool
    experiment: str | None
    arm: str | None
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
        settings = load_settings(ClientSettings)
        self.decisions = Decisions(settings, settings.catalog if catalog is None else Path(catalog))

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
        state = self.decisions.current()
        try:
            plan = self.decisions.plan(self.decisions.routing_of(request, state, str(uuid_utils.uuid7())), state)
        except PlanError as error:
            raise PlanError(error.code, self.decisions.explained(error, state), error.struck) from None
        first = plan.first.target.model
        names = [each.target.model.name for each in plan.targets]
        return {
            "model": first.name,
            "provider": first.provider,
            "fallbacks": [name for name in dict.fromkeys(names) if name != first.name],
            "reasoning": plan.first.words,
            "forced": plan.is_named,
            "experiment": plan.experiment,
            "arm": plan.arm,
            "task_type": plan.task.task_type,
            "complexity": plan.task.complexity,
            "left_out": {each.key: self.decisions.problem(each.key, state) or each.words for each in plan.struck},
        }

    def get_available_models(self) -> dict[str, ModelStatus]:
        """Return the models of the catalog with whether each can be used, and why not. Calls nothing."""
        state = self.decisions.current()
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
            await self.decisions.look(ProviderCalls(transport))

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
