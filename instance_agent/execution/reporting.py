"""The reports of a running attempt: to its breaker, and to the sink of records."""

import math
from collections.abc import Callable
from typing import Any, Final

from centralcloud.runtime.logs import get_logger
from instance_agent.chat.answers import FinishReason, Usage
from instance_agent.chat.errors import ChatError
from instance_agent.execution.attempts import Attempt, AttemptRecorder, AttemptSink
from instance_agent.execution.payment import Payment
from instance_agent.execution.request import ExecutionRequest
from instance_agent.execution.validators import Verdict
from instance_agent.execution.walk import Go
from instance_agent.providers.errors import ProviderError, Retry

log = get_logger(__name__)
#: Tokens a second of a fast model: the most that one may have written unseen.
_TOKENS_A_SECOND: Final = 200
GONE: Final = "the client has closed the connection"
STOPPED: Final = "the gateway has stopped before the end of the answer"


class Reports:
    """Hands records over.

    Attributes:
        gone: why an attempt ends without an answer for its client.
    """

    def __init__(self, sink: AttemptSink, clock: Callable[[], float]) -> None:
        self._sink = sink
        self.clock = clock
        self.gone = GONE

    def begin(
        self, step: Go, request: ExecutionRequest, payment: Payment | None = None, *, streamed: bool
    ) -> "RunningAttempt":
        """Begin an attempt. Exactly one of the outcomes of the result must follow: it settles the payment."""
        return RunningAttempt(self, step, request, payment, streamed=streamed)

    def record(self, attempt: Attempt, context: Any, payment: Payment | None) -> None:
        """Settle a payment, and hand a record over. An error is logged: it must not fail the client's request."""
        try:
            if payment is not None:
                payment.settle(attempt)
            self._sink.record(attempt, context)
        except Exception as error:  # noqa: BLE001 - foreign code
            log.error("attempt_not_recorded", decision_id=attempt.decision_id, error=repr(error))


class RunningAttempt:
    """An attempt under way. The first outcome counts, for the breaker and for the record; later ones are ignored."""

    __slots__ = ("_clock", "_permit", "_reports", "_request", "_started", "recorder")

    def __init__(
        self, reports: Reports, step: Go, request: ExecutionRequest, payment: Payment | None, *, streamed: bool
    ) -> None:
        self._reports = reports
        self._clock = reports.clock
        self._permit = step.permit
        self._request = request
        self._started = reports.clock()
        context = request.context
        self.recorder = AttemptRecorder(
            step.call,
            request.request_id,
            step.number,
            streamed=streamed,
            clock=reports.clock,
            on_record=lambda attempt: reports.record(attempt, context, payment),
            skipped=step.skipped,
        )

    @property
    def record(self) -> Attempt | None:
        """The record, once there is an outcome."""
        return self.recorder.record

    def first_token(self) -> None:
        """Report the first token."""
        self.recorder.first_token()
        self._permit.first_token(self._clock())

    def succeeded(
        self,
        usage: Usage | None,
        finish: FinishReason | None,
        *,
        output_tokens: int,
        verdict: Verdict,
    ) -> None:
        """Report a whole answer; `output_tokens`: estimated, for one without usage."""
        self._permit.succeeded(self._clock())
        estimates = (self._request.input_tokens(), output_tokens)
        self.recorder.succeeded(usage, finish, estimates=estimates, refused=verdict.refused, defect=verdict.defect)

    def failed(self, error: ChatError, usage: Usage | None = None, output_tokens: int | None = None) -> None:
        """Report a failure. One that the provider may bill has an estimated cost.

        An error that is not the provider's is one of the client's protocol, which has no place for the answer.
        """
        if isinstance(error, ProviderError):
            self._permit.failed(error, self._clock(), self._request.blamed_for(error))
        else:
            self._permit.said_nothing()
        billed = not isinstance(error, ProviderError) or error.retry in (Retry.UNCERTAIN, Retry.BEGUN)
        self.recorder.failed(error, usage=usage, estimates=self._estimates(output_tokens) if billed else None)

    def abandoned(self, usage: Usage | None = None, output_tokens: int | None = None) -> None:
        """Report that the client, or the gateway, has gone: blameless, and it costs what was generated so far."""
        self._permit.said_nothing()
        self.recorder.abandoned(self._reports.gone, usage=usage, estimates=self._estimates(output_tokens))

    def crashed(self, error: BaseException, usage: Usage | None = None, output_tokens: int | None = None) -> None:
        """Report an error of this program; `output_tokens` of an answer that had begun: it is paid for."""
        self._permit.said_nothing()
        own = ChatError(f"internal error: {type(error).__name__}", error_kind="caller", status=500)
        billed = output_tokens is not None
        self.recorder.failed(own, usage=usage, estimates=self._estimates(output_tokens) if billed else None)

    def _estimates(self, output_tokens: int | None) -> tuple[int, int]:
        """Return input and output tokens; the output that was not seen is bounded by the time and the request's limit."""
        unseen = math.ceil((self._clock() - self._started) * _TOKENS_A_SECOND)
        limit = self._request.head.max_output_tokens
        unseen = unseen if limit is None else min(unseen, limit)
        return self._request.input_tokens(), unseen if output_tokens is None else output_tokens
