"""Events of attempts: each attempt is a decision with exactly one outcome. The one place that maps attempts to events."""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Protocol

import msgspec

from centralcloud.contracts import RequestEvent, RoutingEvent
from centralcloud.contracts.limits import (
    BLAMELESS_ERROR_KINDS,
    NAMED_BY_CLIENT,
    NAMED_BY_KEY,
    NEUTRAL_SCORE,
    NOT_MADE_KEY,
    UNSERVED,
)
from centralcloud.runtime.logs import get_logger
from instance_agent.execution.attempts import Attempt
from instance_agent.execution.cost import NANO
from instance_agent.gateway.context import RequestContext
from instance_agent.gateway.decision_memory import DecisionMemory
from instance_agent.gateway.expectations import Expectations, Expected, Measured
from instance_agent.gateway.limits.policy_limits import feedback_seconds
from instance_agent.gateway.request_log import log_attempt
from instance_agent.gateway.state import GatewayState
from instance_agent.routing.affinity import SessionMemory
from instance_agent.routing.local_failures import LocalFailures
from instance_agent.routing.plan import Plan

log = get_logger(__name__)

_DEFAULT_LEVEL: Final = "medium"
_MAX_INT4: Final = 2_147_483_647
_LONGEST_LABEL: Final = 200
#: Between two measurements that plans and limits see: each may make them compare the requirements again.
_MEASURED_SECONDS: Final = 10.0
_NOT_EXPECTED: Final = Expected()


class Publisher(Protocol):
    """Sends events in the background."""

    def publish_together(self, events: Sequence[RoutingEvent]) -> None:
        """Add events to the queue; returns at once and never raises."""


class Observer(Protocol):
    """Counts attempts."""

    def attempt(self, attempt: Attempt, context: RequestContext) -> None:
        """Count one attempt."""


class EventSink:
    """Takes the records of attempts: publishes them, counts them, and remembers the models of sessions.

    Attributes:
        local_failures: of local models in a row, for policies that try them first.
        on_measured: gets what the answers of late say about the next ones, every ten seconds.
    """

    def __init__(
        self,
        publisher: Publisher | None,
        observer: Observer,
        sessions: SessionMemory,
        instance_id: str,
        memory: DecisionMemory | None = None,
    ) -> None:
        """Create a sink; `publisher` None: nothing is published; `memory`: of the newest requests."""
        self._publisher = publisher
        self._observer = observer
        self._sessions = sessions
        self._instance_id = instance_id
        self._memory = memory
        self._expectations = Expectations()
        self.local_failures = LocalFailures(time.monotonic)
        self.on_measured: Callable[[Measured, GatewayState], None] | None = None
        self._measured_at = 0.0

    def record_all(self, records: Sequence[tuple[Attempt, RequestContext]]) -> None:
        """Take records, each once. Publishes first: an error in the rest loses no event.

        An error is logged: the request has its answer.
        """
        made = []
        for attempt, context in records:
            try:
                expected = self._expectations.of(attempt.call.target, context)
                made.append((events_of(attempt, context, self._instance_id, expected), attempt, context))
            except Exception as error:  # noqa: BLE001 - of one record alone
                _log_lost(attempt, error)
        if self._publisher is not None:
            self._publisher.publish_together([event for events, _, _ in made for event in events])
        for events, attempt, context in made:
            try:
                self._note(events, attempt, context)
            except Exception as error:  # noqa: BLE001 - of one record alone
                _log_lost(attempt, error)

    def _note(self, events: Sequence[RequestEvent], attempt: Attempt, context: RequestContext) -> None:
        if self._memory is not None:
            self._memory.add(events)
        if not attempt.is_made:
            return
        self._expectations.learn(attempt)
        self._observer.attempt(attempt, context)
        log_attempt(attempt, context)
        self._count_local_failure(attempt, context)
        now = time.monotonic()
        if now - self._measured_at >= _MEASURED_SECONDS and self.on_measured is not None:
            self._measured_at = now
            self.on_measured(self._expectations.measured(), context.state)
        session = context.routing.session if context.routing else None
        if session is not None and attempt.outcome == "success":
            usage = attempt.usage
            tokens = (usage.input_tokens or 0) + (usage.output_tokens or 0) if usage else 0
            arm = context.plan.assigned if context.plan else None
            self._sessions.record(session, attempt.call.target.model.name, tokens, None if arm is None else arm.key)

    def _count_local_failure(self, attempt: Attempt, context: RequestContext) -> None:
        """Count an attempt at a local model under each policy of the plan that tries those first."""
        policy = context.plan.policy if context.plan is not None else None
        if policy is None or not (names := context.state.rules.local_first(policy, attempt.call.target.key)):
            return
        configuration = context.state.catalog.configuration
        provider = configuration.providers.get(attempt.call.target.model.provider) if configuration else None
        if provider is None or not provider.local:
            return
        for name in names:
            if attempt.outcome == "success":
                self.local_failures.succeeded(name)
            elif attempt.error_kind not in BLAMELESS_ERROR_KINDS:
                self.local_failures.failed(name)


def _log_lost(attempt: Attempt, error: Exception) -> None:
    log.error("attempt_not_recorded", decision_id=attempt.decision_id, error=repr(error))


def events_of(
    attempt: Attempt, context: RequestContext, instance_id: str, expected: Expected = _NOT_EXPECTED
) -> tuple[RequestEvent, ...]:
    """Return the decision of an attempt, and its outcome.

    Both are published when the outcome is known: a decision without one says nothing. Both have the fields that learning
    compares; those of the request are in the decision alone, and numbers in the outcome alone. The outcome of a request that
    waits for feedback is its feedback: the decision then carries the numbers that the outcome will have. A failure does not
    wait, but its decision says that the request does: feedback that arrives now is about an attempt that is still to come.
    """
    call, plan, routing = attempt.call, context.plan, context.routing
    task = plan.task if plan else None
    model, level = call.target.model, task.level if task else _DEFAULT_LEVEL
    score = NEUTRAL_SCORE if call.score is None else call.score
    first = attempt.number == 1
    share = _arm_share(attempt, plan) if plan else None
    elapsed = attempt.response_time_ms
    ended = datetime.now(UTC) if elapsed is None else attempt.started_at + timedelta(milliseconds=elapsed)
    numbers = _numbers(attempt)
    awaited = feedback_seconds(context)
    waits = awaited is not None and attempt.outcome == "success"
    extra = _extra(attempt, context)
    if waits:
        # Spend counts whether or not feedback arrives.
        spend = {name: numbers.pop(name) for name in ("cost_usd", "cost_nano_usd")}
        reported = {**numbers, "model_version": _label(attempt.model_version)}
        extra["feedback_outcome"] = {name: value for name, value in reported.items() if value is not None}
        numbers = spend
    routed = RequestEvent(
        timestamp=attempt.started_at,
        instance_id=instance_id,
        complexity=level,
        model=model.name,
        provider=model.provider,
        complexity_score=score,
        capabilities_required=_capabilities(context),
        prefer=task.prefer if task else None,
        user_model_request=routing.model if routing and plan and plan.is_named else None,
        decision_id=attempt.decision_id,
        task_type=task.task_type if task else None,
        propensity=attempt.propensity,
        score_version=call.score_version,
        request_id=attempt.request_id,
        attempt=attempt.number,
        session=routing.session if routing else None,
        workspace=context.principal.workspace,
        key_id=context.principal.key_id,
        user_id=context.user_id,
        worker=context.worker,
        task_id=context.task_id,
        agent_type=task.agent_type if task else None,
        policy=plan.policy if plan else None,
        rule=plan.rule if plan else None,
        complexity_level_10=task.complexity if task else None,
        classifier=task.classifier if task else None,
        model_version=_label(model.sent_as),
        # Written as it is: decoding it would only be followed by encoding it again.
        plan=msgspec.Raw(plan.explanation()) if first and plan else None,  # type: ignore[arg-type]
        experiment=plan.experiment if plan else None,
        arm=plan.arm if plan else None,
        arm_share=share,
        feedback_until=None if awaited is None else ended + timedelta(seconds=awaited),
        estimated_cost_usd=expected.cost_usd,
        estimated_ms=_bounded(expected.milliseconds),
        extra=extra,
        **(numbers if waits else {}),
    )
    if waits:
        return (routed,)
    outcome = RequestEvent(
        timestamp=ended,
        instance_id=instance_id,
        complexity=level,
        model=model.name,
        provider=model.provider,
        complexity_score=score,
        outcome=attempt.outcome,
        capabilities_required=routed.capabilities_required,
        prefer=routed.prefer,
        user_model_request=routed.user_model_request,
        error_kind=attempt.error_kind,
        decision_id=attempt.decision_id,
        task_type=routed.task_type,
        propensity=attempt.propensity,
        score_version=call.score_version,
        request_id=attempt.request_id,
        attempt=attempt.number,
        model_version=_label(attempt.model_version),
        experiment=routed.experiment,
        arm=routed.arm,
        arm_share=share,
        extra=_outcome_extra(attempt, context),
        **numbers,
    )
    return routed, outcome


def _arm_share(attempt: Attempt, plan: Plan) -> float | None:
    """Return the share with which an attempt is compared with those of other arms; None: it is not the first one."""
    return plan.arm_share if attempt.number == 1 else None


def _not_made(attempt: Attempt, context: RequestContext) -> str | None:
    """Return why the first attempt of a request that is compared is not at the first choice of its arm; None: it is.

    Such a request stays in its arm, as one whose first attempt has failed: those that only one arm cannot serve must not be
    missing in it. That the health of a model has sent it elsewhere is not a reason, but for a treatment's own model.
    """
    plan = context.plan
    if plan is None or plan.arm_share is None or attempt.number != 1:
        return None
    if not attempt.is_made:
        return UNSERVED
    if context.unpaid:
        return "unpaid"
    if attempt.call.target.model.name == plan.first.target.model.name:
        return None
    if attempt.skipped == "unavailable":
        # A treatment's own model is called although its breaker is open: a wait was asked for, too.
        return "waits" if plan.kind == "experiment" else None
    return attempt.skipped or "not_callable"


def _extra(attempt: Attempt, context: RequestContext) -> dict[str, Any]:
    """Return what a decision has beside its fields."""
    extra: dict[str, Any] = {**context.labels}
    if attempt.number == 1 and attempt.call.reason == "probe":
        extra["probe"] = True
    extra |= _mark(attempt, context)
    if attempt.number == 1 and context.objective is not None:
        extra["objective"] = context.objective
    return extra


def _outcome_extra(attempt: Attempt, context: RequestContext) -> dict[str, Any]:
    """Return what an outcome has beside its fields: a fingerprint alternates between builds, and identifies no version."""
    extra = _mark(attempt, context)
    if fingerprint := _label(attempt.fingerprint):
        extra["model_fingerprint"] = fingerprint
    return extra


def _label(text: str | None) -> str | None:
    """Return a name as an event may have it; None for one that is longer."""
    return text if text is not None and 0 < len(text) <= _LONGEST_LABEL else None


def _mark(attempt: Attempt, context: RequestContext) -> dict[str, Any]:
    """Return what both events say, as a batch may have only one of them: a client made up the name of the model; the first
    choice of an arm was not called.
    """
    found = {} if attempt.call.target.model.name in context.state.names else {NAMED_BY_KEY: NAMED_BY_CLIENT}
    if (reason := _not_made(attempt, context)) is not None:
        found[NOT_MADE_KEY] = reason
    return found


def _numbers(attempt: Attempt) -> dict[str, Any]:
    """Return the fields of an outcome that are measured."""
    usage, nano = attempt.usage, attempt.cost.nano_usd
    return {
        "response_time_ms": _bounded(attempt.response_time_ms),
        "input_tokens": None if usage is None else _bounded(usage.input_tokens),
        "output_tokens": None if usage is None else _bounded(usage.output_tokens),
        "cost_usd": None if nano is None else nano / NANO,
        "cost_nano_usd": nano,
        "first_token_ms": _bounded(attempt.first_token_ms),
        "finish_reason": attempt.finish_reason,
    }


def _capabilities(context: RequestContext) -> tuple[str, ...]:
    needs = context.routing.needs if context.routing else ()
    asked = context.plan.task.capabilities if context.plan else ()
    return tuple(sorted({*needs, *asked}))


def _bounded(number: int | None) -> int | None:
    return None if number is None else min(max(0, number), _MAX_INT4)
