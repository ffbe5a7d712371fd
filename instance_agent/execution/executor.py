"""Executes plans: calls their targets in turn until one answers, within the bounds of one request."""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from random import Random

from msgspec import Struct

from instance_agent.chat.answers import ChatAnswer
from instance_agent.chat.errors import ChatError, UnsupportedFeatureError
from instance_agent.chat.json_body import LARGE_BODY_BYTES
from instance_agent.execution.attempts import Attempt, AttemptSink, not_made
from instance_agent.execution.breakers import Breakers
from instance_agent.execution.cost import OutputEstimate
from instance_agent.execution.errors import PaymentRefusedError
from instance_agent.execution.missing_operations import MissingOperations
from instance_agent.execution.operations import Operation, ReadAnswer, operation_of, read_paid
from instance_agent.execution.payment import Payer, Payment
from instance_agent.execution.planned import PlannedCall
from instance_agent.execution.reporting import STOPPED, Reports, RunningAttempt
from instance_agent.execution.request import ExecutionRequest
from instance_agent.execution.response_cache import CachedAnswer, ResponseCache
from instance_agent.execution.settings import ExecutionSettings
from instance_agent.execution.streamed_answer import StreamedAnswer, cancel_opening
from instance_agent.execution.streaming import StreamAttempt, translate_stream
from instance_agent.execution.targets import CallTarget
from instance_agent.execution.token_count import count_tokens
from instance_agent.execution.walk import GiveUp, Go, Wait, Walk
from instance_agent.providers.calls import ProviderCalls
from instance_agent.providers.dialect import HttpCall
from instance_agent.providers.errors import ProviderError, Retry


class Answer(Struct, frozen=True, kw_only=True):
    """A whole answer for the client.

    Attributes:
        body: in the client's protocol.
        target: key of the target that answered.
        request_id: of the request that the target answered, which has the records; from the cache, an earlier one.
        answer: in the neutral form; None from the cache, and for embeddings and operations that are only forwarded.
        attempt: the record of the last attempt; None from the cache.
        losses: fields of the request that the target has no place for.
    """

    body: bytes
    target: str
    request_id: str
    answer: ChatAnswer | None = None
    attempt: Attempt | None = None
    losses: tuple[str, ...] = ()

    @property
    def cached(self) -> bool:
        """Whether the answer comes from the cache."""
        return self.attempt is None


class Executor:
    """Executes plans in one event loop. `clock` is the loop's time, in seconds."""

    def __init__(
        self,
        calls: ProviderCalls,
        breakers: Breakers,
        sink: AttemptSink,
        settings: ExecutionSettings | None = None,
        *,
        cache: ResponseCache | None = None,
        clock: Callable[[], float] | None = None,
        seed: int | None = None,
    ) -> None:
        """Create an executor.

        Args:
            cache: of whole answers; None: no cache.
            seed: of the pauses' jitter; None: random.
        """
        self._calls = calls
        self._breakers = breakers
        self._settings = settings or ExecutionSettings()
        self._cache = cache
        self._clock = clock or asyncio.get_running_loop().time
        self._reports = Reports(sink, self._clock)
        self._random = Random(seed)
        self._missing = MissingOperations()

    async def execute(self, plan: Sequence[PlannedCall], request: ExecutionRequest) -> Answer:
        """Return the answer of the first target that gives one.

        Raises:
            ExecutionError: no target gave one.
            ChatError: the request is invalid, or cannot be translated for any target.
        """
        key = None
        kept_seconds = request.cache_seconds
        if self._cache is not None and request.operation == "chat" and kept_seconds != 0:
            of = (request.tenant, request.protocol.name, request.body)
            large = len(request.body) > LARGE_BODY_BYTES
            key = await asyncio.to_thread(self._cache.key, *of) if large else self._cache.key(*of)
            found = None if key is None else self._cache.get(key, self._clock(), kept_seconds)
            if found is not None and any(call.target.key == found.target for call in plan):
                return Answer(body=found.body, target=found.target, request_id=found.request_id)
        answer = await self._walk_plain(plan, request)
        if key is not None and self._cache is not None and answer.attempt and answer.attempt.outcome == "success":
            kept = CachedAnswer(answer.body, answer.target, answer.request_id)
            self._cache.put(key, kept, self._clock(), kept_seconds)
        return answer

    async def stream(self, plan: Sequence[PlannedCall], request: ExecutionRequest) -> StreamedAnswer:
        """Return a stream once its first token is there, or, with keep-alive comments, once the first one is due.

        Leave the result's context when the client has gone or has got everything: that releases the upstream.
        Raises as `execute`.
        """
        opening = self._walk_stream(plan, request)
        seconds = self._settings.keep_alive_seconds
        if seconds is None:
            return StreamedAnswer(await opening, None, request, self._settings)
        task = asyncio.create_task(opening)
        try:
            await asyncio.wait({task}, timeout=seconds)
        except asyncio.CancelledError:
            await cancel_opening(task)
            raise
        opened = task.result() if task.done() else None
        return StreamedAnswer(opened, None if opened else task, request, self._settings)

    async def count_tokens(
        self, plan: Sequence[PlannedCall], request: ExecutionRequest
    ) -> tuple[PlannedCall, int] | None:
        """Return the first target that counts the request's tokens, and its count; None when none does in time."""
        most = self._settings.walk.max_attempts
        return await count_tokens(self._calls, self._breakers, plan, request, most=most)

    def stop(self) -> None:
        """Note that the caller ends running requests from now on: their records say so, and not that clients have gone."""
        self._reports.gone = STOPPED

    def unserved(self, plan: Sequence[PlannedCall], request: ExecutionRequest, error: ChatError) -> None:
        """Record that a request which is compared has ended without any attempt."""
        if request.is_compared:
            self._reports.record(not_made(plan[0], request.request_id, error), request.context, None)

    async def _walk_plain(self, plan: Sequence[PlannedCall], request: ExecutionRequest) -> Answer:
        walk = self._walk(plan)
        operation = operation_of(request, self._settings.checks)
        kept: Answer | None = None
        while True:
            step = walk.next(self._clock())
            if isinstance(step, Wait):
                await asyncio.sleep(step.seconds)
            elif isinstance(step, GiveUp):
                if kept is not None:
                    return kept
                self._given_up(walk, plan, request, step.error)
                raise step.error
            else:
                payment = None
                if request.payer is not None and (payment := await self._paid(walk, step, request)) is None:
                    continue
                http = await self._translated(walk, step, request, payment, operation.translate)
                answer = None if http is None else await self._attempt(walk, step, http, operation, request, payment)
                if answer is None:
                    continue
                defective = answer.attempt is not None and answer.attempt.defect is not None
                if not (defective and self._settings.next_on_defect) or kept is not None:
                    return answer
                kept = answer
                walk.leave()

    async def _attempt(
        self,
        walk: Walk,
        step: Go,
        http: HttpCall,
        operation: Operation,
        request: ExecutionRequest,
        payment: Payment | None,
    ) -> Answer | None:
        """Make one attempt; return None after a failure, which the walk has noted."""
        target = step.call.target
        running = self._reports.begin(step, request, payment, streamed=False)
        try:
            body = await self._calls.body(target.whole_upstream, http, walk.deadline)
            if len(body) > LARGE_BODY_BYTES:
                read = await asyncio.to_thread(read_paid, operation, target, body)
            else:
                read = read_paid(operation, target, body)
        except (ProviderError, TimeoutError) as error:
            self._failed(walk, step, request, running, error)
            return None
        except asyncio.CancelledError:
            running.abandoned()
            raise
        except BaseException as error:
            running.crashed(error)
            raise
        running.recorder.answered_by(read.model, read.fingerprint)
        running.succeeded(read.usage, read.finish, output_tokens=_output_tokens(read), verdict=read.verdict)
        return Answer(
            body=read.body,
            target=target.key,
            request_id=request.request_id,
            answer=read.answer,
            attempt=running.record,
            losses=http.losses,
        )

    async def _walk_stream(self, plan: Sequence[PlannedCall], request: ExecutionRequest) -> StreamAttempt:
        walk = self._walk(plan)
        while True:
            step = walk.next(self._clock())
            if isinstance(step, Wait):
                await asyncio.sleep(step.seconds)
            elif isinstance(step, GiveUp):
                self._given_up(walk, plan, request, step.error)
                raise step.error
            else:
                payment = None
                if request.payer is not None and (payment := await self._paid(walk, step, request)) is None:
                    continue
                translate = partial(translate_stream, request)
                http = await self._translated(walk, step, request, payment, translate)
                if http is None:
                    continue
                running = self._reports.begin(step, request, payment, streamed=True)
                opened = await self._opened(walk, step, http, request, running)
                if opened is not None:
                    return opened

    async def _opened(
        self, walk: Walk, step: Go, http: HttpCall, request: ExecutionRequest, running: RunningAttempt
    ) -> StreamAttempt | None:
        """Open one stream; return None after a failure before its first token, which the walk has noted."""
        try:
            attempt = StreamAttempt(self._calls, step.call, http, request, running, walk.deadline)
            await attempt.open()
        except (ProviderError, TimeoutError) as error:
            self._failed(walk, step, request, running, error)
            return None
        except asyncio.CancelledError:
            running.abandoned()
            raise
        except BaseException as error:
            running.crashed(error)
            raise
        return attempt

    def _walk(self, plan: Sequence[PlannedCall]) -> Walk:
        return Walk(plan, self._breakers, self._settings.walk, self._clock(), self._random)

    def _given_up(self, walk: Walk, plan: Sequence[PlannedCall], request: ExecutionRequest, error: ChatError) -> None:
        """Record the end of a walk without an attempt; after a refusal by limits there may be another plan."""
        if not walk.attempts and not isinstance(error, PaymentRefusedError):
            self.unserved(plan, request, error)

    def _failed(
        self, walk: Walk, step: Go, request: ExecutionRequest, running: RunningAttempt, error: Exception
    ) -> None:
        """Report a failed attempt. One for an operation that the provider lacks is neutral, and the walk goes on."""
        found = error if isinstance(error, ProviderError) else self._deadline_error(step)
        other = self._missing.reading_of(request, step.call.target, found, self._clock())
        running.failed(other or found)
        if isinstance(other, UnsupportedFeatureError):
            walk.passed_over(other)
        else:
            walk.failed(other or found)

    @staticmethod
    async def _paid(walk: Walk, step: Go, request: ExecutionRequest) -> Payment | None:
        """Reserve what an attempt may cost; None when its caller's limits do not allow it, which is not an attempt."""
        payer: Payer = request.payer
        try:
            return payer.pay_now(step.call, request) or await payer.pay(step.call, request)
        except PaymentRefusedError as error:
            step.permit.said_nothing()
            walk.unpaid(error)
            return None
        except BaseException:
            step.permit.said_nothing()
            raise

    async def _translated(
        self,
        walk: Walk,
        step: Go,
        request: ExecutionRequest,
        payment: Payment | None,
        translate: Callable[[CallTarget], HttpCall],
    ) -> HttpCall | None:
        """Return the call of a target; None when the request has no equivalent there, which is not an attempt."""
        try:
            self._missing.check(request, step.call.target, self._clock())
            if len(request.body) > LARGE_BODY_BYTES:
                return await asyncio.to_thread(translate, step.call.target)
            return translate(step.call.target)
        except BaseException as error:
            step.permit.said_nothing()
            if payment is not None:
                payment.cancel()
            if isinstance(error, UnsupportedFeatureError):
                walk.unsupported(error)
                return None
            raise

    def _deadline_error(self, step: Go) -> ProviderError:
        """Return the error of an attempt that the request's deadline has ended.

        A later attempt had less time than the deadline: that says nothing about its model.
        """
        name = step.call.target.upstream.provider
        return ProviderError(
            f"{name}: no answer within the {self._settings.walk.deadline_seconds:g} s of the whole request",
            provider=name,
            error_kind="timeout" if step.number == 1 else "caller",
            retry=Retry.UNCERTAIN,
            status=504,
            phase="total",
        )


def _output_tokens(read: ReadAnswer) -> int:
    """Return an upper estimate of the tokens of an answer without usage."""
    if read.usage is not None and read.usage.output_tokens is not None:
        return 0
    estimate = OutputEstimate()
    estimate.add(read.body, len(read.body))
    return estimate.tokens()
