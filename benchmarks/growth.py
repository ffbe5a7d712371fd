"""Measure which costs grow with the number of stored records, pairs and instances.

    python benchmarks/growth.py [--long] [--rounds 5] [--database-url URL]

Creates databases with a history inside the server: 10^5, 10^6 and with --long 10^7 records at 100 pairs and 10 instances,
and 10^5 records at 10, 100 and 1,000 pairs and at 10 and 1,000 instances. Each round measures in each database:

- ingest: events per second, for 20,000 new events with ids at batch size 1,000, by the real consumers of one worker;
- learner: seconds of one run of all rules over these events, including the gathering of their evidence; and of the first run
  after a start, which reads all evidence;
- poll: milliseconds of one poll of a real ScoreUpdater, with the whole snapshot (reconcile) and without;
- dashboards: milliseconds of each view, and of the counters that `centralcloud metrics` shows.

Prints one JSON object: medians over the rounds, and for each database and figure the median of the rounds' ratios to the
smallest database (10^5 records, 100 pairs, 10 instances). A ratio above 1 is faster for ingest, and slower for a time.
"""

import argparse
import json
import statistics
import tempfile
import threading
import time
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
from _shared import a_database, machine, progress, routing_events
from support.history import fill_history
from support.servers import a_server

from centralcloud.ingest.consumer import Consumer
from centralcloud.ingest.worker_registry import WorkerRegistry
from centralcloud.learning.learner import Learner
from centralcloud.runtime.logs import configure_logs
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.query import Query
from centralcloud.settings import Settings
from instance_agent.catalog.learned_scores_file import LearnedScoresFile
from instance_agent.sync.score_updater import ScoreUpdater

EVENTS = 20_000
BATCH_SIZE = 1000
DASHBOARDS = (
    "dashboard_models_per_instance",
    "dashboard_success_rates",
    "dashboard_response_times",
    "dashboard_hourly_performance",
    "model_routing_metrics",
)


class History(NamedTuple):
    """The amount of data in a database."""

    records: int
    pairs: int
    instances: int


SMALLEST = History(100_000, 100, 10)


def main() -> None:
    arguments = _arguments()
    configure_logs("error")
    histories = [SMALLEST, History(1_000_000, 100, 10)]
    if arguments.long:
        histories.append(History(10_000_000, 100, 10))
    histories += [History(100_000, pairs, instances) for pairs in (10, 100, 1000) for instances in (10, 1000)]
    histories = list(dict.fromkeys(histories))
    measured: dict[History, dict[str, list[float]]] = {history: defaultdict(list) for history in histories}
    with a_server(arguments.database_url) as server, ExitStack() as stack:
        urls = {}
        for history in histories:
            progress(f"creating {history.records:,} records, {history.pairs} pairs, {history.instances} instances")
            urls[history] = stack.enter_context(a_database(server))
            fill_history(urls[history], **history._asdict())
            _merge_evidence(urls[history])
        for number in range(1, arguments.rounds + 1):
            for history, url in urls.items():
                for name, value in _measure(url, history, seed=number).items():
                    measured[history][name].append(value)
                progress(
                    f"round {number}: {history}: {measured[history]['ingest_events_per_second'][-1]:,.0f} events/s"
                )
        with psycopg.connect(server) as connection:
            print(json.dumps({"rounds": arguments.rounds, **machine(connection), **_report(measured)}))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--long", action="store_true", help="also 10^7 records: about ten minutes and 5 GB more")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--database-url", help="a server whose role may create databases; without it an embedded one")
    return parser.parse_args()


def _measure(url: str, history: History, *, seed: int) -> dict[str, float]:
    models = max(1, history.pairs // 3)
    with psycopg.connect(url, autocommit=True) as connection:
        with connection.cursor().copy("COPY pgmq.q_model_routing_decisions (vt, message) FROM STDIN") as copy:
            for text in routing_events(EVENTS, with_ids=True, models=models, instances=history.instances, seed=seed):
                copy.write_row(("now", text))
        connection.execute("VACUUM ANALYZE pgmq.q_model_routing_decisions")
        connection.execute("CHECKPOINT")
    with Database(url, application_name="benchmark") as database:
        learner = Learner(database, Settings().rules)
        figures = {"learner_start_seconds": _seconds(learner.learn)}
        figures["ingest_events_per_second"] = EVENTS / _seconds(lambda: _ingest(database))
        figures["learner_seconds"] = _seconds(learner.learn)
        figures |= _polls(database)
    with psycopg.connect(url, autocommit=True) as connection:
        for view in DASHBOARDS:
            figures[f"{view}_ms"] = 1000 * _seconds(
                lambda view=view: connection.execute(f"SELECT * FROM {view}").fetchall()
            )
    return figures


def _merge_evidence(url: str) -> None:
    """Merge evidence as the hourly maintenance does."""
    with psycopg.connect(url) as connection:
        Query("centralcloud.maintenance", "merge_evidence").run(
            connection, {"weighed_records": 90_000, "weighed_slices": 1000}
        )


def _ingest(database: Database) -> None:
    """Ingest the queue as one worker process with default settings does."""
    registry = WorkerRegistry(database, batch_size=BATCH_SIZE)
    consumers = [
        Consumer(database, batch_size=BATCH_SIZE, poll_interval_seconds=1, registry=registry)
        for _ in range(Settings().consumers)
    ]

    def work(consumer: Consumer) -> None:
        while consumer.run_once():
            pass

    threads = [threading.Thread(target=work, args=(consumer,)) for consumer in consumers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for consumer in consumers:
        consumer.close()


def _polls(database: Database) -> dict[str, float]:
    figures = {}
    for name, reconcile_seconds in (("poll_ms", 3600.0), ("reconcile_ms", 0.0)):
        with tempfile.TemporaryDirectory() as folder:
            updater = ScoreUpdater(
                database,
                instance_id="benchmark",
                file=LearnedScoresFile(Path(folder)),
                reconcile_interval_seconds=reconcile_seconds,
            )
            updater.run_once()  # the first poll reads everything
            figures[name] = 1000 * statistics.median(_seconds(updater.run_once) for _ in range(20))
    return figures


def _seconds(work: Any) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _report(measured: dict[History, dict[str, list[float]]]) -> dict[str, Any]:
    smallest = measured[SMALLEST]
    rows = []
    for history, figures in measured.items():
        ratios = {
            name: statistics.median(a / b for a, b in zip(values, smallest[name], strict=True))
            for name, values in figures.items()
        }
        medians = {name: statistics.median(values) for name, values in figures.items()}
        rows.append({**history._asdict(), **_rounded(medians), "to_smallest": _rounded(ratios)})
    most = max(
        (row for row in rows if (row["pairs"], row["instances"]) == SMALLEST[1:]), key=lambda row: row["records"]
    )
    return {
        "databases": rows,
        "goals": {f"ingest at {most['records']:,} records >= 0.9 of that at {SMALLEST.records:,}":
                  most["to_smallest"]["ingest_events_per_second"] >= 0.9},
    }  # fmt: skip


def _rounded(figures: dict[str, float]) -> dict[str, float]:
    return {name: float(f"{value:.4g}") for name, value in figures.items()}


if __name__ == "__main__":
    main()
