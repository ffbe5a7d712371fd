"""`centralcloud grants`: the roles that it creates, their passwords, and its one-line refusals."""

from pathlib import Path

import psycopg
import pytest
from support.commands import run_command
from support.fleet import Fleet
from support.grants import event, learn_something
from support.operators import OPERATOR
from support.servers import execute
from support.terminals import TerminalProgram

from centralcloud.administration.grants import (
    GrantsError,
    Login,
    Roles,
    apply_roles,
    login_script,
    roles_script,
)
from centralcloud.cli.grants import grants
from centralcloud.contracts import SettingsError
from centralcloud.runtime.postgres.database import Database
from centralcloud.store.tables import metadata


def test_the_command_creates_the_roles_once(bare: Fleet) -> None:
    env = {"DATABASE_URL": bare.owner}
    first = run_command("centralcloud", "grants", "--apply", *bare.options, env=env)
    assert (first.returncode, first.stderr) == (0, "")
    for role in bare.roles.names:
        assert f"ALTER ROLE \"{role}\" PASSWORD '...';" in first.stdout
    again = run_command("centralcloud", "grants", "--apply", *bare.options, env=env)
    assert (again.returncode, again.stderr) == (0, "")
    assert again.stdout == first.stdout.splitlines(keepends=True)[0]


def test_the_printed_script_is_the_applied_one(bare: Fleet) -> None:
    printed = run_command("centralcloud", "grants", *bare.options, env={}).stdout
    assert printed == f"BEGIN;\n{roles_script(bare.roles).rstrip()}\nCOMMIT;\n"
    for _ in range(2):
        with psycopg.connect(bare.owner, autocommit=True) as connection:
            connection.execute(printed)
    bare.let_in(bare.roles.worker, bare.roles.instance)
    learn_something(bare)
    execute(bare.instance, "SELECT centralcloud.publish_decision(%s)", (event(),))


def test_existing_roles_keep_their_attributes(bare: Fleet) -> None:
    """Another role created them, because the owner may not create roles; and one of them has too many rights."""
    for role in bare.roles.names:
        execute(bare.admin, f"CREATE ROLE {role} LOGIN CONNECTION LIMIT 7")
    execute(bare.admin, f"ALTER ROLE {bare.name}_owner NOCREATEROLE")
    execute(bare.owner, f"GRANT SELECT ON model_scores TO {bare.roles.instance}")
    result = run_command("centralcloud", "grants", "--apply", *bare.options, env={"DATABASE_URL": bare.owner})
    assert result.returncode == 0
    assert result.stderr == f"warning: the role {bare.roles.instance} may read or write tables\n"
    assert "PASSWORD" not in result.stdout
    limits = (
        f"SELECT DISTINCT rolconnlimit FROM pg_roles WHERE rolname LIKE '{bare.name}%%' AND rolname NOT LIKE '%%owner'"
    )
    assert execute(bare.admin, limits) == [(7,)]


def test_a_role_that_may_not_create_roles_gets_one_line(bare: Fleet) -> None:
    execute(bare.admin, f"ALTER ROLE {bare.name}_owner NOCREATEROLE")
    for arguments in ([], ["--instance", "node-1"]):
        command = ["grants", "--apply", *bare.options, *arguments]
        result = run_command("centralcloud", *command, env={"DATABASE_URL": bare.owner})
        assert result.returncode == 1
        (line,) = result.stderr.strip().splitlines()
        assert "permission denied to create role" in line
    assert execute(bare.admin, f"SELECT count(*) FROM pg_roles WHERE rolname LIKE '{bare.name}%%'") == [(1,)]


def test_a_role_that_does_not_own_the_tables_gets_one_line(fleet: Fleet) -> None:
    result = run_command("centralcloud", "grants", "--apply", *fleet.options, env={"DATABASE_URL": fleet.worker})
    assert result.returncode == 1
    (line,) = result.stderr.strip().splitlines()
    assert "found a role that does not own the tables" in line


def test_a_login_with_a_password(fleet: Fleet, tmp_path: Path) -> None:
    """The password is in no output and no statement, and the login may act for node-1."""
    (tmp_path / "password").write_text("s3cret-wörd\n")
    role = f"{fleet.roles.instance}_node-1"
    options = ["grants", "--apply", "--instance-role", fleet.roles.instance, "--instance", "node-1"]
    env = {"DATABASE_URL": fleet.owner}
    result = run_command("centralcloud", *options, "--password-file", str(tmp_path / "password"), env=env)
    assert result.returncode == 0
    assert "s3cret" not in result.stdout + result.stderr
    assert "PASSWORD" not in result.stdout
    stored = "SELECT rolpassword FROM pg_authid WHERE rolname = %s"
    ((secret,),) = execute(fleet.admin, stored, (role,))
    assert secret.startswith("SCRAM-SHA-256$")
    url = psycopg.conninfo.make_conninfo(fleet.admin, user=role, password="s3cret-wörd")
    execute(url, "SELECT centralcloud.publish_decision(%s)", (event(),))
    again = run_command("centralcloud", *options, env=env)
    assert again.returncode == 0
    assert execute(fleet.admin, stored, (role,)) == [(secret,)], "without a file it stays as it was"


def test_the_roles_get_passwords_from_a_file_and_from_standard_input(bare: Fleet, tmp_path: Path) -> None:
    """As for a login: no extra step in psql, and the passwords are in no output and no statement."""
    (tmp_path / "password").write_text("s3cret-wörd\n")
    options = ["grants", "--apply", *bare.options, "--worker-password-file", str(tmp_path / "password")]
    env = {"DATABASE_URL": bare.owner}
    result = run_command("centralcloud", *options, "--dashboard-password-file", "-", env=env, input_text="s3cret-2\n")
    assert (result.returncode, result.stderr) == (0, "")
    assert "s3cret" not in result.stdout
    assert result.stdout.count("PASSWORD") == 4
    assert f"ALTER ROLE \"{bare.roles.instance}\" PASSWORD '...';" in result.stdout
    stored = execute(
        bare.admin,
        "SELECT bool_and(rolpassword LIKE 'SCRAM-SHA-256$%%') FROM pg_authid WHERE rolname = ANY (%s)",
        ([bare.roles.worker, bare.roles.dashboard],),
    )
    assert stored == [(True,)]
    logins = {bare.roles.worker: "s3cret-wörd", bare.roles.dashboard: "s3cret-2"}
    for role, password in logins.items():
        url = psycopg.conninfo.make_conninfo(bare.admin, user=role, password=password)
        assert execute(url, "SELECT session_user::text") == [(role,)]
    ((after,),) = execute(bare.admin, "SELECT after FROM operator_actions WHERE action = 'grant_roles'")
    assert after["passwords_set"] == sorted(logins)
    assert run_command("centralcloud", "grants", "--apply", *bare.options, env=env).returncode == 0
    assert execute(bare.admin, "SELECT count(rolpassword) FROM pg_authid WHERE rolname = ANY (%s)", ([*logins],)) == [
        (2,)
    ], "without a file they stay as they were"


def test_a_password_is_asked_twice_on_a_terminal_and_never_shown(fleet: Fleet) -> None:
    role = f"{fleet.roles.instance}_node-1"
    options = ["grants", "--apply", "--instance-role", fleet.roles.instance, "--instance", "node-1"]
    options += ["--password-file", "-"]
    program = TerminalProgram("centralcloud", *options, env={"DATABASE_URL": fleet.owner})
    program.type(b"s3cret\n", after=f"Password of {role}: ".encode())
    program.type(b"s3cret\n", after=f"Once more, password of {role}: ".encode())
    code, screen = program.end()
    assert (code, "s3cret" in screen) == (0, False), screen
    url = psycopg.conninfo.make_conninfo(fleet.admin, user=role, password="s3cret")
    assert execute(url, "SELECT session_user::text") == [(role,)]
    interrupted = TerminalProgram("centralcloud", *options, env={"DATABASE_URL": fleet.owner})
    interrupted.type(b"\x03", after=b"Password")
    code, screen = interrupted.end()
    assert (code, screen.splitlines()[-1]) == (130, "centralcloud: interrupted: nothing was granted")


@pytest.mark.parametrize(
    ("answers", "problem"),
    [(["one", "two"], "found two different passwords"), (["", ""], "expected a password on one line")],
)
def test_a_password_that_is_not_repeated_or_empty_is_refused(
    answers: list[str], problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("getpass.getpass", lambda _: answers.pop(0))
    with pytest.raises(SettingsError, match=f"^--password-file: {problem}"):
        grants(instance="node-1", apply=True, password_file=Path("-"))


@pytest.mark.parametrize(
    "arguments",
    [
        ["--revoke"],
        ["--login", "x"],
        ["--password-file", "x"],
        ["--instance", "i", "--password-file", "x"],
        ["--worker-password-file", "x"],
        ["--apply", "--worker-password-file", "/nowhere"],
        ["--apply", "--dashboard-password-file", "-"],
        ["--apply", "--instance", "i", "--worker-password-file", "x"],
        ["--instance", "i", "--revoke", "--apply", "--password-file", "x"],
        ["--instance", "i", "--apply", "--password-file", "/nowhere"],
        ["--instance", ""],
        ["--instance", "x" * 201],
        ["--instance", "two\nlines"],
        ["--instance-role", "public"],
        ["--worker-role", "pg_mine"],
        ["--worker-role", "x" * 64],
        ["--worker-role", "same", "--instance-role", "same"],
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(arguments: list[str]) -> None:
    result = run_command("centralcloud", "grants", *arguments, env={"DATABASE_URL": "postgresql://u@127.0.0.1:1/d"})
    assert result.returncode == 2
    (line,) = result.stderr.strip().splitlines()
    assert any(words in line for words in ("expected", "cannot read", "is required"))


def test_two_concurrent_grants_both_succeed(fleet: Fleet) -> None:
    from concurrent.futures import ThreadPoolExecutor

    def grant(_number: int) -> None:
        with Database(fleet.owner, application_name="tests") as database:
            apply_roles(database, fleet.roles, OPERATOR)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(grant, range(8)))


def test_the_scripts_name_every_table() -> None:
    script = roles_script(Roles())
    # Functions of the owner alone read and write the configuration: it has the hashes of keys.
    without_grants = {"database_generation", "instance_logins", "configuration_entries", "configuration_history"}
    assert {table for table in metadata.tables if f'"{table}"' not in script} == without_grants
    assert "instance_logins" in login_script(Login("a", "b", "c"))


def test_a_right_that_the_owner_cannot_revoke_is_a_warning(bare: Fleet) -> None:
    execute(bare.admin, "ALTER SCHEMA public OWNER TO CURRENT_USER; GRANT CREATE, USAGE ON SCHEMA public TO PUBLIC")
    with Database(bare.owner, application_name="tests") as database:
        warnings = apply_roles(database, bare.roles, OPERATOR).warnings
    assert warnings == [f"the role {role} may create objects in the schema public" for role in sorted(bare.roles.names)]


def test_a_function_that_the_owner_may_call_and_not_grant_is_named(bare: Fleet) -> None:
    """As after a migration by a superuser: GRANT only warns, and the role would lack the right without a word."""
    roles = bare.roles
    with Database(bare.owner, application_name="tests") as database:
        apply_roles(database, roles, OPERATOR)
        for role, function in (
            (roles.gateway, "task_classifier_model(bigint)"),
            (roles.instance, "current_task_scores()"),
            (roles.configurator, "configuration_at(bigint)"),
            (roles.operator, "notify_decisions()"),
        ):
            name = f"FUNCTION centralcloud.{function}"
            execute(bare.admin, f"REVOKE ALL ON {name} FROM {role}; ALTER {name} OWNER TO CURRENT_USER")
            execute(bare.admin, f"GRANT EXECUTE ON {name} TO {bare.name}_owner")
            with pytest.raises(GrantsError) as refused:
                apply_roles(database, roles, OPERATOR)
            lacks = f"the role {role} lacks EXECUTE on centralcloud.{function}, and this role may not grant it"
            assert str(refused.value).startswith(lacks)
            execute(bare.admin, f"ALTER {name} OWNER TO {bare.name}_owner")
        apply_roles(database, roles, OPERATOR)
