"""The roles of gateways and of the configuration: each does its own work, and every other attempt is refused."""

import json
from collections.abc import Iterator

import psycopg
import pytest
from psycopg.types.json import Jsonb
from support.events import an_event
from support.fleet import Fleet, a_fleet
from support.grants import refusal
from support.registry import a_model, an_endpoint, write
from support.servers import execute

from centralcloud.contracts.fleet_configuration import HealthReport
from centralcloud.runtime.configuration.writing import ConfigurationRightError, read_whole, report_health
from centralcloud.runtime.postgres.database import Database
from centralcloud.store.schema import downgrade, migrate
from centralcloud.store.tables import metadata
from instance_agent.sync.classifier_file import ClassifierFile
from instance_agent.sync.classifier_updater import ClassifierUpdater
from instance_agent.sync.configuration_file import ConfigurationFile
from instance_agent.sync.configuration_updater import ConfigurationUpdater

#: The functions that each role may execute.
_INSTANCE = {
    "publish_decision", "publish_decisions", "score_updates_since", "current_scores", "current_task_scores", "acknowledge",
    "leave", "epoch",
}  # fmt: skip
_ALLOWED = {
    "gateway": _INSTANCE
    | {"configuration_since", "report_model_health", "report_feedback", "submit_feedback", "explain_request"}
    | {"report_target_health", "current_target_health", "claim_target_leases", "exchange_spend", "current_spend"}
    | {"usage_totals", "usage_by_complexity", "usage_escalations", "usage_until", "recent_requests"}
    | {"task_classifier_in_use", "task_classifier_model", "experiment_report"},
    "configurator": {
        "configuration_since", "lock_configuration", "write_configuration", "report_model_health", "epoch",
        "configuration_at", "configuration_changes", "experiments_ever", "scope_traffic",
        "experiment_report", "models_heard_of",
    },
}  # fmt: skip
_ROLES = [*_ALLOWED]


@pytest.fixture(scope="module")
def fleet(server: str) -> Iterator[Fleet]:
    with a_fleet(server) as fleet:
        yield fleet


def url_of(fleet: Fleet, role: str) -> str:
    return str(getattr(fleet, role))


def test_a_gateway_reads_the_configuration_and_scores_and_sends_events_and_health(fleet: Fleet, tmp_path) -> None:
    with Database(fleet.configurator, application_name="tests") as configurator:
        write(configurator, a_model(), an_endpoint())
    with Database(fleet.gateway, application_name="tests") as gateway:
        updater = ConfigurationUpdater(gateway, file=ConfigurationFile(tmp_path))
        updater.run_once()
        assert "gpt-4" in updater.configuration.models
        report_health(gateway, "gpt-4", HealthReport(status="unhealthy"), 60)
        updater.run_once()
        assert updater.configuration.health["gpt-4"].report.status == "unhealthy"
        with pytest.raises(ConfigurationRightError, match="may not change the configuration"):
            write(gateway, a_model("gpt-5"))
    execute(fleet.gateway, "SELECT centralcloud.publish_decision(%s)", (Jsonb(an_event("gw-1")),))
    execute(fleet.gateway, "SELECT * FROM centralcloud.current_scores()")
    execute(fleet.gateway, "SELECT centralcloud.acknowledge('gw-1', 0), centralcloud.epoch()")


def test_a_gateway_without_the_right_to_the_classifier_says_how_to_get_it(fleet: Fleet, tmp_path) -> None:
    right = f"EXECUTE ON FUNCTION centralcloud.task_classifier_in_use() {{}} {fleet.roles.gateway}"
    with Database(fleet.gateway, application_name="tests") as gateway:
        updater = ClassifierUpdater(gateway, file=ClassifierFile(tmp_path))
        execute(fleet.admin, f"REVOKE {right.format('FROM')}")
        updater.run_once()
        assert updater.problem == (
            "this login may not read the trained classifier (permission denied for function task_classifier_in_use): "
            "`centralcloud grants --apply` gives gateways the right"
        )
        execute(fleet.admin, f"GRANT {right.format('TO')}")
        updater.run_once()
        assert updater.problem is None


def test_a_configurator_reads_and_writes_the_configuration(fleet: Fleet) -> None:
    with Database(fleet.configurator, application_name="tests") as configurator:
        before = read_whole(configurator).configuration.version
        written = write(configurator, a_model("another"))
        assert written.configuration.version == before + 1
    ((who,),) = execute(fleet.admin, "SELECT who FROM operator_actions ORDER BY id DESC LIMIT 1")
    assert who == f"tester as {fleet.roles.configurator}"


@pytest.mark.parametrize("role", _ROLES)
@pytest.mark.parametrize("table", [*metadata.tables, "centralcloud.schema_revision", "pgmq.q_model_routing_decisions"])
def test_no_table_is_read_or_written(fleet: Fleet, role: str, table: str) -> None:
    for forbidden in (f"SELECT count(*) FROM {table}", f"DELETE FROM {table}", f"TRUNCATE {table}"):
        assert "denied" in refusal(url_of(fleet, role), forbidden)


@pytest.mark.parametrize("role", _ROLES)
def test_every_other_function_is_refused(fleet: Fleet, role: str) -> None:
    functions = execute(
        fleet.admin,
        """
        SELECT proname, oid::regproc::text || '(' || coalesce((
            SELECT string_agg('NULL::' || format_type(type, NULL), ', ' ORDER BY n)
            FROM unnest(proargtypes) WITH ORDINALITY AS argument (type, n)
        ), '') || ')'
        FROM pg_proc WHERE pronamespace = 'centralcloud'::regnamespace AND prorettype <> 'trigger'::regtype
        """,
    )
    assert _ALLOWED[role] - {"report_feedback"} <= {name for name, _ in functions}
    forbidden = [call for name, call in functions if name not in _ALLOWED[role]]
    assert len(forbidden) > 5
    for call in forbidden:
        assert "permission denied for function" in refusal(url_of(fleet, role), f"SELECT {call}"), call


@pytest.mark.parametrize("role", _ROLES)
@pytest.mark.parametrize(
    "forbidden",
    [
        "SELECT pgmq.send('model_score_updates', '{}')",
        "SELECT nextval('model_score_version')",
        "CREATE TABLE mine (n int)",
        "CREATE TEMPORARY TABLE mine (n int)",
        "CREATE SCHEMA mine",
        "CREATE ROLE mine",
        "ALTER FUNCTION centralcloud.epoch() RENAME TO mine",
        "LOCK TABLE configuration_entries IN ACCESS SHARE MODE",
    ],
)
def test_every_other_statement_is_refused(fleet: Fleet, role: str, forbidden: str) -> None:
    found = refusal(url_of(fleet, role), forbidden)
    assert "denied" in found or "must be owner" in found


def test_a_role_cannot_become_another_one(fleet: Fleet) -> None:
    for role in _ROLES:
        for other in (*fleet.roles.names, f"{fleet.name}_owner"):
            if other != getattr(fleet.roles, role):
                assert "denied" in refusal(url_of(fleet, role), f"SET ROLE {other}")


def test_the_name_of_the_database_role_in_the_log_cannot_be_made_up(fleet: Fleet) -> None:
    change = json.dumps(
        [{"kind": "model", "id": "x", "body": {"id": "x", "name": "x", "version": "x", "provider": "p"}}]
    )
    with psycopg.connect(fleet.configurator) as connection:
        ((version,),) = connection.execute("SELECT centralcloud.lock_configuration()").fetchall()
        connection.execute(
            "SELECT centralcloud.write_configuration(%s, %s, 'root as postgres', 'api', '10.0.0.1', 'why')",
            (version, change),
        )
    found = execute(fleet.admin, "SELECT who, via, reason FROM operator_actions ORDER BY id DESC LIMIT 1")
    assert found == [(f"root as postgres as {fleet.roles.configurator}", "api", "why")]


def test_an_upgrade_gives_the_roles_the_history_and_the_view(fleet: Fleet) -> None:
    with Database(fleet.owner, application_name="tests") as owner:
        downgrade(owner, "0019")
        migrate(owner)
    assert execute(fleet.configurator, "SELECT count(*) > 0 FROM centralcloud.configuration_changes(5)") == [(True,)]
    assert execute(fleet.dashboard, "SELECT count(*) FROM routing_policies") == [(4,)]
    for role in ("gateway", "worker", "dashboard", "instance"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            execute(url_of(fleet, role), "SELECT centralcloud.configuration_at(1)")
