"""Routing events as plain dictionaries, as instances send them, and functions that queue them."""

import copy
import json
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from centralcloud.contracts import RoutingEvent, parse_routing_event

#: The time of the events: some weeks ago, whenever the tests run. An instance that is a year behind gets a finding.
SENT_AT = (datetime.now(UTC) - timedelta(days=28)).replace(hour=12, minute=0, second=0, microsecond=0)
#: The time at which tests read them.
NOW = SENT_AT + timedelta(days=19)
REQUEST_ID = "019a7a3e-1f2b-7c3d-8e4f-0123456789ab"

EVENT: dict[str, Any] = {
    "timestamp": f"{SENT_AT:%Y-%m-%dT%H:%M:%SZ}",
    "instance_id": "singularity-1",
    "routing_decision": {
        "complexity": "complex",
        "selected_model": "gpt-4o",
        "selected_provider": "github_models",
        "complexity_score": 4.8,
        "outcome": "routed",
        "response_time_ms": None,
        "capabilities_required": [],
        "prefer": None,
        "user_model_request": None,
    },
}


def an_event(instance_id: str = "singularity-1", **decision: Any) -> dict[str, Any]:
    """Return the specification's example, at `SENT_AT`, with some fields of `routing_decision` changed."""
    event = copy.deepcopy(EVENT)
    event["instance_id"] = instance_id
    event["routing_decision"].update(decision)
    return event


def parse(event: dict[str, Any]) -> RoutingEvent:
    """Return an event as the contract reads it, at `NOW`."""
    return parse_routing_event(json.dumps(event), NOW)


def outcomes(successes: int, failures: int, *, time_ms: int | None = 500, **decision: Any) -> list[dict[str, Any]]:
    """Return one event per decision: `successes` that succeeded, then `failures` that failed."""
    return [
        an_event(outcome=outcome, response_time_ms=time_ms, **decision)
        for outcome, count in (("success", successes), ("failure", failures))
        for _ in range(count)
    ]


def send(url: str, events: list[dict[str, Any]]) -> None:
    """Put events on the queue by plain SQL, as an instance without the agent does."""
    send_texts(url, [json.dumps(event) for event in events])


def send_texts(url: str, texts: list[str | None]) -> None:
    """Put messages of any content on the queue, in order."""
    with psycopg.connect(url) as connection:
        connection.cursor().executemany(
            "SELECT pgmq.send('model_routing_decisions', %s::jsonb)", [(text,) for text in texts]
        )


def random_events(count: int, rng: random.Random) -> list[dict[str, Any]]:
    """Return one event per decision, of a few models whose success rates differ by complexity."""
    models = {"atlas": 0.97, "borealis": 0.6, "cirrus": 0.9, "dune": 0.99}
    factors = {"simple": 1.0, "medium": 0.98, "complex": 0.9}
    events = []
    for number in range(count):
        model = rng.choice(list(models))
        complexity = rng.choice(list(factors))
        succeeded = rng.random() < models[model] * factors[complexity]
        event = an_event(
            f"instance-{rng.randrange(4)}",
            complexity=complexity,
            selected_model=model,
            selected_provider=f"{model}-cloud",
            complexity_score=round(rng.uniform(1, 4), 1) if number < 50 else 2.5,
            outcome="success" if succeeded else "failure",
            response_time_ms=None if rng.random() < 0.1 else rng.choice([120, 480.5, 1999, 2000, 2600, 7000]),
        )
        event["timestamp"] = f"{SENT_AT:%Y-%m-%d}T{number // 3600 % 24:02}:{number // 60 % 60:02}:{number % 60:02}Z"
        events.append(event)
    return events
