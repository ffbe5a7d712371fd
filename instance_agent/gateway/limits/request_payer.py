"""The payer of one request: reserves the worst case of each attempt of its budgets, and settles what it cost."""

from typing import Final, NoReturn

from instance_agent.catalog.configuration import Target
from instance_agent.execution.attempts import Attempt
from instance_agent.execution.cost import Prices, cost_of
from instance_agent.execution.errors import PaymentRefusedError
from instance_agent.execution.planned import PlannedCall
from instance_agent.execution.request import ExecutionRequest
from instance_agent.gateway.context import RequestContext
from instance_agent.gateway.limits.spend_views import (
    NO_PROBES,
    CheapModels,
    prices_of,
    ready_prices,
    view_of,
    worst_case,
)
from instance_agent.providers.errors import Retry
from instance_agent.routing.spend import SpendView
from instance_agent.spend.book import Charge
from instance_agent.spend.exploration import NO_PROBE, Exploration
from instance_agent.spend.refusal import Refusal, refuse_task
from instance_agent.spend.reservation import Outcome, Reservation
from instance_agent.spend.spender import Spender

#: Reasons of calls whose extra cost is that of exploration: a probe, and a choice at random.
EXPLORING: Final = frozenset({"probe", "exploration"})
#: The provider did not run the request, and bills nothing.
_UNPAID: Final = frozenset({Retry.REFUSED, Retry.CALLER, Retry.POLICY, Retry.SETUP})


class AttemptPayment:
    """The reservation of one attempt, with that of its extra cost where it is a probe."""

    __slots__ = ("_cheapest", "_context", "_probe", "_reservation")

    def __init__(
        self, context: RequestContext, reservation: Reservation, probe: Reservation | None, cheapest: Prices | None
    ) -> None:
        self._context = context
        self._reservation = reservation
        self._probe = probe
        self._cheapest = cheapest
        context.open_attempts += 1

    def settle(self, attempt: Attempt) -> None:
        """Settle what the attempt cost: as the provider says, else by our prices.

        Without an answer, where the provider may have run the request: the worst case, as estimated.
        """
        context, reservation, usage = self._context, self._reservation, attempt.usage
        context.open_attempts -= 1
        context.was_sent = True
        if usage is not None:
            context.used_tokens += max(0, usage.input_tokens or 0) + max(0, usage.output_tokens or 0)
        nano = attempt.cost.nano_usd
        if attempt.retry is Retry.UNCERTAIN and attempt.first_token_ms is None:
            spent, estimated = reservation.amount, True
        elif nano is not None:
            spent, estimated = nano, attempt.cost.estimated
        elif attempt.retry in _UNPAID:
            spent, estimated = 0, False
        else:
            spent, estimated = reservation.amount, True
        context.spent_nano += max(0, spent)
        reservation.settle(spent, estimated=estimated)
        if self._probe is not None:
            cheapest = cost_of(usage, self._cheapest).nano_usd
            self._probe.settle(max(0, spent - (cheapest or 0)), estimated=estimated)

    def cancel(self) -> None:
        """Return all of it: no call was made."""
        self._context.open_attempts -= 1
        self._reservation.cancel()
        if self._probe is not None:
            self._probe.cancel()


class RequestPayer:
    """Reserves for the attempts of one plan of a request."""

    __slots__ = ("_charge", "_cheap", "_context", "_exploration", "_has_probed", "_refusal", "_spender")

    def __init__(
        self,
        spender: Spender,
        exploration: Exploration,
        cheap: CheapModels,
        charge: Charge,
        context: RequestContext,
    ) -> None:
        self._spender = spender
        self._exploration = exploration
        self._cheap = cheap
        self._charge = charge
        self._context = context
        self._has_probed = False
        self._refusal: Refusal | None = None

    def pay_now(self, call: PlannedCall, request: ExecutionRequest) -> AttemptPayment | None:
        """Reserve the worst case of a call; None: it has to wait, see `pay`.

        Raises:
            PaymentRefusedError: the budgets do not allow it, or its price is not known and they cannot.
        """
        nano = self._worst(call, request)
        task, spent = self._charge.task, self._context.spent_nano
        if task is not None and spent and spent + nano > task.limit_nano_usd:  # attempts before this one count, too
            self._refusal = refuse_task(task, spent + nano)
            self._refuse(self._refusal, request)
        found = self._spender.reserve_now(self._charge, nano, cheap=self._is_cheap(call))
        return None if found is None else self._paid(found, call, request)

    async def pay(self, call: PlannedCall, request: ExecutionRequest) -> AttemptPayment:
        """Reserve the worst case of a call, and wait for it once in a request. Raises as `pay_now`."""
        if self._refusal is not None:
            self._refuse(self._refusal, request)
        nano = self._worst(call, request)
        return self._paid(await self._spender.reserve(self._charge, nano, cheap=self._is_cheap(call)), call, request)

    def _paid(self, found: Outcome, call: PlannedCall, request: ExecutionRequest) -> AttemptPayment:
        if isinstance(found, Refusal):
            self._refusal = found
            self._refuse(found, request)
        if call.reason not in EXPLORING or self._has_probed:
            return AttemptPayment(self._context, found, None, None)
        self._has_probed = True
        cheapest, extra = self._extra(call, request)
        probe = None if extra is None else self._exploration.begin(extra)
        if probe is None:
            found.cancel()
            raise PaymentRefusedError(
                "the budget of exploration is used up", status=402, code=NO_PROBE, remedy=NO_PROBES
            )
        return AttemptPayment(self._context, found, probe, cheapest)

    def _worst(self, call: PlannedCall, request: ExecutionRequest) -> int:
        charge = self._charge
        if not charge.accounts and charge.task is None:
            return 0
        prices = prices_of(call.target, self._context.state)
        if prices is not None:
            return worst_case(prices, request, call.target.model)
        words = (
            f"model {call.target.model.name} of {call.target.model.provider}: found no price, expected one, because a "
            "budget limits what the request may cost"
        )
        raise PaymentRefusedError(words, status=402, code="price_unknown", remedy=SpendView(unpriced=words))

    def _is_cheap(self, call: PlannedCall) -> bool:
        """Whether each budget that has cheap models names the model of a call."""
        if not any(self._charge.overdrafts):
            return False
        pairs = zip(self._charge.accounts, self._charge.overdrafts, strict=True)
        owners = [account.owner for account, overdraft in pairs if overdraft is not None]
        state = self._context.state
        return bool(owners) and all(call.target.key in self._cheap.of(each.cheap_models, state) for each in owners)

    def _refuse(self, refusal: Refusal, request: ExecutionRequest) -> NoReturn:
        state = self._context.state

        def worst_of(target: Target) -> int | None:
            prices = ready_prices(target, state)
            return None if prices is None else worst_case(prices, request, target.model)

        raise PaymentRefusedError(
            refusal.message,
            status=refusal.status,
            code=refusal.code,
            retry_after_seconds=refusal.retry_after_seconds,
            remedy=view_of(refusal, state, worst_of),
        )

    def _extra(self, call: PlannedCall, request: ExecutionRequest) -> tuple[Prices | None, int | None]:
        """Return the prices of the cheapest target of the plan, and the most that the probe costs beyond it.

        None where the probe's price is not known, and a budget limits such costs.
        """
        if not self._exploration.is_limited:
            return None, 0
        plan, state = self._context.plan, self._context.state
        assert plan is not None
        own = prices_of(call.target, state)
        if own is None:
            return None, None
        worst = worst_case(own, request, call.target.model)
        cheapest, least = own, worst
        for planned in plan.targets:
            prices = ready_prices(planned.target, state)
            if prices is not None:
                cost = worst_case(prices, request, planned.target.model)
                if cost < least:
                    cheapest, least = prices, cost
        return cheapest, worst - least
