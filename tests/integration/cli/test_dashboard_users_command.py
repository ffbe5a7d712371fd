"""`centralcloud dashboard-users`: passwords from a pipe and from a terminal, and mistakes as one line."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from support.commands import run_command
from support.terminals import TerminalProgram
from typer.testing import CliRunner, Result

from centralcloud.cli.app import app
from centralcloud.contracts import CentralCloudError
from centralcloud.dashboard.security import passwords
from centralcloud.dashboard.security.passwords import Cost
from centralcloud.dashboard.security.users_file import read_users

PASSWORD = "correct horse battery"
VARIABLE = "CENTRALCLOUD_DASHBOARD_USERS_FILE"
Run = Callable[..., Result]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "users"


@pytest.fixture
def run(path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command with a hash that costs nothing."""
    monkeypatch.setenv(VARIABLE, str(path))
    monkeypatch.setattr(passwords.hash_password, "__defaults__", (Cost(2, 1, 1),))

    def run(*arguments: str, password: str = PASSWORD) -> Result:
        return CliRunner().invoke(app, ["dashboard-users", *arguments], input=f"{password}\n")

    return run


def test_a_user_is_added_shown_replaced_and_removed(run: Run, path: Path) -> None:
    assert run("add", "ada", "--role", "operator").stdout == "added ada with the role operator\n"
    assert json.loads(run("add", "vera", "--json").stdout) == {"name": "vera", "role": "viewer", "replaced": False}
    assert json.loads(run("list", "--json").stdout) == [
        {"name": "ada", "role": "operator"},
        {"name": "vera", "role": "viewer"},
    ]
    assert run().stdout == run("list").stdout
    path.write_text(f"# the night shift\n{path.read_text()}")
    before = read_users(path)
    assert run("add", "vera", "--replace", password="another horse battery").stdout.startswith("replaced vera")
    after = read_users(path)
    assert after["ada"] == before["ada"]
    assert not after["vera"].password.matches(PASSWORD)
    assert after["vera"].password.matches("another horse battery")
    assert json.loads(run("remove", "ada", "--json").stdout) == {"name": "ada", "removed": True}
    assert run("remove", "vera").stdout == "removed vera\n"
    assert path.read_text() == "# the night shift\n"
    assert run("list").stdout == "the file has no users\n"
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("arguments", "password", "expected"),
    [
        (("add", "ada"), PASSWORD, "has a user ada: expected a new name, or --replace for a new password and role"),
        (("add", "eve", "--replace"), PASSWORD, "has no user eve, expected one that exists"),
        (("add", "eve", "--role", "admin"), PASSWORD, '--role: found "admin", expected viewer or operator'),
        (("add", "a:b"), PASSWORD, 'NAME: found "a:b", expected 1 to 64 letters'),
        (("add", "a\nb"), PASSWORD, 'NAME: found "a\\nb"'),
        (("add", "eve"), "x" * 14, "found a password of 14 characters, expected 15 to 1024, on one line"),
        (("add", "eve"), "x" * 1025, "found a password of 1025 characters"),
        (("add", "eve"), "", "found a password of 0 characters"),
        (("remove", "eve"), "", 'has no user "eve": `centralcloud dashboard-users list` shows them'),
        (("add", "eve", "--file", "/nowhere/users"), PASSWORD, "cannot use the folder /nowhere of the users"),
        (("list", "--file", "/nowhere/users"), "", "cannot read the users of the dashboard in /nowhere/users"),
    ],
)
def test_a_mistake_is_one_line_and_changes_nothing(
    arguments: tuple[str, ...], password: str, expected: str, run: Run, path: Path
) -> None:
    run("add", "ada")
    before = path.read_text()
    result = run(*arguments, password=password)
    assert isinstance(result.exception, CentralCloudError)
    assert expected in str(result.exception)
    assert "\n" not in str(result.exception)
    assert path.read_text() == before


def test_a_file_that_others_can_read_is_not_changed(run: Run, path: Path) -> None:
    run("add", "ada")
    path.chmod(0o644)
    result = run("add", "eve")
    assert "has the mode 0644, so others can read or write it" in str(result.exception)


def test_without_a_file_the_command_says_what_to_set(tmp_path: Path) -> None:
    result = run_command("centralcloud", "dashboard-users", env={}, cwd=tmp_path)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == f"centralcloud: found no file of users: set {VARIABLE}, or --file\n"


@pytest.mark.parametrize(
    ("again", "code", "shown"),
    [
        (PASSWORD, 0, "added ada with the role viewer"),
        ("another horse battery", 2, "found two different passwords, expected the same one twice"),
    ],
)
def test_a_terminal_asks_twice_and_shows_no_password(again: str, code: int, shown: str, path: Path) -> None:
    program = TerminalProgram("centralcloud", "dashboard-users", "add", "ada", env={VARIABLE: str(path)})
    program.type(f"{PASSWORD}\n".encode(), after=b"Password of ada: ")
    program.type(f"{again}\n".encode(), after=b"Once more, password of ada: ")
    ended = program.end()
    assert ended.code == code
    assert shown in ended.screen
    assert "horse" not in ended.screen
    assert path.exists() == (code == 0)
