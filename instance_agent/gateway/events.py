"""Events of attempts: each attempt is a decision with exactly one outcome. The one place that maps attempts to events."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final, Protocol

from msgspec.structs import replace

from centralcloud.contracts import RoutingEvent
from centralcloud.contracts.limits import NEUTRAL_SCORE
from instance_agent.execution.attempts import Attempt
from instance_agent.execution.cost import NANO
from instance_agent.gateway.context import RequestContext
from instance_agent.routing.affinity import SessionMemory

_DEFAULT_LEVEL: Final = "medium"
_MAX_INT4: Final = 2_147_483_647


class Publisher(Protocol):
    """Sends events in the background."""

    def publish(self, event: RoutingEvent) -> None:
        """Add an event to the queue; returns at once and never raises."""


class Observer(Protocol):
    """Counts attempts."""

    def attempt(self, attempt: Attempt, context: RequestContext) -> None:
        """Count one attempt."""


class EventSink:
    """Takes the records of attempts: publishes them, counts them, and remembers the models of sessions."""

    def __init__(
        self, publisher: Publisher | None, observer: Observer, sessions: SessionMemory, instance_id: str
    ) -> None:
        """Create a sink; `publisher` None: nothing is published."""
        self._publisher = publisher
        self._observer = observer
        self._sessions = sessions
        self._instance_id = instance_id

    def record(self, attempt: Attempt, context: RequestContext) -> None:
        """Take a record, once for each attempt."""
        self._observer.attempt(attempt, context)
        session = context.routing.session if context.routing else None
        if session is not None and attempt.outcome == "success":
            usage = attempt.usage
            tokens = (usage.input_tokens or 0) + (usage.output_tokens or 0) if usage else 0
            self._sessions.record(session, attempt.call.target.model.name, tokens)
        if self._publisher is not None:
            routed, outcome = events_of(attempt, context, self._instance_id)
            self._publisher.publish(routed)
            self._publisher.publish(outcome)


def events_of(attempt: Attempt, context: RequestContext, instance_id: str) -> tuple[RoutingEvent, RoutingEvent]:
    """Return the decision of an attempt, and its outcome.

    Both are published when the outcome is known: a decision without one says nothing, and a killed gateway loses both.
    """
    call, plan, routing = attempt.call, context.plan, context.routing
    task = plan.task if plan else None
    usage, nano = attempt.usage, attempt.cost.nano_usd
    learned = attempt.number == 1 and plan is not None and plan.kind == "probe"
    extra: dict[str, Any] = {"probe": True} if learned else {}
    routed = RoutingEvent(
        timestamp=attempt.started_at,
        instance_id=instance_id,
        complexity=task.level if task else _DEFAULT_LEVEL,
        model=call.target.model.name,
        provider=call.target.model.provider,
        complexity_score=NEUTRAL_SCORE if call.score is None else call.score,
        capabilities_required=_capabilities(context),
        prefer=task.prefer if task else None,
        user_model_request=routing.model if routing and plan and plan.kind == "forced" else None,
        decision_id=attempt.decision_id,
        task_type=task.task_type if task else None,
        propensity=attempt.propensity,
        score_version=call.score_version,
        extra=extra,
    )
    elapsed = attempt.response_time_ms
    ended = datetime.now(UTC) if elapsed is None else attempt.started_at + timedelta(milliseconds=elapsed)
    outcome = replace(
        routed,
        timestamp=ended,
        outcome=attempt.outcome,
        response_time_ms=None if elapsed is None else min(elapsed, _MAX_INT4),
        error_kind=attempt.error_kind,
        input_tokens=None if usage is None else _bounded(usage.input_tokens),
        output_tokens=None if usage is None else _bounded(usage.output_tokens),
        cost_usd=None if nano is None else nano / NANO,
    )
    return routed, outcome


def _capabilities(context: RequestContext) -> tuple[str, ...]:
    needs = context.routing.needs if context.routing else ()
    asked = context.plan.task.capabilities if context.plan else ()
    return tuple(sorted({*needs, *asked}))


def _bounded(tokens: int | None) -> int | None:
    return None if tokens is None else min(max(0, tokens), _MAX_INT4)
