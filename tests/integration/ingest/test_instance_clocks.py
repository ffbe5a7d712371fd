"""Instances whose clock is years behind: their events are counted at their own time, with a finding."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from support.events import an_event, send
from support.servers import execute

from centralcloud.ingest.drain import drain
from centralcloud.monitoring.finding_detector import FindingDetector
from centralcloud.runtime.postgres.database import Database

_NOW = datetime.now(UTC)


def at(instance_id: str, moment: datetime) -> dict[str, Any]:
    return an_event(instance_id) | {"timestamp": moment.isoformat()}


def open_findings(database_url: str) -> list[tuple[str, str]]:
    return execute(
        database_url,
        "SELECT subject, message FROM findings WHERE kind = 'instance_clock_behind' AND closed_at IS NULL ORDER BY 1",
    )


def test_an_instance_whose_clock_is_years_behind_is_found(
    database: Database, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    moment = _NOW - timedelta(days=5 * 365.25 + 1)
    send(database_url, [*(at("edge-1", moment) for _ in range(500)), at("edge-2", _NOW)])
    drain(database, batch_size=1000)
    ((subject, message),) = open_findings(database_url)
    assert subject == "edge-1"
    assert message.startswith(
        "the clock of instance edge-1 is 5 years behind, or it sends old events: the newest of 500"
    )
    assert "instance_clock_behind" in caplog.text
    assert execute(database_url, "SELECT records FROM accounting") == [(501,)]
    FindingDetector(database).run_once()
    assert len(open_findings(database_url)) == 1
    execute(database_url, "UPDATE findings SET seen_at = now() - interval '2 hours'")
    FindingDetector(database).run_once()
    assert open_findings(database_url) == []


def test_late_events_and_some_old_ones_of_an_instance_are_not_its_clock(database: Database, database_url: str) -> None:
    days = [*(360 for _ in range(20)), 800, 0]
    send(database_url, [at("edge-1", _NOW - timedelta(days=each)) for each in days])
    drain(database, batch_size=1000)
    assert open_findings(database_url) == []


def test_instances_without_end_get_few_findings(database: Database, database_url: str) -> None:
    moment = _NOW - timedelta(days=400)
    send(database_url, [at(f"edge-{number}", moment) for number in range(50)])
    drain(database, batch_size=1000)
    assert len(open_findings(database_url)) == 10
