"""Measure the throughput of ingest, next to the slowest and the fastest way to do it on the same server in the same run.

    python benchmarks/ingest.py [--events 100000] [--rounds 3] [--database-url URL]

Prints one JSON object with events per second:
- literal: the specification's loop. One message at a time: read, insert the record, update usage, success and response
  time, delete; each statement is a transaction.
- ceiling: one SQL statement per batch: pop, insert records, upsert metrics, with the specification's columns and indexes. It
  has no validation, dead letters, deduplication, evidence or ledger, and no data leaves the server.
- ours: the real consumers with all features: one and two worker processes of two consumers each, which is the default of
  `centralcloud run`, and one worker of one consumer, which is a single database session like that of the ceiling.
Each round runs each variant once on a newly filled queue. The figures are medians over the rounds. The ratios are medians of
the rounds' ratios, so that a machine that is busy for a while slows both sides of a ratio.
"""

import argparse
import json
import multiprocessing
import statistics
import threading
import time
from collections import defaultdict
from typing import Any

import psycopg
from _shared import a_database, machine, progress, routing_events
from support.servers import a_server

from centralcloud.ingest.batch_limits import BatchLimits
from centralcloud.ingest.consumer import Consumer
from centralcloud.ingest.garbage_collection import tune_garbage_collector
from centralcloud.ingest.worker_registry import WorkerRegistry
from centralcloud.runtime.logs import configure_logs
from centralcloud.runtime.postgres.database import Database
from centralcloud.settings import Settings

QUEUE = "model_routing_decisions"
DEFAULT = Settings().batch_size
BATCH_SIZES = (100, 1000, DEFAULT, 5000)
#: name: worker processes, consumers in each
WORKERS = {
    "1 worker": (1, Settings().consumers),
    "2 workers": (2, Settings().consumers),
    "1 worker of 1 consumer": (1, 1),
}
LITERAL_EVENTS = 2000

SPECIFICATION_TABLES = """
CREATE SCHEMA specification;
CREATE TABLE specification.routing_records (
    id bigserial PRIMARY KEY, timestamp timestamptz NOT NULL, instance_id varchar NOT NULL, complexity varchar NOT NULL,
    model varchar NOT NULL, provider varchar NOT NULL, score float NOT NULL, outcome varchar NOT NULL,
    response_time_ms integer, capabilities_required text[], preference varchar, created_at timestamptz DEFAULT now()
);
CREATE TABLE specification.model_routing_metrics (
    id bigserial PRIMARY KEY, model_name varchar NOT NULL, complexity_level varchar NOT NULL, usage_count bigint DEFAULT 0,
    success_count bigint DEFAULT 0, response_times integer[] DEFAULT '{}', avg_response_time float,
    response_time_count bigint DEFAULT 0, updated_at timestamptz DEFAULT now(), UNIQUE (model_name, complexity_level)
);
CREATE INDEX ON specification.routing_records (model, complexity);
CREATE INDEX ON specification.routing_records (timestamp DESC);
CREATE TABLE specification.messages (number bigint, with_ids boolean, message jsonb);
"""
RECORD = """
INSERT INTO specification.routing_records (
    timestamp, instance_id, complexity, model, provider, score, outcome, response_time_ms, capabilities_required, preference
) SELECT
    (message->>'timestamp')::timestamptz, message->>'instance_id', d->>'complexity', d->>'selected_model',
    d->>'selected_provider', (d->>'complexity_score')::float, d->>'outcome', (d->>'response_time_ms')::integer,
    ARRAY(SELECT jsonb_array_elements_text(d->'capabilities_required')), d->>'prefer'
FROM (SELECT message, message->'routing_decision' AS d FROM {source}) AS event
"""
LITERAL = {
    "read": f"SELECT msg_id, message FROM pgmq.read('{QUEUE}', 30, 1)",
    "record": RECORD.format(source="(SELECT %(message)s::jsonb AS message)"),
    "first_use": """INSERT INTO specification.model_routing_metrics (model_name, complexity_level)
        VALUES (%(model)s, %(complexity)s) ON CONFLICT DO NOTHING""",
    "usage": """UPDATE specification.model_routing_metrics SET usage_count = usage_count + 1, updated_at = now()
        WHERE model_name = %(model)s AND complexity_level = %(complexity)s""",
    "success": """UPDATE specification.model_routing_metrics SET success_count = success_count + 1, updated_at = now()
        WHERE model_name = %(model)s AND complexity_level = %(complexity)s""",
    "time": """UPDATE specification.model_routing_metrics SET
        response_times = array_append(response_times, %(ms)s),
        avg_response_time = (coalesce(avg_response_time, 0) * response_time_count + %(ms)s) / (response_time_count + 1),
        response_time_count = response_time_count + 1, updated_at = now()
        WHERE model_name = %(model)s AND complexity_level = %(complexity)s""",
    "delete": f"SELECT pgmq.delete('{QUEUE}', %(msg_id)s)",
}
CEILING = f"""
WITH popped AS MATERIALIZED (
    SELECT message FROM pgmq.pop('{QUEUE}', %s)
), recorded AS (
    {RECORD.format(source="popped")}
    RETURNING model, complexity, outcome, response_time_ms
), counted AS (
    INSERT INTO specification.model_routing_metrics AS m (
        model_name, complexity_level, usage_count, success_count, response_times, avg_response_time, response_time_count
    )
    SELECT
        model, complexity, count(*), count(*) FILTER (WHERE outcome = 'success'),
        (coalesce(array_agg(response_time_ms) FILTER (WHERE response_time_ms IS NOT NULL), '{{}}'))[1:100],
        avg(response_time_ms), count(response_time_ms)
    FROM recorded GROUP BY model, complexity ORDER BY model, complexity
    ON CONFLICT (model_name, complexity_level) DO UPDATE SET
        usage_count = m.usage_count + excluded.usage_count,
        success_count = m.success_count + excluded.success_count,
        response_times = (m.response_times || excluded.response_times)[
            greatest(1, cardinality(m.response_times) + cardinality(excluded.response_times) - 99):],
        avg_response_time = (
            coalesce(m.avg_response_time * m.response_time_count, 0)
            + coalesce(excluded.avg_response_time * excluded.response_time_count, 0)
        ) / nullif(m.response_time_count + excluded.response_time_count, 0),
        response_time_count = m.response_time_count + excluded.response_time_count,
        updated_at = now()
)
SELECT count(*) FROM popped
"""


def main() -> None:
    arguments = _arguments()
    configure_logs("warning")
    rates: dict[str, list[float]] = defaultdict(list)
    with (
        a_server(arguments.database_url) as server,
        a_database(server) as url,
        psycopg.connect(url, autocommit=True) as connection,
    ):
        connection.execute(SPECIFICATION_TABLES)
        for with_ids in (False, True):
            _store_messages(connection, arguments.events, with_ids)
        for number in range(1, arguments.rounds + 1):
            for name, run in _variants(url, connection, arguments.events):
                rates[name].append(run())
                progress(f"round {number}: {name}: {rates[name][-1]:,.0f} events/s")
        print(
            json.dumps(
                {"events": arguments.events, "rounds": arguments.rounds, **machine(connection), **_report(rates)}
            )
        )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--events", type=int, default=100_000, help="events in the queue for each variant")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--database-url", help="a server whose role may create databases; without it an embedded one")
    return parser.parse_args()


def _variants(url: str, connection: psycopg.Connection[Any], events: int) -> Any:
    def measured(run: Any, count: int, with_ids: bool) -> Any:
        def fill_and_run() -> float:
            _fill(connection, count, with_ids)
            seconds = run()
            assert _queued(connection) == 0
            return count / seconds

        return fill_and_run

    yield "literal", measured(lambda: _literal(connection), LITERAL_EVENTS, False)
    for with_ids in (False, True):
        suffix = ", with ids" if with_ids else ""
        for batch in BATCH_SIZES:
            yield f"ceiling, batch {batch}{suffix}", measured(lambda b=batch: _ceiling(connection, b), events, with_ids)
            for workers, numbers in WORKERS.items():
                name = f"ours, batch {batch}, {workers}{suffix}"
                yield name, measured(lambda b=batch, n=numbers: _ours(url, b, *n), events, with_ids)


def _report(rates: dict[str, list[float]]) -> dict[str, Any]:
    def ratio(ours: str, other: str) -> float:
        return round(statistics.median(a / b for a, b in zip(rates[ours], rates[other], strict=True)), 3)

    ratios: dict[str, Any] = {}
    for name in rates:
        if name.startswith("ours"):
            _, batch, _, *ids = name.split(", ")
            ratios[name] = {
                "of_ceiling": ratio(name, ", ".join(["ceiling", batch, *ids])),
                "times_literal": ratio(name, "literal"),
            }
    return {
        "events_per_second": {name: round(statistics.median(values)) for name, values in rates.items()},
        "ratios": ratios,
        "goals": {
            "of_ceiling >= 0.85, default batch, 1 worker":
                ratios[f"ours, batch {DEFAULT}, 1 worker"]["of_ceiling"] >= 0.85,
            "of_ceiling >= 0.75, batch 1000, 1 worker":
                ratios["ours, batch 1000, 1 worker"]["of_ceiling"] >= 0.75,
            "times_literal >= 80, default batch, 1 worker":
                ratios[f"ours, batch {DEFAULT}, 1 worker"]["times_literal"] >= 80,
            "of_ceiling >= 0.6, default batch, 1 worker, with ids":
                ratios[f"ours, batch {DEFAULT}, 1 worker, with ids"]["of_ceiling"] >= 0.6,
        },
    }  # fmt: skip


def _store_messages(connection: psycopg.Connection[Any], count: int, with_ids: bool) -> None:
    progress(f"creating {count:,} events{' with ids' if with_ids else ''}")
    with connection.cursor().copy("COPY specification.messages FROM STDIN") as copy:
        for number, text in enumerate(routing_events(count, with_ids=with_ids)):
            copy.write_row((number, with_ids, text))


def _fill(connection: psycopg.Connection[Any], count: int, with_ids: bool) -> None:
    connection.execute(
        f"""
        INSERT INTO pgmq.q_{QUEUE} (vt, message)
        SELECT now(), message FROM specification.messages WHERE with_ids = %s AND number < %s ORDER BY number
        """,
        (with_ids, count),
    )
    # Each variant starts from the same state: no ids of earlier variants, no dead rows, no dirty pages.
    connection.execute("TRUNCATE decision_ids")
    for table in (f"pgmq.q_{QUEUE}", "model_routing_metrics", "evidence", "specification.model_routing_metrics"):
        connection.execute(f"VACUUM ANALYZE {table}")
    connection.execute("CHECKPOINT")


def _queued(connection: psycopg.Connection[Any]) -> int:
    row = connection.execute(f"SELECT count(*) FROM pgmq.q_{QUEUE}").fetchone()
    assert row is not None
    return int(row[0])


def _literal(connection: psycopg.Connection[Any]) -> float:
    started = time.perf_counter()
    while row := connection.execute(LITERAL["read"]).fetchone():
        msg_id, message = row
        decision = message["routing_decision"]
        values = {
            "msg_id": msg_id,
            "message": json.dumps(message),
            "model": decision["selected_model"],
            "complexity": decision["complexity"],
            "ms": decision["response_time_ms"],
        }
        connection.execute(LITERAL["record"], values)
        if connection.execute(LITERAL["usage"], values).rowcount == 0:
            connection.execute(LITERAL["first_use"], values)
            connection.execute(LITERAL["usage"], values)
        if decision["outcome"] == "success":
            connection.execute(LITERAL["success"], values)
        if decision["response_time_ms"] is not None:
            connection.execute(LITERAL["time"], values)
        connection.execute(LITERAL["delete"], values)
    return time.perf_counter() - started


def _ceiling(connection: psycopg.Connection[Any], batch_size: int) -> float:
    started = time.perf_counter()
    while (row := connection.execute(CEILING, (batch_size,)).fetchone()) and row[0]:
        pass
    return time.perf_counter() - started


def _ours(url: str, batch_size: int, workers: int, consumers: int) -> float:
    """Return the seconds from the moment when every worker is connected until the last commit."""
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(workers + 1)
    processes = [context.Process(target=_work, args=(url, batch_size, consumers, barrier)) for _ in range(workers)]
    for process in processes:
        process.start()
    barrier.wait()
    started = time.perf_counter()
    barrier.wait()
    seconds = time.perf_counter() - started
    for process in processes:
        process.join()
    return seconds


def _work(url: str, batch_size: int, consumers: int, barrier: Any) -> None:
    """Run one worker process as `centralcloud run` does."""
    configure_logs("warning")
    tune_garbage_collector()
    with Database(url, application_name="benchmark/worker", max_connections=2 * consumers + 4) as database:
        limits = BatchLimits(batch_size).share(consumers)
        registry = WorkerRegistry(database, batch_size=batch_size)
        tasks = [
            Consumer(
                database,
                batch_size=limits.messages,
                batch_bytes=limits.bytes,
                poll_interval_seconds=1,
                registry=registry,
            )
            for _ in range(consumers)
        ]
        with database.transaction() as connection:
            connection.execute("SELECT 1")
        barrier.wait()
        threads = [threading.Thread(target=_empty_the_queue, args=(task,)) for task in tasks]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        barrier.wait()
        for task in tasks:
            task.close()


def _empty_the_queue(consumer: Consumer) -> None:
    while consumer.run_once():
        pass


if __name__ == "__main__":
    main()
