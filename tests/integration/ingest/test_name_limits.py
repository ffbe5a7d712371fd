"""The limits of new model names: their settings, and what is counted as admitted."""

import pytest
from support.events import an_event, send
from support.servers import execute

from centralcloud.ingest.batch_ingest import BatchResult
from centralcloud.ingest.drain import drain
from centralcloud.runtime.postgres.database import Database


def ingest(database: Database, url: str, events: list[dict]) -> BatchResult:
    send(url, events)
    return drain(database, batch_size=1000).result


@pytest.mark.parametrize("unusable", ['"many"', "-1", "1000001", "null", "[]"])
def test_an_unusable_limit_in_the_database_is_logged_and_stops_nothing(
    database: Database, database_url: str, caplog: pytest.LogCaptureFixture, unusable: str
) -> None:
    limits = [("names.new_per_instance", unusable), ("names.new_per_fleet", "210")]
    for name, value in limits:
        execute(database_url, "INSERT INTO fleet_settings (name, value) VALUES (%s, %s::jsonb)", (name, value))
    events = [an_event(f"i-{number % 2}", selected_model=f"m-{number}") for number in range(450)]
    assert ingest(database, database_url, events) == BatchResult(records=450)
    admitted = "SELECT count(DISTINCT model_name)::int FROM model_routing_metrics WHERE model_name <> '(other)'"
    assert execute(database_url, admitted) == [(210,)], "the other limit is usable"
    logged = [record for record in caplog.records if "name_limits_unusable" in record.getMessage()]
    assert [record.levelname for record in logged] == ["ERROR"]
    assert "names.new_per_instance" in logged[0].getMessage()
