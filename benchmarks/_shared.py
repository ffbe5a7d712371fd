"""Helpers of the benchmarks: a new database, realistic events, and facts about the machine."""

import json
import os
import random
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import uuid_utils
from psycopg.conninfo import make_conninfo

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from centralcloud.runtime.postgres.database import Database
from centralcloud.store.partitions import ensure_partitions
from centralcloud.store.schema import migrate

_COMPLEXITIES = ("simple", "medium", "complex")
_FIRST = datetime(2026, 11, 19, tzinfo=UTC)


@contextmanager
def a_database(server: str) -> Iterator[str]:
    """Create a database with the newest schema on `server`, and yield its URL; drop it at the end."""
    with psycopg.connect(server, autocommit=True) as connection:
        name = f"cc_benchmark_{uuid.uuid4().hex[:8]}"
        connection.execute(f"CREATE DATABASE {name}")
        database_url = make_conninfo(server, dbname=name)
        try:
            with Database(database_url, application_name="benchmark") as database:
                migrate(database)
                ensure_partitions(database)
            yield database_url
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def routing_events(count: int, *, with_ids: bool, models: int = 20, instances: int = 8, seed: int = 1) -> Iterator[str]:
    """Return `count` routing events as JSON, of `models` models in 3 complexities, from `instances` instances.

    Without ids one event a decision, as in the specification. With ids two events a decision, as our agent sends them: the
    outcome comes some thousands of events after the decision.
    """
    rng = random.Random(seed)
    unresolved: list[dict[str, Any]] = []
    for number in range(count):
        if with_ids and (len(unresolved) > 2000 or (unresolved and count - number <= len(unresolved))):
            event = unresolved.pop(0)
        else:
            event = _event(rng, number, models, instances)
            if with_ids:
                event["routing_decision"]["decision_id"] = str(uuid_utils.uuid7())
                unresolved.append(json.loads(json.dumps(event)))
                event["routing_decision"].update(outcome="routed", response_time_ms=None)
        yield json.dumps(event)


def _event(rng: random.Random, number: int, models: int, instances: int) -> dict[str, Any]:
    model = rng.randrange(models)
    return {
        "timestamp": (_FIRST + number * timedelta(milliseconds=10)).isoformat(),
        "instance_id": f"instance-{rng.randrange(instances)}",
        "routing_decision": {
            "complexity": rng.choice(_COMPLEXITIES),
            "selected_model": f"model-{model}",
            "selected_provider": f"provider-{model % 5}",
            "complexity_score": 2.5,
            "outcome": "success" if rng.random() < 0.5 + model / models / 2.5 else "failure",
            "response_time_ms": round(rng.lognormvariate(6.5, 0.8)),
            "capabilities_required": rng.choice(([], [], [], ["vision"], ["function_calling", "vision"])),
            "prefer": rng.choice((None, None, "speed", "cost")),
            "user_model_request": None,
        },
    }


def machine(connection: psycopg.Connection[Any]) -> dict[str, Any]:
    """Describe the machine that the figures were measured on."""
    row = connection.execute("SELECT current_setting('server_version'), current_setting('fsync')").fetchone()
    assert row is not None
    return {"postgresql": row[0], "fsync": row[1], "cores": os.cpu_count(), "python": sys.version.split()[0]}


def progress(text: str) -> None:
    """Print a line of progress to standard error: standard output is for the result."""
    print(text, file=sys.stderr, flush=True)
