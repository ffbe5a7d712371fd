"""`instance-agent models`, `endpoints`, `rules`, `policies` and so on: list, show, set and remove."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from support.registry import a_model, write
from support.servers import execute
from typer.testing import CliRunner, Result

from centralcloud.contracts.fleet_configuration import KINDS
from centralcloud.runtime.configuration.document import KEPT_KINDS
from centralcloud.runtime.configuration.writing import read_whole
from centralcloud.runtime.postgres.database import Database
from instance_agent.cli.app import app
from instance_agent.entry_kinds import GROUPS

Run = Callable[..., Result]

POLICY = {"name": "code", "models": [{"model": "gpt-4o", "priority": 2}, {"model": "claude-3-5-sonnet"}]}
#: The JSON of an entry, its id, and words that the table shows.
ENTRIES: dict[str, tuple[dict[str, Any], str, list[str]]] = {
    "models": ({"id": "m-1", "name": "M", "version": "v-1", "provider": "openai"}, "m-1", ["openai", "v-1", "active"]),
    "endpoints": (
        {"id": "e-1", "modelId": "m-1", "url": "https://api.openai.com/v1/chat/completions"},
        "e-1",
        ["m-1", "primary"],
    ),
    "rules": ({"id": "r-1", "name": "Night", "policy": "code", "priority": 9}, "r-1", ["Night", "policy:code", "9"]),
    "policies": ({**POLICY, "name": "other"}, "other", ["claude-3-5-sonnet, gpt-4o", "priority"]),
    "tasks": ({"id": "fix_bug", "policy": "code"}, "fix_bug", ["code"]),
    "agents": ({"id": "creative", "preferredModels": ["gpt-4", "openai/gpt-4o"]}, "creative", ["gpt-4, openai/gpt-4o"]),
    "workspaces": ({"id": "acme", "budgetLimits": {"daily": 100}}, "acme", ["100 USD daily", "free_only"]),
    "budgets": ({"scope": "fleet", "period": "daily", "limit": 5}, "fleet:daily", ["fleet", "daily", "free_only"]),
}


@pytest.fixture
def run(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("DATABASE_URL", database_url)

    def invoke(*arguments: str, code: int = 0, value: Any = None) -> Result:
        text = value if isinstance(value, str) else json.dumps(value)
        result = CliRunner().invoke(app, list(arguments), input=text)
        assert (result.exit_code == 0) == (code == 0), (result.output, result.exception)
        return result

    return invoke


def test_there_is_a_group_for_every_kind_but_keys_and_experiments() -> None:
    assert {group.kind for group in GROUPS} == KINDS.keys() - KEPT_KINDS
    assert {group.name for group in GROUPS} == ENTRIES.keys()


def test_the_example_in_the_help_of_each_group_is_an_entry() -> None:
    for group in GROUPS:
        KINDS[group.kind].parse(json.loads(group.example), group.name)
        shown = CliRunner().invoke(app, [group.name, "set", "--help"]).stdout
        assert group.example in " ".join(shown.split())


def test_an_entry_is_set_listed_shown_and_removed(run: Run, database: Database, database_url: str) -> None:
    run("policies", "set", "-", value=POLICY)
    for name, (entry, entry_id, words) in ENTRIES.items():
        added = json.loads(run(name, "set", "-", "--reason", "a test", "--json", value=[entry]).stdout)
        assert added["entries"] == [{"id": entry_id, "change": "added"}], name
        assert run(name, "set", "-", value=entry).stdout.startswith("unchanged: "), name
        table = run(name, "list").stdout
        assert all(word in table for word in [entry_id, *words]), table
        shown = json.loads(run(name, "show", entry_id, "--json").stdout)
        assert (
            json.loads(run(name, "show", entry_id).stdout)
            == shown
            == {**shown, **({} if name == "policies" else entry)}
        )
        assert shown in json.loads(run(name, "list", "--json").stdout)
    version = read_whole(database).configuration.version
    for name, (_, entry_id, _) in reversed(ENTRIES.items()):
        done = json.loads(run(name, "remove", entry_id, "--json").stdout)
        assert done == {"version": version + 1, "removed": [entry_id]}
        version += 1
        missing = run(name, "remove", entry_id, code=1)
        assert f"`instance-agent {name} list` shows them" in str(missing.exception)
        assert run(name, "show", entry_id, code=1).exit_code == 1
    log = execute(database_url, "SELECT DISTINCT reason FROM operator_actions ORDER BY 1")
    assert log == [("a test",), (None,)]


def test_a_list_is_set_whole_or_not_at_all(run: Run, database: Database) -> None:
    run("policies", "set", "-", value=POLICY)
    tasks = [{"id": f"type-{number}", "policy": "code"} for number in range(3)]
    bad = run("tasks", "set", "-", value=[*tasks, {"id": "type-3", "policy": "none"}], code=1)
    assert 'taskMapping["type-3"].policy: found "none"' in str(bad.exception)
    assert not read_whole(database).configuration.task_policies
    dry = json.loads(run("tasks", "set", "-", "--dry-run", "--json", value=tasks).stdout)
    assert (dry["dry_run"], dry["version"], len(dry["entries"])) == (True, 1, 3)
    assert not read_whole(database).configuration.task_policies
    run("tasks", "set", "-", value=tasks)
    in_use = run("policies", "remove", "code", code=1)
    line = 'taskMapping["type-0"].policy: found "code", expected no entry that names it; nothing was changed'
    assert str(in_use.exception) == line


def test_an_empty_list_names_the_command_that_adds_entries(run: Run) -> None:
    for group in GROUPS:
        assert (
            run(group.name, "list").stdout == f"no {group.plural}: `instance-agent {group.name} set FILE` adds them\n"
        )
    for use in ("costs", "recommendations"):
        assert "no sums yet, which the daemon (`centralcloud run`) makes" in run(use).stdout


def test_limits_of_a_workspace_are_listed_with_the_budgets_and_changed_with_the_workspace(run: Run) -> None:
    run("workspaces", "set", "-", value={"id": "acme", "budgetLimits": {"daily": 20}})
    run("budgets", "set", "-", value={"scope": "fleet", "period": "monthly", "limit": 900})
    listed = json.loads(run("budgets", "list", "--json").stdout)
    shown = [(each["id"], each["limit"], each.get("ofWorkspaceConfig")) for each in listed]
    assert shown == [("fleet:monthly", 900, None), ("workspace:acme:daily", 20, True)]
    assert [line.split()[-1] for line in run("budgets", "list").stdout.splitlines()] == [
        "set_with", "budgets", "workspaces",
    ]  # fmt: skip
    assert json.loads(run("budgets", "show", "workspace:acme:daily").stdout) == listed[1]
    kept = run("budgets", "remove", "workspace:acme:daily", code=1)
    assert 'is a limit of the workspace "acme", expected a change of its budgetLimits' in str(kept.exception)


def test_a_model_that_no_catalog_has_is_refused_unless_it_is_registered_or_accepted(
    run: Run, database: Database
) -> None:
    agent = {"preferredModels": ["own-model"]}
    unknown = run("agents", "set", "-", "--id", "creative", value=agent, code=1)
    assert 'agentPreferences["creative"].preferredModels[0]: found "own-model"' in str(unknown.exception)
    run("agents", "set", "-", "--id", "creative", "--any-model", value=agent)
    run("agents", "remove", "creative")
    write(database, a_model("own-model"))
    run("agents", "set", "-", "--id", "creative", value=agent)
    assert list(read_whole(database).configuration.agents) == ["creative"]


def test_a_provider_and_an_address_are_checked_as_in_a_request(run: Run) -> None:
    model = {"name": "m", "version": "m", "provider": "openai"}
    typo = run("models", "set", "-", value={**model, "provider": "opnai"}, code=1)
    assert 'models["m"].provider: found "opnai" (did you mean openai?)' in str(typo.exception)
    run("models", "set", "-", value=model)
    for url, words in (("http://10.0.0.1/v1", "a private network"), ("https://evil.example/v1", "which gets no key")):
        refused = run("endpoints", "set", "-", value={"id": "e", "modelId": "m", "url": url}, code=1)
        assert 'endpoints["e"].url: found' in str(refused.exception)
        assert words in str(refused.exception)
    used = {"id": "r", "name": "r", "targetModels": [{"modelId": "m"}]}
    run("rules", "set", "-", value=used)
    kept = run("models", "remove", "m", code=1)
    assert 'routingRules["r"].targetModels[0].modelId: found "m", which is removed' in str(kept.exception)


@pytest.mark.parametrize(
    ("arguments", "value", "line"),
    [
        (("rules", "set", "-"), "{", "FILE: found a text that is not JSON in -"),
        (("rules", "set", "/none/x.json"), None, "FILE: cannot read /none/x.json: No such file or directory"),
        (("rules", "set", "-"), [], "FILE: found a list of 0 items, expected a JSON object, or a list of them"),
        (("rules", "set", "-"), [{"name": "x"}], "FILE[0]: found neither targetModels nor policy"),
        (("rules", "set", "-"), {"name": "x", "prio": 1}, "FILE.prio: found 1, expected one of the fields id, name"),
        (("rules", "set", "-", "--id", "a"), {"id": "b"}, '--id: found "a", expected "b", as in the file'),
        (("tasks", "set", "-", "--id", "a"), [{}], "--id: found with a list"),
        (("tasks", "set", "-", "--reason", " "), {"id": "a", "policy": "b"}, "--reason is empty"),
        (("tasks", "set", "-"), [{"id": "a", "policy": "b"}] * 2, 'FILE[1].id: found "a" a second time'),
    ],
)
def test_bad_input_is_one_line(run: Run, arguments: tuple[str, ...], value: Any, line: str) -> None:
    refused = run(*arguments, value=value, code=1)
    assert line in str(refused.exception)
    assert "\n" not in str(refused.exception)
