"""Fleet settings: every replica uses the values of the database, which come from the first daemon's environment."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from support.events import outcomes, random_events, send
from support.operators import OPERATOR
from support.programs import Program
from support.servers import execute
from support.waiting import eventually

from centralcloud.administration.fleet_settings import change_setting
from centralcloud.contracts import SettingsError
from centralcloud.fleet_settings import FleetSettingsSource
from centralcloud.ingest.drain import drain
from centralcloud.learning.learner import Learner
from centralcloud.learning.rule import RuleResult, States
from centralcloud.learning.rules import ThresholdRule
from centralcloud.maintenance.maintenance import Maintenance, MaintenanceSettings
from centralcloud.monitoring.finding_detector import FindingDetector
from centralcloud.runtime.postgres.database import Database
from centralcloud.settings import FLEET_SETTINGS, FleetSettings, Settings
from centralcloud.store.schema import downgrade, migrate


def a_source(**settings: Any) -> FleetSettingsSource:
    """Return the source of a process whose environment sets some settings."""
    return FleetSettingsSource(Settings(**settings))


def stored(url: str) -> dict[str, Any]:
    return dict(execute(url, "SELECT name, value FROM fleet_settings"))


def change(database: Database, name: str, value: Any) -> None:
    change_setting(database, name, value, OPERATOR, check=a_source().check)


def read(database: Database, source: FleetSettingsSource) -> FleetSettings:
    with database.transaction() as connection:
        return source.read(connection)


def test_the_first_environment_is_stored_and_a_later_one_is_not_used(
    database: Database, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    first = a_source(rule="adaptive", retention={"records_days": 30})
    first.adopt(database)
    assert stored(database_url).keys() == FLEET_SETTINGS.keys()
    assert (stored(database_url)["rule"], stored(database_url)["retention.records_days"]) == ("adaptive", 30)
    assert "fleet_setting_differs" not in caplog.text
    before = execute(database_url, "SELECT * FROM fleet_settings ORDER BY name")
    second = a_source(rule="threshold", retention={"records_days": 30}, safety={"moved_share": 0.5})
    second.adopt(database)
    assert execute(database_url, "SELECT * FROM fleet_settings ORDER BY name") == before
    assert caplog.text.count("fleet_setting_differs") == 1, (
        "neither the same value nor a default counts as a difference"
    )
    for words in ("CENTRALCLOUD_RULE", "threshold", "adaptive", "the database's value is used"):
        assert words in caplog.text
    assert read(database, second).rule == "adaptive"
    with database.transaction() as connection:
        (difference,) = second.differences(connection)
    assert str(difference) == "CENTRALCLOUD_RULE is threshold, the database has rule = adaptive"


def test_daemons_that_start_at_the_same_time_store_the_values_of_one_of_them(database_url: str) -> None:
    barrier = threading.Barrier(8)

    def start(days: int) -> None:
        with Database(database_url, application_name="tests") as database:
            source = a_source(
                retention={"records_days": days, "findings_days": days}, safety={"moved_share": days / 10}
            )
            barrier.wait()
            source.adopt(database)

    threads = [threading.Thread(target=start, args=(number + 1,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    values = stored(database_url)
    assert values.keys() == FLEET_SETTINGS.keys()
    days = values["retention.records_days"]
    assert (values["retention.findings_days"], values["safety.moved_share"]) == (days, days / 10)


def test_missing_settings_are_added_and_stored_ones_stay(database: Database, database_url: str) -> None:
    """This is the case after an upgrade to a version with more settings, or a change before the first daemon has started."""
    change(database, "retention.records_days", "14")
    a_source(retention={"records_days": 30, "findings_days": 3}).adopt(database)
    values = stored(database_url)
    assert (values["retention.records_days"], values["retention.findings_days"]) == (14, 3)


def test_a_name_of_a_newer_version_is_ignored(database: Database, database_url: str) -> None:
    execute(database_url, "INSERT INTO fleet_settings VALUES ('retention.moon_phases', '[1]')")
    source = a_source()
    source.adopt(database)
    assert read(database, source) == FleetSettings()
    assert stored(database_url)["retention.moon_phases"] == [1]


def test_an_unusable_value_prevents_a_start_and_does_not_stop_a_running_daemon(
    database: Database, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    source = a_source(retention={"records_days": 30})
    source.adopt(database)
    execute(database_url, "UPDATE fleet_settings SET value = '-1' WHERE name = 'retention.records_days'")
    line = "fleet_settings: retention.records_days is '-1': expected at least 0; `centralcloud settings set` changes it"
    for _ in range(3):
        with pytest.raises(SettingsError) as refused:
            read(database, source)
        assert str(refused.value) == line
        with database.transaction() as connection:
            assert source.read_usable(connection).retention.records_days == 30, "the last usable ones"
    assert caplog.text.count("fleet_settings_unusable") == 1, "once a change"
    with pytest.raises(SettingsError, match=r"retention\.records_days"):
        a_source().adopt(database)
    change(database, "retention.records_days", 60)
    assert read(database, source).retention.records_days == 60


def test_a_setting_that_vanishes_does_not_let_each_replica_use_its_own(database: Database, database_url: str) -> None:
    sources = [FleetSettingsSource(Settings(rule=rule)) for rule in ("threshold", "adaptive")]
    for source in sources:
        source.adopt(database)
    execute(database_url, "DELETE FROM fleet_settings WHERE name = 'rule'")
    with database.transaction() as connection:
        for source in sources:
            with pytest.raises(SettingsError, match="found no rule, expected a row for each setting"):
                source.read(connection)
            assert source.read_usable(connection).rule == "threshold", "the last usable one"
    sources[1].adopt(database)
    with database.transaction() as connection:
        assert {source.read(connection).rule for source in sources} == {"adaptive"}


def test_a_learner_does_not_run_while_a_setting_is_unusable(database: Database, database_url: str) -> None:
    """Otherwise it would publish by the previous rule, which other replicas may no longer use."""
    source = a_source()
    source.adopt(database)
    learner = Learner(database, read_settings=source.read)
    send(database_url, outcomes(100, 0))
    drain(database, batch_size=1000)
    execute(database_url, """UPDATE fleet_settings SET value = '"installed elsewhere"' WHERE name = 'rule'""")
    learner.run_once()
    assert execute(database_url, "SELECT count(*) FROM learning_runs") == [(0,)]
    with pytest.raises(SettingsError, match="rule is 'installed elsewhere': expected one of adaptive, threshold"):
        learner.learn()
    change(database, "rule", "adaptive")
    learner.run_once()
    assert execute(database_url, "SELECT rule FROM learning_runs") == [("adaptive",)]


def _maintenance_settings(source: FleetSettingsSource) -> Callable[[psycopg.Connection[Any]], MaintenanceSettings]:
    def read(connection: psycopg.Connection[Any]) -> MaintenanceSettings:
        fleet = source.read_usable(connection)
        return MaintenanceSettings(fleet.retention, fleet.reference)

    return read


def test_a_changed_setting_takes_effect_at_the_next_run_without_a_restart(
    database: Database, database_url: str
) -> None:
    source = a_source()
    source.adopt(database)
    learner = Learner(database, read_settings=source.read)
    maintenance = Maintenance(database, read_settings=_maintenance_settings(source))
    detector = FindingDetector(database, read_thresholds=lambda connection: source.read_usable(connection).finding)
    send(database_url, outcomes(80, 20, time_ms=9000))
    drain(database, batch_size=1000)
    assert [each.new_score for each in learner.learn().changes], "100 outcomes are enough"
    detector.run_once()
    kinds = "SELECT kind FROM findings WHERE closed_at IS NULL AND kind IN ('low_success_rate', 'slow') ORDER BY 1"
    assert execute(database_url, kinds) == [("low_success_rate",), ("slow",)]
    change(database, "finding.success_rate", 0.5)
    detector.run_once()
    assert execute(database_url, kinds) == [("slow",)]

    change(database, "threshold.min_samples", 200)
    change(database, "reference.latency_ms", 5000)
    send(database_url, outcomes(100, 0))
    drain(database, batch_size=1000)
    assert learner.learn().evaluated == 0, "100 outcomes are no longer enough"
    references = "SELECT latency_ref_ms FROM evidence_slices WHERE closed_at IS NOT NULL ORDER BY slice_no"
    assert execute(database_url, references) == [(10_000,), (5000,)]
    change(database, "rule", "adaptive")
    assert learner.learn().rule == "adaptive"

    past = "now() - interval '5 days'"
    execute(database_url, f"UPDATE findings SET opened_at = {past}, closed_at = {past} WHERE closed_at IS NOT NULL")
    closed = "SELECT count(*) FROM findings WHERE closed_at IS NOT NULL"
    maintenance.maintain()
    assert execute(database_url, closed)[0][0] > 0
    change(database, "retention.findings_days", 1)
    maintenance.maintain()
    assert execute(database_url, closed) == [(0,)]


def test_a_change_during_a_run_makes_the_learner_start_again(database: Database, database_url: str) -> None:
    """Otherwise it would publish by the rule that has just been replaced."""
    source = a_source()
    source.adopt(database)

    class Interrupted(ThresholdRule):
        def evaluate(self, evidence: Any, state: States) -> RuleResult:
            if read(database, source).rule == "threshold":
                change(database, "rule", "adaptive")
            return super().evaluate(evidence, state)

    def interrupted(connection: psycopg.Connection[Any]) -> FleetSettings:
        settings = source.read(connection)
        rules = [Interrupted() if rule.name == "threshold" else rule for rule in settings.rules]
        return settings.model_copy(update={"rules": rules})

    send(database_url, outcomes(100, 0))
    drain(database, batch_size=1000)
    run = Learner(database, read_settings=interrupted).learn()
    assert run.rule == "adaptive"
    assert execute(database_url, "SELECT rule FROM model_scores") == [("adaptive",)]
    assert execute(database_url, "SELECT rule FROM learning_runs") == [("adaptive",)]


@pytest.fixture
def busy(database_url: str) -> Iterator[None]:
    """Send events until the end of the test."""
    import random

    stop = threading.Event()

    def work() -> None:
        rng = random.Random(7)
        while not stop.wait(0.05):
            send(database_url, random_events(60, rng))

    thread = threading.Thread(target=work)
    thread.start()
    yield
    stop.set()
    thread.join()


def test_two_daemons_with_different_environments_publish_by_one_rule(
    start: Callable[..., Program], database: Database, database_url: str, busy: None
) -> None:
    common = {
        "DATABASE_URL": database_url, "CENTRALCLOUD_LEARN_INTERVAL_SECONDS": "0.2",
        "CENTRALCLOUD_POLL_INTERVAL_SECONDS": "0.1", "CENTRALCLOUD_LEARN_AFTER_OUTCOMES": "20",
    }  # fmt: skip
    daemons = [start("centralcloud", "run", CENTRALCLOUD_RULE=rule, **common) for rule in ("threshold", "adaptive")]
    for daemon in daemons:
        daemon.wait_for("started")
    adopted = stored(database_url)["rule"]
    warned = [daemon.events().count("fleet_setting_differs") for daemon in daemons]
    assert sorted(warned) == [0, 1], "logged by the daemon whose environment is not used"
    runs = "SELECT count(*) FROM learning_runs WHERE pairs_changed > 0"
    eventually(lambda: execute(database_url, runs)[0][0] >= 6, within_seconds=60, what="runs that publish")
    history = "SELECT DISTINCT rule FROM model_score_history"
    assert execute(database_url, history) == [(adopted,)]

    other = {"threshold": "adaptive", "adaptive": "threshold"}[adopted]
    change(database, "rule", other)
    ((switched_at,),) = execute(database_url, "SELECT max(version) FROM model_score_history")
    since = "SELECT DISTINCT rule FROM model_score_history WHERE version > %s"
    published = "SELECT count(*) FROM model_score_history WHERE version > %s"
    eventually(lambda: execute(database_url, published, (switched_at,))[0][0] >= 6, within_seconds=60, what="scores")
    assert execute(database_url, since, (switched_at,)) == [(other,)], "both have switched, without a restart"
    assert all(daemon.process.poll() is None for daemon in daemons)


def test_the_migration_copies_rule_and_references_from_the_newest_run(database: Database, database_url: str) -> None:
    downgrade(database, "0005")
    execute(
        database_url,
        """
        INSERT INTO learning_runs (rule, through_slice, started_at, pairs_evaluated, pairs_changed, samples)
        VALUES ('threshold', 1, now(), 1, 1, 1), ('adaptive', 2, now(), 1, 0, 1);
        UPDATE evidence_slices SET closed_at = now(), latency_ref_ms = 7000, cost_ref_usd = 0.25;
        INSERT INTO evidence_slices (slice_no, after_record_id, latency_ref_ms) VALUES (2, 0, 1)
        """,
    )
    migrate(database)
    expected = {"rule": "adaptive", "reference.latency_ms": 7000, "reference.cost_usd": 0.25}
    assert stored(database_url) == expected
    a_source(rule="threshold", reference={"latency_ms": 1}).adopt(database)
    assert stored(database_url).items() >= expected.items()
    downgrade(database, "0005")
    migrate(database)
    assert stored(database_url) == expected, "a downgrade loses the others"
