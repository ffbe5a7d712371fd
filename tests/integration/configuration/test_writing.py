"""The one write path: validated as a whole, one version for each change, with its history, in the order of the commits."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import psycopg
import pytest
from support.fleet import a_fleet
from support.registry import AUTHOR, a_model, an_endpoint, write
from support.servers import execute

from centralcloud.contracts import ContractError
from centralcloud.contracts.fleet_configuration import (
    KINDS,
    Change,
    HealthReport,
    canonical_json,
    parse_agent,
    put,
    remove,
)
from centralcloud.runtime.configuration.reading import read_since
from centralcloud.runtime.configuration.writing import (
    ConfigurationConflictError,
    Current,
    UnknownModelError,
    change_configuration,
    read_whole,
    report_health,
)
from centralcloud.runtime.postgres.database import Database


def test_a_change_is_one_version_with_history_author_and_a_row_in_the_log(
    database: Database, database_url: str
) -> None:
    ((role,),) = execute(database_url, "SELECT session_user::text")
    written = write(database, a_model(), an_endpoint())
    assert (written.configuration.version, written.changed) == (1, True)
    assert write(database, a_model(status="inactive")).configuration.version == 2
    assert read_whole(database).configuration.models["gpt-4"].status == "inactive"
    history = execute(
        database_url, "SELECT config_version, kind, body ->> 'status' FROM configuration_history ORDER BY 1, 2"
    )
    assert history == [(1, "endpoint", None), (1, "model", "active"), (2, "model", "inactive")]
    versions = execute(database_url, "SELECT config_version, who, entries FROM configuration_versions ORDER BY 1")
    assert versions == [(1, f"tester as {role}", 2), (2, f"tester as {role}", 1)]
    log = execute(
        database_url,
        "SELECT who, via, source, action, subject, before #>> '{entries,model/gpt-4,status}', "
        "after #>> '{entries,model/gpt-4,status}', after -> 'config_version' FROM operator_actions ORDER BY id",
    )
    assert log == [
        (f"tester as {role}", "cli", "test-host", "change_configuration", "configuration", None, "active", 1),
        (f"tester as {role}", "cli", "test-host", "change_configuration", "model/gpt-4", "active", "inactive", 2),
    ]


def test_a_write_without_a_difference_changes_nothing(database: Database, database_url: str) -> None:
    write(database, a_model())
    again = write(database, a_model())
    assert (again.configuration.version, again.changed) == (1, False)
    assert write(database).changed is False
    assert execute(database_url, "SELECT count(*) FROM operator_actions") == [(1,)]


def test_an_invalid_whole_is_refused_and_nothing_is_written(database: Database, database_url: str) -> None:
    write(database, a_model())
    with pytest.raises(ContractError, match=r'^endpoints\["ep-.*"\]\.modelId: found "gpt-5", expected the id of a reg'):
        write(database, a_model("other"), an_endpoint("gpt-5"))
    write(database, an_endpoint())
    with pytest.raises(ContractError, match=r"modelId"):
        write(database, remove("model", "gpt-4"))
    assert execute(database_url, "SELECT config_version FROM configuration_state") == [(2,)]
    assert list(read_whole(database).configuration.models) == ["gpt-4"]


def test_a_write_that_expects_another_version_is_refused(database: Database) -> None:
    write(database, a_model(), expected_version=0)
    with pytest.raises(ConfigurationConflictError, match="at version 1, expected 0"):
        write(database, a_model(status="inactive"), expected_version=0)
    assert write(database, a_model(status="inactive"), expected_version=1).configuration.version == 2


def test_the_function_refuses_another_version_by_itself(database_url: str) -> None:
    with pytest.raises(psycopg.Error, match="expected_version: found 7, expected 0") as refused:
        execute(database_url, "SELECT centralcloud.write_configuration(7, '[]', 'a', 'cli', 'b')")
    assert refused.value.sqlstate == "CC409"


def test_a_removed_entry_is_gone_from_a_snapshot_and_named_in_the_changes(database: Database) -> None:
    write(database, a_model(), a_model("gpt-5"))
    write(database, remove("model", "gpt-5"))
    with database.connection() as connection:
        assert [row.id for row in read_since(connection).entries] == ["gpt-4"]
        (change,) = read_since(connection, 1).entries
    assert (change.key, change.body, change.version) == (("model", "gpt-5"), None, 2)


def test_versions_are_committed_in_their_order_with_many_writers(database: Database, database_url: str) -> None:
    """A reader that has seen a version has all before it, so that reading after it misses nothing."""
    seen: dict[Any, Any] = {}
    gaps: list[int] = []
    ended = threading.Event()

    def read() -> None:
        cursor = 0
        with psycopg.connect(database_url, autocommit=True) as connection:
            while True:
                last = ended.is_set()
                page = read_since(connection, cursor)
                versions = sorted(row.version for row in page.entries)
                if versions != list(range(cursor + 1, page.version + 1)):
                    gaps.append(cursor)
                seen.update({row.key: row.body for row in page.entries})
                cursor = page.version
                if last:
                    return

    def add(number: int) -> None:
        write(database, a_model(f"m{number}"))

    reader = threading.Thread(target=read)
    reader.start()
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(add, range(60)))
    ended.set()
    reader.join()
    assert gaps == []
    assert seen.keys() == {("model", f"m{number}") for number in range(60)}


def test_each_writer_decides_on_the_state_before_it(database: Database) -> None:
    def add_one(_: int) -> None:
        def decide(current: Current) -> list[Change]:
            count = current.configuration.models["counter"].parameters.get("count", 0) if current.bodies else 0
            return [a_model("counter", parameters={"count": count + 1})]

        change_configuration(database, AUTHOR, decide)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(add_one, range(30)))
    assert read_whole(database).configuration.models["counter"].parameters == {"count": 30}


def test_health_has_no_version_and_no_history_and_goes_with_its_model(database: Database, database_url: str) -> None:
    write(database, a_model())
    until = report_health(database, "gpt-4", HealthReport(status="unhealthy", error_rate=0.5), 60)
    assert execute(database_url, "SELECT config_version, health_version FROM configuration_state") == [(1, 1)]
    ((body, expires_at),) = execute(database_url, "SELECT body, expires_at FROM model_health")
    assert (body, expires_at) == ({"status": "unhealthy", "errorRate": 0.5}, until)
    with pytest.raises(UnknownModelError, match='found "gpt-9", expected a registered model'):
        report_health(database, "gpt-9", HealthReport(status="healthy"), 60)
    write(database, remove("model", "gpt-4"))
    assert execute(database_url, "SELECT count(*) FROM model_health") == [(0,)]


def test_an_import_of_many_entries_is_one_version_and_one_row_in_the_log(database: Database, database_url: str) -> None:
    written = write(database, *[a_model(f"vendor/m{number}") for number in range(500)])
    assert (written.configuration.version, len(written.configuration.models)) == (1, 500)
    log = execute(database_url, "SELECT subject, after FROM operator_actions")
    assert log == [("configuration", {"config_version": 1, "changed": 500, "entries": None})]


def test_the_entries_of_one_database_are_byte_equal_in_another(
    database: Database, database_url: str, server: str
) -> None:
    """The storage changes no entry, so that an export can be imported and exported again."""
    parameters = {"temperature": 0.1 + 0.2, "stop": ["\n", "é"], "seed": 2**60, "z": 1.0, "a": None}
    write(database, a_model("vendor/ü", parameters=parameters, pricing={"input": 1e-7, "output": 3}), a_model())
    write(database, an_endpoint(weight=0.1), an_endpoint("vendor/ü", "https://host/x?api-version=1", provider="other"))
    exported = {key: canonical_json(body) for key, body in read_whole(database).bodies.items()}
    with a_fleet(server) as fleet, Database(fleet.configurator, application_name="tests") as empty:
        entries = [(kind, KINDS[kind].parse(msgspec.json.decode(body), kind)) for (kind, _), body in exported.items()]
        write(empty, *[Change(kind, entry.id, entry) for kind, entry in entries])  # type: ignore[attr-defined]
        again = {key: canonical_json(body) for key, body in read_whole(empty).bodies.items()}
    assert {key: again[key] for key in exported} == exported
    assert len(exported) == 4


def test_a_new_reference_names_a_model_that_is_registered_or_known_to_the_writer(database: Database) -> None:
    def agent(*names: str) -> Change:
        return put(parse_agent({"preferredModels": names}, agent_type="creative"))

    def change(*changes: Change, known: tuple[str, ...] | None = ()) -> None:
        is_known = None if known is None else known.__contains__
        change_configuration(database, AUTHOR, lambda _: changes, is_known=is_known)

    change(
        a_model(),
        an_endpoint(provider="azure"),
        agent("gpt-4", "openai/gpt-4", "azure/gpt-4", "alias"),
        known=("alias",),
    )
    with pytest.raises(ContractError, match=r'preferredModels\[0\]: found "other/gpt-4", expected a model that is reg'):
        change(agent("other/gpt-4"))
    change(agent("alias", "gpt-4"))  # it was there before, and another gateway may know it
    with pytest.raises(ContractError, match=r'preferredModels\[1\]: found "gpt-4", which is removed'):
        change(remove("endpoint", an_endpoint().id), remove("model", "gpt-4"), known=None)
    change(agent("no catalog, no opinion"), known=None)
