"""Requests of a gateway: their fields in the records, their plans, and one row of routing_decisions for each."""

import random
from datetime import UTC, datetime
from uuid import UUID

import pytest
from support.events import an_event, outcomes, random_events, send
from support.ingest import ingest_all
from support.maintenance import maintain
from support.operators import OPERATOR
from support.plans import explain, nodes, pages
from support.requests import a_request_id, an_attempt, in_minutes
from support.servers import execute

from centralcloud.administration.forgetting import forget_models
from centralcloud.administration.verification import verify
from centralcloud.contracts.event_fields import REQUEST_FIELDS
from centralcloud.ingest.batch_ingest import BatchResult
from centralcloud.runtime.postgres.database import Database
from centralcloud.store.slices import close_slice
from centralcloud.store.tables.ingest import routing_records

REQUEST = {
    "attempt": 2, "session": "0123456789abcdef", "workspace": "acme", "key_id": "k-1", "user_id": "u-1", "worker": "w-1",
    "task_id": "t-1", "agent_type": "coder", "policy": "code", "rule": "r-1", "complexity_level_10": 7,
    "estimated_cost_usd": 0.5, "cost_nano_usd": 123_456_789_012, "estimated_ms": 900, "first_token_ms": 80,
    "reward": 0.75, "finish_reason": "stop", "classifier": "v1", "model_version": "gpt-4o-2024", "experiment": "e-1",
    "arm": "b", "arm_share": 0.1, "feedback_until": "2026-11-29T12:00:00+00:00",
}  # fmt: skip


def test_every_field_of_a_request_is_stored(database: Database, database_url: str) -> None:
    request_id = a_request_id()
    plan = {"reason": "learned", "targets": [{"model": "gpt-4o", "code": "best"}]}
    send(database_url, [an_event(request_id=request_id, plan=plan, outcome="success", **REQUEST)])
    assert ingest_all(database) == BatchResult(records=1)
    ((record,),) = execute(database_url, "SELECT to_jsonb(r) FROM routing_records r")
    assert {name: record[name] for name in REQUEST} == REQUEST
    assert record["request_id"] == request_id
    assert record["cost_usd"] == 123.456789012, "computed from the exact cost"
    assert record["extra"] is None
    assert {field.name for field in REQUEST_FIELDS} == {*REQUEST, "request_id", "plan"}, "all fields are covered"
    assert execute(database_url, "SELECT request_id, plan FROM request_plans") == [(UUID(request_id), plan)]


def test_a_batch_of_requests_and_other_events_is_stored_with_the_columns_of_both(
    database: Database, database_url: str
) -> None:
    request_id, plan = a_request_id(), {"quotes": 'a "b" \\ {c}, caf\u00e9', "list": [1, None, {"d": []}]}
    send(
        database_url,
        [
            an_event(capabilities_required=["vision", 'a "b"'], colour="blue", decision_id="d-1"),
            an_event(request_id=request_id, attempt=1, plan=plan),
            an_event(outcome="success", response_time_ms=7),
        ],
    )
    assert ingest_all(database) == BatchResult(records=3)
    columns = "decision_id, request_id, attempt, capabilities_required, extra, response_time_ms, first_of_decision"
    assert execute(database_url, f"SELECT {columns} FROM routing_records ORDER BY id") == [
        ("d-1", None, None, ["vision", 'a "b"'], {"colour": "blue"}, None, True),
        (None, UUID(request_id), 1, [], None, None, None),
        (None, None, None, [], None, 7, None),
    ]
    assert execute(database_url, "SELECT plan FROM request_plans") == [(plan,)]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("request_id", "5f0c1d8e-3c55-4d4e-9a43-111111111111"),
        ("attempt", 0),
        ("session", "0123"),
        ("workspace", "w" * 201),
        ("user_id", "line\nbreak"),
        ("complexity_level_10", 11),
        ("cost_nano_usd", -1),
        ("reward", 1.01),
        ("arm_share", "half"),
        ("feedback_until", "soon"),
        ("plan", ["a list"]),
        ("plan", {"words": "x" * 2040}),
    ],
)
def test_an_invalid_field_of_a_request_is_kept_in_extra_and_reported(
    database: Database, database_url: str, field: str, value: object
) -> None:
    send(database_url, [an_event(**{"request_id": a_request_id(), "workspace": "acme", field: value})])
    assert ingest_all(database) == BatchResult(records=1)
    assert execute(database_url, "SELECT extra FROM routing_records") == [({field: value},)]
    assert execute(database_url, "SELECT field, messages FROM ignored_values") == [(f"routing_decision.{field}", 1)]
    assert execute(database_url, "SELECT count(*) FROM request_plans") == [(0,)]


def test_unusual_forms_of_request_fields_are_converted(database: Database, database_url: str) -> None:
    request_id = a_request_id()
    send(
        database_url,
        [
            an_event(
                request_id=request_id.upper(), session="0123456789ABCDEF", workspace=" acme ", attempt="2", user_id=17,
                worker="", feedback_until=1_796_000_000, reward="0.5", cost_nano_usd=5e9, policy=None,
            )
        ],
    )  # fmt: skip
    ingest_all(database)
    columns = (
        "request_id::text, session, workspace, attempt, user_id, worker, reward, cost_nano_usd, cost_usd, policy, extra"
    )
    assert execute(database_url, f"SELECT {columns} FROM routing_records") == [
        (request_id, "0123456789abcdef", "acme", 2, "17", None, 0.5, 5_000_000_000, 5.0, None, None)
    ]
    ((until,),) = execute(database_url, "SELECT feedback_until FROM routing_records")
    assert until == datetime.fromtimestamp(1_796_000_000, UTC)


def test_a_plan_without_a_request_is_kept_in_extra(database: Database, database_url: str) -> None:
    send(database_url, [an_event(plan={"reason": "r"}, workspace="acme")])
    ingest_all(database)
    assert execute(database_url, "SELECT extra, workspace FROM routing_records") == [
        ({"plan": {"reason": "r"}}, "acme")
    ]


def test_the_first_plan_of_a_request_is_stored_and_a_resend_changes_nothing(
    database: Database, database_url: str
) -> None:
    one, two = a_request_id(), a_request_id()
    first = [
        an_attempt(one, 1, "failure", plan={"n": 1}),
        an_attempt(one, 2, "success", plan={"n": 2}),
        an_attempt(two, 1, "success", plan={"n": 3}),
    ]
    for events in (first, first, [an_attempt(one, 3, "success", plan={"n": 4})]):
        send(database_url, events)
        ingest_all(database)
    plans = "SELECT request_id::text, plan -> 'n' FROM request_plans ORDER BY request_id"
    assert execute(database_url, plans) == [(one, 1), (two, 3)]
    assert verify(database).ok


def test_plans_expire_after_their_days_and_none_is_stored_with_0(database: Database, database_url: str) -> None:
    old, new = a_request_id(), a_request_id()
    send(database_url, [an_attempt(old, 1, "success", plan={}), an_attempt(new, 1, "success", plan={})])
    ingest_all(database)
    age = "UPDATE request_plans SET created_at = now() - interval '8 days' WHERE request_id = %s"
    execute(database_url, age, (old,))
    maintain(database)
    assert execute(database_url, "SELECT request_id::text FROM request_plans") == [(new,)]
    execute(database_url, "INSERT INTO fleet_settings (name, value) VALUES ('retention.request_plans_days', '0')")
    off = a_request_id()
    send(database_url, [an_attempt(off, 1, "success", plan={})])
    assert ingest_all(database) == BatchResult(records=1)
    assert execute(database_url, "SELECT request_id::text FROM request_plans") == [(new,)]
    maintain(database, request_plans_days=0)
    assert execute(database_url, "SELECT count(*) FROM request_plans") == [(0,)]


VIEW = """
    SELECT task_type, complexity, selected_model, reasoning, estimated_cost, actual_cost, execution_time, estimated_time,
           success, tokens_used, attempts
    FROM routing_decisions
"""


def test_a_request_with_a_fallback_is_one_row_with_the_sums_of_its_attempts(
    database: Database, database_url: str
) -> None:
    request_id = a_request_id()
    first = {"task_type": "code", "complexity_level_10": 9, "estimated_cost_usd": 0.1, "estimated_ms": 500}
    second = first | {"estimated_cost_usd": 0.3, "estimated_ms": 700}
    spent = {"response_time_ms": 100, "cost_nano_usd": 15_000, "input_tokens": 5}
    events = [
        an_attempt(
            request_id, 1, "routed", "small", policy="code", key_id="cck_1", plan={"reason": "cheapest"}, **first
        ),
        an_attempt(request_id, 1, "failure", "small", error_kind="timeout", **first, **spent),
        an_attempt(request_id, 2, "routed", "large", **second),
        an_attempt(request_id, 2, "success", "large", **(spent | {"output_tokens": 7, "cost_nano_usd": 1})),
    ]
    send(database_url, events[:3])
    ingest_all(database)
    row = ("code", 9, "large", "cheapest", 0.3, 0.000015, 0.1, 0.7, None, 5, 2)
    assert execute(database_url, VIEW) == [row], "the last attempt has no outcome yet"
    send(database_url, events[3:])
    ingest_all(database)
    row = ("code", 9, "large", "cheapest", 0.3, 0.000015001, 0.2, 0.7, True, 17, 2)
    assert execute(database_url, VIEW + "WHERE request_id = %s", (request_id,)) == [row]
    assert execute(database_url, "SELECT key_id FROM routing_decisions") == [("cck_1",)]
    usage = "SELECT model_name, usage_count FROM model_routing_metrics ORDER BY 1"
    assert execute(database_url, usage) == [("large", 1), ("small", 1)], "each attempt is a decision"
    assert verify(database).ok


def test_decisions_without_a_request_are_a_request_each(database: Database, database_url: str) -> None:
    linked = [an_event(decision_id=f"d-{n}", outcome=outcome) for n in range(3) for outcome in ("routed", "success")]
    same_id = an_event("another", decision_id="d-0", outcome="success")
    send(database_url, [*linked, same_id, *outcomes(2, 1, complexity="simple")])
    ingest_all(database)
    rows = execute(database_url, "SELECT complexity, success, attempts FROM routing_decisions ORDER BY id")
    assert rows == [(8, True, 1)] * 4 + [(2, True, 1)] * 2 + [(2, False, 1)]
    seed = "id timestamp objective task_type complexity selected_model reasoning estimated_cost actual_cost"
    seed += " execution_time estimated_time success tokens_used"
    columns = "SELECT column_name FROM information_schema.columns WHERE table_name = 'routing_decisions'"
    found = [name for (name,) in execute(database_url, f"{columns} ORDER BY ordinal_position")]
    assert found[:13] == seed.split()


def test_one_request_is_found_by_the_index_of_each_partition(database: Database, database_url: str) -> None:
    request_id = a_request_id()
    events = random_events(2000, random.Random(1))
    send(database_url, [*events, an_attempt(request_id, 1, "success")])
    ingest_all(database)
    execute(database_url, "ANALYZE routing_records")
    whole = explain(database_url, f"SELECT * FROM routing_decisions WHERE request_id = '{request_id}'")
    read = [node for node in nodes(whole) if node["Node Type"] == "Seq Scan" and pages(node)]
    assert read == [], "only empty partitions are read as a whole"
    assert whole["Actual Rows"] == 1
    assert pages(whole) < 60


def test_records_without_request_fields_have_the_size_that_they_had(database: Database, database_url: str) -> None:
    send(database_url, [an_event(outcome="success", response_time_ms=5), an_attempt(a_request_id(), 1, "success")])
    ingest_all(database)
    sizes = [size for (size,) in execute(database_url, "SELECT pg_column_size(r.*) FROM routing_records r ORDER BY id")]
    columns = [column.name for column in routing_records.columns]
    before_requests = ", ".join(columns[: columns.index("first_of_decision") + 1])
    ((before,),) = execute(
        database_url,
        f"SELECT pg_column_size(r.*) FROM (SELECT {before_requests} FROM routing_records ORDER BY id LIMIT 1) AS r",
    )
    assert sizes[0] == before
    assert sizes[1] > before


def test_models_of_feedback_are_forgotten_with_their_records(database: Database, database_url: str) -> None:
    request_id = a_request_id()
    send(database_url, [an_attempt(request_id, 1, "success", "mistake"), *outcomes(1, 0)])
    ingest_all(database)
    close_slice(database)
    execute(database_url, "SELECT centralcloud.report_feedback(%s, true)", (request_id,))
    forget_models(database, ["mistake"], OPERATOR)
    assert execute(database_url, "SELECT model_name FROM feedback") == [("(other)",)]
    assert verify(database).differences == []


def test_a_request_that_waits_for_feedback_keeps_its_time_limit(database: Database, database_url: str) -> None:
    until = in_minutes(10)
    send(database_url, [an_attempt(a_request_id(), 1, "routed", feedback_until=until)])
    ingest_all(database)
    ((found,),) = execute(database_url, "SELECT feedback_until FROM routing_records")
    assert found == datetime.fromisoformat(until)
