"""Explanations of requests: what is merged from their events, and what the memory of a replica keeps."""

from datetime import UTC, datetime, timedelta
from typing import Any

from centralcloud.contracts import RequestEvent
from instance_agent.gateway.decision_memory import DecisionMemory
from instance_agent.gateway.explanation import explain, rows_of

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)


def an_event(request_id: str = "r", attempt: int = 1, outcome: str = "routed", **fields: Any) -> RequestEvent:
    return RequestEvent(
        timestamp=NOW + timedelta(seconds=attempt),
        instance_id="gateway-1",
        complexity="simple",
        model=f"model-{attempt}",
        provider="p",
        complexity_score=3.0,
        outcome=outcome,
        decision_id=f"{request_id}-{attempt}",
        request_id=request_id,
        attempt=attempt,
        **fields,
    )


def explained(*events: RequestEvent) -> dict[str, Any]:
    return explain("r", rows_of(events), None, source="memory")


def test_costs_and_times_of_all_attempts_are_summed() -> None:
    found = explained(
        an_event(attempt=1),
        an_event(attempt=1, outcome="failure", error_kind="timeout", cost_nano_usd=1, response_time_ms=100),
        an_event(attempt=2),
        an_event(attempt=2, outcome="success", cost_nano_usd=15_000, response_time_ms=20),
    )
    assert (found["cost"], found["latency"], found["status"], found["modelId"]) == (
        0.000015001,
        120,
        "success",
        "model-2",
    )
    assert [each["cost"] for each in found["attempts"]] == [0.000000001, 0.000015]


def test_a_cost_that_is_not_known_is_absent() -> None:
    found = explained(an_event(), an_event(outcome="success", response_time_ms=5))
    assert "cost" not in found
    assert "cost" not in found["attempts"][0]
    assert found["latency"] == 5


def test_the_numbers_of_an_answer_that_waits_for_feedback_are_shown() -> None:
    until = datetime.now(UTC) + timedelta(minutes=5)
    numbers = {"response_time_ms": 30, "input_tokens": 7, "finish_reason": "stop"}
    waiting = an_event(feedback_until=until, cost_nano_usd=5, extra={"feedback_outcome": numbers})
    over = an_event(feedback_until=datetime.now(UTC) - timedelta(seconds=1))

    found = explained(waiting)
    assert (found["status"], found["latency"], found["cost"]) == ("waiting_for_feedback", 30, 5e-9)
    assert found["attempts"][0]["usage"] == {"promptTokens": 7}
    assert explained(over)["status"] == "no_outcome"


def test_attempts_stand_in_their_order_whatever_order_their_records_have() -> None:
    found = explained(
        an_event(attempt=2, outcome="success"), an_event(attempt=1, outcome="failure"), an_event(attempt=2)
    )
    assert [each["attempt"] for each in found["attempts"]] == [1, 2]
    assert found["status"] == "success"


def test_the_memory_keeps_the_newest_requests_and_not_too_many_events_of_one() -> None:
    memory = DecisionMemory(most=2)
    for name in ("a", "b", "c"):
        memory.add((an_event(name), an_event(name, outcome="success")))
    assert memory.find("a") == ()
    assert [len(memory.find(name)) for name in ("b", "c")] == [2, 2]
    for attempt in range(100):
        memory.add((an_event("c", attempt), an_event("c", attempt, outcome="failure")))
    assert len(memory.find("c")) == 40
