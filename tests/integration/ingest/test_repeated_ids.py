"""Decision ids that repeat: events of other decisions are lost as resends, and an operator sees it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from support.events import an_event, send
from support.servers import execute

from centralcloud.ingest.batch import REPEATED_DECISION_ID
from centralcloud.ingest.drain import drain
from centralcloud.monitoring.finding_detector import FindingDetector, list_findings
from centralcloud.runtime.postgres.database import Database

_NOW = datetime.now(UTC).replace(microsecond=0)


def at(moment: datetime, decision_id: str, **decision: Any) -> dict[str, Any]:
    return an_event("edge-1", decision_id=decision_id, **decision) | {"timestamp": moment.isoformat()}


def repeated(database: Database, database_url: str) -> list[tuple[int, str, str]]:
    """Return what was counted, and check that the finding agrees."""
    FindingDetector(database).run_once()
    with database.transaction() as connection:
        findings = list_findings(connection, kind="repeated_decision_ids")
    counted = execute(
        database_url,
        "SELECT messages, example, instance_id FROM ignored_values WHERE field = %s",
        (REPEATED_DECISION_ID,),
    )
    assert [each["details"]["messages"] for each in findings] == [number for number, *_ in counted if number >= 10]
    return counted


def test_a_counter_that_starts_again_with_its_program_is_found(
    database: Database, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    for start in range(3):
        moment = _NOW - timedelta(seconds=60 * (3 - start))
        send(database_url, [at(moment + timedelta(seconds=number), str(number)) for number in range(20)])
        drain(database, batch_size=1000)
    assert execute(database_url, "SELECT records, duplicates FROM accounting") == [(20, 40)]
    assert repeated(database, database_url) == [(40, 'decision_id: "19"', "edge-1")]
    assert "decision_ids_repeated" in caplog.text


def test_one_constant_for_every_decision_is_found_in_one_batch(database: Database, database_url: str) -> None:
    models = ("atlas", "gpt-4o")
    send(
        database_url,
        [at(_NOW, "none", model=models[number % 2], selected_model=models[number % 2]) for number in range(40)],
    )
    drain(database, batch_size=1000)
    assert execute(database_url, "SELECT records, duplicates FROM accounting") == [(1, 39)]
    ((number, *_),) = repeated(database, database_url)
    assert number == 20, "those of the other model; the rest looks like a resend"


def test_a_second_outcome_that_differs_is_counted(database: Database, database_url: str) -> None:
    send(database_url, [at(_NOW, "d", outcome="failure"), at(_NOW, "d", outcome="success")])
    drain(database, batch_size=1000)
    assert [number for number, *_ in repeated(database, database_url)] == [1]


def test_resends_are_not_taken_for_repeated_ids(database: Database, database_url: str) -> None:
    events = [
        at(_NOW - timedelta(seconds=number), str(number), outcome=outcome, response_time_ms=time_ms)
        for number in range(30)
        for outcome, time_ms in (("routed", None), ("success", 700 + number))
    ]
    for _ in range(3):
        send(database_url, [*events, *events[:7]])
        drain(database, batch_size=1000)
    assert execute(database_url, "SELECT records FROM accounting") == [(60,)]
    assert repeated(database, database_url) == []


def test_resends_of_records_that_retention_has_dropped_are_not_compared(database: Database, database_url: str) -> None:
    events = [at(_NOW, str(number)) for number in range(12)]
    send(database_url, events)
    drain(database, batch_size=1000)
    execute(database_url, "DELETE FROM routing_records")
    send(database_url, [*events, at(_NOW, "new")])
    drain(database, batch_size=1000)
    assert repeated(database, database_url) == []
