"""Measure what it costs to fold the outcomes of an experiment. Prints one JSON object.

    python benchmarks/folding.py                       # 1,000,000 outcomes
    python benchmarks/folding.py --outcomes 10000000   # takes half an hour, and 7 GB: in /dev/shm where it has room

Requests of a canary, in sessions of four that overlap, are written as a gateway's records: a decision and an outcome. Each
session has a name of its own, and the arm that its name gives. Then
they are folded in transactions of 10,000 records, as the daemon does when it catches up. The yardstick is one scan of the
same records by the index of the experiment, each with a look for its outcome, in the same run.
"""

import argparse
import json
import os
import sys
import time
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import psycopg
from _shared import a_database, progress
from support.experiment_events import an_experiment
from support.servers import a_server

from centralcloud.experiments.folding import fold
from centralcloud.runtime.postgres.database import Database

_BEGAN: Final = datetime(2026, 11, 1, tzinfo=UTC)
_TOGETHER: Final = 500_000
_WRITE: Final = """
    INSERT INTO routing_records (
        timestamp, instance_id, complexity, model, provider, score, outcome, slice_no, decision_id, request_id, attempt,
        session, experiment, arm, arm_share, response_time_ms, cost_nano_usd, first_of_decision
    )
    SELECT
        %(began)s::timestamptz + n * interval '1 minute' / %(rate)s + ended * interval '1 second', 'gateway-1',
        (ARRAY['simple', 'medium', 'complex'])[1 + session %% 3], 'model', 'provider', 3,
        CASE WHEN ended = 0 THEN 'routed' WHEN hashint8(n) %% 10 = 0 THEN 'failure' ELSE 'success' END, 1, 'd' || n,
        ('019a7a3e-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 1,
        CASE WHEN ended = 0 THEN name END, CASE WHEN ended = 0 THEN 'greeting' END,
        -- The first bit of the hash is that of a half.
        CASE WHEN ended = 0 THEN CASE
            WHEN get_byte(sha256(convert_to(E'greeting\\nsalt\\n' || name, 'UTF8')), 0) < 128 THEN 'new' ELSE 'control'
        END END,
        CASE WHEN ended = 0 THEN 0.5 END,
        CASE WHEN ended = 1 THEN 200 + abs(hashint8(n)) %% 5000 END,
        CASE WHEN ended = 1 THEN 1000000 + abs(hashint8(n)) %% 50000000 END, ended = 0
    FROM (
        SELECT n, session, lpad(to_hex(session), 16, '0') AS name
        FROM generate_series(%(first)s::bigint, %(last)s) AS n,
            LATERAL (SELECT (n / 2000) * 500 + n %% 500 AS session) AS of_request
    ) AS request, generate_series(0, 1) AS ended
    ORDER BY n
"""
_SCAN: Final = """
    SELECT count(*), sum(o.response_time_ms)
    FROM routing_records AS d
    LEFT JOIN LATERAL (
        SELECT max(r.response_time_ms) AS response_time_ms FROM routing_records AS r
        WHERE r.request_id = d.request_id AND r.outcome <> 'routed'
    ) AS o ON true
    WHERE d.experiment = 'greeting'
"""
_SIZES: Final = (
    "SELECT relname, pg_total_relation_size(oid) FROM pg_class WHERE relname LIKE 'experiment\\_%' AND relkind = 'r'"
)


def main() -> None:
    """Write the records, fold them, and print the result."""
    arguments = _arguments()
    outcomes, rate = arguments.outcomes, arguments.per_minute
    with a_server(arguments.database_url) as server, a_database(server) as url:
        with psycopg.connect(url, autocommit=True) as connection:
            for first in range(0, outcomes, _TOGETHER):
                progress(f"{first:,} requests are written")
                last = min(first + _TOGETHER, outcomes) - 1
                connection.execute(_WRITE, {"began": _BEGAN, "rate": rate, "first": first, "last": last})
            connection.execute("VACUUM (ANALYZE) routing_records")
            scan = _timed(lambda: connection.execute(_SCAN).fetchone())
        folding = _fold(url, outcomes, rate)
        with psycopg.connect(url) as connection:
            sizes = dict(connection.execute(_SIZES).fetchall())
            state = connection.execute("SELECT max(octet_length(state)) FROM experiment_comparisons").fetchone()
            ended = connection.execute("SELECT count(*) FROM experiment_sessions WHERE has_ended").fetchone()
    print(
        json.dumps(
            {
                "benchmark": "folding",
                "outcomes": outcomes,
                "outcomes_per_minute": rate,
                "scan": _per_outcome(scan, outcomes),
                "fold": _per_outcome(folding, outcomes),
                "bytes_of_a_comparison": state[0] if state else 0,
                "ended_sessions": ended[0] if ended else 0,
                "bytes_of_tables": sizes,
                "machine": {"cores": os.cpu_count(), "python": sys.version.split()[0], "load": os.getloadavg()[0]},
            }
        )
    )


def _fold(url: str, outcomes: int, rate: int) -> dict[str, Any]:
    experiment = an_experiment(began=_BEGAN)
    until = _BEGAN + timedelta(minutes=outcomes / rate) + timedelta(hours=1)
    found: dict[str, Any] = {"transactions": 0, "open_sessions_at_most": 0}
    wall, cpu = time.perf_counter(), time.process_time()
    with Database(url, application_name="benchmark") as database:
        is_behind = True
        while is_behind:
            with database.transaction(limit_seconds=None) as connection:
                folded = fold(connection, experiment, until)
            is_behind = folded.is_behind
            found["transactions"] += 1
            with database.transaction() as connection:
                row = connection.execute("SELECT count(*) FROM experiment_sessions WHERE NOT has_ended").fetchone()
            found["open_sessions_at_most"] = max(found["open_sessions_at_most"], row[0] if row else 0)
            progress(f"folded until {folded.folded_until}")
    found |= {"seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu}
    return {**found, "folded_outcomes": folded.facts[0].outcomes}


def _timed(run: Any) -> dict[str, Any]:
    wall = time.perf_counter()
    run()
    return {"seconds": time.perf_counter() - wall}


def _per_outcome(found: dict[str, Any], outcomes: int) -> dict[str, Any]:
    per = {name: found[name] / outcomes * 1e6 for name in ("seconds", "cpu_seconds") if name in found}
    return {
        **{name: round(value, 2) if isinstance(value, float) else value for name, value in found.items()},
        **{f"micro{name}_per_outcome": round(value, 2) for name, value in per.items()},
    }


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--outcomes", type=int, default=1_000_000)
    parser.add_argument("--per-minute", type=int, default=2000, help="outcomes of the experiment in a minute")
    parser.add_argument("--database-url", help="a server; the role must be allowed to create databases")
    return parser.parse_args()


if __name__ == "__main__":
    main()
