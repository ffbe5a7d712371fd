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


def test_unusable_settings_are_logged_once_for_each_reason_and_when_they_are_usable_again(
    database: Database, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    number = 0

    def logged_after(limit: str, words: str) -> list[str]:
        """Store the settings and ingest three batches that need both."""
        nonlocal number
        for name, value in (("names.new_per_fleet", limit), ("words.complexity", words)):
            execute(
                database_url,
                """INSERT INTO fleet_settings (name, value) VALUES (%s, %s::jsonb)
                   ON CONFLICT (name) DO UPDATE SET value = excluded.value""",
                (name, value),
            )
        caplog.clear()
        for _ in range(3):
            number += 1
            ingest(database, database_url, [an_event(selected_model=f"m-{number}", complexity="low")])
        events = (record.getMessage() for record in caplog.records)
        return [event.split()[0] for event in events if event.startswith(("name_limits", "operator_words"))]

    unusable = ["operator_words_unusable", "name_limits_unusable"]
    usable = ["operator_words_restored", "name_limits_restored"]
    assert logged_after("10", '"odd=simple"') == []
    assert logged_after("-1", '"odd"') == unusable
    assert logged_after("-2", '"odder"') == unusable, "another reason"
    assert logged_after("10", '"odd=simple"') == usable
    assert logged_after("-2", '"odder"') == unusable, "the same reason anew"


def admitted(url: str) -> dict[str, int]:
    """The names that count as admitted, by instance, and for the fleet under the empty id."""
    return dict(execute(url, "SELECT instance_id, names FROM new_model_names WHERE admitted AND names > 0"))


def set_limits(url: str, *, per_instance: int, per_fleet: int) -> None:
    for name, value in (("new_per_instance", per_instance), ("new_per_fleet", per_fleet)):
        execute(url, f"INSERT INTO fleet_settings (name, value) VALUES ('names.{name}', '{value}')")


def test_an_instance_is_charged_only_for_names_that_the_fleet_limit_admits(
    database: Database, database_url: str
) -> None:
    set_limits(database_url, per_instance=20, per_fleet=10)
    events = [an_event(f"i{number % 3}", selected_model=f"m-{number}") for number in range(30)]
    assert ingest(database, database_url, events) == BatchResult(records=30)
    assert admitted(database_url) == {"": 10, "i0": 4, "i1": 3, "i2": 3}
    names = execute(database_url, "SELECT model FROM routing_records WHERE model <> '(other)' ORDER BY id")
    assert names == [(f"m-{number}",) for number in range(10)], "the first ones"


def test_the_fleet_is_charged_only_for_names_that_their_instances_limit_admits(
    database: Database, database_url: str
) -> None:
    """Else one login that sends random names uses up the names of all others."""
    set_limits(database_url, per_instance=3, per_fleet=10)
    for batch in range(2):
        events = [an_event("bad", selected_model=f"bad-{batch}-{number}") for number in range(50)]
        ingest(database, database_url, events)
        assert admitted(database_url) == {"": 3, "bad": 3}
    ingest(database, database_url, [an_event(f"i{number % 3}", selected_model=f"m-{number}") for number in range(9)])
    assert admitted(database_url) == {"": 10, "bad": 3, "i0": 3, "i1": 2, "i2": 2}


def test_names_that_clients_make_up_leave_room_for_those_of_a_catalog(database: Database, database_url: str) -> None:
    set_limits(database_url, per_instance=20, per_fleet=1000)
    made_up = [
        an_event("g", selected_model=f"lie/x~{number}", outcome=outcome, named_by="client")
        for number in range(30)
        for outcome in ("routed", "success")
    ]
    catalog = [an_event("g", selected_model=f"new-{number}") for number in range(15)]
    assert ingest(database, database_url, made_up) == BatchResult(records=60)
    assert admitted(database_url) == {"": 10, "g": 10}
    # In one batch, those of the catalog come first, also if a client of another gateway has named them.
    named = [an_event("g", selected_model="new-9", named_by="client")]
    assert ingest(database, database_url, [*made_up[20:], *named, *catalog]) == BatchResult(records=56)

    assert admitted(database_url) == {"": 20, "g": 20}, "the bound of all names is the same"
    learned = execute(database_url, "SELECT count(DISTINCT model) FROM routing_records WHERE model LIKE 'new-%'")
    assert learned == [(10,)], "no name that was made up has taken the place of one of these"
