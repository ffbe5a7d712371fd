"""The claims of docs/explanation/complexity-and-success.md and personal-data.md about events, and their SQL."""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from support.events import an_event, send
from support.operators import OPERATOR
from support.repository import REPOSITORY
from support.servers import execute

from centralcloud.administration.verification import repair, verify
from centralcloud.cli.metrics import metrics
from centralcloud.contracts.event_fields import EVENT_FIELDS
from centralcloud.ingest.drain import drain
from centralcloud.learning.learner import Learner
from centralcloud.learning.rules import ThresholdRule
from centralcloud.runtime.postgres.database import Database

_PERSONAL_DATA = (REPOSITORY / "docs/explanation/personal-data.md").read_text()
_ERASE_RECORDS, _ERASE_LETTER = re.findall(r"^```sql\n((?:UPDATE).*?)^```", _PERSONAL_DATA, re.DOTALL | re.MULTILINE)


def _ingest(database: Database, url: str, *events: dict[str, Any]) -> None:
    send(url, list(events))
    drain(database, batch_size=1000)


def _counts(url: str) -> list[tuple]:
    """Return complexity, uses, successes and failures of each pair."""
    return execute(
        url,
        "SELECT complexity_level, usage_count, success_count, failure_count FROM model_routing_metrics ORDER BY id",
    )


@pytest.mark.parametrize(
    ("events", "counted"),
    [
        pytest.param(["routed", "success"], [("complex", 1, 1, 0)], id="a decision, then its outcome"),
        pytest.param(["failure", "routed"], [("complex", 1, 0, 1)], id="the outcome before its decision"),
        pytest.param(["success"], [("complex", 1, 1, 0)], id="an outcome without a decision"),
        pytest.param(["routed"], [("complex", 1, 0, 0)], id="a decision without an outcome"),
        pytest.param(["routed", "failure", "success"], [("complex", 1, 0, 1)], id="an outcome cannot be corrected"),
    ],
)
def test_events_of_one_decision(events: list[str], counted: list[tuple], database: Database, database_url: str) -> None:
    for outcome in events:
        _ingest(database, database_url, an_event(outcome=outcome, decision_id="d-1"))
    assert _counts(database_url) == counted


def test_an_outcome_counts_for_the_pair_that_it_names(database: Database, database_url: str) -> None:
    _ingest(
        database,
        database_url,
        an_event(outcome="routed", decision_id="d-1"),
        an_event(outcome="failure", decision_id="d-1", complexity="simple"),
    )
    assert _counts(database_url) == [("complex", 1, 0, 0), ("simple", 0, 0, 1)]


def test_an_outcome_of_a_forgotten_decision_or_of_another_instance_is_one_more_use(
    database: Database, database_url: str
) -> None:
    _ingest(database, database_url, an_event(outcome="routed", decision_id="d-1"))
    _ingest(database, database_url, an_event("another", outcome="success", decision_id="d-1"))
    assert _counts(database_url) == [("complex", 2, 1, 0)]
    execute(database_url, "DELETE FROM decision_ids")  # as maintenance does after retention.decision_ids_days
    _ingest(database, database_url, an_event(outcome="success", decision_id="d-1"))
    assert _counts(database_url) == [("complex", 3, 2, 0)]


def test_unknown_fields_are_kept_and_erasing_text_keeps_the_counters_right(
    database: Database, database_url: str
) -> None:
    """The statements of the page remove the text of a decision and of a dead letter; `verify` still finds nothing."""
    session = {
        "decision_id": "session-of-jane-17",
        "user_model_request": "jane's",
        "task_type": "jane",
        "prompt": "Jane",
    }
    _ingest(
        database,
        database_url,
        *[an_event(outcome=outcome, response_time_ms=5, **session) for outcome in ("routed", "success")],
        an_event(outcome="success", decision_id="another", prompt="kept"),
        an_event(complexity="Jane"),
    )
    Learner(database, [ThresholdRule()]).learn()
    assert execute(
        database_url, "SELECT extra FROM routing_records WHERE decision_id = 'session-of-jane-17' LIMIT 1"
    ) == [({"prompt": "Jane"},)]
    ((letter, reason),) = execute(database_url, "SELECT id, reason FROM dead_letters")
    assert '"Jane"' in reason
    before = _counts(database_url)

    erase_letter = _ERASE_LETTER.replace("id = 17", f"id = {letter}")
    execute(database_url, erase_letter)
    assert "Jane" in _everything(database_url), "an open dead letter stays"
    execute(database_url, f"UPDATE dead_letters SET resolution = 'discarded', resolved_at = now() WHERE id = {letter}")
    execute(database_url, "UPDATE accounting SET dead_letters_discarded = 1")
    execute(database_url, erase_letter)
    for statement in _ERASE_RECORDS.split(";\n"):
        if statement.strip():
            execute(database_url, statement)
    assert "jane" not in _everything(database_url).lower()
    assert "kept" in _everything(database_url)
    assert _counts(database_url) == before
    assert {each.table for each in repair(database, OPERATOR).differences} == {"task_evidence"}
    assert verify(database).ok


def _everything(url: str) -> str:
    """Return the rows that hold text of events."""
    tables = ("routing_records", "decision_ids", "dead_letters", "pgmq.q_model_routing_decisions")
    return json.dumps([execute(url, f"SELECT to_jsonb(t) FROM {table} t") for table in tables])


def test_the_page_names_every_field_of_text() -> None:
    """A new field that holds text must be weighed on the page."""
    text = {field.name for field in EVENT_FIELDS if field.column_type in ("varchar", "text[]")}
    fixed = {
        "complexity",
        "outcome",
        "error_kind",
    }  # one of some words, or the event is a dead letter or the value is extra
    section = _PERSONAL_DATA.split("## Fields")[1].split("\n## ")[0]
    assert text - fixed <= set(re.findall(r"`(\w+)`", section))


def test_the_pages_and_the_help_say_what_counts_as_late(database: Database, database_url: str) -> None:
    """An outcome is late by the timestamp of its own event, whatever the time of its decision."""
    now = datetime.now(UTC)
    for number, (decided, reported) in enumerate([(5, 0), (5, 5), (0, 5)]):
        for outcome, hours in (("routed", decided), ("success", reported)):
            event = an_event(outcome=outcome, decision_id=f"d-{number}")
            _ingest(database, database_url, event | {"timestamp": (now - timedelta(hours=hours)).isoformat()})
    late = "SELECT decision_id FROM evidence_of_records WHERE late ORDER BY decision_id"
    assert execute(database_url, late) == [("d-1",), ("d-2",)]
    pages = ["explanation/learning.md", "explanation/complexity-and-success.md", "reference/tables.md"]
    texts = [(REPOSITORY / "docs" / page).read_text() for page in [*pages, "reference/commands.md"]]
    for text in [*texts, metrics.__doc__ or ""]:
        assert re.search(r"more than an hour after the\s+`?timestamp`?\s+of\s+their own event", text)
        assert not re.search(r"an hour\s+after\s+their\s+decision", text)
