"""Budgets and rate limits of requests: admitted once, planned within what is left, and paid attempt by attempt.

Most requests have no limit, or one of which enough is leased: they cost about a microsecond more. Where a limit refuses, the
request is planned again among the targets that may still answer; the last resort is the refusal itself.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar

from msgspec.structs import replace

from centralcloud.runtime.logs import get_logger
from instance_agent.chat.protocol import RequestHead
from instance_agent.execution.cost import estimated_input_tokens
from instance_agent.execution.errors import PaymentRefusedError
from instance_agent.execution.planned import PlannedCall
from instance_agent.execution.request import ExecutionRequest
from instance_agent.gateway.context import RequestContext
from instance_agent.gateway.errors import GatewayError
from instance_agent.gateway.limits.policy_limits import cache_seconds, cut_off_is_failure, limited
from instance_agent.gateway.limits.request_payer import EXPLORING, RequestPayer
from instance_agent.gateway.limits.spend_views import NO_PROBES, CheapModels, view_of
from instance_agent.gateway.state import GatewayState
from instance_agent.routing.plan import PlanError
from instance_agent.routing.spend import DEFAULT_OUTPUT_TOKENS, NO_SPEND, SpendView
from instance_agent.spend.exploration import NO_PROBE, Exploration
from instance_agent.spend.refusal import Refusal
from instance_agent.spend.spender import Spender

log = get_logger(__name__)

#: Plans of one request: without a probe, without what is too dear, with cheap models, and without those.
_MOST_PLANS: Final = 4
_PROBE_STOPPED: Final = f"probe: the budget of exploration is used up ({NO_PROBE})"

T = TypeVar("T")


class Admission:
    """The limits of the requests of one gateway. For its event loop.

    Attributes:
        exploration: the budget of the fleet's probes and choices at random.
        unenforced: limits that no request would meet; expected none.
        output_tokens: of an answer, in 95% of those of late; None: too few are known. For rate limits: soft ones, which
            count what was used at the end.
    """

    def __init__(self, spender: Spender, state: GatewayState) -> None:
        self.spender = spender
        self.exploration = Exploration(spender)
        self.output_tokens: int | None = None
        self._cheap = CheapModels()
        self._fleet = state.fleet
        spender.use(state.fleet)
        self.unenforced = spender.book.unenforced(state.fleet)
        if self.unenforced:
            log.error("limits_not_enforced", limits=self.unenforced, effect="requests are not held to them")

    def use(self, state: GatewayState) -> None:
        """Use the limits of another state."""
        fleet, before = state.fleet, self._fleet
        # Reports of health make another configuration of the same parts.
        if fleet.budgets is not before.budgets or fleet.keys is not before.keys:
            self._fleet = fleet
            self.spender.use(fleet)

    async def admit(self, context: RequestContext, head: RequestHead, *, output: bool = True) -> None:
        """Count a request by the rate limits of its key; waits only where no lease is left.

        Args:
            output: whether its answer has tokens.

        Raises:
            GatewayError: 429 with the time until the next request may pass.
        """
        key_id = context.principal.key_id
        if context.rate is not None or self.spender.book.rates(key_id) is None:
            return
        tokens = estimated_input_tokens(head)
        if output:
            tokens += held_output_tokens(head, self.output_tokens) * head.choices
        found = self.spender.admit_now(key_id, tokens) or await self.spender.admit(key_id, tokens)
        if isinstance(found, Refusal):
            raise GatewayError(
                found.message, status=found.status, code=found.code, retry_after_seconds=found.retry_after_seconds
            )
        context.rate = found

    def view(self, context: RequestContext) -> SpendView:
        """Return what budgets leave out of the plan of a request: nothing, unless one of them is used up.

        Raises:
            PaymentRefusedError: no model may answer.
        """
        principal = context.principal
        charge = self.spender.charge(
            workspace=principal.workspace, key_id=principal.key_id, worker=context.worker
        )  # that of a policy counts once the plan has one
        if not charge.accounts or (refusal := self.spender.exhausted(charge)) is None:
            return NO_SPEND
        view = view_of(refusal, context.state)
        if view is None:
            raise refused(refusal, None)
        return view

    def payer(self, context: RequestContext) -> RequestPayer | None:
        """Return what reserves for the attempts of a request by its plan; None: nothing limits it."""
        principal, plan = context.principal, context.plan
        assert plan is not None
        charge = self.spender.charge(
            workspace=principal.workspace, key_id=principal.key_id, policy=plan.policy, worker=context.worker
        )
        if not charge.accounts and charge.task is None and context.rate is None and plan.kind not in EXPLORING:
            return None
        return RequestPayer(self.spender, self.exploration, self._cheap, charge, context)

    @staticmethod
    def end(context: RequestContext) -> None:
        """Settle the rate limit of a request at its end: one that was sent nowhere and has failed does not count."""
        rate = context.rate
        if rate is None:
            return
        if context.open_attempts:  # its answer is still under way, for another client with the same id
            rate.settle(max(rate.amount, context.used_tokens), estimated=True)
        elif context.was_sent or context.status < 400:
            rate.settle(context.used_tokens)
        else:
            rate.cancel()


def held_output_tokens(head: RequestHead, usual: int | None) -> int:
    """Return the tokens of an answer that a rate limit holds while the request runs; `usual`: None: not known."""
    asked = head.max_output_tokens
    if usual is None:
        return asked or DEFAULT_OUTPUT_TOKENS
    return min(asked, usual) if asked else usual


async def executed(
    admission: Admission,
    context: RequestContext,
    calls: Sequence[PlannedCall],
    execution: ExecutionRequest,
    run: Callable[[Sequence[PlannedCall], ExecutionRequest], Awaitable[T]],
    plan: Callable[[], Sequence[PlannedCall]],
) -> T:
    """Execute a request, and plan it again where its limits refuse what the plan would cost.

    Args:
        run: executes the calls of a plan.
        plan: plans the request of the context.

    Raises:
        PaymentRefusedError: no model may answer.
        ChatError: the request failed.
    """
    for number in range(1, _MOST_PLANS + 1):
        execution.payer = admission.payer(context)
        try:
            return await run(calls, execution)
        except PaymentRefusedError as error:
            if number == _MOST_PLANS or error.remedy is None:
                raise
            calls = _planned_again(context, execution, error, plan)
    raise AssertionError("the last plan returns or raises")


def _planned_again(
    context: RequestContext,
    execution: ExecutionRequest,
    error: PaymentRefusedError,
    plan: Callable[[], Sequence[PlannedCall]],
) -> Sequence[PlannedCall]:
    before, routing = context.plan, context.routing
    assert before is not None
    assert routing is not None
    if error.remedy is NO_PROBES:
        context.probing = False
    else:
        view = routing.spend.also(error.remedy)
        if view == routing.spend:
            raise error
        context.routing = replace(routing, spend=view)
    try:
        calls = plan()
    except PlanError:
        raise error from None
    assert context.plan is not None
    if before.arm_share is not None:
        # A price must not take a request out of its arm: the other one has such requests, too.
        context.unpaid = True
        context.plan = replace(context.plan, assigned=before.assigned)
    if not context.probing:
        context.plan = replace(context.plan, passed_over=(*context.plan.passed_over, _PROBE_STOPPED))
    if context.plan.settings is not before.settings:
        execution.use_body(*_limited(context, execution))
        execution.cache_seconds = cache_seconds(context)
        execution.cut_off_is_failure = cut_off_is_failure(context)
    return calls


def _limited(context: RequestContext, execution: ExecutionRequest) -> tuple[bytes, RequestHead]:
    body = limited(context, execution.body, execution.protocol, execution.operation)
    assert context.head is not None
    return body, context.head


def refused(refusal: Refusal, remedy: SpendView | None) -> PaymentRefusedError:
    """Return the error of a request that a limit refuses."""
    return PaymentRefusedError(
        refusal.message,
        status=refusal.status,
        code=refusal.code,
        retry_after_seconds=refusal.retry_after_seconds,
        remedy=remedy,
    )
