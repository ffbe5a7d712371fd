"""The payment of attempts: what each end of a call costs, the worst case, and which targets are left after a refusal."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from support.planning import model, snapshot

from centralcloud.contracts.fleet_configuration import parse_budget
from instance_agent.catalog.model import Pricing
from instance_agent.catalog.provider import Provider
from instance_agent.chat.answers import Usage
from instance_agent.chat.protocol import RequestHead
from instance_agent.execution.attempts import Attempt
from instance_agent.execution.cost import UNKNOWN, Cost
from instance_agent.execution.errors import PaymentRefusedError
from instance_agent.execution.targets import CallTargets
from instance_agent.gateway.limits.admission import Admission, held_output_tokens
from instance_agent.gateway.limits.request_payer import AttemptPayment, RequestPayer
from instance_agent.gateway.limits.spend_views import CheapModels, most_output_tokens, view_of
from instance_agent.providers.errors import Retry
from instance_agent.spend.account import Account, Slice
from instance_agent.spend.book import Charge
from instance_agent.spend.refusal import refuse_budgets, refuse_task
from instance_agent.spend.reservation import RateReservation, Reservation

WORST = 1000
USED = Usage(input_tokens=7, output_tokens=5)


def an_attempt(**fields: Any) -> Attempt:
    call: Any = SimpleNamespace(reason="best")
    common = {"decision_id": "d", "request_id": "r", "number": 1, "call": call, "propensity": None}
    return Attempt(**{**common, "started_at": datetime.now(UTC), "outcome": "failure", **fields})


def reserved() -> tuple[Slice, Reservation]:
    account = Account("budget/b", None)
    held = Slice(account.meter, "2026-11-01", 1e9, WORST)
    held.available, held.reserved = 0, WORST
    return held, Reservation((account,), (held,), WORST, lambda _: None)


def a_context() -> Any:
    return SimpleNamespace(open_attempts=0, was_sent=False, used_tokens=0, spent_nano=0, status=200, rate=None)


@pytest.mark.parametrize(
    ("attempt", "spent", "estimated"),
    [
        ({"outcome": "success", "usage": USED, "cost": Cost(nano_usd=300, source="provider")}, 300, 0),
        ({"outcome": "success", "usage": USED, "cost": Cost(nano_usd=300, source="catalog", estimated=True)}, 300, 300),
        ({"outcome": "success", "usage": USED, "cost": Cost(nano_usd=1300, source="provider")}, 1300, 0),
        ({"retry": Retry.REFUSED, "cost": UNKNOWN}, 0, 0),
        ({"retry": Retry.SETUP}, 0, 0),
        ({"retry": Retry.CALLER}, 0, 0),
        ({"retry": Retry.UNCERTAIN, "cost": Cost(nano_usd=20, source="catalog", estimated=True)}, WORST, WORST),
        ({"retry": Retry.BEGUN, "first_token_ms": 5, "cost": Cost(nano_usd=20, source="catalog", estimated=True)}, 20, 20),
        ({"error_kind": "caller", "cost": Cost(nano_usd=20, source="catalog", estimated=True)}, 20, 20),
        ({"error_kind": "caller"}, WORST, WORST),
    ],
)  # fmt: skip
def test_each_end_of_a_call_settles_what_it_may_cost(attempt: dict[str, Any], spent: int, estimated: int) -> None:
    held, reservation = reserved()
    context = a_context()
    payment = AttemptPayment(context, reservation, None, None)
    assert context.open_attempts == 1
    payment.settle(an_attempt(**attempt))
    assert (held.spent, held.estimated, held.available) == (spent, estimated, WORST - spent)
    assert (context.open_attempts, context.was_sent) == (0, True)
    assert context.used_tokens == (12 if "usage" in attempt else 0)


def test_a_call_that_was_not_made_costs_nothing() -> None:
    held, reservation = reserved()
    context = a_context()
    AttemptPayment(context, reservation, None, None).cancel()
    assert (held.spent, held.available, context.open_attempts, context.was_sent) == (0, WORST, 0, False)


@pytest.mark.parametrize(
    ("asked", "usual", "held"), [(None, None, 1000), (64, None, 64), (4096, 300, 300), (64, 300, 64), (None, 300, 300)]
)
def test_a_rate_limit_holds_what_answers_usually_have(asked: int | None, usual: int | None, held: int) -> None:
    head = RequestHead(model="m", text="", characters=0, messages=1, max_output_tokens=asked)
    assert held_output_tokens(head, usual) == held


@pytest.mark.parametrize(
    ("context", "requests", "tokens"),
    [
        ({"was_sent": True, "status": 502, "used_tokens": 12}, 1, 12),
        ({"status": 200}, 1, 0),
        ({"status": 404}, 0, 0),
        ({"status": 402}, 0, 0),
        ({"status": 499, "open_attempts": 1, "used_tokens": 12}, 1, 40),
    ],
)
def test_a_rate_limit_counts_requests_that_were_sent_or_answered(
    context: dict[str, Any], requests: int, tokens: int
) -> None:
    slices = [Slice(meter, "2026-11-01", 1e9) for meter in ("requests/k", "tokens/k")]
    for held, amount in zip(slices, (1, 40), strict=True):
        held.reserved = amount
    found = a_context()
    for name, value in context.items():
        setattr(found, name, value)
    Admission.end(found)
    found.rate = RateReservation([], slices, 40, lambda _: None)
    Admission.end(found)
    assert [held.spent for held in slices] == [requests, tokens]
    assert [held.available for held in slices] == [1 - requests, 40 - tokens]


@pytest.mark.parametrize(
    ("asked", "most", "choices", "tokens"),
    [(100, None, 1, 100), (100, 50, 1, 50), (None, 8192, 1, 8192), (None, None, 1, 4096), (0, 512, 1, 512), (10, 99, 3, 30)],
)  # fmt: skip
def test_the_most_of_an_answer(asked: int | None, most: int | None, choices: int, tokens: int) -> None:
    head = RequestHead(model="m", text="", characters=0, messages=1, max_output_tokens=asked, choices=choices)
    request: Any = SimpleNamespace(operation="chat", head=head)
    assert most_output_tokens(request, most) == tokens
    request.operation = "embeddings"
    assert most_output_tokens(request, most) == 0


def a_state() -> Any:
    near = Provider(provider="near", base_url="http://127.0.0.1:1/v1", dialect="openai", local=True)
    models = [
        model("dear", pricing=Pricing(input=10, output=10)),
        model("mini", pricing=Pricing(input=1, output=1)),
        model("house", provider="near"),
    ]
    catalog = snapshot(*models, providers=[near])
    assert catalog.configuration is not None
    return SimpleNamespace(catalog=catalog, targets=CallTargets(catalog.configuration), number=1)


def test_attempts_before_count_in_the_limit_of_each_request() -> None:
    context, (_, reservation) = a_context(), reserved()
    context.state = state = a_state()
    task = parse_budget({"scope": "fleet", "period": "task", "limit": 0.00001})
    spender: Any = SimpleNamespace(reserve_now=lambda *_arguments, **_options: reservation)
    exploration: Any = None
    payer = RequestPayer(spender, exploration, CheapModels(), Charge(task=task), context)
    target = state.targets.ready(state.catalog.configuration.targets["mini"][0])
    call: Any = SimpleNamespace(target=target, reason="best")
    head = RequestHead(model="mini", text="", characters=0, messages=1, max_output_tokens=1)
    asked: Any = SimpleNamespace(head=head, operation="chat", input_tokens=lambda: 4)
    paid = payer.pay_now(call, asked)
    assert paid is not None
    paid.settle(an_attempt(outcome="success", usage=USED, cost=Cost(nano_usd=6000, source="catalog")))
    with pytest.raises(PaymentRefusedError, match=r"may cost 0\.000012 USD") as refused:
        payer.pay_now(call, asked)
    assert (refused.value.status, refused.value.code) == (402, "task_limit")


def test_the_targets_that_are_left_after_a_refusal() -> None:
    state = a_state()
    fields = {"scope": "fleet", "period": "daily", "limit": 1}
    lost = parse_budget({**fields, "onDatabaseLoss": "allow_local"})
    cheap = parse_budget({**fields, "onLimit": "cheap", "cheapModels": ["mini", "unknown-here"]})

    refusal = refuse_budgets([Account("budget/b", lost)], 5, "database_unavailable", 0.0)
    view = view_of(refusal, state)
    assert view is not None
    assert (set(view.targets), view.paid) == ({"dear@p", "mini@p"}, refusal.message)

    view = view_of(refuse_budgets([Account("budget/b", cheap)], 5, "budget_exhausted", 0.0), state)
    assert view is not None
    assert (view.spared, view.targets) == ({"mini@p"}, {})

    task = parse_budget({**fields, "period": "task"})
    worst = {"dear@p": 2 * 10**9, "mini@p": 10**8}
    view = view_of(refuse_task(task, 2 * 10**9), state, lambda target: worst.get(target.key))
    assert view is not None
    assert (set(view.targets), view.paid) == ({"dear@p"}, None)
    assert view.unpriced is not None

    stop = parse_budget({**fields, "onLimit": "stop"})
    assert view_of(refuse_budgets([Account("budget/b", stop)], 5, "budget_exhausted", 0.0), state) is None
