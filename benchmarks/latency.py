"""Measure how long it takes to count an event, and to bring a score to every instance. Prints one JSON object.

Ingest: the time from the call that sends one event until a query of `model_routing_metrics`, over another connection, finds
it counted. A `centralcloud run` process ingests it. The queries have short pauses between them, because polling without a
pause would take a core from the measured processes. `between_queries` reports the time between two queries: a measured time
may be too long by that much. Events are sent one at a time, at random moments: `with_notification` so seldom that each has a
notification of its own, `soon_after_another` so soon after the one before that most have none, because the server notifies
once in 100 ms; then the consumer finds them when it looks again.

Distribution: the time from the learner's COMMIT of its publication until an instance has passed the new scores to its
catalog. `converged` is the time until the last instance has done so, `acknowledged` the time until the database has every
acknowledgement. The instances are real agents, several per process, each with its own connections and folder. All
processes read the same clock (CLOCK_REALTIME). A round begins at a random moment after every instance has acknowledged
the previous one. An instance without notifications is the agent's updater and catalog without its listener.

Instances, server and learner share the cores of this machine. In a fleet they share only the server.
"""

import argparse
import json
import math
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import psycopg
from _fleet import Fleet, run_fleet
from _shared import a_database, machine, progress
from support.commands import start_command
from support.servers import a_server

from centralcloud.ingest.drain import drain
from centralcloud.learning.learner import Learner
from centralcloud.learning.rules import ThresholdRule
from centralcloud.runtime.postgres.database import Database

#: The default settings, for the measurements with notifications, and a shorter interval for those without.
_DAEMON_POLL_SECONDS: Final = 5.0
_INSTANCE_POLL_SECONDS: Final = 10.0
_SHORT_POLL_SECONDS: Final = 0.5
_POLLING_INSTANCES: Final = 10

_MAX_P50_MS: Final = 20.0
_MAX_P99_MS: Final = 100.0
#: For an event without a notification of its own.
_MAX_SOON_AFTER_MS: Final = 300.0
_MAX_CONVERGED_MS: Final = 250.0
#: Longest delay of polling beyond its interval: as long as that of a notification.
_MAX_AFTER_POLL_MS: Final = _MAX_P99_MS

_SEND_AND_NOTIFY: Final = "SELECT centralcloud.publish_decisions(ARRAY[%s::jsonb], true)"
_SEND: Final = "SELECT pgmq.send('model_routing_decisions', %s::jsonb)"
_COUNTED: Final = "SELECT coalesce(sum(usage_count), 0) FROM model_routing_metrics WHERE model_name = 'latency'"
_SLOWEST_ACKNOWLEDGED: Final = "SELECT count(*), min(applied_version) FROM instances"

_QUERY_PAUSE_SECONDS: Final = 0.0005
#: Longest random wait before each event and each round, so that they are not in step with the polls.
_LONGEST_PAUSE_SECONDS: Final = 0.05
#: Wait before an event that is to have a notification of its own, beside the random one: the server notifies once in 0.1 s,
#: and the consumer looks again until 0.2 s have passed.
_OWN_NOTIFICATION_SECONDS: Final = 0.25
#: Shortest pause between two publications. An instance polls twice a second in the long run, however often it is notified.
_LEARNER_PAUSE_SECONDS: Final = 0.5
_WARM_UP_EVENTS: Final = 5
_WARM_UP_ROUNDS: Final = 2
_OUTCOMES_PER_EVALUATION: Final = 100
_LONGEST_WAIT_SECONDS: Final = 60.0


class _Publisher(Database):
    """A database that remembers when its last transaction sent its COMMIT."""

    commit_sent_at_ns = 0

    @contextmanager
    def transaction(self, **options: Any) -> Iterator[psycopg.Connection[Any]]:
        with super().transaction(**options) as connection:
            yield connection
            self.commit_sent_at_ns = time.time_ns()


def main() -> None:
    """Measure and print the result."""
    arguments = _arguments()
    with a_server(arguments.database_url) as server:
        with psycopg.connect(server) as connection:
            measured_on = machine(connection)
        result = {
            "benchmark": "latency",
            **measured_on,
            "ingest": _measure_ingest(server, arguments),
            "distribution": _measure_distribution(server, arguments),
        }
    print(json.dumps({**result, "goals": list(_goals(result))}, indent=2))


def _measure_ingest(server: str, arguments: argparse.Namespace) -> dict[str, Any]:
    with a_database(server) as url:
        with _daemon(url, _DAEMON_POLL_SECONDS):
            pauses = (_OWN_NOTIFICATION_SECONDS, _OWN_NOTIFICATION_SECONDS + _LONGEST_PAUSE_SECONDS)
            with_notification = _ingest_times(url, _SEND_AND_NOTIFY, arguments.samples, pauses)
            soon_after = _ingest_times(url, _SEND_AND_NOTIFY, arguments.samples, (0.0, _LONGEST_PAUSE_SECONDS))
        with _daemon(url, _SHORT_POLL_SECONDS):
            without_notification = _ingest_times(
                url, _SEND, arguments.samples_without_notification, (0.0, _SHORT_POLL_SECONDS)
            )
    return {
        "with_notification": {"poll_interval_seconds": _DAEMON_POLL_SECONDS, **with_notification},
        "soon_after_another": {"poll_interval_seconds": _DAEMON_POLL_SECONDS, **soon_after},
        "without_notification": {"poll_interval_seconds": _SHORT_POLL_SECONDS, **without_notification},
    }


@contextmanager
def _daemon(url: str, poll_interval_seconds: float) -> Iterator[None]:
    """Run `centralcloud run` as a process, with default settings except for the poll interval."""
    settings = {
        "DATABASE_URL": url,
        "CENTRALCLOUD_POLL_INTERVAL_SECONDS": str(poll_interval_seconds),
        "CENTRALCLOUD_LOG_LEVEL": "warning",
    }
    process = start_command("centralcloud", "run", env=settings, log=sys.stderr)
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def _ingest_times(url: str, send: str, samples: int, pauses: tuple[float, float]) -> dict[str, Any]:
    """Send events one by one, each after a random pause between two, and wait until each is counted."""
    times_ms: list[float] = []
    between_ms: list[float] = []
    with psycopg.connect(url, autocommit=True) as sender, psycopg.connect(url, autocommit=True) as reader:
        counted = _count(reader)
        for sample in range(_WARM_UP_EVENTS + samples):
            time.sleep(random.uniform(*pauses))
            event = _an_event("latency", "success", 500)
            sent_at = time.perf_counter()
            sender.execute(send, (event,))
            counted += 1
            query_times = _query_until(sent_at, lambda expected=counted: _count(reader) >= expected)  # type: ignore[misc]
            if sample >= _WARM_UP_EVENTS:
                times_ms.append((query_times[-1] - sent_at) * 1000)
                between_ms += [(later - earlier) * 1000 for earlier, later in pairwise(query_times)]
    progress(f"ingest: {samples} events, p50 {_percentile(times_ms, 50):.1f} ms")
    return {"samples": samples, **_spread_ms(times_ms), "between_queries": _spread_ms(between_ms)}


def _query_until(started_at: float, seen: Callable[[], bool]) -> list[float]:
    """Query until `seen` is true; return the time at the end of each query."""
    query_times = []
    while True:
        found = seen()
        query_times.append(time.perf_counter())
        if found:
            return query_times
        if query_times[-1] - started_at > _LONGEST_WAIT_SECONDS:
            raise TimeoutError(f"not seen within {_LONGEST_WAIT_SECONDS:.0f} s")
        time.sleep(_QUERY_PAUSE_SECONDS)


def _count(reader: psycopg.Connection[Any]) -> int:
    row = reader.execute(_COUNTED).fetchone()
    assert row is not None
    return int(row[0])


def _measure_distribution(server: str, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    fleets = [(instances, True) for instances in arguments.instances] + [(_POLLING_INSTANCES, False)]
    return [
        _distribution_times(server, arguments, instances=instances, listening=listening)
        for instances, listening in fleets
    ]


def _distribution_times(
    server: str, arguments: argparse.Namespace, *, instances: int, listening: bool
) -> dict[str, Any]:
    """Publish to a number of instances, round after round, and collect when each had the scores."""
    poll_interval_seconds = _INSTANCE_POLL_SECONDS if listening else _SHORT_POLL_SECONDS
    longest_pause_seconds = _LONGEST_PAUSE_SECONDS if listening else _SHORT_POLL_SECONDS
    applied_ms: list[float] = []
    converged_ms: list[float] = []
    acknowledged_ms: list[float] = []
    with (
        a_database(server) as url,
        tempfile.TemporaryDirectory(prefix="centralcloud-benchmark-") as folder,
        psycopg.connect(url, autocommit=True) as reader,
        closing(_Publisher(url, application_name="benchmark")) as publisher,
    ):
        fleet = Fleet(url, Path(folder), range(instances), poll_interval_seconds, listening)
        with run_fleet(fleet, instances_per_process=arguments.instances_per_process) as running:
            for number in range(_WARM_UP_ROUNDS + arguments.rounds):
                _prepare_evidence(reader, publisher, arguments.scores, good=number % 2 == 0)
                time.sleep(_LEARNER_PAUSE_SECONDS + random.uniform(0, longest_pause_seconds))
                version = _publish(publisher, arguments.scores)
                sent_at_ns = publisher.commit_sent_at_ns
                times_ms = [(at_ns - sent_at_ns) / 1e6 for at_ns in running.applied_at_ns(version)]
                _wait_until_acknowledged(reader, instances, version)
                if number >= _WARM_UP_ROUNDS:
                    applied_ms += times_ms
                    converged_ms.append(max(times_ms))
                    acknowledged_ms.append((time.time_ns() - sent_at_ns) / 1e6)
    progress(f"distribution: {instances} instances, listening: {listening}, p50 {_percentile(applied_ms, 50):.1f} ms")
    return {
        "instances": instances,
        "processes": running.processes,
        "listening": listening,
        "poll_interval_seconds": poll_interval_seconds,
        "rounds": arguments.rounds,
        "scores_per_round": arguments.scores,
        "applied": _spread_ms(applied_ms),
        "converged": _spread_ms(converged_ms),
        "acknowledged": _spread_ms(acknowledged_ms),
    }


def _prepare_evidence(connection: psycopg.Connection[Any], database: Database, scores: int, *, good: bool) -> None:
    """Ingest enough outcomes to change every model's score: up in one round, down in the next."""
    outcome, time_ms = ("success", 500) if good else ("failure", 3000)
    events = [
        _an_event(f"model-{model}", outcome, time_ms)
        for model in range(scores)
        for _ in range(_OUTCOMES_PER_EVALUATION)
    ]
    connection.execute("SELECT centralcloud.publish_decisions(%s::jsonb[])", (events,))
    drain(database, batch_size=1000)


def _publish(publisher: _Publisher, scores: int) -> int:
    """Run the learner, and return the newest version that it published."""
    run = Learner(publisher, [ThresholdRule()]).learn()
    assert len(run.changes) == scores, f"{len(run.changes)} scores changed, expected {scores}"
    version = run.changes[-1].version
    assert version is not None
    return version


def _wait_until_acknowledged(reader: psycopg.Connection[Any], instances: int, version: int) -> None:
    """Wait until every instance has acknowledged `version`, and is idle."""
    _query_until(time.perf_counter(), lambda: reader.execute(_SLOWEST_ACKNOWLEDGED).fetchone() == (instances, version))


def _an_event(model: str, outcome: str, response_time_ms: int) -> str:
    """Return a decision with its outcome, as an instance reports it."""
    decision = {
        "complexity": "simple",
        "selected_model": model,
        "selected_provider": "provider",
        "complexity_score": 2.0,
        "outcome": outcome,
        "response_time_ms": response_time_ms,
    }
    now = datetime.now(UTC).isoformat()
    return json.dumps({"timestamp": now, "instance_id": "benchmark", "routing_decision": decision})


def _spread_ms(values_ms: Sequence[float]) -> dict[str, float]:
    """Return the median, the 99th percentile and the maximum of times in ms."""
    return {
        "p50_ms": round(_percentile(values_ms, 50), 1),
        "p99_ms": round(_percentile(values_ms, 99), 1),
        "max_ms": round(max(values_ms), 1),
    }


def _percentile(values: Sequence[float], percent: float) -> float:
    """Return the smallest value that is at least as large as `percent` of the values (nearest rank)."""
    return sorted(values)[math.ceil(len(values) * percent / 100) - 1]


def _goals(result: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield each goal with the measured time, and whether it is met."""
    ingest = result["ingest"]
    yield from _quick_goals("ingest with notification", ingest["with_notification"])
    yield _goal("ingest soon after a notification, p99", ingest["soon_after_another"]["p99_ms"], _MAX_SOON_AFTER_MS)
    yield _poll_goal("ingest without notification", ingest["without_notification"], ingest["without_notification"])
    for times in result["distribution"]:
        instances = f"{times['instances']} instances"
        if times["listening"]:
            yield from _quick_goals(f"{instances}: applied", times["applied"])
            yield _goal(f"{instances}: all converged", times["converged"]["max_ms"], _MAX_CONVERGED_MS)
        else:
            yield _poll_goal(f"{instances} without notifications: applied", times, times["applied"])


def _quick_goals(name: str, times: dict[str, float]) -> Iterator[dict[str, Any]]:
    yield _goal(f"{name}, p50", times["p50_ms"], _MAX_P50_MS)
    yield _goal(f"{name}, p99", times["p99_ms"], _MAX_P99_MS)


def _poll_goal(name: str, measurement: dict[str, float], times: dict[str, float]) -> dict[str, Any]:
    at_most_ms = measurement["poll_interval_seconds"] * 1000 + _MAX_AFTER_POLL_MS
    return _goal(f"{name}, max", times["max_ms"], at_most_ms)


def _goal(name: str, measured_ms: float, at_most_ms: float) -> dict[str, Any]:
    return {"goal": name, "at_most_ms": at_most_ms, "measured_ms": measured_ms, "met": measured_ms <= at_most_ms}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--database-url", help="a server on which to create a database; default: an embedded one")
    parser.add_argument("--samples", type=int, default=200, help="events sent with a notification (default 200)")
    parser.add_argument(
        "--samples-without-notification", type=int, default=40, help="events sent without one (default 40)"
    )
    parser.add_argument(
        "--instances", type=int, nargs="*", default=[1, 10, 100], help="sizes of the fleets (default 1 10 100)"
    )
    parser.add_argument("--instances-per-process", type=int, default=10, help="default 10")
    parser.add_argument("--rounds", type=int, default=30, help="publications per fleet (default 30)")
    parser.add_argument("--scores", type=int, default=10, help="scores that change in each round (default 10)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
