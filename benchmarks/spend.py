"""Spend limits under concurrency: prints JSON.

    python benchmarks/spend.py [--replicas 8] [--parallel 32] [--requests 40] [--database-url URL]

Some processes send requests at once against one budget of 2 USD of which 90% is spent. A request may cost 0.003 USD, costs
a third of it on average, and takes 20 to 60 ms. Three methods in the same run: `leases` (the spender of the gateway),
`check_after` (look at the sum before the call, add to it after the call) and `row_lock` (reserve and settle in the row at
each request). Printed for each: `spent_percent` of the limit, which must not be above 100; `first_refusal_percent`, what was
spent when the first request was refused; `exchanges` (statements of the leases); `statements_per_request` (transactions of
pg_stat_database, by all requests, those that were refused, too; each session that reads a notification has one more);
`admission_p50_ms` and `admission_p99_ms`, where a request that waits and is refused has waited 250 ms.
"""

import argparse
import json
import sys
import time
from contextlib import ExitStack
from statistics import quantiles
from typing import Any

import psycopg
from _shared import a_database, machine, progress
from support.servers import a_server
from support.spending import Method, Report, Work, processes, put_budgets, spend_before

LIMIT = 2_000_000_000
SPENT_BEFORE = LIMIT * 9 // 10
#: An idle session reports its transactions within 10 seconds: those of the start of the processes are not counted.
_FLUSH_SECONDS = 11
BUDGET = {"scope": "fleet", "period": "monthly", "limit": LIMIT / 1e9, "onLimit": "stop"}


def transactions(url: str) -> int:
    """Return the transactions of the database so far. A session reports its own at its end, and at most once a second."""
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(
            "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()"
        ).fetchone()
    assert row is not None
    return int(row[0])


def prepare(url: str, method: Method) -> None:
    """Spend 90% of the budget."""
    if method == "leases":
        put_budgets(url, BUDGET)
        spend_before(url, "budget/fleet:monthly", SPENT_BEFORE)
        return
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE bench_budget (amount bigint, spent bigint, held bigint DEFAULT 0)")
        connection.execute("INSERT INTO bench_budget VALUES (%s, %s)", (LIMIT, SPENT_BEFORE))


def measure(server: str, method: Method, replicas: int, parallel: int, requests: int) -> dict[str, Any]:
    """Run one method, and return its figures."""
    with a_database(server) as url:
        prepare(url, method)
        works = [
            Work(
                url=url, instance=f"gw-{number}", budgets=[BUDGET], parallel=parallel, requests=requests, method=method,
                seed=number,
            )
            for number in range(replicas)
        ]  # fmt: skip
        with processes(works) as started:
            time.sleep(_FLUSH_SECONDS)
            before = transactions(url)
            for each in started:
                each.go()
            reports = [each.result() for each in started]
        time.sleep(1)
        return figures(reports, transactions(url) - before, url, method)


def figures(reports: list[Report], statements: int, url: str, method: Method) -> dict[str, Any]:
    """Return the figures of one method."""
    spent = sorted(each for report in reports for each in report.spent)
    refused = sorted(each for report in reports for each in report.refused)
    admission = sorted(each for report in reports for each in report.admission_us)
    total = SPENT_BEFORE + sum(cost for _, cost in spent)
    at_first = SPENT_BEFORE + sum(cost for at, cost in spent if refused and at <= refused[0])
    centiles = quantiles(admission, n=100)
    codes: dict[str, int] = {}
    for report in reports:
        for code, count in report.codes.items():
            codes[code] = codes.get(code, 0) + count
    with psycopg.connect(url) as connection:
        if method == "leases":
            row = connection.execute("SELECT spent, leased + written_off FROM spend_periods").fetchone()
        else:
            row = connection.execute("SELECT spent, held FROM bench_budget").fetchone()
    assert row == (total, 0), f"the database has {row}, the processes have spent {total}"
    return {
        "spent_percent": round(100 * total / LIMIT, 2),
        "first_refusal_percent": round(100 * at_first / LIMIT, 1) if refused else None,
        "requests": len(admission),
        "refused": codes,
        "exchanges": sum(report.exchanges for report in reports),
        "statements_per_request": round(statements / len(admission), 3),
        "admission_p50_ms": round(centiles[49] / 1000, 4),
        "admission_p99_ms": round(centiles[98] / 1000, 1),
    }


def main() -> None:
    """Measure, and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replicas", type=int, help="processes; without it 4x8, 4x32 and 8x32")
    parser.add_argument("--parallel", type=int, default=32, help="requests at once in each")
    parser.add_argument("--requests", type=int, default=40, help="of each of them")
    parser.add_argument("--method", choices=("leases", "check_after", "row_lock"), help="only this one")
    parser.add_argument("--database-url", help="a server; without it, an embedded one")
    options = parser.parse_args()
    shapes = [(options.replicas, options.parallel)] if options.replicas else [(4, 8), (4, 32), (8, 32)]
    methods: list[Method] = [options.method] if options.method else ["check_after", "row_lock", "leases"]
    found: dict[str, Any] = {}
    with ExitStack() as stack:
        server = stack.enter_context(a_server(options.database_url))
        with psycopg.connect(server) as connection:
            found["machine"] = machine(connection)
        for replicas, parallel in shapes:
            for method in methods:
                progress(f"{replicas} x {parallel} {method}")
                figure = measure(server, method, replicas, parallel, options.requests)
                found.setdefault(f"{replicas}x{parallel}", {})[method] = figure
    json.dump(found, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
