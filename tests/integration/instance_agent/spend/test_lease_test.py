"""Many requests at once in several processes against budgets that are nearly spent: no bound is passed."""

from support.servers import execute
from support.spending import Report, Work, processes, put_budgets, spend_before
from support.waiting import eventually

LIMIT = 2_000_000_000
FLEET = {"scope": "fleet", "period": "monthly", "limit": 2, "onLimit": "stop"}
METER = "budget/fleet:monthly"


def codes(reports: list[Report]) -> set[str]:
    return {code for report in reports for code in report.codes}


def test_the_lease_test_in_short(database_url: str) -> None:
    put_budgets(database_url, FLEET)
    spend_before(database_url, METER, LIMIT * 75 // 100)
    works = [
        Work(url=database_url, instance=f"gw-{number}", budgets=[FLEET], parallel=16, requests=50, pause=(0.01, 0.03),
             worst=6_000_000, seed=number)
        for number in range(4)
    ]  # fmt: skip
    with processes(works) as started:
        for each in started:
            each.go()
        reports = [each.result() for each in started]
    spent = LIMIT * 75 // 100 + sum(cost for report in reports for _, cost in report.spent)
    ((in_database, leased, written_off),) = execute(
        database_url, "SELECT spent, leased, written_off FROM spend_periods"
    )
    assert (in_database, leased, written_off) == (spent, 0, 0), "every call is in the sum, and every lease is returned"
    assert 0.97 * LIMIT <= spent <= LIMIT
    assert "budget_exhausted" in codes(reports)
    requests = sum(len(report.admission_us) for report in reports)
    assert sum(report.exchanges for report in reports) <= 0.1 * requests
    assert sum(report.alerts for report in reports) == 1, "80% were passed once, by one of the gateways"
    assert execute(database_url, "SELECT count(*) FROM spend_alerts") == [(1,)]


def test_a_killed_holder_and_three_budgets_at_once_change_no_bound(database_url: str) -> None:
    budgets = [
        FLEET,
        {"scope": "key", "of": "k", "period": "monthly", "limit": 1, "onLimit": "stop"},
        {"scope": "policy", "of": "code", "period": "monthly", "limit": 0.5, "onLimit": "stop"},
    ]
    put_budgets(database_url, *budgets)
    works = [
        Work(url=database_url, instance=f"gw-{number}", budgets=budgets, charge={"key_id": "k", "policy": "code"},
             parallel=8, requests=300 if number else 100_000, seed=number)
        for number in range(2)
    ]  # fmt: skip
    meters = ("budget/fleet:monthly", "budget/key:k:monthly", "budget/policy:code:monthly")
    with processes(works) as (killed, *others):
        killed.go()
        eventually(lambda: execute(database_url, "SELECT min(spent) FROM spend_periods")[0][0] > 20_000_000)
        killed.kill()
        lost = execute(database_url, "SELECT amount FROM spend_leases WHERE holder LIKE 'gw-0/%%' ORDER BY meter", ())
        execute(
            database_url, "UPDATE spend_holders SET expires_at = now() - interval '1 s' WHERE holder LIKE 'gw-0/%%'", ()
        )
        assert 0 < lost[2][0] < 250_000_000, "in flight, spent within a second, and at most one and a half slices"
        for each in others:
            each.go()
        reports = [each.result() for each in others]
    rows = execute(database_url, "SELECT spent, leased, written_off, limit_amount FROM spend_periods ORDER BY meter")
    assert execute(database_url, "SELECT meter FROM spend_periods ORDER BY meter") == [(each,) for each in meters]
    for (spent, leased, written_off, limit), (amount,) in zip(rows, lost, strict=True):
        assert (leased, written_off) == (0, amount), "it may have spent its lease"
        assert spent + written_off <= limit
    assert len({spent for spent, *_ in rows}) == 1, "each call counts in all three budgets"
    spent, _, written_off, limit = rows[2]
    assert spent + written_off >= 0.97 * limit, "the others use what it had not leased"
    assert "budget_exhausted" in codes(reports)
