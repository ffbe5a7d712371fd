"""The client: generate text with the model that the router chooses, in this process."""

import asyncio
import weakref
from collections.abc import Mapping
from concurrent.futures import CancelledError, Future
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from centralcloud.contracts import CentralCloudError
from centralcloud.contracts.errors import quote
from centralcloud.runtime.process.lifecycle import watch_forks
from instance_agent.chat.errors import ChatError
from instance_agent.client.calling import STOPPED
from instance_agent.client.engine import Engine
from instance_agent.client.request import read_request
from instance_agent.client.result import GenerationResult, failure
from instance_agent.client.router import IntelligentModelRouter, ModelStatus
from instance_agent.client.task_type import TaskType
from instance_agent.client.usage_records import PROCESS_RECORDS, UsageRecords
from instance_agent.execution.walk import WalkSettings
from instance_agent.gateway.context import new_request_id

#: As the gateway's.
DEFAULT_ATTEMPTS: Final = 3
DEFAULT_DEADLINE_SECONDS: Final = 900.0
_MOST_ATTEMPTS: Final = 20
_Value = TypeVar("_Value")


class UnifiedModelClient:
    """Calls models, each request the one that the router chooses, and another one when it fails.

    Use it from coroutines of any event loop and from threads, several at once: one thread of its own has the connections.
    Close it, or use it as a context manager, ``with`` or ``async with``; the end of the process closes it, too. The child of
    a fork may use the client of its parent: it has a thread and connections of its own from its first request on.

    With DATABASE_URL each attempt is published as an event, from which the fleet learns; without it nothing is.

    Example:
        async with UnifiedModelClient() as client:
            result = await client.generate("Compare two designs", TaskType.REASONING, complexity=7)
            print(result["content"] if result["success"] else result["error"])

    Attributes:
        router: chooses the models.
    """

    def __init__(
        self,
        router: IntelligentModelRouter | None = None,
        *,
        records: UsageRecords | None = None,
        max_attempts: int = DEFAULT_ATTEMPTS,
        deadline_seconds: float = DEFAULT_DEADLINE_SECONDS,
    ) -> None:
        """Create a client; calls nothing.

        Args:
            router: chooses the models; None: a new one.
            records: take the sums of this client, for a `RouterAnalytics` of them; None: those of the process.
            max_attempts: most calls of models for one request, 1 to 20.
            deadline_seconds: longest time of one request, all of its calls together, above 0.

        Raises:
            SettingsError: the catalog or a setting is wrong.
            ValueError: `max_attempts` or `deadline_seconds` is out of range.
        """
        if not deadline_seconds > 0:
            raise ValueError(f"deadline_seconds: found {quote(deadline_seconds)}, expected a number above 0")
        if not 1 <= max_attempts <= _MOST_ATTEMPTS:
            raise ValueError(f"max_attempts: found {quote(max_attempts)}, expected 1 to {_MOST_ATTEMPTS}")
        self.router = router or IntelligentModelRouter()
        self._records = PROCESS_RECORDS if records is None else records
        self._walk = WalkSettings(max_attempts=max_attempts, deadline_seconds=deadline_seconds)
        self._use_new_engine()
        watch_forks(self, before=UnifiedModelClient._before_fork, in_child=UnifiedModelClient._after_fork)

    async def generate(
        self,
        prompt: str,
        task_type: TaskType | str | None = None,
        complexity: int | str | None = None,
        context: Mapping[str, Any] | None = None,
    ) -> GenerationResult:
        """Generate text. Raises nothing: without an answer `success` is False, and `error` has the reason.

        Args:
            prompt: the text for the model.
            task_type: one of `TaskType`, or another name; None: as `context` says, else as the prompt is classified.
            complexity: 1 to 10, or ``simple``, ``medium``, ``complex``; None: as `context` says, else as it is classified.
            context: more about the request, each key optional: ``force_model`` (a model, PROVIDER/MODEL, or ``local_mlx``,
                ``claude``, ``openai``, ``gemini`` for the best model of these), ``complexity``, ``task_type``, ``system``
                (instructions), ``max_tokens``, ``temperature``, ``capabilities``, ``agent_type``, ``session``. Other keys
                have no effect.
        """
        begun = self._begin(prompt, task_type, complexity, context)
        if not isinstance(begun, Future):
            return begun
        try:
            return await asyncio.wrap_future(begun)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if not self._engine.closed or (task is not None and task.cancelling()):
                raise
            return _closed()

    def generate_sync(
        self,
        prompt: str,
        task_type: TaskType | str | None = None,
        complexity: int | str | None = None,
        context: Mapping[str, Any] | None = None,
    ) -> GenerationResult:
        """Generate text and wait for it: `generate` for threads. In a coroutine it would stop the event loop.

        Args:
            prompt: as for `generate`.
            task_type: as for `generate`.
            complexity: as for `generate`.
            context: as for `generate`.
        """
        begun = self._begin(prompt, task_type, complexity, context)
        if not isinstance(begun, Future):
            return begun
        try:
            return _wait_for(begun)
        except CancelledError:
            return _closed()

    async def check_health(self) -> dict[str, ModelStatus]:
        """Ask the local providers for their models, and return which models can be called, and why others cannot.

        It costs nothing: paid providers are not asked. Their models are unavailable without a key, and for a while after
        failures.
        """
        return self._health(await asyncio.wrap_future(self._engine.look()))

    def check_health_sync(self) -> dict[str, ModelStatus]:
        """Do what `check_health` does, for threads."""
        return self._health(_wait_for(self._engine.look()))

    def flush(self, timeout_seconds: float = 2.0) -> bool:
        """Wait until every event was sent to the database.

        Args:
            timeout_seconds: longest wait; the events that still wait then are sent later.

        Returns:
            False when events still wait; True also without a database.
        """
        return self._engine.flush(timeout_seconds)

    def close(self) -> None:
        """End the requests that run, close the connections, and send the last events. Safe to call twice."""
        self._finalizer.detach()
        self._engine.close()

    async def aclose(self) -> None:
        """Do what `close` does, without stopping the event loop."""
        await asyncio.to_thread(self.close)

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

    def _begin(
        self, prompt: Any, task_type: Any, complexity: Any, context: Any
    ) -> "Future[GenerationResult] | GenerationResult":
        """Start a request; return its result at once where it has failed already."""
        request_id = new_request_id()
        try:
            return self._engine.generate(read_request(prompt, task_type, complexity, context), request_id)
        except ChatError as error:
            return failure(request_id, error.message, error.code, 0.0)
        except CentralCloudError as error:
            return failure(request_id, str(error), "closed", 0.0)

    def _health(self, unavailable: Mapping[str, str]) -> dict[str, ModelStatus]:
        found = self.router.get_available_models()
        state = self.router.decisions.current()
        configuration = state.catalog.configuration
        for name, status in found.items():
            targets = configuration.targets_of(name) if configuration is not None else ()
            usable = [each for each in targets if each.problem is None]
            reasons = [unavailable[each.key] for each in usable if each.key in unavailable]
            if usable and len(reasons) == len(usable):
                status["available"], status["reason"] = False, "; ".join(dict.fromkeys(reasons))
        return found

    def _use_new_engine(self) -> None:
        engine = self._engine = Engine(self.router.decisions, self._records, self._walk)
        self._finalizer = weakref.finalize(self, engine.close, wait=False)
        self._finalizer.atexit = False  # the engine has its own hook, which waits

    def _before_fork(self) -> None:
        self._engine.before_fork()

    def _after_fork(self) -> None:
        self._finalizer.detach()
        self._engine.abandon()
        self._use_new_engine()


def _wait_for(future: "Future[_Value]") -> _Value:
    try:
        return future.result()
    except BaseException:
        future.cancel()  # the caller is interrupted: the model is not needed any more
        raise


def _closed() -> GenerationResult:
    """Return the result of a request that the end of the client came before."""
    return failure(new_request_id(), STOPPED, "closed", 0.0)
