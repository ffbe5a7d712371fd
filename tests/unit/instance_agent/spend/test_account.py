"""The arithmetic of leases and reservations, without a database."""

import random
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from support.spending import a_key

from centralcloud.contracts.fleet_configuration import FleetConfiguration, parse_budget
from centralcloud.runtime.wording import usd
from instance_agent.spend.account import MOST_AMOUNT, Account, Slice
from instance_agent.spend.book import Book
from instance_agent.spend.refusal import refuse_budgets, refuse_rate
from instance_agent.spend.reservation import RateReservation, Reservation

CALLS = 1_000_000
#: 0.000015 USD: 100 tokens of a small model.
COST = 15_000


def a_grant(lease: int, *, start: str = "2026-03-01T00:00:00+00:00", **fields: Any) -> dict[str, Any]:
    return {
        "period_start": start, "seconds_left": 60.0, "lease": lease, "granted": lease, "limit": 10**12, "spent": 0,
        "sharers": 1, "scarce": False, **fields,
    }  # fmt: skip


def an_account(lease: int) -> Account:
    account = Account("budget/b", None)
    account.granted(a_grant(lease), now=0.0, sent_at=0.0)
    return account


def reserve(account: Account, amount: int) -> Reservation:
    account.slice.available -= amount
    account.slice.reserved += amount
    return Reservation([account], [account.slice], amount, lambda _: None)


def test_a_million_small_calls_add_up_to_the_exact_amount() -> None:
    account = an_account(CALLS * COST)
    held = account.slice
    reported = 0
    for number in range(CALLS):
        held.available -= 2 * COST if number < CALLS - 1 else COST
        held.reserved += 2 * COST if number < CALLS - 1 else COST
        held.settle(2 * COST if number < CALLS - 1 else COST, COST, estimated=False)
        if number % 1000 == 0 and (report := held.report()) is not None:
            reported += report.spent
    reported += held.spent
    assert reported == CALLS * COST == 15_000_000_000
    assert Decimal(reported) / 10**9 == Decimal("0.000015") * CALLS
    assert (held.available, held.reserved) == (0, 0)


@pytest.mark.parametrize("seed", range(20))
def test_no_order_of_calls_spends_more_than_the_leases(seed: int) -> None:
    rng = random.Random(seed)
    account, lease, total, spent = an_account(0), 0, 0, 0
    open_ones: list[Reservation] = []
    reported = 0
    for step in range(2000):
        choice = rng.random()
        if choice < 0.1:
            # An exchange: the database takes the report, and may grant more.
            report = account.slice.report()
            if report is not None:
                lease -= report.spent + report.returned
                reported += report.spent
            more = rng.randrange(0, 5000)
            lease += more
            total += more - (report.returned if report is not None else 0)
            account.granted(a_grant(lease, granted=more), now=step, sent_at=step - 60 + 1e9)
        elif choice < 0.2:
            account.slice.give_back()
        elif choice < 0.6 and account.slice.available >= (amount := rng.randrange(1, 800)):
            open_ones.append(reserve(account, amount))
        elif open_ones:
            one = open_ones.pop(rng.randrange(len(open_ones)))
            cost = rng.randrange(0, one.amount + 1)
            spent += cost
            one.settle(cost, estimated=rng.random() < 0.1)
        held = account.slice
        assert held.available >= 0
        assert held.available + held.reserved + held.spent + held.returned == lease
        assert reported + held.spent == spent <= total


def test_a_call_above_its_worst_case_counts_and_leaves_less_for_the_next_ones() -> None:
    account = an_account(100)
    reserve(account, 60).settle(150)
    assert account.slice.available == -50
    report = account.slice.report()
    assert report is not None
    assert (report.spent, report.returned) == (150, 0)
    # The database clamps the lease at 0 and grants 70 more.
    account.granted(a_grant(70), now=1.0, sent_at=1.0)
    assert account.slice.available == 70


def test_a_settlement_gives_no_money_back_and_is_within_the_bounds_of_the_database() -> None:
    account = an_account(100)
    reserve(account, 60).settle(-(10**12))
    assert (account.slice.spent, account.slice.available) == (0, 100)
    reserve(account, 60).settle(10**19)
    assert account.slice.spent == MOST_AMOUNT


def test_a_reservation_is_settled_once_and_a_failure_settles_its_worst_case_as_estimated() -> None:
    account = an_account(100)
    with pytest.raises(RuntimeError, match="upstream"), reserve(account, 40) as reservation:
        raise RuntimeError("upstream")
    reservation.settle(1)
    assert (account.slice.spent, account.slice.estimated, account.slice.available) == (40, 40, 60)
    reserve(account, 40).cancel()
    assert (account.slice.spent, account.slice.available, account.slice.reserved) == (40, 60, 0)


def test_a_request_of_a_rate_limit_counts_once_and_its_tokens_as_they_were() -> None:
    requests, tokens = an_account(10), an_account(1000)
    for account, amount in ((requests, 1), (tokens, 300)):
        account.slice.available -= amount
        account.slice.reserved += amount
    RateReservation([requests, tokens], [requests.slice, tokens.slice], 300, lambda _: None).settle(120)
    assert (requests.slice.spent, tokens.slice.spent) == (1, 120)
    assert (requests.slice.available, tokens.slice.available) == (9, 880)


def test_spend_after_the_end_of_a_period_counts_in_the_period_of_its_reservation() -> None:
    account = an_account(100)
    before = reserve(account, 40)
    old = account.slice
    assert account.roll(59.0) is None
    assert account.roll(60.0) is old
    assert (old.returned, old.available) == (60, 0)
    account.granted(a_grant(500, start="2026-03-02T00:00:00+00:00"), now=61.0, sent_at=61.0)
    before.settle(25)
    assert account.slice.available == 500
    report = old.report()
    assert report is not None
    assert (report.period_start, report.spent, report.returned) == ("2026-03-01T00:00:00+00:00", 25, 75)
    assert old.is_over


def test_an_answer_that_comes_after_the_end_of_its_period_loses_nothing() -> None:
    account = an_account(100)
    first = reserve(account, 30)
    account.roll(60.0)
    assert account.slice.report() is not None, "70 are returned"
    account.granted(a_grant(80, granted=50), now=60.1, sent_at=0.0)  # 30 reserved, and 50 of an exchange before the end
    first.settle(30)
    assert account.slice.available == 50
    assert account.roll(60.2) is account.slice
    assert (account.slice.spent, account.slice.returned) == (30, 50)


def test_a_slice_grows_while_it_is_used_up_fast_and_shrinks_when_it_lasts() -> None:
    account = an_account(0)
    assert account.want(0.5, 100) == 1600, "the first slice is for 16 requests"
    account.granted(a_grant(1600), now=1.0, sent_at=1.0)
    account.slice.available = 0
    assert account.want(1.5, 0) == 3200
    account.granted(a_grant(3200), now=2.0, sent_at=2.0)
    account.slice.available = 1000
    assert account.want(30.0, 0) == 600
    account.granted(a_grant(100, scarce=True), now=31.0, sent_at=31.0)
    account.slice.available = 0
    assert account.want(31.1, 0) == 1600, "a scarce limit doubles nothing"


def configuration(*budgets: dict[str, Any]) -> FleetConfiguration:
    parsed = [parse_budget(each) for each in budgets]
    return FleetConfiguration(budgets={each.id: each for each in parsed})


def test_a_request_counts_against_each_budget_that_it_belongs_to_in_the_order_of_ids() -> None:
    book = Book()
    book.use(
        configuration(
            {"scope": "workspace", "of": "a", "period": "daily", "limit": 1},
            {"scope": "workspace", "of": "b", "period": "daily", "limit": 1},
            {"scope": "fleet", "period": "monthly", "limit": 1},
            {"scope": "key", "of": "k", "period": "weekly", "limit": 1},
            {"scope": "policy", "of": "code", "period": "daily", "limit": 1, "enabled": False},
            {"scope": "worker", "of": "w", "period": "task", "limit": 0.5},
            {"scope": "fleet", "period": "task", "limit": 0.7},
            {"scope": "exploration", "period": "daily", "limit": 1},
        )
    )
    charge = book.charge(workspace="a", key_id="k", policy="code", worker="w")
    assert [each.meter for each in charge.accounts] == [
        "budget/fleet:monthly", "budget/key:k:weekly", "budget/workspace:a:daily",
    ]  # fmt: skip
    assert charge.task_limit_nano == 500_000_000
    assert book.charge(worker="other").task_limit_nano == 700_000_000
    assert [each.meter for each in book.exploration.accounts] == ["budget/exploration:daily"]


def test_a_configuration_with_each_kind_of_limit_has_an_enforcer_for_each() -> None:
    book = Book()
    scopes = ("workspace", "key", "policy", "worker")
    budgets = [
        {"scope": scope, "of": "x", "period": period, "limit": 1}
        for scope in scopes
        for period in ("daily", "weekly", "monthly", "task")
    ]
    fleet = [{"scope": "fleet", "period": period, "limit": 1} for period in ("daily", "task")]
    used = configuration(*budgets, *fleet, {"scope": "exploration", "period": "weekly", "limit": 1})
    book.use(used)
    assert book.unenforced(used) == []
    more = configuration(*budgets, *fleet, {"scope": "fleet", "period": "monthly", "limit": 1})
    assert book.unenforced(more) == ["budget fleet:monthly"]


def test_the_budget_of_a_key_stays_with_the_keys_that_rotations_made_of_it() -> None:
    old, middle, new = "cck_000000000000", "cck_111111111111", "cck_222222222222"
    keys = [
        msgspec.structs.replace(a_key(old), replaced_by=middle),
        msgspec.structs.replace(a_key(middle), replaced_by=new),
        a_key(new),
    ]
    budget = parse_budget({"scope": "key", "of": old, "period": "daily", "limit": 1})
    book = Book()
    book.use(FleetConfiguration(budgets={budget.id: budget}, keys={each.id: each for each in keys}))
    for key_id in (old, middle, new):
        assert [each.meter for each in book.charge(key_id=key_id).accounts] == [f"budget/{budget.id}"]
    assert book.charge(key_id="cck_333333333333").accounts == ()


def test_another_configuration_keeps_leases_and_names_those_that_are_lower_or_gone() -> None:
    book = Book()
    daily = {"scope": "fleet", "period": "daily", "limit": 2}
    weekly = {"scope": "fleet", "period": "weekly", "limit": 2}
    book.use(configuration(daily, weekly))
    account = book.accounts["budget/fleet:daily"]
    account.granted(a_grant(100), now=0.0, sent_at=0.0)
    lowered, gone = book.use(configuration({**daily, "limit": 3}))
    assert (lowered, [each.meter for each in gone]) == ([], ["budget/fleet:weekly"])
    assert book.accounts["budget/fleet:daily"] is account
    assert account.possible is None, "the database is asked before a refusal"
    lowered, gone = book.use(configuration({**daily, "limit": 1}))
    assert (lowered, gone) == ([account], [])


@pytest.mark.parametrize(
    ("behaviours", "then", "models"),
    [
        (["free_only"], "free_only", ()),
        (["cheap"], "cheap", ("a", "b")),
        (["cheap", "free_only"], "free_only", ()),
        (["stop", "cheap"], "stop", ()),
    ],
)
def test_the_strictest_of_several_budgets_says_which_models_may_answer(
    behaviours: list[str], then: str, models: tuple[str, ...]
) -> None:
    accounts = []
    for number, behaviour in enumerate(behaviours):
        cheap = {"cheapModels": ["a", "b"]} if behaviour == "cheap" else {}
        budget = parse_budget({"id": f"b{number}", "scope": "fleet", "period": "daily", "limit": 2,
                               "onLimit": behaviour, **cheap})  # fmt: skip
        account = Account(f"budget/{budget.id}", budget)
        account.granted(a_grant(0, limit=2_000_000_000, spent=1_999_000_000), now=0.0, sent_at=0.0)
        accounts.append(account)
    refusal = refuse_budgets(accounts, 3_000_000, "budget_exhausted", 10.0)
    assert (refusal.then, refusal.cheap_models, refusal.status) == (then, models, 402)
    assert refusal.retry_after_seconds == 50.0
    assert refusal.message == (
        "budget b0: found 0.001 USD of 2.00 USD left, expected 0.003 USD, which the request may cost"
    )


def test_the_overdraft_has_an_end() -> None:
    budget = parse_budget({"scope": "fleet", "period": "daily", "limit": 2, "onLimit": "cheap", "cheapModels": ["a"]})
    account = Account("overdraft/fleet:daily", budget)
    account.granted(a_grant(0, limit=200, spent=200), now=0.0, sent_at=0.0)
    assert refuse_budgets([account], 5, "budget_exhausted", 0.0).then == "stop"


@pytest.mark.parametrize(("setting", "then"), [("stop", "stop"), ("allow_local", "local_only")])
def test_without_the_database_the_budget_says_whether_local_models_answer(setting: str, then: str) -> None:
    budget = parse_budget({"scope": "fleet", "period": "daily", "limit": 2, "onDatabaseLoss": setting})
    refusal = refuse_budgets([Account("budget/fleet:daily", budget)], 5, "database_unavailable", 0.0)
    assert (refusal.then, refusal.status) == (then, 503)


def test_a_rate_that_one_request_exceeds_is_refused_without_a_time_to_retry() -> None:
    account = Account("tokens/cck_0123456789ab", a_key(tokens=1000))
    account.granted(a_grant(0, limit=1000, spent=900), now=0.0, sent_at=0.0)
    assert refuse_rate(account, 5000, 0.0).retry_after_seconds is None
    refusal = refuse_rate(account, 500, 0.0)
    assert (refusal.retry_after_seconds, refusal.status) == (60.0, 429)
    assert refusal.message == ("key cck_0123456789ab: found 500 tokens more, expected at most 1,000 tokens in 900 s")


@pytest.mark.parametrize(
    ("nano", "text"),
    [
        (15_000, "0.000015 USD"),
        (2_000_000_000, "2.00 USD"),
        (0, "0.00 USD"),
        (1_234_500_000_001, "1,234.500000001 USD"),
    ],
)
def test_amounts_are_shown_exactly(nano: int, text: str) -> None:
    assert usd(nano) == text


def test_a_lease_that_is_not_of_the_database_is_neither_reported_nor_returned() -> None:
    held = Slice("requests/k", None, 60.0, 5)
    held.give_back()
    assert held.available == 5
    held.settle(0, 1, estimated=False)
    assert held.report() is None
    held.close()
    assert held.is_over


def test_an_exchange_tops_up_a_slice_of_which_a_quarter_is_used() -> None:
    account = an_account(1000)
    account.target = 1000
    account.slice.available = 800
    assert account.top_up(now=1.0) == 0, "most of it is left"
    account.slice.available = 700
    assert account.top_up(now=1.0) == 300
    assert account.target == 1000
    account.scarce = True
    assert account.top_up(now=1.0) == 0, "others need it more"
    account.scarce = False
    assert account.top_up(now=60.0) == 0, "its period has ended"


def test_a_slice_that_lasts_long_is_halved_by_its_top_up_and_one_whose_exchange_was_slow_is_not() -> None:
    account = an_account(1000)
    account.target = 1000
    account.slice.available = 700
    assert (account.top_up(now=5.0), account.target) == (0, 500)
    account.target = 1000
    account.slice.available = 300
    assert (account.top_up(now=5.0), account.target) == (700, 1000)


def test_an_account_that_wants_nothing_is_not_asked_for_at_every_request() -> None:
    account = an_account(1000)
    account.target, account.slice.available = 900, 499
    assert account.slice.available < account.low
    assert account.want(now=9.0, needed=0) == 0
    assert account.slice.available >= account.low
