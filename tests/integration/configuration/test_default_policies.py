"""The default policies and task mapping: there after `migrate`, once, and never in the place of an operator's own."""

from collections.abc import Iterator

import pytest
from psycopg.types.json import Jsonb
from support.registry import write
from support.servers import execute

from centralcloud.contracts.fleet_configuration import canonical_json, parse_policy, put, remove, to_body
from centralcloud.runtime.configuration.history import list_versions
from centralcloud.runtime.configuration.writing import read_whole
from centralcloud.runtime.postgres.database import Database
from centralcloud.store.operator_actions import list_actions
from centralcloud.store.schema import downgrade, migrate
from instance_agent.catalog.source import CatalogSource

TASKS = {
    "investigate_error": "code", "deploy_code": "code", "fix_bug": "code", "analyze_logs": "normal", "simple_query": "ops",
}  # fmt: skip
MODELS = {
    "normal": (["gpt-4o-mini", "claude-3-5-sonnet"], 0.1),
    "deep_research": (["gpt-4o", "claude-3-opus"], 1.0),
    "code": (["gpt-4o", "claude-3-5-sonnet"], 0.5),
    "ops": (["gpt-3.5-turbo", "claude-3-haiku"], 0.01),
}


@pytest.fixture
def migrated(empty_url: str) -> Iterator[Database]:
    with Database(empty_url, application_name="tests") as database:
        migrate(database)
        yield database


def test_the_defaults_are_one_version_with_history_and_a_row_in_the_log(migrated: Database, empty_url: str) -> None:
    current = read_whole(migrated)
    found = current.configuration
    assert (found.version, dict(found.task_policies)) == (1, TASKS)
    in_order = {
        policy.name: ([each.model for each in policy.in_order()], policy.max_cost_per_task)
        for policy in found.policies.values()
    }
    assert in_order == MODELS
    assert (found.policies["normal"].max_tokens, found.policies["normal"].temperature) == (4000, 0.7)
    for name, policy in found.policies.items():
        assert canonical_json(current.bodies["policy", name]) == canonical_json(to_body(policy)), (
            "as a writer stores it"
        )
    log = execute(empty_url, "SELECT split_part(who, ' as ', 1), action, reason FROM operator_actions")
    assert log == [("migration", "change_configuration", "default policies and task mapping")]
    assert execute(empty_url, "SELECT count(*), min(config_version) FROM configuration_history") == [(9, 1)]
    write(migrated, remove("task", "fix_bug"))
    ways = ["cli", "migration"]  # newest first
    assert [each.via for each in list_versions(migrated, most=9)] == ways
    with migrated.connection() as connection:
        assert [each["via"] for each in list_actions(connection, limit=9)] == ways


def test_every_default_model_is_one_of_the_built_in_catalog(migrated: Database) -> None:
    """By its own name or an alias, at the provider of the specification and at another one."""
    catalog = CatalogSource(environ={}).build()
    for policy in read_whole(migrated).configuration.policies.values():
        for each in policy.models:
            targets = catalog.targets_of(catalog.resolve(each.reference)[0])
            assert {target.model.provider for target in targets} & {"openai", "anthropic"}, each.reference
            assert len(targets) > 1, each.reference


def test_an_operators_own_policy_stays_and_a_downgrade_removes_what_older_code_cannot_read(
    migrated: Database, empty_url: str
) -> None:
    downgrade(migrated, "0019")
    assert execute(empty_url, "SELECT count(*) FROM configuration_entries WHERE body IS NOT NULL") == [(0,)]
    own = put(parse_policy({"name": "code", "models": [{"model": "mine"}], "description": "own"}))
    changes = Jsonb([{"kind": own.kind, "id": own.id, "body": own.body}])
    execute(empty_url, "SELECT centralcloud.write_configuration(2, %s, 'a', 'cli', 'b')", (changes,))
    migrate(migrated)
    policies = read_whole(migrated).configuration.policies
    assert (set(policies), policies["code"].description) == (set(MODELS), "own")


def test_the_view_has_the_policies_with_their_times(migrated: Database, empty_url: str) -> None:
    columns = "SELECT name, description, is_active, policy_config ->> 'max_cost_per_task', id FROM routing_policies"
    before = execute(empty_url, f"{columns} WHERE name = 'ops'")
    assert before[0][:4] == ("ops", "Cheapest, for simple tasks", True, "0.01")
    policy = read_whole(migrated).configuration.policies["ops"]
    write(migrated, put(parse_policy({**to_body(policy), "is_active": False})))
    write(migrated, remove("policy", "deep_research"))
    after = execute(empty_url, f"{columns} WHERE NOT is_active AND updated_at > created_at")
    assert after == [(*before[0][:2], False, *before[0][3:])]
    assert execute(empty_url, "SELECT name FROM routing_policies ORDER BY 1") == [("code",), ("normal",), ("ops",)]
    write(migrated, remove("policy", "ops"), remove("task", "simple_query"))
    write(migrated, put(policy))
    assert execute(empty_url, "SELECT updated_at = created_at, id FROM routing_policies WHERE name = 'ops'") == [
        (True, before[0][4])
    ]
