"""Events of requests that a gateway executes."""

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import uuid_utils

from support.events import an_event


def a_request_id() -> str:
    return str(uuid_utils.uuid7())


def in_minutes(minutes: float) -> str:
    return (datetime.now(UTC) + timedelta(minutes=minutes)).isoformat()


def an_attempt(request_id: str, attempt: int, outcome: str, model: str = "gpt-4o", **decision: Any) -> dict[str, Any]:
    """Return an event of one attempt of a request; the decision has an id of its own."""
    event = an_event(
        "gateway-1",
        request_id=request_id,
        attempt=attempt,
        decision_id=f"{request_id}-{attempt}",
        selected_model=model,
        outcome=outcome,
        **decision,
    )
    return event | {"timestamp": datetime.now(UTC).isoformat()}


def waiting(request_id: str, attempt: int = 1, model: str = "gpt-4o", **decision: Any) -> dict[str, Any]:
    """Return the event of a request that waits for feedback for ten minutes."""
    return an_attempt(request_id, attempt, "routed", model, **{"feedback_until": in_minutes(10), **decision})


def report_feedback(
    url: str, request_id: str, success: bool | None = None, reward: float | None = None, **others: Any
) -> Any:
    """Report feedback; return its status, and whether it was learned."""
    values = {"request_id": request_id, "success": success, "reward": reward, "comment": None, "user": None} | others
    statement = (
        "SELECT * FROM centralcloud.report_feedback(%(request_id)s, %(success)s, %(reward)s, %(comment)s, %(user)s)"
    )
    with psycopg.connect(url) as connection:
        return connection.execute(statement, values).fetchone()
