"""Requests of a client in its event loop: plan, calls, further models after a failure, result."""

import asyncio
import time
import traceback
from typing import Any, Final

from msgspec.structs import replace

from centralcloud.contracts.limits import BLAMELESS_ERROR_KINDS
from centralcloud.runtime.logs import get_logger
from instance_agent.chat.errors import ChatError
from instance_agent.client.decisions import Decisions
from instance_agent.client.deferred_events import DeferredEvents
from instance_agent.client.local_first import LOCAL_FAILURES, POLICY, local_providers
from instance_agent.client.request import LIBRARY, GenerationRequest
from instance_agent.client.result import GenerationResult, add_attempts, failure
from instance_agent.client.usage_records import UsageRecords
from instance_agent.execution.attempts import Attempt
from instance_agent.execution.breakers import Breakers
from instance_agent.execution.errors import ExecutionError
from instance_agent.execution.executor import Answer, Executor
from instance_agent.execution.plan_calls import plan_calls
from instance_agent.execution.planned import PlannedCall
from instance_agent.execution.request import ExecutionRequest
from instance_agent.execution.settings import ExecutionSettings
from instance_agent.execution.target_health import TargetHealth
from instance_agent.execution.walk import WalkSettings
from instance_agent.gateway.auth import Principal
from instance_agent.gateway.context import RequestContext
from instance_agent.gateway.events import EventSink
from instance_agent.gateway.request_log import log_plan
from instance_agent.gateway.state import GatewayState
from instance_agent.providers.calls import ProviderCalls
from instance_agent.providers.errors import ProviderError, Retry
from instance_agent.providers.transport import Transport
from instance_agent.routing.affinity import SessionMemory
from instance_agent.routing.errors import RoutingError
from instance_agent.routing.plan import PlanError

log = get_logger(__name__)

#: Local providers are asked again for their models by the next request after so many seconds, or after a failure of one.
_LOOK_SECONDS: Final = 30.0
_OWN: Final = Principal(key_id=None, role="user")
STOPPED: Final = "the client was closed before the end of the answer"


class CallContext(RequestContext):
    """One request of a caller.

    Attributes:
        attempts: each call of a model.
        local: names of the local providers.
        escalated: whether others come before local models, because those have failed in a row.
    """

    __slots__ = ("attempts", "escalated", "local")

    def __init__(self, state: GatewayState, request_id: str) -> None:
        super().__init__(_OWN, state, request_id)
        self.operation = "chat"
        self.attempts: list[Attempt] = []
        self.local = local_providers(state.catalog)
        self.escalated = False

    def is_local(self, attempt: Attempt) -> bool:
        """Whether an attempt was one at a local model."""
        return attempt.call.target.model.provider in self.local


class _Records:
    """Takes the records of attempts: numbers them through the request, publishes and counts them."""

    def __init__(self, records: UsageRecords, sink: EventSink) -> None:
        self._records = records
        self._sink = sink

    def record(self, attempt: Attempt, context: Any) -> None:
        """Take one record."""
        if not attempt.is_made:
            self._sink.record_all(((attempt, context),))
            return
        attempt = replace(attempt, number=len(context.attempts) + 1)
        context.attempts.append(attempt)
        task = context.plan.task if context.plan is not None else None
        self._records.add_attempt(attempt, task.task_type if task else None, local=context.is_local(attempt))
        self._sink.record_all(((attempt, context),))


class _Uncounted:
    """No metrics: a library has no page that shows them."""

    def attempt(self, attempt: Attempt, context: RequestContext) -> None:
        """Do nothing."""


class Calling:
    """Makes the calls of one client. Created in its event loop, and used by it alone."""

    def __init__(
        self,
        decisions: Decisions,
        records: UsageRecords,
        events: DeferredEvents | None,
        walk: WalkSettings,
    ) -> None:
        self._decisions = decisions
        self._usage = records
        self._clock = asyncio.get_running_loop().time
        self._transport = Transport()
        self._calls = ProviderCalls(self._transport)
        self._breakers = Breakers()
        self._health = TargetHealth(self._breakers)
        sink = EventSink(events, _Uncounted(), SessionMemory(), decisions.settings.instance_id)
        sink.local_failures = decisions.failures
        records_ = _Records(records, sink)
        # One for each number of attempts that a request may have left.
        self._executors = [
            Executor(
                self._calls,
                self._breakers,
                records_,
                # An answer that is empty, or has not the form asked for, is a failure: another model is tried.
                ExecutionSettings(walk=replace(walk, max_attempts=number), next_on_defect=True),
            )
            for number in range(1, walk.max_attempts + 1)
        ]
        self._look: asyncio.Task[None] | None = None
        self._looked_at = float("-inf")
        self._looked = False
        self._stopped = False

    async def generate(self, request: GenerationRequest, request_id: str) -> GenerationResult:
        """Return the result of a request. Raises only when its caller cancels it."""
        began = time.perf_counter()
        context: CallContext | None = None
        try:
            await self._known_locals()
            state = self._decisions.current()
            context = CallContext(state, request_id)
            answer = await self._answered(request, context)
        except PlanError as error:
            return self._failed(request_id, context, self._decisions.explained(error, state), error.code, began)
        except RoutingError as error:
            return self._failed(request_id, context, str(error), "invalid_request", began)
        except ChatError as error:
            return self._failed(request_id, context, error.message, error.code or error.error_kind, began)
        except asyncio.CancelledError:
            if not self._stopped:
                raise
            return self._failed(request_id, context, STOPPED, "closed", began)
        except Exception as error:  # noqa: BLE001 - the contract: a result, and never an exception
            # Without its text, which may have a part of the request.
            where = traceback.format_tb(error.__traceback__)
            log.error("client_request_failed", requestId=request_id, error=type(error).__name__, traceback=where)
            return self._failed(request_id, context, f"internal error: {type(error).__name__}", "internal_error", began)
        return self._succeeded(context, answer, began)

    async def look(self) -> None:
        """Ask the local providers for their models now."""
        self._looked_at = self._clock()
        await self._decisions.look(self._calls)

    async def unavailable(self) -> dict[str, str]:
        """Return why models cannot be called for a while, by name."""
        now, found = self._clock(), {}
        for target in self._decisions.current().targets.made():
            if (reason := self._breakers.unavailable(target, now)) is not None:
                found[target.key] = reason.reason
        return found

    def stop(self) -> None:
        """Note that requests which are cancelled from now on end because the client does."""
        self._stopped = True
        for each in self._executors:
            each.stop()

    async def close(self) -> None:
        """Close the connections."""
        await self._transport.close()

    async def _known_locals(self) -> None:
        """Wait for the first answer of the local providers; later ones arrive in the background."""
        if self._look is None or (self._look.done() and self._clock() - self._looked_at > _LOOK_SECONDS):
            self._look = asyncio.create_task(self._look_quietly())
        if not self._looked:
            await asyncio.shield(self._look)

    async def _look_quietly(self) -> None:
        try:
            await self.look()
        except Exception as error:  # noqa: BLE001 - a request goes on with the models that are known
            log.warning("local_providers_not_asked", error=type(error).__name__)
        finally:
            self._looked = True

    async def _answered(self, request: GenerationRequest, context: CallContext) -> Answer:
        """Return the answer of the first model that gives one, after at most as many attempts as there may be.

        After an error of the setup (a wrong key) execution ends; here another provider is tried.
        """
        body = request.body()
        head = context.head = LIBRARY.read_head(body)
        execution = ExecutionRequest(
            request_id=context.request_id, protocol=LIBRARY, head=head, body=body, context=context
        )
        calls = self._planned(request, context)
        execution.is_compared = context.plan is not None and context.plan.arm_share is not None
        while True:
            left = len(self._executors) - len(context.attempts)
            try:
                return await self._executors[left - 1].execute(calls, execution)
            except ExecutionError as error:
                tried = {each.call.target.key for each in context.attempts}
                calls = [call for call in calls if call.target.key not in tried]
                if not _is_setup(error) or not calls or len(context.attempts) >= len(self._executors):
                    raise

    def _planned(self, request: GenerationRequest, context: CallContext) -> list[PlannedCall]:
        state, failures = context.state, self._decisions.failures.of(POLICY)
        context.routing = self._decisions.routing_of(request, state, context.request_id)
        health = self._health.view(state.targets, self._clock())
        plan = context.plan = self._decisions.plan(context.routing, state, health)
        log_plan(context)
        calls = list(plan_calls(plan, state.targets))
        if plan.is_named:
            return calls
        has_local = any(call.target.model.provider in context.local for call in calls)
        context.escalated = has_local and failures >= LOCAL_FAILURES
        return calls

    def _succeeded(self, context: CallContext, answer: Answer, began: float) -> GenerationResult:
        attempt = answer.attempt
        result = self._result(context, began)
        result["content"] = answer.answer.text if answer.answer is not None else ""
        if attempt is not None:  # not the last one, where that failed after an answer with a defect
            result["model"], result["provider"] = attempt.call.target.model.name, attempt.call.target.model.provider
        if attempt is not None and attempt.outcome != "success":
            result["error"] = attempt.error or "the answer has a defect"
            result["error_code"] = attempt.defect or attempt.error_kind
            refusal = answer.answer.refusal if answer.answer is not None else None
            result["content"] = result["content"] or refusal or ""
        else:
            result["success"] = True
        self._count(context, result)
        return result

    def _failed(
        self, request_id: str, context: CallContext | None, error: str, code: str | None, began: float
    ) -> GenerationResult:
        if context is None:
            return failure(request_id, error, code, time.perf_counter() - began)
        result = self._result(context, began)
        result["error"], result["error_code"] = error, code
        self._count(context, result)
        return result

    def _result(self, context: CallContext, began: float) -> GenerationResult:
        result = failure(context.request_id, "", None, time.perf_counter() - began)
        result["error"] = None
        plan, attempts = context.plan, context.attempts
        add_attempts(result, attempts)
        if plan is not None:
            result["task_type"], result["complexity"] = plan.task.task_type, plan.task.complexity
            result["forced"] = plan.is_named
            result["experiment"], result["arm"] = plan.experiment, plan.arm
            key = attempts[-1].call.target.key if attempts else plan.first.target.key
            result["reasoning"] = next((each.words for each in plan.targets if each.target.key == key), "")
        if attempts and not context.is_local(attempts[-1]):
            failed = sum(context.is_local(each) and each.outcome == "failure" for each in attempts[:-1])
            result["escalated"] = failed > 0 or context.escalated
            if failed:
                result["reasoning"] = f"local models failed in this request ({failed}); then {result['reasoning']}"
        return result

    def _count(self, context: CallContext, result: GenerationResult) -> None:
        plan, attempts = context.plan, context.attempts
        paid = bool(attempts) and not context.is_local(attempts[-1])
        simple = plan is not None and plan.task.level == "simple" and not plan.is_named
        self._usage.add_request(
            success=result["success"], escalated=result["escalated"], simple_paid=simple and paid and result["success"]
        )
        for each in attempts:
            if each.outcome == "failure" and each.error_kind not in BLAMELESS_ERROR_KINDS and context.is_local(each):
                self._looked_at = min(self._looked_at, self._clock() - _LOOK_SECONDS)  # ask it again


def _is_setup(error: ExecutionError) -> bool:
    return isinstance(error.cause, ProviderError) and error.cause.retry is Retry.SETUP
