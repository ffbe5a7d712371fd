"""`centralcloud configuration`: history, differences, the way back, export and import."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.experiment_entries import parsed
from support.fleet import a_fleet
from support.registry import AUTHOR, a_model, an_endpoint, write
from support.servers import execute, new_database
from support.terminals import TerminalProgram
from typer.testing import CliRunner, Result

from centralcloud.cli.app import app
from centralcloud.contracts.fleet_configuration import (
    parse_agent,
    parse_budget,
    parse_policy,
    parse_rule,
    parse_workspace,
    put,
    remove,
)
from centralcloud.contracts.fleet_configuration import parse_task_policy as parse_task
from centralcloud.runtime.configuration.keys import create_key, revoke_key
from centralcloud.runtime.configuration.writing import read_whole
from centralcloud.runtime.postgres.database import Database

Run = Callable[..., Result]
RULE: dict[str, Any] = {
    "name": "Creative",
    "condition": {"agentType": ["creative"], "contentLength": {"min": 100}},
    "targetModels": [{"modelId": "gpt-4", "weight": 0.7, "fallbackOrder": 1}, {"modelId": "claude-3-sonnet"}],
}


@pytest.fixture
def run(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    def invoke(*arguments: str, url: str = database_url, code: int = 0, **options: Any) -> Result:
        monkeypatch.setenv("DATABASE_URL", url)
        result = CliRunner().invoke(app, ["configuration", *arguments], **options)
        assert not isinstance(result.exception, Exception) or code, result.exception
        if code == 0:
            assert result.exit_code == 0, result.output
        return result

    return invoke


def fill(database: Database) -> None:
    """Write an entry of every kind, a key included."""
    create_key(database, AUTHOR, role="admin", label="ops")
    write(
        database,
        a_model("gpt-4", parameters={"z": 1.0, "a": [1, 2.5, None], "temperature": 0.1 + 0.2}, tags=["ü"]),
        an_endpoint(),
        put(parse_rule(RULE)),
        put(
            parse_policy(
                {
                    "name": "code",
                    "models": [{"model": "gpt-4"}],
                    "order": "local_first",
                    "task_preferences": {"fix": ["gpt-4"]},
                }
            )
        ),
        put(parse_task({"id": "fix", "policy": "code"})),
        put(parse_agent({"preferredModels": ["gpt-4"]}, agent_type="creative")),
        put(parse_workspace({"budgetLimits": {"daily": 0.1}}, workspace="acme")),
        put(parse_budget({"scope": "fleet", "period": "monthly", "limit": 2000, "timezone": "Europe/Berlin"})),
    )


def test_an_export_over_an_empty_database_is_byte_equal(
    run: Run, database: Database, database_url: str, server: str, template: str, tmp_path: Path
) -> None:
    fill(database)
    file = tmp_path / "config.json"
    run("export", "--output", str(file))
    text = file.read_bytes()
    assert run("export").stdout_bytes == text
    assert b"cck_" not in text
    assert b"hash" not in text
    with new_database(server, template) as empty:
        first = json.loads(run("import", str(file), "--json", url=empty).stdout)
        assert (first["version"], first["changed"], first["unknown_models"]) == (1, True, ["claude-3-sonnet"])
        assert run("export", url=empty).stdout_bytes == text
        again = json.loads(run("import", "-", "--replace", "--json", url=empty, input=text).stdout)
        assert (again["version"], again["entries"]) == (1, []), "nothing differs, so there is no version"


def test_replace_removes_the_others_and_keeps_keys_and_a_dry_run_writes_nothing(
    run: Run, database: Database, tmp_path: Path
) -> None:
    fill(database)
    version = read_whole(database).configuration.version
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"config": {"models": [{"name": "m", "version": "m", "provider": "openai"}]}}))
    shown = run("import", str(file), "--replace", "--dry-run").stdout
    assert "would be written: 1 added, 8 removed" in shown
    assert read_whole(database).configuration.version == version
    stale = run("import", str(file), "--expected-version", "1", code=1)
    assert (stale.exit_code, "expected 1" in str(stale.exception)) == (1, True)
    merged = json.loads(run("import", str(file), "--json").stdout)
    assert [(each["id"], each["change"]) for each in merged["entries"]] == [("m", "added")]
    run("import", str(file), "--replace", "--yes", "--reason", "a clean start")
    after = read_whole(database).configuration
    assert (list(after.models), len(after.keys), len(after.rules)) == (["m"], 1, 0)
    newest = json.loads(run("history", "--limit", "1", "--json").stdout)
    assert (newest[0]["reason"], newest[0]["via"], newest[0]["version"]) == ("a clean start", "cli", after.version)


def test_an_import_and_a_rollback_leave_experiments_and_may_not_remove_what_they_name(
    run: Run, database: Database, tmp_path: Path
) -> None:
    fill(database)
    running = parsed({"name": "new", "policy": "code"})
    write(database, put(running))
    assert "experiments" not in json.loads(run("export").stdout)["config"]
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"config": {"models": [{"name": "m", "version": "m", "provider": "openai"}]}}))
    refused = run("import", str(file), "--replace", "--yes", code=1)
    assert 'experiments["e1"].treatments[0].policy: found "code"' in str(refused.exception)
    refused = run("rollback", "--to", "0", "--yes", code=1)
    assert 'experiments["e1"].treatments[0].policy: found "code"' in str(refused.exception)
    write(database, put(parsed({"name": "new", "policy": "code"}, stage={"status": "stopped"})))
    run("rollback", "--to", "0", "--yes")
    after = read_whole(database).configuration
    assert ([each.stage.status for each in after.experiments], len(after.policies)) == (["stopped"], 0)


BAD: list[tuple[str, str]] = [
    ("{", "not JSON"),
    ("[]", 'config: found a list of 0 items, expected an object: {"config": {...}}'),
    ('{"models": []}', "models: found a list of 0 items, expected only config"),
    ('{"config": {"rules": []}}', "config.rules: found a list of 0 items, expected one of the sections models"),
    ('{"config": {"keys": []}}', "keys are not imported"),
    ('{"config": {"experiments": []}}', "experiments are not imported"),
    ('{"config": {"models": {}}}', "config.models: found an object of 0 keys, expected a list"),
    ('{"config": {"routingRules": [{"name": "x"}]}}', "config.routingRules[0]: found neither targetModels nor policy"),
    (
        '{"config": {"agentPreferences": {"a": {"id": "b"}}}}',
        'config.agentPreferences["a"].id: found "b", expected "a"',
    ),
    ('{"config": {"taskMapping": {"fix": "none"}}}', 'taskMapping["fix"].policy: found "none"'),
    ('{"config": {"taskMapping": {"fix": 7}}}', 'config.taskMapping["fix"].policy: found 7, expected a string'),
]


@pytest.mark.parametrize(("text", "line"), BAD)
def test_a_wrong_document_is_refused_with_the_path(run: Run, text: str, line: str) -> None:
    refused = run("import", "-", input=text, code=1)
    assert line in str(refused.exception)


def test_a_rollback_is_a_new_version_with_the_old_content_and_leaves_keys_alone(run: Run, database: Database) -> None:
    fill(database)
    before = read_whole(database)
    key = create_key(database, AUTHOR, role="user", label="app").key
    kept = read_whole(database).configuration.version
    revoke_key(database, AUTHOR, key.id)
    write(database, put(parse_rule({**RULE, "priority": 7})), remove("budget", "fleet:monthly"), a_model("new"))
    newest = read_whole(database).configuration.version

    fields = json.loads(run("diff", str(kept), "--json").stdout)
    assert [(each["kind"], each["change"]) for each in fields] == [
        ("budget", "removed"), ("key", "changed"), ("model", "added"), ("rule", "changed"),
    ]  # fmt: skip
    assert fields[3]["fields"] == [{"field": "priority", "before": 100, "after": 7}]
    assert [each["field"] for each in fields[1]["fields"]] == ["revokedAt"]

    shown = run("rollback", "--to", str(kept), "--dry-run").stdout
    assert "would be written: 1 added, 1 changed, 1 removed" in shown
    done = json.loads(run("rollback", "--to", str(kept), "--json").stdout)
    after = read_whole(database)
    assert (done["version"], after.configuration.version) == (newest + 1, newest + 1)
    assert after.configuration.keys[key.id].revoked_at is not None
    assert {each: after.bodies[each] for each in before.bodies} == dict(before.bodies)
    assert json.loads(run("diff", str(kept), "--json").stdout)[0]["kind"] == "key"
    assert len(json.loads(run("diff", str(kept), "--json").stdout)) == 1
    nothing = run("rollback", "--to", str(kept)).stdout
    assert f"nothing differs from version {newest + 1}" in nothing
    assert run("rollback", "--to", "99", code=1).exit_code == 1


def test_a_rollback_that_removes_every_policy_says_what_it_removes_and_asks(
    run: Run, database: Database, database_url: str
) -> None:
    write(database, put(parse_policy({"name": "code", "models": [{"model": "gpt-4"}]})))
    write(database, a_model("gpt-4"), put(parse_task({"id": "fix", "policy": "code"})))
    write(database, put(parse_policy({"name": "ops", "models": [{"model": "gpt-4"}]})))
    arguments = ("configuration", "rollback", "--to", "0")
    program = TerminalProgram("centralcloud", *arguments, env={"DATABASE_URL": database_url})
    program.type(b"n\n", after=b"[y/N]: ")
    code, screen = program.end()
    assert (code, screen.splitlines()) == (
        1,
        [
            "  model: gpt-4",
            "  policy: code, ops",
            "  task: fix",
            "Version 0 has no entry. Remove 4 entries? [y/N]: n",
            "centralcloud: nothing was rolled back",
        ],
    )
    refused = run("rollback", "--to", "0", code=2)
    assert "Remove 4 entries? (model: gpt-4; policy: code, ops; task: fix)" in str(refused.exception)
    run("rollback", "--to", "0", "--dry-run")
    run("rollback", "--to", "2")  # one policy of two: no question
    run("rollback", "--to", "0", "--yes")
    assert read_whole(database).bodies == {}
    write(database, a_model("gpt-4"))
    write(database, put(parse_policy({"name": "code", "models": [{"model": "gpt-4"}]})))
    without_policy = read_whole(database).configuration.version - 1
    refused = run("rollback", "--to", str(without_policy), code=2)
    assert "--yes is required" in str(refused.exception), "the model stays, but no policy does"
    assert len(read_whole(database).bodies) == 2


def test_an_import_that_removes_every_policy_asks_as_a_rollback_does(
    run: Run, database: Database, database_url: str, tmp_path: Path
) -> None:
    write(database, a_model("gpt-4"), put(parse_policy({"name": "code", "models": [{"model": "gpt-4"}]})))
    before = read_whole(database)
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"config": {"models": [{"name": "m", "version": "m", "provider": "openai"}]}}))
    program = TerminalProgram(
        "centralcloud", "configuration", "import", str(file), "--replace", env={"DATABASE_URL": database_url}
    )
    program.type(b"n\n", after=b"[y/N]: ")
    code, screen = program.end()
    assert (code, screen.splitlines()) == (
        1,
        [
            "  model: gpt-4",
            "  policy: code",
            "The document has no policy. Remove 2 entries? [y/N]: n",
            "centralcloud: nothing was imported",
        ],
    )
    for document in (file.read_text(), '{"config": {}}'):
        refused = run("import", "-", "--replace", input=document, code=2)
        assert "--yes is required" in str(refused.exception)
    assert read_whole(database) == before
    run("import", str(file), "--replace", "--dry-run")
    run("import", str(file))  # everything else stays: no question
    run("import", str(file), "--replace", "--yes")
    assert list(read_whole(database).bodies) == [("model", "m")]
    run("import", "-", "--replace", input='{"config": {"models": []}}', code=2)


def test_history_and_show_find_an_entry_and_never_a_hash(run: Run, database: Database) -> None:
    fill(database)
    write(database, put(parse_rule({**RULE, "priority": 7})))
    rule = parse_rule(RULE).id
    versions = json.loads(run("history", f"rule/{rule}", "--json").stdout)
    assert [(each["version"], each["changed"]) for each in versions] == [(3, 1), (2, 8)]
    assert versions[0]["who"].startswith("tester as ")
    assert json.loads(run("show", f"rule/{rule}", "--json").stdout)["priority"] == 7
    assert json.loads(run("show", f"rule/{rule}", "--at", "2").stdout)["priority"] == 100
    assert "hash" not in run("show", "key").stdout
    counts = json.loads(run("show", "--json").stdout)
    assert (counts["version"], counts["entries"]["rule"], counts["changed"]["version"]) == (3, 1, 3)
    assert "version 3, changed" in run("show").stdout
    assert run("history", "topic", code=2).exception is not None


def test_the_role_of_the_configuration_may_and_a_worker_may_not(run: Run, server: str) -> None:
    with a_fleet(server) as fleet:
        assert json.loads(run("show", "--json", url=fleet.configurator).stdout)["entries"]["policy"] == 4
        run("diff", "0", url=fleet.configurator)
        run("rollback", "--to", "0", "--yes", url=fleet.configurator)
        assert execute(fleet.worker, "SELECT count(*) FROM routing_policies") == [(0,)]
        refused = run("export", url=fleet.worker, code=1)
        assert "expected one with the rights of centralcloud_" in str(refused.exception)
