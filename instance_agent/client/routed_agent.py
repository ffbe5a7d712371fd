"""An agent whose every answer comes from the model that the router chooses."""

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Final, Self

from centralcloud.contracts.task_classifier import classify
from instance_agent.client.result import GenerationResult
from instance_agent.client.task_type import TaskType
from instance_agent.client.unified_client import UnifiedModelClient

_CODER: Final = (
    "You are an experienced software engineer. Answer with correct, readable code that can be run as it is, and keep"
    " explanations short."
)


class RoutedAgent:
    """An agent with a role: instructions, and the types of its tasks. It has no memory of its own.

    Close it, or use it as a context manager, ``with`` or ``async with``; the end of the process closes it, too.

    Attributes:
        name: the agent type in events and rules.
        client: calls the models.
    """

    def __init__(
        self,
        name: str,
        task_types: tuple[TaskType, ...],
        *,
        system: str | None = None,
        client: UnifiedModelClient | None = None,
    ) -> None:
        """Create an agent; calls nothing.

        Args:
            name: the agent type in events and rules.
            task_types: of its tasks: each is classified as one of these, the first one in doubt. A trained classifier
                that knows none of these is not asked.
            system: its instructions, unless the context has others; None: none.
            client: calls the models, and stays open when the agent is closed; None: a new one.

        Raises:
            SettingsError: the catalog or a setting is wrong.
            ValueError: `task_types` is empty.
        """
        if not task_types:
            raise ValueError("task_types: found none, expected at least one")
        self.name = name
        self._task_types = task_types
        self._system = system
        self._owns_client = client is None
        self.client = UnifiedModelClient() if client is None else client

    async def generate_response(self, prompt: str, context: Mapping[str, Any] | None = None) -> GenerationResult:
        """Generate the answer to a task; the result is that of `UnifiedModelClient.generate`, and nothing is raised.

        Args:
            prompt: the task.
            context: as for `UnifiedModelClient.generate`, such as ``{"complexity": 3}``.
        """
        return await self.client.generate(prompt, context=self._with_role(prompt, context))

    def generate_response_sync(self, prompt: str, context: Mapping[str, Any] | None = None) -> GenerationResult:
        """Do what `generate_response` does, for threads.

        Args:
            prompt: the task.
            context: as for `generate_response`.
        """
        return self.client.generate_sync(prompt, context=self._with_role(prompt, context))

    def close(self) -> None:
        """Close the client, unless it was given."""
        if self._owns_client:
            self.client.close()

    async def aclose(self) -> None:
        """Do what `close` does, without stopping the event loop."""
        if self._owns_client:
            await self.client.aclose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def _with_role(self, prompt: Any, context: Any) -> Any:
        """Return the context with the role where it says nothing else; one that is not valid is left to its check."""
        if not isinstance(prompt, str) or not (context is None or isinstance(context, Mapping)):
            return context
        own: dict[str, Any] = {"agent_type": self.name}
        if self._system is not None:
            own["system"] = self._system
        given = {name: value for name, value in (context or {}).items() if value is not None}
        if "task_type" not in given:
            own["task_type"] = self._type_of(prompt)
        return {**own, **given}

    def _type_of(self, prompt: str) -> str:
        if len(self._task_types) > 1:
            trained = self.client.router.decisions.classifier
            for classifier in (None,) if trained is None else (trained, None):
                if (found := classify(prompt, classifier).task_type) in self._task_types:
                    return found
        return self._task_types[0].value


def create_routed_coder_agent(client: UnifiedModelClient | None = None) -> RoutedAgent:
    """Create an agent that writes and improves code.

    Args:
        client: calls the models, and stays open when the agent is closed; None: a new one.

    Raises:
        SettingsError: the catalog or a setting is wrong.
    """
    types = (TaskType.CODE_GENERATION, TaskType.CODE_REFACTOR)
    return RoutedAgent("coder", types, system=_CODER, client=client)
