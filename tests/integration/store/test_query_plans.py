"""Every statement on a hot path is served by an index, and its cost does not grow with the number of stored rows."""

import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from support.events import an_event, send_texts
from support.history import fill_history
from support.plans import explain, nodes, pages
from support.servers import execute, with_database

from centralcloud.administration.verification import verify
from centralcloud.contracts.limits import MAX_MESSAGE_BYTES
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.query import Query

SMALL, LARGE = 20_000, 200_000
#: Tables that grow with time. The others have one row, or one row a pair or instance; evidence_slices has few.
GROWING = (
    "routing_records", "evidence", "task_evidence", "decision_ids", "dead_letters", "model_score_history",
    "model_performance", "usage_roll_ups", "escalation_roll_ups", "q_model_routing_decisions", "q_model_score_updates",
)  # fmt: skip

REQUEST_ID = "019a7a3e-1f2b-7c3d-8e4f-0123456789ab"
NEW = {"model": "model-1", "complexity": "simple", "model_name": "model-1", "complexity_level": "simple"}
COLUMNS = (
    "routed", "successes", "failures", "blameless", "linked_decisions", "unlinked_routed", "unlinked_resolved", "times",
    "times_sum", "score", "msg_id",
)  # fmt: skip
STRETCH = {"after_slice": 3, "through_slice": 6}
PAIRS = {"models": ["model-1", "model-1"], "complexities": ["simple", "complex"]}
LEASE = {"msg_id": 10**9, "read_ct": 0, "seconds": 1, "reason": "r", "field": "f", "max_bytes": MAX_MESSAGE_BYTES}
EXPERIMENT = {
    "experiment": "greeting", "control": "control", "treatments": ["new"], "since": datetime.now(UTC) - timedelta(minutes=5),
    "until": datetime.now(UTC), "within": timedelta(minutes=11), "records": 1000, "minute": 60_000_000,
    "salt": "salt", "repeated_until": datetime(2020, 1, 1, tzinfo=UTC), "repeated_id": 0,
}  # fmt: skip
#: The statements of ingest, learning and distribution, each with its parameters.
HOT: dict[str, dict[str, Any]] = {
    "centralcloud.ingest/pop_messages": {
        "max_messages": 10, "max_bytes": 1_000_000, "max_stored_bytes": 500_000, "max_message_bytes": MAX_MESSAGE_BYTES,
    },
    "centralcloud.ingest/deduplicate_decisions": {
        "instance_ids": '["instance-1"]', "decision_ids": f'["{0xFFFF:032x}"]', "seen": "[1]",
    },
    "centralcloud.ingest/add_metric_deltas": {
        "model": '["model-1"]', "complexity": '["simple"]', "newest_times": '["{1,2}"]', **dict.fromkeys(COLUMNS, "[1]"),
    },
    "centralcloud.ingest/unknown_models": {"models": ["model-1", "model-2", "new"]},
    "centralcloud.ingest/lock_new_names": {"instance_ids": ["i-1", "i-2"], "per_instance": 200, "per_fleet": 2000},
    "centralcloud.ingest/grant_new_names": {
        "names": ["new", "newer"], "instance_ids": ["i-1", "i-2"], "per_instance": 200, "per_fleet": 2000,
    },
    "centralcloud.ingest/count_refused_names": {
        "instance_ids": ["i-1"], "names": [1], "events": [1], "examples": ["new"],
    },
    "centralcloud.ingest/record_in_ledger": {
        "messages": 1, "records": 1, "duplicates": 0, "dead_letters": 0, "first_ids": [1], "last_ids": [1],
        "successes": 1, "failures": 0, "blameless": 0, "cost_nano_usd": 1,
    },
    "centralcloud.ingest/insert_request_plans": {"request_ids": f'["{REQUEST_ID}"]', "plans": "[{}]"},
    "centralcloud.ingest/settle_feedback": {"request_ids": f'["{REQUEST_ID}"]'},
    "centralcloud.maintenance/settle_waiting_feedback": {},
    "centralcloud.ingest/lock_oldest_messages": {"count": 10},
    "centralcloud.ingest/lease_messages": {"seconds": 1, "count": 10},
    "centralcloud.ingest/lease_retried_message": {"seconds": 1, "among": 100},
    "centralcloud.ingest/delete_leased_message": LEASE,
    "centralcloud.ingest/dead_letter_message": LEASE,
    "centralcloud.ingest/defer_message": LEASE,
    "centralcloud.ingest/archive_message": LEASE,
    "centralcloud.ingest/release_leases": {"msg_ids": [1, 2], "read_cts": [1, 1]},
    "centralcloud.store/close_slice": {"latency_ref_ms": 10_000, "cost_ref_usd": 0.01},
    "centralcloud.store/ungathered_slices": {},
    "centralcloud.store/slices_to_gather": {},
    "centralcloud.store/gather_evidence": {"slice_no": 3},
    "centralcloud.store/register_task_types": {"slice_no": 3, "max_length": 200},
    "centralcloud.store/gather_task_evidence": {"slice_no": 3},
    "centralcloud.store/mark_gathered": {"slice_no": 3},
    "centralcloud.learning/count_waiting_outcomes": {"limit": 50},
    "centralcloud.learning/slices_after": STRETCH,
    "centralcloud.learning/evidence_after": {**STRETCH, "excluded": [], **PAIRS},
    "centralcloud.learning/recent_instance_outcomes": {"through_slice": 10**9, "slices": 30, **PAIRS},
    "centralcloud.monitoring/recent_pair_outcomes": {},
    "centralcloud.monitoring/lifetime_outcomes": {},
    "centralcloud.monitoring/count_open_findings": {},
    "centralcloud.administration/list_instances": {},
    "centralcloud.maintenance/roll_up": {
        "since": datetime.now(UTC) - timedelta(hours=1), "until": datetime.now(UTC) + timedelta(hours=1),
    },
    "centralcloud.evaluation/read_outcomes": {
        "since": datetime.now(UTC) - timedelta(days=7), "until": datetime.now(UTC) + timedelta(hours=1), "most": 100,
    },
    "centralcloud.evaluation/count_probes": {
        "since": datetime.now(UTC) - timedelta(days=7), "until": datetime.now(UTC) + timedelta(hours=1), "most": 100,
    },
    "centralcloud.evaluation/count_around": {
        "since": datetime.now(UTC) - timedelta(hours=1), "until": datetime.now(UTC) + timedelta(hours=1), "newest": True,
        "most": 1_000_000,
    },
    "centralcloud.evaluation/read_version": {"version": 1},
    "centralcloud.evaluation/oldest_version": {},
    "centralcloud.maintenance/pending_roll_up": {},
    "centralcloud.maintenance/delete_roll_up": {"since": datetime.now(UTC), "until": datetime.now(UTC)},
    "centralcloud.maintenance/pending_usage": {},
    "centralcloud.maintenance/delete_usage": {"since": datetime.now(UTC), "until": datetime.now(UTC)},
    "centralcloud.maintenance/sum_usage": {
        "since": datetime.now(UTC) - timedelta(hours=1), "until": datetime.now(UTC) + timedelta(hours=1),
        "of_workspace": 200, "of_all": 5000, "other": "(other)",
    },
    "centralcloud.maintenance/sum_escalations": {
        "since": datetime.now(UTC) - timedelta(hours=1), "until": datetime.now(UTC) + timedelta(hours=1),
        "of_all": 5000, "other": "(other)",
    },
    "centralcloud.experiments/batch_end": EXPERIMENT,
    "centralcloud.experiments/count_records": EXPERIMENT,
    "centralcloud.experiments/read_decisions": EXPERIMENT,
    "centralcloud.experiments/read_first_outcomes": {**EXPERIMENT, "after_id": 10**9, "until_id": 10**9 + 1000},
    "centralcloud.experiments/newest_record": {},
    "centralcloud.experiments/ingested_until": {},
    "centralcloud.dashboard.sources/find_request_records": {"request_id": REQUEST_ID},
    "centralcloud.dashboard.sources/find_request_plan": {"request_id": REQUEST_ID},
    "centralcloud.dashboard.sources/list_gateways": {},
    "centralcloud.dashboard.sources/list_requests": {
        "most": 10, **dict.fromkeys(("model", "policy", "workspace", "task_type", "outcome", "error_kind")),
    },
    "centralcloud.dashboard.sources/sum_requests": dict.fromkeys(("workspace", "policy", "task_type", "model")),
    "centralcloud.dashboard.sources/sum_attempts": {},
    "centralcloud.dashboard.sources/sum_usage": dict.fromkeys(("workspace", "policy", "task_type", "model")),
}  # fmt: skip
#: Functions that instances call. EXPLAIN does not show what happens inside them, so only their cost is compared.
CALLS = {
    "score_updates_since": "SELECT * FROM centralcloud.score_updates_since(1000000)",
    "current_scores": "SELECT * FROM centralcloud.current_scores()",
    "current_task_scores": "SELECT * FROM centralcloud.current_task_scores()",
    "acknowledge": "SELECT centralcloud.acknowledge('instance-1', 1)",
    "report_feedback": "SELECT * FROM centralcloud.report_feedback(md5('10')::uuid, true)",
    "report_feedback of an unknown request": f"SELECT * FROM centralcloud.report_feedback('{REQUEST_ID}', true)",
    "explain_request": "SELECT centralcloud.explain_request(md5('10')::uuid)",
    "routing_decisions": "SELECT * FROM routing_decisions WHERE request_id = md5('10')::uuid",
    "usage_totals": "SELECT * FROM centralcloud.usage_totals(now() - interval '1 hour', now(), '{model}')",
    "recent_requests of a workspace": "SELECT * FROM centralcloud.recent_requests(10, 'acme')",
    "publish_decision": """SELECT centralcloud.publish_decision('{"a": 1}')""",
}
#: Statements over an hour or a day, which has the same share of the records in both databases: their cost may grow with it.
PROPORTIONAL = {
    "centralcloud.evaluation/count_around",
    "centralcloud.maintenance/roll_up",
    "centralcloud.maintenance/sum_usage",
    "centralcloud.maintenance/sum_escalations",
    "centralcloud.monitoring/recent_pair_outcomes",
    "centralcloud.administration/list_instances",
    "centralcloud.dashboard.sources/sum_usage",
}


def _database_with_history(server: str, template: str, records: int) -> Iterator[str]:
    name = f"cc_plans_{records}_{uuid.uuid4().hex[:8]}"  # another process may test on the same server
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        url = with_database(server, name)
        fill_history(url, records=records, records_per_slice=20)
        execute(
            url,
            """
            INSERT INTO dead_letters (queue_name, msg_id, enqueued_at, reason, field)
            SELECT 'q', n, now(), 'r', 'f' FROM generate_series(1, %s) AS n
            """,
            (records // 10,),
        )
        execute(url, "UPDATE routing_records SET request_id = md5(id::text)::uuid WHERE id % 10 = 0")
        execute(
            url,
            """
            INSERT INTO usage_roll_ups (window_start, id, workspace, key_id, policy, worker, task_type, model_name, provider)
            SELECT date_bin('15 minutes', now(), '2000-01-01') - n / 10 * interval '15 minutes', gen_random_uuid(), 'acme',
                '', '', '', '', 'model-' || n %% 10, 'p'
            FROM generate_series(0, %s) AS n
            """,
            (records // 5,),
        )
        send_texts(url, [json.dumps(an_event())] * (records // 20))
        execute(
            url, "DELETE FROM evidence WHERE slice_no = 3; DELETE FROM task_evidence WHERE slice_no = 3"
        )  # so that gathering it again does not violate the primary key
        execute(url, "ANALYZE")
        yield url
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="module")
def small(server: str, template: str) -> Iterator[str]:
    yield from _database_with_history(server, template, SMALL)


@pytest.fixture(scope="module")
def large(server: str, template: str) -> Iterator[str]:
    yield from _database_with_history(server, template, LARGE)


def statement_of(name: str) -> str:
    package, _, query = name.partition("/")
    return Query(package, query).text.decode()


def test_the_made_up_history_is_consistent(database: Database, database_url: str) -> None:
    fill_history(database_url, records=5000)
    assert verify(database).differences == []


@pytest.mark.parametrize("name", HOT)
def test_no_hot_statement_reads_a_whole_table(large: str, name: str) -> None:
    plan = explain(large, statement_of(name), HOT[name])
    scanned = [node["Relation Name"] for node in nodes(plan) if node["Node Type"] == "Seq Scan" and pages(node)]
    growing = [table for table in scanned if table in GROWING or table.startswith("routing_records_2")]
    assert not growing, json.dumps(plan, indent=1)


@pytest.mark.parametrize("name", [*HOT, *CALLS])
def test_the_cost_of_a_hot_statement_does_not_grow_with_the_stored_rows(small: str, large: str, name: str) -> None:
    """With ten times the rows an index may have one more level, nothing else."""
    statement = CALLS[name] if name in CALLS else statement_of(name)
    before, after = (pages(explain(url, statement, HOT.get(name))) for url in (small, large))
    if name not in PROPORTIONAL:
        assert after <= 1.5 * before + 20, f"{before} pages at {SMALL} records, {after} at {LARGE}"
