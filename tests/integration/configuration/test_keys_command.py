"""`instance-agent keys`: shown once, stored as a hash, safe to repeat in a job, one line for each refusal."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from support.commands import run_command
from support.fleet import Fleet, a_fleet
from support.servers import execute

from centralcloud.contracts.fleet_configuration import ApiKey, find_key, hash_key, key_prefix
from centralcloud.runtime.configuration.keys import (
    UnusableKeyError,
    create_key,
    remove_keys,
    revoke_key,
    rotate_key,
)
from centralcloud.runtime.configuration.writing import Author, read_whole
from centralcloud.runtime.postgres.database import Database
from centralcloud.store.operator_actions import Action, list_actions


class Keys:
    """The command against one database."""

    def __init__(self, url: str, database: Database) -> None:
        self.url = url
        self.database = database

    def __call__(self, *arguments: str) -> CompletedProcess[str]:
        return run_command("instance-agent", "keys", *arguments, env={"DATABASE_URL": self.url})

    def json(self, *arguments: str) -> dict:
        result = self(*arguments, "--json")
        assert result.returncode == 0, result.stderr
        return json.loads(result.stdout)

    def stored(self) -> dict[str, ApiKey]:
        return dict(read_whole(self.database).configuration.keys)


@pytest.fixture
def keys(database_url: str, database: Database) -> Keys:
    return Keys(database_url, database)


def test_a_key_is_printed_once_and_only_its_hash_is_stored(keys: Keys, database_url: str) -> None:
    made = keys("create", "--role", "operator", "--label", "ci", "--workspace", "ws-1", "--expires-in", "90d")
    warning, *lines = made.stderr.splitlines()
    assert warning.startswith('warning: the workspace "ws-1" has no configuration: nothing limits its models'), (
        "a typo?"
    )
    assert (made.returncode, lines) == (0, ["the key is shown this once: store it now"])
    text = made.stdout.strip()
    (key,) = keys.stored().values()
    assert key.hash == hash_key(text)
    assert (key.role, key.label, key.workspace) == ("operator", "ci", "ws-1")
    assert key.expires_at is not None
    assert abs(key.expires_at - datetime.now(UTC) - timedelta(days=90)) < timedelta(minutes=5)
    assert find_key(keys.stored(), text, datetime.now(UTC)) == key
    listed = keys("list", "--json")
    secret = text.split("_", 2)[2]
    assert secret not in listed.stdout + keys("list").stdout
    assert json.loads(listed.stdout)[0]["state"] == "valid"
    for table in ("configuration_entries", "configuration_history", "operator_actions"):
        ((content,),) = execute(database_url, f"SELECT string_agg(t::text, ' ') FROM {table} AS t")
        assert secret not in content
        assert (key.hash in content) == (table != "operator_actions"), "the log has no hash, either"


def test_a_revoked_key_is_not_valid_and_the_last_admin_gives_a_warning(keys: Keys) -> None:
    text = keys("create", "--role", "admin", "--label", "me").stdout.strip()
    revoked = keys("revoke", key_prefix(text) or "")
    user = keys("create", "--role", "user", "--label", "app").stdout.strip()
    assert keys("revoke", user).stderr == "", "the keys of admins are as they were"
    assert revoked.returncode == 0
    assert revoked.stdout == f"revoked {key_prefix(text)} (admin, me)\n"
    assert revoked.stderr == "warning: no valid key has the role admin now\n"
    assert find_key(keys.stored(), text, datetime.now(UTC)) is None
    again = keys("revoke", text)
    assert again.returncode == 1
    assert "was revoked at" in again.stderr
    assert text not in again.stderr


def test_after_a_rotation_both_keys_are_valid_until_the_overlap_ends(keys: Keys) -> None:
    old = keys("create", "--role", "user", "--label", "app", "--workspace", "w", "--expires-in", "30d").stdout.strip()
    rotated = keys("rotate", key_prefix(old) or "", "--overlap", "2d")
    new = rotated.stdout.strip()
    stored, now = keys.stored(), datetime.now(UTC)
    first, second = stored[key_prefix(old) or ""], stored[key_prefix(new) or ""]
    assert find_key(stored, old, now) == first
    assert find_key(stored, new, now) == second
    later = now + timedelta(days=2, minutes=1)
    assert find_key(stored, old, later) is None
    assert find_key(stored, new, later) == second
    assert (second.role, second.label, second.workspace) == ("user", "app", "w")
    assert first.replaced_by == second.id
    assert second.expires_at is not None
    assert second.expires_at - second.created_at == timedelta(days=30)
    again = keys("rotate", first.id)
    assert (again.returncode, again.stdout) == (1, "")
    assert again.stderr == f"instance-agent: the key {first.id} was rotated to {second.id}: expected the newest one\n"


def test_a_job_makes_the_first_key_once(keys: Keys, tmp_path: Path) -> None:
    file = tmp_path / "admin.key"
    job = ("create", "--role", "admin", "--label", "first", "--if-none", "--output", str(file))
    first = keys(*job)
    assert (first.returncode, first.stderr) == (0, "")
    text = file.read_text().strip()
    assert text not in first.stdout
    assert file.stat().st_mode & 0o777 == 0o600
    for _ in range(2):
        again = keys(*job)
        assert (again.returncode, again.stderr) == (0, "")
    file.unlink()
    elsewhere = keys(*job)
    assert elsewhere.returncode == 0
    assert f"a valid key with the role admin exists: {key_prefix(text)} (first); none was created" in elsewhere.stdout
    assert not file.exists()
    assert list(keys.stored()) == [key_prefix(text)]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("committed", [False, True])
def test_a_job_that_was_interrupted_continues_with_the_same_key(keys: Keys, tmp_path: Path, committed: bool) -> None:
    """Before or after the commit: the file has its name only when the key is registered."""
    file, pending = tmp_path / "admin.key", tmp_path / ".admin.key.pending"
    job = ("create", "--role", "admin", "--label", "first", "--if-none", "--output", str(file))
    assert keys(*job).returncode == 0
    text = file.read_text()
    file.rename(pending)
    if not committed:
        execute(keys.url, "DELETE FROM configuration_entries")
    again = keys(*job)
    assert (again.returncode, again.stderr) == (0, "")
    assert file.read_text() == text
    assert not pending.exists()
    assert find_key(keys.stored(), text.strip(), datetime.now(UTC)) is not None
    assert len(keys.stored()) == 1


def test_a_job_while_the_database_is_unavailable_leaves_no_file_with_the_name(tmp_path: Path) -> None:
    file = tmp_path / "admin.key"
    env = {"DATABASE_URL": "postgresql://127.0.0.1:1/none"}
    job = ("create", "--role", "admin", "--label", "x", "--if-none", "--output", str(file))
    result = run_command("instance-agent", "keys", *job, env=env)
    assert result.returncode == 1
    assert result.stderr.startswith("instance-agent: the database is unavailable")
    assert result.stderr.count("\n") == 1
    assert not file.exists()


@pytest.mark.parametrize(
    ("arguments", "code", "line"),
    [
        (("create", "--role", "root", "--label", "x"), 2, "--role is 'root': expected one of admin, operator, user, viewer"),
        (("create", "--role", "user", "--label", ""), 2, '--label: found "", expected a string of at least 1 character'),
        (("create", "--role", "user", "--label", "a\nb"), 2, '--label: found "a\\nb", expected 1 to 200 characters'),
        (("create", "--role", "user", "--label", "x", "--expires-in", "soon"), 2, "--expires-in: found 'soon', expected"),
        (("create", "--role", "user", "--label", "x", "--expires-in", "0s"), 2, "--expires-in: found '0s', expected more"),
        (
            ("create", "--role", "user", "--label", "x", "--output", "/proc/1/nothing/key"),
            1, "--output: cannot write /proc/1/nothing/key: No such file or directory",
        ),
        (("create", "--role", "user", "--label", "x", "--output", "/etc/passwd"), 2, "--output: /etc/passwd exists"),
        (
            ("create", "--role", "user", "--label", "x", "--if-none", "--output", "/etc/passwd"),
            2, "--output: /etc/passwd exists and has no key, expected one, or a new file",
        ),
        (("create", "--label", "x"), 2, "Missing option '--role'"),
        (("revoke", "cck_000000000000"), 1, 'found no key "cck_000000000000", expected the id of a key'),
        (("rotate", "cck_000000000000"), 1, 'found no key "cck_000000000000", expected the id of a key'),
        (("rotate", "x", "--overlap", "long"), 2, "--overlap: found 'long', expected a length of time"),
        (("revoke", "x", "--reason", " "), 2, "--reason is empty: expected why, or no --reason"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line(keys: Keys, arguments: tuple[str, ...], code: int, line: str) -> None:
    result = keys(*arguments)
    assert (result.returncode, result.stdout) == (code, "")
    assert result.stderr.count("\n") == 1
    assert line in result.stderr
    assert keys.stored() == {}


def test_the_list_shows_rate_limits_as_the_option_takes_them(keys: Keys) -> None:
    for limit in (
        ("--rate-limit", "90/1m"),
        ("--rate-limit", "5/36h", "--token-limit", "700"),
        ("--rate-limit", "none"),
        (),
    ):
        keys("create", "--role", "user", "--label", "a", *limit)
    shown = [line.split("  ")[-1] for line in keys("list").stdout.splitlines()]
    assert shown == ["rate_limit", "90/1m", "5/36h, 700 tokens", "-", "1000/15m"]


def test_without_keys_the_list_says_how_to_make_one(keys: Keys) -> None:
    assert keys("list").stdout == "no keys: `instance-agent keys create` makes one\n"


def test_a_database_without_the_migration_gets_one_line(empty_url: str) -> None:
    result = run_command("instance-agent", "keys", "list", env={"DATABASE_URL": empty_url})
    assert result.returncode == 1
    assert result.stderr == (
        "instance-agent: the database has no configuration of this version "
        '(schema "centralcloud" does not exist): run `centralcloud migrate` on it\n'
    )


@pytest.fixture(scope="module")
def fleet(server: str):
    with a_fleet(server) as fleet:
        yield fleet


def test_the_configurator_manages_keys_and_other_logins_get_one_line(fleet: Fleet) -> None:
    create = ("keys", "create", "--role", "admin", "--label", "x")
    for url in (fleet.worker, fleet.instance, fleet.dashboard, fleet.gateway):
        result = run_command("instance-agent", *create, env={"DATABASE_URL": url})
        assert (result.returncode, result.stdout) == (1, "")
        assert result.stderr.count("\n") == 1
        assert "this login may not change the configuration (permission denied" in result.stderr
        assert "expected one with the rights of centralcloud_configurator" in result.stderr
    env = {"DATABASE_URL": fleet.configurator}
    text = run_command("instance-agent", *create, env=env).stdout.strip()
    rotated = run_command("instance-agent", "keys", "rotate", key_prefix(text) or "", env=env)
    assert rotated.returncode == 0, rotated.stderr
    assert run_command("instance-agent", "keys", "revoke", key_prefix(text) or "", env=env).returncode == 0
    listed = json.loads(run_command("instance-agent", "keys", "list", "--json", env=env).stdout)
    assert [each["state"] for each in listed] == ["revoked", "valid"]


def test_keys_that_are_not_valid_any_more_can_be_removed_but_not_the_last_one(keys: Keys, database_url: str) -> None:
    made = [keys.json("create", "--role", "user", "--label", label)["id"] for label in ("old", "new")]
    author = Author(who="tests", via="cli", source="tests")
    with pytest.raises(UnusableKeyError, match=f"the key {made[0]} is valid: expected one that is revoked or expired"):
        remove_keys(keys.database, author, made)
    for key_id in made:
        revoke_key(keys.database, author, key_id)
    with pytest.raises(UnusableKeyError, match="found no other key, expected one that is left"):
        remove_keys(keys.database, author, made)

    removed = keys("remove", made[0])
    assert (removed.returncode, removed.stdout) == (0, f"removed {made[0]} (user, old)\n")
    assert list(keys.stored()) == [made[1]]
    history = "SELECT count(*) FROM configuration_history WHERE id = %s"
    assert execute(database_url, history, (made[0],)) == [(3,)], "made, revoked, removed"
    third = create_key(keys.database, author, role="user", label="third").key.id
    rotate_key(keys.database, author, third)
    logged = execute(database_url, "SELECT action, subject FROM operator_actions ORDER BY id")
    assert logged == [
        *(("create_key", f"key/{key_id}") for key_id in made),
        *(("revoke_key", f"key/{key_id}") for key_id in made),
        ("remove_key", f"key/{made[0]}"),
        ("create_key", f"key/{third}"),
        ("rotate_key", f"key/{third}"),
    ]
    with keys.database.transaction() as connection:
        shown = list_actions(connection, action=Action("revoke_key"), limit=10)
    assert [row["subject"] for row in shown] == [f"key/{key_id}" for key_id in reversed(made)]


def test_a_key_has_the_rate_limit_that_its_maker_the_environment_or_the_default_says(keys: Keys) -> None:
    made = keys.json("create", "--role", "user", "--label", "default")
    assert made["rate_limit"] == {"requests": 1000, "window_ms": 900_000, "tokens": None}
    made = keys.json("create", "--role", "user", "--label", "own", "--rate-limit", "20/1m", "--token-limit", "5000")
    assert made["rate_limit"] == {"requests": 20, "window_ms": 60_000, "tokens": 5000}
    rotated = keys.json("rotate", made["id"])
    assert keys.stored()[rotated["id"]].rate_limit == keys.stored()[made["id"]].rate_limit, "a rotation lifts no limit"
    environment = {"DATABASE_URL": keys.url, "RATE_LIMIT_MAX": "0"}
    result = run_command(
        "instance-agent", "keys", "create", "--role", "user", "--label", "none", "--json", env=environment
    )
    assert json.loads(result.stdout)["rate_limit"] is None
    refused = keys("create", "--role", "user", "--label", "bad", "--rate-limit", "20 a minute")
    assert refused.returncode != 0
    assert (
        "--rate-limit: found '20 a minute', expected requests and a window such as 1000/15m, or none" in refused.stderr
    )
