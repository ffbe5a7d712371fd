"""The log of operators' actions: one correct row for each change, in its transaction, which never changes."""

import json
import signal
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from support.commands import run_command
from support.events import an_event, outcomes, send
from support.fleet import Fleet, a_fleet
from support.operators import OPERATOR
from support.programs import Program
from support.servers import execute
from support.waiting import eventually

from centralcloud.administration.dead_letters import Filter, replay
from centralcloud.administration.score_overrides import freeze
from centralcloud.administration.verification import verify
from centralcloud.ingest.drain import drain
from centralcloud.runtime.postgres.database import Database
from centralcloud.store.operator_actions import Action, list_actions

QUEUE = "pgmq.q_model_routing_decisions"


def actions(url: str, *columns: str) -> list[tuple]:
    return execute(url, f"SELECT {', '.join(columns)} FROM operator_actions ORDER BY id")


@pytest.fixture
def learned(database: Database, database_url: str) -> str:
    """Return the URL of a database in which two models have scores."""
    send(database_url, [*outcomes(98, 2), *outcomes(50, 50, selected_model="poor"), {"no": "event"}, {"no": "model"}])
    drain(database, batch_size=1000)
    assert run_command("centralcloud", "learn", env={"DATABASE_URL": database_url}).returncode == 0
    execute(database_url, "SELECT centralcloud.acknowledge('node-1', 1)")
    return database_url


#: A command, and the action, subject, before and after that it leaves; `...`: anything.
CHANGES: list[tuple[list[str], tuple[str, str, Any, Any]]] = [
    (
        ["scores", "pin", "gpt-4o", "complex", "1.5"],
        ("pin", "gpt-4o/complex", {"score": 5.0, "pin": None}, {"score": 1.5, "pin": 1.5, "until": None}),
    ),
    (["scores", "unpin", "gpt-4o", "complex"], ("unpin", "gpt-4o/complex", {"pin": 1.5, "until": None}, None)),
    (
        ["scores", "rollback", "--to", "2"],
        (
            "rollback", "scores", {"scores": {"gpt-4o/complex": 1.5}},
            {"to_version": 2, "scores": {"gpt-4o/complex": 5.0}},
        ),
    ),
    (["unfreeze"], ("unfreeze", "scores", ..., None)),
    (["settings", "set", "rule", "adaptive"], ("change_setting", "rule", {"value": "threshold"}, {"value": "adaptive"})),
    (["settings", "set", "rule", "threshold"], ("change_setting", "rule", {"value": "adaptive"}, {"value": "threshold"})),
    (["models", "retire", "poor"], ("retire_model", "poor", {"scores": ...}, {"scores": ...})),
    (["models", "retire", "poor", "--undo"], ("reinstate_model", "poor", {"scores": ...}, {"scores": ...})),
    (
        ["models", "rename", "poor", "rich"],
        (
            "rename_model", "poor", {"model": "poor", "complexities": ["complex"]},
            {"model": "rich", "merged": [], "records": 100, "scores": ...},
        ),
    ),
    (["instances", "forget", "node-1"], ("forget_instance", "node-1", {"applied_version": 1, "last_seen_at": ...}, None)),
    (["dead-letters", "replay", "1"], ("replay_dead_letters", "dead-letters", None, {"sent": 1, "ids": [1], "edits": []})),
    (["dead-letters", "discard", "2"], ("discard_dead_letters", "dead-letters", None, {"discarded": 1, "ids": [2]})),
    (
        ["queue", "purge", "--older-than", "0s", "--yes"],
        ("purge_queue", "queue", None, {"purged": 1, "sent_before": ..., "through_msg_id": ...}),
    ),
    (["verify", "--repair"], ("repair", "aggregates", {"differences": {"evidence": 1}, "rows": ...}, {"rows": ...})),
]  # fmt: skip


def matches(found: Any, expected: Any) -> bool:
    if expected is ...:
        return found is not None
    if isinstance(expected, dict) and isinstance(found, dict):
        return found.keys() == expected.keys() and all(matches(found[name], expected[name]) for name in expected)
    return bool(found == expected)


def test_every_command_that_changes_something_adds_one_row(learned: str) -> None:
    """The columns for operator, host and reason come from the process that ran the command."""
    freeze_first = run_command("centralcloud", "freeze", "--reason", "an audit", env={"DATABASE_URL": learned})
    assert freeze_first.returncode == 0
    assert actions(learned, "action", "subject", "reason", "after") == [
        ("freeze", "scores", "an audit", {"reason": "an audit"})
    ]
    ((role,),) = execute(learned, "SELECT session_user::text")
    for number, (command, expected) in enumerate(CHANGES, start=2):
        if expected[0] == "repair":
            execute(learned, "UPDATE evidence SET failures = failures + 1 WHERE model_name = 'gpt-4o'")
        why = ["--why" if command[0] == "dead-letters" else "--reason", f"number {number}"]
        result = run_command("centralcloud", *command, *why, env={"DATABASE_URL": learned, "SUDO_USER": "alice"})
        assert result.returncode == 0, (command, result.stderr)
        rows = actions(learned, "action", "subject", "before", "after", "reason", "who", "via", "source")
        assert len(rows) == number, command
        *found, reason, who, via, source = rows[-1]
        assert matches(dict(enumerate(found)), dict(enumerate(expected))), (command, found)
        assert (reason, who, via) == (f"number {number}", f"alice as {role}", "cli")
        assert source
    assert {row[0] for row in actions(learned, "action")} >= {expected[0] for _, expected in CHANGES}


def test_score_actions_name_the_version_that_they_published(learned: str) -> None:
    env = {"DATABASE_URL": learned}
    pinned = json.loads(run_command("centralcloud", "scores", "pin", "poor", "complex", "2", "--json", env=env).stdout)
    retired = json.loads(run_command("centralcloud", "models", "retire", "poor", "--json", env=env).stdout)
    newest = max(change["version"] for change in retired["changes"])
    assert actions(learned, "version") == [(pinned["version"],), (newest,)]


def test_a_forced_run_is_logged_when_it_publishes(database: Database, database_url: str) -> None:
    env = {"DATABASE_URL": database_url}
    models = [f"m{number}" for number in range(6)]
    for successes, failures in ((100, 0), (0, 400)):
        for model in models:
            send(database_url, outcomes(successes, failures, selected_model=model))
        drain(database, batch_size=1000)
        assert run_command("centralcloud", "settings", "set", "rule", "adaptive", env=env).returncode == 0
        held = json.loads(run_command("centralcloud", "learn", "--json", env=env).stdout)
    assert held["withheld"], "more than the safety limits allow"
    (setting,) = actions(database_url, "action")
    assert setting == ("change_setting",)
    forced = json.loads(
        run_command("centralcloud", "learn", "--force", "--json", "--reason", "it is so", env=env).stdout
    )
    assert len(forced["changes"]) == 6
    row = actions(database_url, "action", "subject", "reason", "version", "after")[1]
    assert row[:4] == ("force_learning", "scores", "it is so", max(each["version"] for each in forced["changes"]))
    assert row[4]["run_id"] == forced["run_id"]
    assert row[4]["scores"]["m0/complex"] == forced["changes"][0]["new_score"]
    assert run_command("centralcloud", "learn", "--force", env=env).returncode == 0
    assert len(actions(database_url, "id")) == 2, "nothing was published"


def test_a_command_that_changes_nothing_adds_no_row(learned: str) -> None:
    env = {"DATABASE_URL": learned}
    ((newest,),) = execute(learned, "SELECT max(version) FROM model_score_history")
    for command, code in (
        (["unfreeze"], 0),
        (["scores", "rollback", "--to", str(newest)], 0),
        (["scores", "unpin", "gpt-4o", "complex"], 1),
        (["scores", "pin", "nothing", "complex", "1"], 1),
        (["models", "retire", "nothing"], 1),
        (["models", "retire", "gpt-4o", "--undo"], 1),
        (["models", "rename", "nothing", "x"], 1),
        (["instances", "forget", "nothing"], 1),
        (["dead-letters", "replay", "99"], 1),
        (["dead-letters", "discard", "99"], 1),
        (["queue", "purge", "--older-than", "7d", "--yes"], 0),
        (["verify", "--repair"], 0),
        (["verify"], 0),
        (["learn", "--dry-run"], 0),
        (["settings", "set", "rule", "bandit"], 2),
        (["settings", "show"], 0),
        (["grants"], 0),
        (["grants", "--instance", "node-1"], 0),
    ):
        result = run_command("centralcloud", *command, env=env)
        assert result.returncode == code, (command, result.stderr)
        assert actions(learned, "action") == [], command


def test_a_change_and_its_row_are_one_transaction(learned: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither exists without the other: here the log refuses the row."""
    execute(learned, "ALTER TABLE operator_actions ADD CONSTRAINT refused CHECK (action = 'none')")
    env = {"DATABASE_URL": learned}
    tables = ("score_pins", "retired_models", "fleet_settings", "model_score_history", "instances", "evidence")
    states = [f"SELECT * FROM {table} ORDER BY 1, 2" for table in tables]
    states += ["SELECT id, resolution FROM dead_letters ORDER BY id", f"SELECT msg_id FROM {QUEUE}"]
    states += ["SELECT * FROM accounting", "SELECT frozen_at FROM learning_control"]
    send(learned, [an_event()])
    before = [execute(learned, state) for state in states]
    for command in (
        ["freeze", "--reason", "x"], ["scores", "pin", "gpt-4o", "complex", "1"], ["models", "retire", "poor"],
        ["models", "rename", "poor", "rich"], ["settings", "set", "rule", "adaptive"], ["instances", "forget", "node-1"],
        ["dead-letters", "replay", "1", "2"], ["dead-letters", "discard", "--all"],
        ["queue", "purge", "--older-than", "0s", "--yes"],
    ):  # fmt: skip
        result = run_command("centralcloud", *command, env=env)
        assert result.returncode == 1, command
        assert [execute(learned, state) for state in states] == before, command


def test_no_row_can_be_changed_or_removed(database: Database, database_url: str) -> None:
    """The owner of the table and a superuser are refused, too."""
    freeze(database, "an audit", OPERATOR)
    for statement in (
        "UPDATE operator_actions SET who = 'another operator'",
        "DELETE FROM operator_actions",
        "TRUNCATE operator_actions",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="the table is append-only"):
            execute(database_url, statement)
    ((who, source),) = actions(database_url, "who", "source")
    assert who.startswith("tester as ")
    assert source == "test-host"


@pytest.fixture
def fleet(server: str) -> Iterator[Fleet]:
    with a_fleet(server) as fleet:
        yield fleet


def test_a_worker_may_add_rows_and_change_none(fleet: Fleet) -> None:
    env = {"DATABASE_URL": fleet.worker}
    assert run_command("centralcloud", "freeze", "--reason", "an audit", env=env).returncode == 0
    assert json.loads(run_command("centralcloud", "history", "--json", env=env).stdout)[0]["action"] == "freeze"
    for statement in (
        "UPDATE operator_actions SET who = 'another operator'",
        "DELETE FROM operator_actions",
        "TRUNCATE operator_actions",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="permission denied"):
            execute(fleet.worker, statement)
    for url in (fleet.instance, fleet.dashboard):
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="permission denied"):
            execute(
                url, "INSERT INTO operator_actions (who, via, source, action, subject) VALUES ('x', 'cli', '', '', '')"
            )
    execute(
        fleet.worker,
        """INSERT INTO operator_actions (id, at, who, via, source, action, subject) OVERRIDING SYSTEM VALUE
           VALUES (999999, '2001-01-01', 'alice as owner', 'web', '1.2.3.4', 'pin', 'x')""",
    )
    forged = "SELECT id < 999999, at > '2026-01-01', who FROM operator_actions WHERE action = 'pin'"
    assert execute(fleet.admin, forged) == [(True, True, f"alice as owner as {fleet.roles.worker}")]
    who = execute(fleet.admin, "SELECT who FROM operator_actions WHERE action = 'freeze'")
    assert who[0][0].endswith(f" as {fleet.roles.worker}"), "the role that has logged in"


def test_doctor_names_the_rights_that_a_worker_lacks_on_the_new_tables(fleet: Fleet) -> None:
    def privileges() -> dict[str, str]:
        result = run_command("centralcloud", "doctor", "--json", env={"DATABASE_URL": fleet.worker})
        (check,) = [each for each in json.loads(result.stdout)["checks"] if each["check"] == "privileges"]
        return check

    assert privileges()["verdict"] == "OK", "UPDATE and DELETE on the log are not required"
    execute(fleet.owner, f"REVOKE INSERT ON operator_actions FROM {fleet.roles.worker}")
    execute(fleet.owner, f"REVOKE UPDATE ON fleet_settings FROM {fleet.roles.worker}")
    assert privileges()["verdict"] == "FAIL"
    assert "UPDATE on fleet_settings" in privileges()["found"]
    assert "INSERT on operator_actions" in privileges()["found"]


def test_grants_are_logged_as_the_owner_runs_them(fleet: Fleet) -> None:
    execute_before = len(execute(fleet.admin, "SELECT 1 FROM operator_actions"))
    env = {"DATABASE_URL": fleet.owner}
    login = f"{fleet.roles.instance}_node-1"
    options = ["--instance-role", fleet.roles.instance, "--instance", "node-1", "--apply", "--reason", "a new node"]
    for command in (["grants", "--apply", *fleet.options], ["grants", *options], ["grants", *options, "--revoke"]):
        result = run_command("centralcloud", *command, env=env)
        assert result.returncode == 0, result.stderr
    rows = actions(fleet.admin, "action", "subject", "before", "after", "reason")[execute_before:]
    assert rows == [
        (
            "grant_roles", "roles", None,
            {
                "worker": fleet.roles.worker, "instance": fleet.roles.instance, "dashboard": fleet.roles.dashboard,
                "gateway": fleet.roles.gateway, "created": [], "passwords_set": [],
            },
            None,
        ),
        ("grant_login", "node-1", None, {"login": login, "created": True, "password_set": False}, "a new node"),
        ("revoke_login", "node-1", {"login": login}, {"role": "dropped"}, "a new node"),
    ]  # fmt: skip


def test_the_log_of_a_killed_purge_agrees_with_the_queue(
    start: Callable[..., Program], database: Database, database_url: str
) -> None:
    execute(
        database_url,
        "SELECT pgmq.send_batch('model_routing_decisions', array_fill('{}'::jsonb, ARRAY[80000])) LIMIT 1",
    )
    purge = start("centralcloud", "queue", "purge", "--older-than", "0s", "--yes", DATABASE_URL=database_url)
    rows = "SELECT coalesce(sum((after ->> 'purged')::int), 0) FROM operator_actions WHERE action = 'purge_queue'"
    eventually(lambda: execute(database_url, rows)[0][0] > 0, what="the first page")
    purge.process.send_signal(signal.SIGKILL)
    purge.process.wait(timeout=10)
    idle = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'centralcloud/queue'"
    eventually(lambda: execute(database_url, idle) == [(0,)], what="the end of its session")
    ((logged,),) = execute(database_url, rows)
    assert execute(database_url, "SELECT purged FROM accounting") == [(logged,)]
    assert execute(database_url, f"SELECT 80000 - count(*) FROM {QUEUE}") == [(logged,)]


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("evil\x1b[2J\nat 2026-01-01 who=root", "--reason: found a control character, expected text on one line"),
        ("x" * 1001, "--reason: found 1,001 characters, expected at most 1,000"),
    ],
)
def test_a_reason_is_one_line_of_text(database_url: str, reason: str, expected: str) -> None:
    result = run_command("centralcloud", "freeze", "--reason", reason, env={"DATABASE_URL": database_url})
    assert (result.returncode, result.stderr) == (2, f"centralcloud: {expected}\n")
    assert actions(database_url, "who") == []


def test_many_dead_letters_are_replayed_in_pages_and_each_page_is_logged(database: Database, database_url: str) -> None:
    send(database_url, [an_event(complexity="urgent") for _ in range(250)])
    drain(database, batch_size=1000)
    execute(database_url, "UPDATE dead_letters SET message = NULL WHERE id % 100 = 0")
    replayed = replay(database, Filter(), [], OPERATOR)
    assert (replayed.sent, [each.id % 100 for each in replayed.refused]) == (248, [0, 0])
    logged = actions(database_url, "after")
    assert [row[0]["sent"] for row in logged] == [99, 99, 50]
    sent = [letter for row in logged for letter in row[0]["ids"]]
    open_letters = [row[0] for row in execute(database_url, "SELECT id FROM dead_letters WHERE resolution IS NULL")]
    assert len(sent) == len(set(sent)) == 248
    assert not set(sent) & set(open_letters)
    assert verify(database).ok


def test_actions_are_found_by_subject_action_and_time(learned: str, database: Database) -> None:
    env = {"DATABASE_URL": learned}
    for command in (
        ["scores", "pin", "gpt-4o", "complex", "1"],
        ["scores", "pin", "poor", "complex", "1"],
        ["freeze", "--reason", "an audit"],
    ):
        assert run_command("centralcloud", *command, env=env).returncode == 0

    def history(*arguments: str) -> list[str]:
        result = run_command("centralcloud", "history", "--json", *arguments, env=env)
        assert result.returncode == 0, result.stderr
        return [row["subject"] for row in json.loads(result.stdout)]

    assert history() == ["scores", "poor/complex", "gpt-4o/complex"], "newest first"
    assert history("--subject", "poor") == ["poor/complex"]
    assert history("--subject", "poor/complex") == ["poor/complex"]
    assert history("--subject", "poo") == []
    assert history("--action", "pin") == ["poor/complex", "gpt-4o/complex"]
    assert history("--action", "pin", "--limit", "1") == ["poor/complex"]
    assert history("--since", "2199-01-01") == []
    assert len(history("--since", "1h")) == 3
    table = run_command("centralcloud", "history", env=env).stdout
    assert "freeze" in table
    assert "an audit" in table
    changed = {"latency": "x" * 90, "cost": 0.25}
    execute(
        learned,
        "INSERT INTO operator_actions (who, via, source, action, subject, after) "
        f"VALUES ('x', 'cli', 'h', 'setting', 's', '{json.dumps(changed)}')",
    )
    table = run_command("centralcloud", "history", "--limit", "1", env=env).stdout
    assert json.dumps(changed, sort_keys=True) in table or json.dumps(changed) in table, "values are whole"
    empty = run_command("centralcloud", "history", "--action", "repair", env=env).stdout
    assert empty == "no operator has changed anything of that kind\n"
    wrong = run_command("centralcloud", "history", "--action", "delete", env=env)
    assert (wrong.returncode, wrong.stderr.count("\n")) == (2, 1)
    assert "--action: found 'delete', expected one of pin, unpin" in wrong.stderr
    with database.transaction() as connection:
        assert {row["action"] for row in list_actions(connection, action=Action.FREEZE, limit=10)} == {"freeze"}
