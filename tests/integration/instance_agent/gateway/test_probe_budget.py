"""Probes in the way of a request: their extra cost is reserved and settled, and they stop with the budget of exploration."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from support.planning import a_planner, estimated, model, request, snapshot
from support.servers import execute
from support.spending import a_spender, configuration_of, put_budgets

from centralcloud.runtime.postgres.database import Database
from instance_agent.catalog.model import Pricing
from instance_agent.chat.answers import Usage
from instance_agent.chat.protocols import OPENAI
from instance_agent.execution.attempts import Attempt
from instance_agent.execution.cost import cost_of
from instance_agent.execution.plan_calls import plan_calls
from instance_agent.execution.planned import PlannedCall
from instance_agent.execution.request import ExecutionRequest
from instance_agent.execution.targets import CallTargets
from instance_agent.gateway.auth import LOCAL
from instance_agent.gateway.context import RequestContext
from instance_agent.gateway.fleet_targets import FleetTargets
from instance_agent.gateway.limits.admission import Admission, executed
from instance_agent.gateway.limits.request_payer import EXPLORING
from instance_agent.gateway.state import GatewayState

LIMIT = 0.0005
BUDGET = {"scope": "exploration", "period": "daily", "limit": LIMIT}
BODY = b'{"model": "auto", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 10}'
USED = Usage(input_tokens=10, output_tokens=5)


def a_state(fleet: Any) -> GatewayState:
    prices = {"a": 1.0, "b": 2.0, "c": 4.0}
    models = [model(name, pricing=Pricing(input=usd, output=usd)) for name, usd in prices.items()]
    catalog = snapshot(*models, learned=estimated(a=0.8, b=0.6, c=0.5))
    assert catalog.configuration is not None
    return GatewayState(
        catalog=catalog, targets=CallTargets(catalog.configuration), fleet_targets=FleetTargets(), fleet=fleet,
        loaded=True, registered_hosts=frozenset(), names=frozenset(prices),
    )  # fmt: skip


def a_record(call: PlannedCall) -> Attempt:
    return Attempt(
        decision_id="d", request_id="r", number=1, call=call, propensity=None, started_at=datetime.now(UTC),
        outcome="success", usage=USED, cost=cost_of(USED, call.target.prices),
    )  # fmt: skip


class Requests:
    """Requests through one admission, as the pipeline sends them; the upstream answers each at once."""

    def __init__(self, admission: Admission, state: GatewayState) -> None:
        self.admission, self.state = admission, state
        self.planner = a_planner(exploration=0.05)
        self.extra = 0
        self.reasons: set[str] = set()

    async def one(self) -> RequestContext:
        context = RequestContext(LOCAL, self.state)
        context.routing = request()
        context.probing = self.admission.exploration.allowed

        def plan() -> Sequence[PlannedCall]:
            assert context.routing is not None
            context.plan = self.planner.plan(context.routing, self.state.catalog, probing=context.probing)
            return plan_calls(context.plan, self.state.targets)

        async def run(calls: Sequence[PlannedCall], execution: ExecutionRequest) -> None:
            payer, call = execution.payer, calls[0]
            if payer is not None:
                payment = payer.pay_now(call, execution) or await payer.pay(call, execution)
                payment.settle(a_record(call))
                self.reasons.add(call.reason)
                if call.reason in EXPLORING:
                    cheapest = cost_of(USED, self.state.targets.made()[0].prices).nano_usd
                    self.extra += (a_record(call).cost.nano_usd or 0) - (cheapest or 0)

        head = OPENAI.read_head(BODY)
        execution = ExecutionRequest(request_id="r", protocol=OPENAI, head=head, body=BODY, context=context)
        await executed(self.admission, context, plan(), execution, run, plan)
        return context


def test_probes_stop_when_the_budget_of_exploration_is_used_up(database_url: str) -> None:
    put_budgets(database_url, BUDGET)
    fleet = configuration_of([BUDGET])

    async def work() -> None:
        state = a_state(fleet)
        with (
            Database(database_url, application_name="tests") as database,
            a_spender(database, fleet, "gw") as (found, _),
        ):
            requests = Requests(Admission(found, state), state)
            exploration = requests.admission.exploration
            assert not requests.admission.unenforced
            stopped: list[RequestContext] = []
            async with asyncio.timeout(30):
                while not exploration.is_stopped:
                    context = await requests.one()
                    assert context.plan is not None
                    if not context.probing:
                        stopped.append(context)
                    await asyncio.sleep(0.0005)
            assert exploration.probes > 5
            assert requests.reasons == {"probe", "exploration"}, "others are not paid for by this budget"
            assert stopped, "the one that met the limit was planned again"
            plan = stopped[-1].plan
            assert plan is not None
            assert plan.kind == "best"
            assert "exploration_budget" in plan.passed_over[0]
            kinds = {(await requests.one()).plan.kind for _ in range(300)}  # type: ignore[union-attr]
            assert kinds == {"best"}
            assert 0 < requests.extra <= LIMIT * 1e9
            await found.close()
            rows = execute(database_url, "SELECT spent FROM spend_periods WHERE meter LIKE 'budget/expl%'")
            assert [int(row[0]) for row in rows] == [requests.extra]

    asyncio.run(work())
