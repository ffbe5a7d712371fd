"""Each process gets every change of the configuration, within a second when notified, and keeps the last good one."""

import json
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from prometheus_client import CollectorRegistry
from support.experiment_entries import parsed
from support.fleet import a_fleet
from support.registry import AUTHOR, a_model, an_endpoint, write
from support.servers import OwnServer, embedded_folder, execute
from support.waiting import eventually

from centralcloud.contracts.fleet_configuration import (
    CONFIGURATION_CHANNEL,
    FleetConfiguration,
    HealthReport,
    find_key,
    parse_policy,
    parse_rule,
    put,
    remove,
)
from centralcloud.runtime.configuration.keys import create_key, revoke_key
from centralcloud.runtime.configuration.writing import report_health
from centralcloud.runtime.http.metrics import CallbackMetrics
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.notifications import NotificationListener
from centralcloud.store.schema import migrate
from instance_agent.sync.configuration_file import ConfigurationFile, ReceivedConfiguration
from instance_agent.sync.configuration_metrics import show_configuration
from instance_agent.sync.configuration_updater import ConfigurationUpdater

NewUpdater = Callable[..., ConfigurationUpdater]


@pytest.fixture
def new_updater(database: Database, tmp_path: Path) -> NewUpdater:
    def make(**options) -> ConfigurationUpdater:
        file = ConfigurationFile(options.pop("folder", tmp_path))
        return ConfigurationUpdater(options.pop("database", database), file=file, **options)

    return make


@contextmanager
def running(updater: ConfigurationUpdater, *others: NotificationListener) -> Iterator[None]:
    for task in (updater, *others):
        task.start()
    try:
        yield
    finally:
        for task in (updater, *others):
            task.stop()
            assert task.join(20)


def polled(updater: ConfigurationUpdater) -> FleetConfiguration:
    updater.run_once()
    return updater.configuration


def test_changes_arrive_whole_and_in_steps(new_updater: NewUpdater, database: Database) -> None:
    changes: list[FleetConfiguration] = []
    updater = new_updater(on_change=changes.append)
    assert not updater.loaded
    assert polled(updater) == FleetConfiguration()
    assert updater.loaded, "an empty configuration was received, too"
    write(database, a_model(), an_endpoint())
    first = polled(updater)
    assert (first.version, list(first.models), len(first.endpoints["gpt-4"])) == (1, ["gpt-4"], 1)
    write(database, a_model("gpt-5"))
    write(database, remove("model", "gpt-5"), a_model(status="inactive"))
    third = polled(updater)
    assert (third.version, list(third.models), third.models["gpt-4"].status) == (3, ["gpt-4"], "inactive")
    updater.run_once()
    assert [each.version for each in changes] == [0, 1, 3], "the first one also when it is empty, then each change"
    with pytest.raises(TypeError):
        third.models["x"] = third.models["gpt-4"]  # type: ignore[index]


def test_a_key_is_usable_when_it_has_arrived_and_refused_when_its_revocation_has(
    new_updater: NewUpdater, database: Database
) -> None:
    updater = new_updater()
    created = create_key(database, AUTHOR, role="user", label="app", workspace="ws-1")
    assert created.text is not None
    found = find_key(polled(updater).keys, created.text, datetime.now(UTC))
    assert found is not None
    assert (found.role, found.workspace) == ("user", "ws-1")
    revoke_key(database, AUTHOR, created.key.id)
    assert find_key(polled(updater).keys, created.text, datetime.now(UTC)) is None
    assert created.text not in (updater._file.path).read_text()


@pytest.mark.timing
def test_a_notified_change_is_at_the_callback_within_a_second(
    new_updater: NewUpdater, database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    """The interval of the polls is so long that only notifications can be the cause."""
    arrived: dict[int, float] = {}
    updater = new_updater(
        poll_interval_seconds=3600, on_change=lambda new: arrived.setdefault(new.version, time.monotonic())
    )
    listener = NotificationListener(database, {CONFIGURATION_CHANNEL: updater.wake})
    delays = []
    with running(updater, listener):
        eventually(lambda: listener.working and updater.loaded)
        for number in range(12):
            eventually(lambda: updater._wakes.seconds_until_token(time.monotonic()) == 0, what="the end of the storm")
            write(database, a_model(parameters={"number": number}))
            written_at = time.monotonic()
            eventually(lambda number=number: number + 1 in arrived, what="the change")
            delays.append(max(0.0, arrived[number + 1] - written_at))
    with capsys.disabled():
        p50, worst = 1000 * statistics.median(delays), 1000 * max(delays)
        print(f"\nnotified change at the callback: p50 {p50:.1f} ms, worst of {len(delays)} {worst:.1f} ms")  # noqa: T201
    assert statistics.median(delays) < 1


@pytest.mark.timing
def test_a_notified_rule_is_at_every_replica_within_a_second_and_in_its_file(
    new_updater: NewUpdater, database: Database, tmp_path: Path
) -> None:
    arrived: dict[int, float] = {}
    updaters = [
        new_updater(
            folder=tmp_path / str(number),
            poll_interval_seconds=3600,
            on_change=lambda new, number=number: arrived.setdefault(number, time.monotonic()) if new.rules else None,
        )
        for number in range(2)
    ]
    listeners = [NotificationListener(database, {CONFIGURATION_CHANNEL: updater.wake}) for updater in updaters]
    with running(updaters[0], *listeners), running(updaters[1]):
        eventually(lambda: all(each.working for each in listeners) and all(each.loaded for each in updaters))
        policy = put(parse_policy({"name": "code", "models": [{"model": "gpt-4"}]}))
        write(database, policy, put(parse_rule({"id": "r", "name": "r", "policy": "code"})))
        written_at = time.monotonic()
        eventually(lambda: len(arrived) == 2, what="the rule")
        assert max(arrived.values()) - written_at < 1
    for number in range(2):
        copy = new_updater(folder=tmp_path / str(number)).configuration
        assert ([rule.id for rule in copy.rules], list(copy.policies)) == (["r"], ["code"]), "without the database"


def test_without_notifications_one_poll_brings_the_change(new_updater: NewUpdater, database: Database) -> None:
    updater = new_updater(poll_interval_seconds=0.2)
    with running(updater):
        eventually(lambda: updater.loaded)
        write(database, a_model())
        eventually(lambda: updater.configuration.version == 1, within_seconds=5)


def test_a_storm_of_notifications_costs_a_bounded_number_of_polls(new_updater: NewUpdater, database: Database) -> None:
    updater = new_updater(poll_interval_seconds=3600)
    polls: list[float] = []
    poll = updater._read
    updater._read = lambda **options: polls.append(time.monotonic()) or poll(**options)  # type: ignore[method-assign]
    with running(updater):
        eventually(lambda: updater.loaded)
        until = time.monotonic() + 2
        while time.monotonic() < until:
            updater.wake()
    assert len(polls) <= 5 + 2 * 4 + 2, "a burst of five, and four a second"


def test_the_last_good_configuration_is_used_without_the_database_and_followed_after_its_return(
    new_updater: NewUpdater,
) -> None:
    with embedded_folder() as folder:
        server = OwnServer(str(folder))
        try:
            with Database(server.url, application_name="tests") as database:
                migrate(database)
                write(database, a_model(), an_endpoint())
                before = polled(new_updater(database=database))
            server.crash()
            with Database(server.url, application_name="tests") as database:
                updater = new_updater(database=database, poll_interval_seconds=5)
                assert updater.configuration == before
                assert updater.loaded
                assert updater.seconds_since_contact() is not None
                listener = NotificationListener(database, {CONFIGURATION_CHANNEL: updater.wake})
                with running(updater, listener):
                    eventually(lambda: database.unavailable)
                    assert updater.configuration == before
                    server.start()
                    back_at = time.monotonic()
                    with Database(server.url, application_name="writer") as writer:
                        write(writer, a_model(status="inactive"))
                    eventually(lambda: updater.configuration.version == before.version + 1)
                    assert time.monotonic() - back_at < 10
                    # It is used before it is stored.
                    eventually(
                        lambda: new_updater().configuration.models["gpt-4"].status == "inactive", what="the file"
                    )
        finally:
            server.stop()


def test_the_file_is_private_and_damage_is_reported_and_ignored(
    new_updater: NewUpdater, database: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(database, a_model())
    updater = new_updater()
    updater.run_once()
    path = tmp_path / "fleet_configuration.json"
    assert path.stat().st_mode & 0o777 == 0o600
    good = path.read_text()
    assert new_updater().configuration.version == 1
    another_format = json.dumps({**json.loads(good), "format": 2})
    for damaged in ("", "{", good[:-20], good.replace('"gpt-4"', '"gpt-5"'), another_format, "[]", "\0" * 100):
        path.write_text(damaged)
        caplog.clear()
        assert ConfigurationFile(tmp_path).read() == ReceivedConfiguration(), damaged
        assert "configuration_file_unreadable" in caplog.text
        assert polled(new_updater()).version == 1, "the database has it"
        assert path.read_text() == good, "written again"


def test_a_configuration_that_cannot_be_read_is_refused_and_the_old_one_stays(
    new_updater: NewUpdater, database: Database, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    changes: list[int] = []
    updater = new_updater(on_change=lambda new: changes.append(new.version))
    registry = CollectorRegistry()
    show_configuration(CallbackMetrics(registry, "agent"), updater)
    write(database, a_model())
    updater.run_once()
    newer = json.dumps([{"kind": "topic", "id": "r-1", "body": {"name": "x"}}])
    execute(database_url, "SELECT centralcloud.write_configuration(1, %s, 'newer', 'api', 'h')", (newer,))
    for _ in range(3):
        updater.run_once()
    assert caplog.text.count("configuration_refused") == 1, "once, not at each poll"
    assert 'version 2: topic["r-1"]: found entries of this kind' in str(updater.problem)
    assert (updater.configuration.version, updater.refused) == (1, 1)
    values = {name: registry.get_sample_value(f"agent_{name}") for name in ("config_version", "config_invalid")}
    assert values == {"config_version": 1, "config_invalid": 1}
    assert new_updater().configuration.version == 1, "the file has the last good one"
    removed = json.dumps([{"kind": "topic", "id": "r-1", "body": None}])
    execute(database_url, "SELECT centralcloud.write_configuration(2, %s, 'newer', 'api', 'h')", (removed,))
    assert polled(updater).version == 3
    assert (updater.problem, changes) == (None, [1, 3])


def test_an_answer_that_cannot_be_decoded_is_a_problem_and_no_crash(
    new_updater: NewUpdater, database: Database, database_url: str
) -> None:
    write(database, a_model())
    updater = new_updater()
    updater.run_once()
    deep = json.dumps([{"kind": "model", "id": "m", "body": {"x": 0}}]).replace("0", "[" * 5000 + "]" * 5000)
    execute(database_url, "SELECT centralcloud.write_configuration(1, %s, 'a', 'api', 'b')", (deep,))
    updater.run_once()
    assert "in another form than expected" in str(updater.problem)
    execute(database_url, "DELETE FROM configuration_state")
    updater.run_once()
    assert "configuration_state: found no row, expected one" in str(updater.problem)
    assert (updater.configuration.version, updater.refused) == (1, 2)


def test_a_database_that_was_restored_in_place_is_read_again(
    new_updater: NewUpdater, database: Database, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It has the same epoch, and by now as many versions: only their stamps differ."""
    write(database, a_model())
    updater = new_updater()
    updater.run_once()
    write(database, a_model("lost"))
    assert polled(updater).version == 2
    execute(database_url, "UPDATE configuration_state SET config_version = 1")
    execute(database_url, "DELETE FROM configuration_versions WHERE config_version = 2")
    execute(database_url, "DELETE FROM configuration_entries WHERE config_version = 2")
    execute(database_url, "DELETE FROM configuration_history WHERE config_version = 2")
    write(database, a_model("other"))
    assert sorted(polled(updater).models) == ["gpt-4", "other"]
    assert caplog.text.count("configuration_history_changed") == 1
    execute(database_url, "UPDATE database_generation SET generation = gen_random_uuid()")
    execute(database_url, "DELETE FROM configuration_entries WHERE id = 'other'")
    assert sorted(polled(updater).models) == ["gpt-4"], "another epoch is another history"


def test_another_database_replaces_everything(new_updater: NewUpdater, database: Database) -> None:
    write(database, a_model())
    new_updater().run_once()
    with embedded_folder() as folder:
        server = OwnServer(str(folder))
        try:
            with Database(server.url, application_name="tests") as other:
                migrate(other)
                write(other, a_model("elsewhere"))
                updater = new_updater(database=other)
                assert list(updater.configuration.models) == ["gpt-4"]
                assert list(polled(updater).models) == ["elsewhere"]
        finally:
            server.stop()


def test_posted_health_arrives_and_expires(new_updater: NewUpdater, database: Database, database_url: str) -> None:
    changes: list[FleetConfiguration] = []
    updater = new_updater(on_change=changes.append)
    write(database, a_model())
    updater.run_once()
    report_health(database, "gpt-4", HealthReport(status="unhealthy"), 1)
    received = polled(updater)
    health = received.health_of("gpt-4", time.monotonic())
    assert health is not None
    assert (received.version, health.report.status) == (1, "unhealthy")
    updater.run_once()
    assert len(changes) == 2, "a poll without a report changes nothing"
    eventually(lambda: polled(updater).health == {}, within_seconds=5)
    assert received.health_of("gpt-4", time.monotonic()) is None
    assert [len(each.health) for each in changes] == [0, 1, 0]
    report_health(database, "gpt-4", HealthReport(status="healthy"), 60)
    late = new_updater()
    assert polled(late).health["gpt-4"].report.status == "healthy", "an updater that starts later gets it, too"


def test_what_was_changed_past_the_versions_is_repaired_by_the_snapshot(
    new_updater: NewUpdater, database: Database, database_url: str
) -> None:
    write(database, a_model())
    updater = new_updater(reconcile_interval_seconds=0)
    updater.run_once()
    execute(database_url, "UPDATE configuration_entries SET body = jsonb_set(body, '{status}', '\"inactive\"')")
    assert polled(updater).models["gpt-4"].status == "inactive"


def test_the_age_of_the_daemons_sign_comes_with_each_poll_and_outlives_a_start_without_the_database(
    new_updater: NewUpdater, database: Database, database_url: str, tmp_path: Path
) -> None:
    updater = new_updater()
    write(database, a_model("new"), put(parsed()))
    updater.run_once()
    assert (updater.running_experiments, updater.daemon_heartbeat.is_silent()) == (1, True), "the daemon was never seen"
    execute(database_url, "UPDATE experiment_heartbeat SET seen_at = now() - interval '100 seconds'")
    updater.run_once()
    assert not updater.daemon_heartbeat.is_silent()
    metrics = CollectorRegistry()
    show_configuration(CallbackMetrics(metrics, "own"), updater)
    assert metrics.get_sample_value("own_experiments_running") == 1
    assert metrics.get_sample_value("own_experiments_daemon_silent") == 0
    assert metrics.get_sample_value("own_experiments_daemon_age_seconds") == pytest.approx(100, abs=20)

    unreachable = Database("host=127.0.0.1 port=1", application_name="tests")
    started = new_updater(database=unreachable)
    assert (started.running_experiments, started.daemon_heartbeat.is_silent()) == (1, False)
    assert started.daemon_heartbeat.age_seconds == pytest.approx(100, abs=20)
    elsewhere = new_updater(database=unreachable, folder=tmp_path / "empty")
    assert elsewhere.daemon_heartbeat.is_silent()
    unreachable.close()


def test_a_gateways_login_reads_the_age_and_no_table_of_experiments(server: str, tmp_path: Path) -> None:
    with a_fleet(server) as fleet:
        with Database(fleet.gateway, application_name="tests") as gateway:
            updater = ConfigurationUpdater(gateway, file=ConfigurationFile(tmp_path))
            updater.run_once()
            assert updater.daemon_heartbeat.age_seconds is None
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            execute(fleet.gateway, "SELECT seen_at FROM experiment_heartbeat")
