"""The role of operators: the actions of the dashboard, each with its row in the log, and nothing else."""

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

import psycopg
import pytest
from support.events import outcomes, send
from support.fleet import Fleet, a_fleet
from support.grants import refusal
from support.ingest import ingest, ingest_all
from support.operators import OPERATOR
from support.registry import a_model, write
from support.servers import execute

from centralcloud.administration import dead_letters, score_overrides
from centralcloud.administration.message_edits import Edit
from centralcloud.administration.model_status import set_model_status
from centralcloud.administration.verification import verify
from centralcloud.learning.learner import Learner
from centralcloud.learning.rules import ThresholdRule
from centralcloud.runtime.configuration.writing import ConfigurationConflictError, UnknownModelError
from centralcloud.runtime.postgres.database import Database
from centralcloud.store.schema_revision import check_schema
from centralcloud.store.slices import References
from centralcloud.store.tables import metadata

PAIR = ("gpt-4o", "complex")
WEB = replace(OPERATOR, via="web", reason="a test")
#: Tables that the role reads; of another one, no column.
READ = {
    "model_scores", "model_score_history", "model_routing_metrics", "rule_scores", "score_pins", "score_holds",
    "retired_models", "learning_control", "evidence_slices", "accounting", "dead_letters", "operator_actions",
    "fleet_settings", "configuration_state", "task_types", "model_task_scores",
    "experiment_heartbeat", "experiment_progress", "experiment_results", "experiment_verdicts",
}  # fmt: skip


@pytest.fixture(scope="module")
def fleet(server: str) -> Iterator[Fleet]:
    with a_fleet(server) as fleet:
        with Database(fleet.worker, application_name="tests") as worker:
            ingest(worker, fleet.worker, outcomes(100, 0, complexity_score=3.0))
            Learner(worker, [ThresholdRule()]).learn()
        yield fleet


@pytest.fixture
def operator(fleet: Fleet) -> Iterator[Database]:
    with Database(fleet.operator, application_name="tests") as database:
        yield database


def newest_actions(fleet: Fleet, count: int = 1) -> list[tuple[str, ...]]:
    """The newest rows of the log, oldest first: action, subject, and the database's role."""
    query = "SELECT action, subject, via, who FROM operator_actions ORDER BY id DESC LIMIT %s"
    return execute(fleet.admin, query, (count,))[::-1]


def by(fleet: Fleet, action: str, subject: str) -> tuple[str, ...]:
    return action, subject, "web", f"tester as {fleet.roles.operator}"


def test_scores_are_pinned_unpinned_rolled_back_and_frozen(fleet: Fleet, operator: Database) -> None:
    check_schema(operator)
    before = execute(fleet.admin, "SELECT max(version) FROM model_scores")[0][0]
    score_overrides.pin(operator, PAIR, Decimal("4.5"), None, WEB)
    score_overrides.unpin(operator, PAIR, WEB)
    with Database(fleet.worker, application_name="tests") as worker:  # the rollback closes their slice
        ingest(worker, fleet.worker, outcomes(10, 0))
    undone = score_overrides.roll_back(operator, [ThresholdRule()], before, References(), WEB).undone
    assert [(change.model, change.complexity) for change in undone] == [PAIR]
    score_overrides.freeze(operator, "a test", WEB)
    with operator.transaction() as connection:
        assert score_overrides.read_freeze(connection).who == f"tester as {fleet.roles.operator}"  # type: ignore[union-attr]
    assert score_overrides.unfreeze(operator, WEB)
    assert newest_actions(fleet, 5) == [
        by(fleet, "pin", "gpt-4o/complex"),
        by(fleet, "unpin", "gpt-4o/complex"),
        by(fleet, "rollback", "scores"),
        by(fleet, "freeze", "scores"),
        by(fleet, "unfreeze", "scores"),
    ]
    with Database(fleet.owner, application_name="tests") as owner:
        assert verify(owner).ok


def test_dead_letters_are_listed_replayed_edited_and_discarded(fleet: Fleet, operator: Database) -> None:
    send(fleet.owner, [{"no": "event"}, {"no": "event either"}, {"neither": "event"}])
    with Database(fleet.worker, application_name="tests") as worker:
        ingest_all(worker)
        third, second, first = [
            letter["id"] for letter in dead_letters.list_dead_letters(operator, dead_letters.Filter(), limit=3)
        ]
        edit = Edit(("no",), "an event")
        assert dead_letters.replay(operator, dead_letters.Filter(ids=[first]), [edit], WEB).sent == 1
        assert dead_letters.replay(operator, dead_letters.Filter(ids=[second]), [], WEB).sent == 1
        assert dead_letters.discard(operator, dead_letters.Filter(ids=[third]), WEB) == 1
        assert ingest_all(worker).dead_letters == 2, "they were sent"
        assert verify(worker).ok
    assert newest_actions(fleet, 3) == [
        by(fleet, "replay_dead_letters", "dead-letters"),
        by(fleet, "replay_dead_letters", "dead-letters"),
        by(fleet, "discard_dead_letters", "dead-letters"),
    ]


def test_a_model_is_made_inactive_in_the_version_that_the_operator_has_seen(fleet: Fleet, operator: Database) -> None:
    with Database(fleet.configurator, application_name="tests") as configurator:
        version = write(configurator, a_model("gpt-4", tags=["a"]), a_model("gpt-5")).configuration.version
    assert set_model_status(operator, "gpt-4", "inactive", WEB, expected_version=version) == version + 1
    assert newest_actions(fleet) == [by(fleet, "change_configuration", "model/gpt-4")]
    before, after = execute(
        fleet.admin,
        "SELECT before -> 'entries' -> 'model/gpt-4', after -> 'entries' -> 'model/gpt-4' FROM operator_actions "
        "ORDER BY id DESC LIMIT 1",
    )[0]
    assert {name: value for name, value in after.items() if before.get(name) != value} == {"status": "inactive"}
    with pytest.raises(ConfigurationConflictError):
        set_model_status(operator, "gpt-5", "inactive", WEB, expected_version=version)
    assert set_model_status(operator, "gpt-5", "active", WEB) == version + 1, "without a difference there is no version"
    with pytest.raises(UnknownModelError, match="found no registered model 'gpt-6'"):
        set_model_status(operator, "gpt-6", "active", WEB)
    with Database(fleet.configurator, application_name="tests") as configurator:
        written = write(configurator, a_model("another"))
    models = written.configuration.models
    assert (models["gpt-4"].status, models["gpt-4"].tags, models["gpt-5"].status) == ("inactive", ("a",), "active")


@pytest.mark.parametrize("table", sorted(metadata.tables))
def test_a_table_that_no_action_needs_is_neither_read_nor_emptied(fleet: Fleet, table: str) -> None:
    if table in READ:
        execute(fleet.operator, f"SELECT * FROM {table} LIMIT 1")
    else:
        assert "denied" in refusal(fleet.operator, f"SELECT * FROM {table}")
    if table != "score_pins":
        assert "denied" in refusal(fleet.operator, f"DELETE FROM {table}")
    assert "denied" in refusal(fleet.operator, f"TRUNCATE {table}")


@pytest.mark.parametrize(
    "forbidden",
    [
        # The contents of events, requests and keys.
        "SELECT user_model_request FROM routing_records",
        "SELECT extra FROM routing_records",
        "SELECT * FROM routing_decisions",
        "SELECT message FROM pgmq.q_model_routing_decisions",
        "SELECT message FROM pgmq.q_model_score_updates",
        "SELECT * FROM pgmq.a_model_routing_decisions",
        "SELECT body FROM configuration_entries",
        "SELECT centralcloud.configuration_since(0)",
        "SELECT centralcloud.configuration_at(1)",
        "SELECT centralcloud.explain_request(gen_random_uuid())",
        "SELECT centralcloud.recent_requests(1)",
        "SELECT comment FROM feedback",
        # Budgets, keys, settings, logins.
        "SELECT centralcloud.write_configuration(0, '[]', 'a', 'web', 'b')",
        "SELECT centralcloud.lock_configuration()",
        "SELECT centralcloud.report_model_health('m', '{}', 60)",
        "UPDATE configuration_entries SET body = NULL",
        "UPDATE configuration_state SET config_version = 1",
        "UPDATE spend_periods SET spent = 0",
        "SELECT centralcloud.exchange_spend('a', 'b', 1, '{}')",
        "UPDATE fleet_settings SET value = '1'",
        "INSERT INTO instance_logins VALUES (session_user, 'node-1')",
        # The log, the history and the ledger.
        "UPDATE operator_actions SET who = 'another'",
        "UPDATE model_score_history SET new_score = 5",
        "UPDATE accounting SET records = 0",
        "UPDATE accounting SET cost_nano_usd = 0",
        "UPDATE dead_letters SET message = '{}'",
        "INSERT INTO dead_letters (reason, field) VALUES ('a', 'b')",
        "UPDATE evidence_slices SET after_record_id = 0",
        "UPDATE evidence SET successes = 0",
        "UPDATE rule_scores SET score = 5",
        "INSERT INTO retired_models VALUES ('m')",
        "INSERT INTO fleet_minutes (minute) VALUES (now())",
        # Messages and events of others.
        "SELECT pgmq.pop('model_routing_decisions', 1)",
        "SELECT pgmq.read('model_routing_decisions', 30, 1)",
        "SELECT pgmq.purge_queue('model_routing_decisions')",
        "UPDATE pgmq.q_model_routing_decisions SET vt = now()",
        "SELECT centralcloud.publish_decision('{}')",
        "SELECT centralcloud.acknowledge('node-1', 1)",
        "SELECT centralcloud.leave('node-1')",
        "SELECT centralcloud.ensure_partitions(1)",
        "SELECT centralcloud.drop_expired_partition('0 days')",
        "SELECT centralcloud.repair_sequences()",
        "SELECT setval('model_score_version', 1)",
        # Objects and roles.
        "CREATE TABLE mine (n int)",
        "CREATE TEMPORARY TABLE mine (n int)",
        "CREATE SCHEMA mine",
        "CREATE ROLE mine",
        "ALTER FUNCTION centralcloud.set_model_status RENAME TO mine",
        "LOCK TABLE routing_records IN ACCESS EXCLUSIVE MODE",
    ],
)
def test_every_other_statement_of_an_operator_is_refused(fleet: Fleet, forbidden: str) -> None:
    found = refusal(fleet.operator, forbidden)
    assert "denied" in found or "must be owner" in found


@pytest.mark.parametrize("role", ["worker", "instance", "dashboard", "gateway", "configurator"])
def test_no_other_role_sets_a_status_by_the_function_of_operators(fleet: Fleet, role: str) -> None:
    call = "SELECT centralcloud.set_model_status(0, 'm', 'active', 'a', 'web', 'b')"
    assert "permission denied for function" in refusal(getattr(fleet, role), call)


def test_the_database_checks_the_status_whatever_a_client_sends(fleet: Fleet) -> None:
    with Database(fleet.configurator, application_name="tests") as configurator:
        write(configurator, a_model("gpt-4"))
    for model, status in (("gpt-4", "deleted"), ("gpt-4", None)):
        with pytest.raises(psycopg.errors.InvalidParameterValue, match="expected active or inactive"):
            execute(
                fleet.operator,
                "SELECT centralcloud.set_model_status(0, %s, %s, 'a', 'web', 'b')",
                (model, status),
            )
