"""Attempts: one call of one target. Each is a decision of its own, with exactly one outcome."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Literal, Protocol

import uuid_utils
from msgspec import Struct

from instance_agent.chat.answers import FinishReason, Usage
from instance_agent.chat.errors import ChatError, ErrorKind
from instance_agent.execution.cost import UNKNOWN, Cost, cost_of, with_estimates
from instance_agent.execution.planned import PlannedCall, Skipped
from instance_agent.execution.validators import Defect
from instance_agent.providers.errors import ProviderError, Retry


class Attempt(Struct, frozen=True, kw_only=True):
    """The record of one attempt, complete: decision and outcome.

    Attributes:
        decision_id: UUIDv7, of this attempt.
        number: 1 for the first attempt of the request.
        call: the target, with the plan's reason for it.
        propensity: of the first choice of the plan; None for every other attempt.
        started_at: in UTC.
        response_time_ms: None when the client ended the attempt, and when the error is the caller's.
        first_token_ms: from the start; None without a token, and for a whole answer.
        usage: as the provider reported it, or estimated; None when nothing is known.
        cost: estimated where `usage_estimated`.
        outcome: of the model, not of the wire: an answer with a defect is a failure.
        error_kind: None for a success; `caller` and `policy` are blameless.
        http_status: of the provider; None without an answer.
        retry: the class of the error that decides on further attempts; None when the provider answered.
        error: in one line, without keys and without words of the provider, which may quote the prompt.
        model_version: the id of the model that the provider's answer names; None without one.
        fingerprint: of the service's build, where the answer has one.
        skipped: of the first attempt: why it is not at the first model of the plan; None: it is.
        is_made: whether a target was called; False: the request ended without any attempt, and this stands for the first.
        defect: of the answer; the client has got it all the same, unless another attempt followed.
    """

    decision_id: str
    request_id: str
    number: int
    call: PlannedCall
    propensity: float | None
    started_at: datetime
    outcome: Literal["success", "failure"]
    response_time_ms: int | None = None
    first_token_ms: int | None = None
    usage: Usage | None = None
    usage_estimated: bool = False
    cost: Cost = UNKNOWN
    finish_reason: FinishReason | None = None
    error_kind: ErrorKind | None = None
    http_status: int | None = None
    retry: Retry | None = None
    error: str | None = None
    model_version: str | None = None
    fingerprint: str | None = None
    skipped: Skipped | None = None
    is_made: bool = True
    defect: Defect | None = None
    streamed: bool = False


class AttemptSink(Protocol):
    """Takes the records of attempts."""

    def record(self, attempt: Attempt, context: Any) -> None:
        """Take a record: once for each attempt. It must not block, and must not raise.

        For a request that is compared and ends without any attempt, it gets one that was not made.

        `context` is that of the request, as the caller gave it.
        """


class AttemptRecorder:
    """Measures one attempt, and hands its record over exactly once, whatever happens first."""

    __slots__ = (
        "_clock", "_fingerprint", "_first_token_at", "_model_version", "_on_record", "_started", "call", "decision_id",
        "number", "propensity", "record", "request_id", "skipped", "started_at", "streamed",
    )  # fmt: skip

    def __init__(
        self,
        call: PlannedCall,
        request_id: str,
        number: int,
        *,
        streamed: bool,
        clock: Callable[[], float],
        on_record: Callable[[Attempt], None],
        skipped: Skipped | None = None,
    ) -> None:
        self.call = call
        self.request_id = request_id
        self.number = number
        self.propensity = call.propensity if number == 1 else None
        self.streamed = streamed
        self.skipped = skipped
        self.decision_id = str(uuid_utils.uuid7())
        self.started_at = datetime.now(UTC)
        self.record: Attempt | None = None
        self._clock = clock
        self._started = clock()
        self._first_token_at: float | None = None
        self._on_record = on_record
        self._model_version: str | None = None
        self._fingerprint: str | None = None

    def first_token(self) -> None:
        """Note the time of the first token."""
        if self._first_token_at is None:
            self._first_token_at = self._clock()

    def answered_by(self, model: str, fingerprint: str | None) -> None:
        """Note which model the answer names, empty for none, and the fingerprint of the service's build."""
        self._model_version = model or None
        self._fingerprint = fingerprint

    def succeeded(
        self,
        usage: Usage | None,
        finish: FinishReason | None,
        *,
        estimates: tuple[int, int],
        defect: tuple[Defect, str] | None = None,
        refused: bool = False,
        status: int = 200,
    ) -> Attempt | None:
        """Record an answer; return the record, None when there was an outcome before.

        `refused`: the model or a content filter declined. `estimates`: input and output tokens where usage is missing.
        """
        filled, estimated = with_estimates(usage, *estimates)
        kind: ErrorKind | None = "policy" if refused else "provider" if defect else None
        return self._record(
            outcome="failure" if kind else "success",
            error_kind=kind,
            error=defect[1]
            if defect and not refused
            else "the model or a content filter declined"
            if refused
            else None,
            defect=defect[0] if defect and not refused else None,
            response_time_ms=self._milliseconds(self._clock()),
            usage=filled,
            usage_estimated=estimated,
            cost=self._cost(filled, estimated=estimated),
            finish_reason=finish,
            http_status=status,
        )

    def failed(
        self, error: ChatError, *, usage: Usage | None = None, estimates: tuple[int, int] | None = None
    ) -> Attempt | None:
        """Record a failure. `estimates` only where the provider may have run the request: they are its spend."""
        retry = error.retry if isinstance(error, ProviderError) else None
        filled, estimated = (usage, False) if estimates is None else with_estimates(usage, *estimates)
        return self._record(
            outcome="failure",
            error_kind=error.error_kind,
            error=error.summary if isinstance(error, ProviderError) else error.message,
            retry=retry,
            http_status=error.upstream_status if isinstance(error, ProviderError) else None,
            response_time_ms=None if error.error_kind == "caller" else self._milliseconds(self._clock()),
            usage=filled,
            usage_estimated=estimated,
            cost=self._cost(filled, estimated=estimated),
        )

    def abandoned(
        self, reason: str, *, usage: Usage | None = None, estimates: tuple[int, int] | None = None
    ) -> Attempt | None:
        """Record that the client has gone: blameless, without a time. The spend is estimated, upwards."""
        filled, estimated = (usage, False) if estimates is None else with_estimates(usage, *estimates)
        return self._record(
            outcome="failure",
            error_kind="caller",
            error=reason,
            usage=filled,
            usage_estimated=estimated,
            cost=self._cost(filled, estimated=estimated),
            http_status=None,
        )

    def _cost(self, usage: Usage | None, *, estimated: bool) -> Cost:
        return UNKNOWN if usage is None else cost_of(usage, self.call.target.prices, estimated=estimated)

    def _milliseconds(self, moment: float) -> int:
        return max(0, round((moment - self._started) * 1000))

    def _record(self, **fields: Any) -> Attempt | None:
        if self.record is not None:
            return None
        first = self._first_token_at
        known_time = fields.get("error_kind") != "caller"
        self.record = Attempt(
            decision_id=self.decision_id,
            request_id=self.request_id,
            number=self.number,
            call=self.call,
            propensity=self.propensity,
            started_at=self.started_at,
            first_token_ms=self._milliseconds(first) if first is not None and known_time else None,
            streamed=self.streamed,
            skipped=self.skipped,
            model_version=self._model_version,
            fingerprint=self._fingerprint,
            **fields,
        )
        self._on_record(self.record)
        return self.record


def not_made(call: PlannedCall, request_id: str, error: ChatError) -> Attempt:
    """Return what stands for the first attempt of a request that ended without any: blameless, without time and cost."""
    return Attempt(
        decision_id=str(uuid_utils.uuid7()),
        request_id=request_id,
        number=1,
        call=call,
        propensity=None,
        started_at=datetime.now(UTC),
        outcome="failure",
        error_kind="policy",
        error=error.message,
        is_made=False,
    )
