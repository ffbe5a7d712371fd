"""Roles with no more rights than they need: for workers, for instances, for dashboards, and a login for one instance.

Every script is a file of sql/ with names and values put in by psycopg, never by hand. It may be run again and again.
"""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final, Literal, NamedTuple

import psycopg
from psycopg import sql

from centralcloud.contracts import CentralCloudError
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.errors import summarize_error
from centralcloud.store.tables import WORKER_TABLES

#: PostgreSQL cuts longer names, and would take two of them for one.
_LONGEST_ROLE_NAME: Final = 63
_DIGEST_LENGTH: Final = 12
#: The comment on logins of our making: `revoke_login` drops no others. Its words "centralcloud grants --instance" tell the
#: functions of instances that a login which is not listed speaks for none (migration 0005).
_MARK: Final = "made by centralcloud grants --instance"
#: To whoever does not own a thing, GRANT and REVOKE may say no more than a warning.
_OWNED: Final = "SELECT pg_has_role(relowner, 'MEMBER') FROM pg_class WHERE oid = 'public.routing_records'::regclass"
#: Two at once would be in each other's way: "tuple concurrently updated".
_LOCK: Final = "SELECT pg_advisory_xact_lock(hashtext('centralcloud.grants'))"
_EXPECTED: Final = "the owner of the tables, as a role that may create roles, or a superuser"


class GrantsError(CentralCloudError):
    """The database refuses to make roles or to give rights away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Roles:
    """The names of the three roles."""

    worker: str = "centralcloud_worker"
    instance: str = "centralcloud_instance"
    dashboard: str = "centralcloud_dashboard"


class Login(NamedTuple):
    """A login that speaks for one instance, and may otherwise do what the role of instances may."""

    name: str
    instance_id: str
    instance_role: str


class Applied(NamedTuple):
    """What running a script did: the roles that are new, and what an operator should know of the others."""

    created: list[str]
    warnings: list[str]


def login_name(instance_role: str, instance_id: str) -> str:
    """The name of an instance's login; where that is too long for PostgreSQL, its beginning and a digest of the whole."""
    return _short_enough(f"{instance_role}_{instance_id}")


def login_group(instance_role: str) -> str:
    """The name of the role that logins of single instances have their rights from. Nobody logs in as it."""
    return _short_enough(f"{instance_role}s")


def _short_enough(name: str) -> str:
    if len(name.encode()) <= _LONGEST_ROLE_NAME:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:_DIGEST_LENGTH]
    beginning = name.encode()[: _LONGEST_ROLE_NAME - _DIGEST_LENGTH - 1].decode(errors="ignore")
    return f"{beginning}_{digest}"


def roles_script(roles: Roles) -> str:
    """SQL that makes the three roles and gives each its rights."""
    tables = [sql.Identifier(name) for name in WORKER_TABLES]
    parts = (
        _fill("grant_foundation"),
        _fill("grant_worker", **_role(roles.worker), tables=sql.SQL(",\n    ").join(tables)),
        _grant_instance(roles.instance, "LOGIN"),
        _renew_group(login_group(roles.instance)),
        _fill("grant_dashboard", **_role(roles.dashboard)),
    )
    return _text(sql.SQL("\n").join(parts))


def login_script(login: Login) -> str:
    """SQL that makes the login of an instance, and the role that it has its rights from when that is not there."""
    names = _names(login)
    leave_roles = _do(_leave_roles(login.name, login.instance_role))
    parts = (
        _fill("grant_foundation"),
        _grant_instance(login_group(login.instance_role), "NOLOGIN"),
        _fill("grant_login", **names, create_login=_do(_fill("create_login", **names)), leave_roles=leave_roles),
    )
    return _text(sql.SQL("\n").join(parts))


def revoke_login_script(login: Login) -> str:
    """SQL that takes an instance's login back, and drops the role when it was made by `login_script`."""
    leave_roles = _leave_roles(login.name, login.instance_role, login_group(login.instance_role))
    return _text(sql.SQL("{};\n").format(_do(_fill("revoke_login", **_names(login), leave_roles=leave_roles))))


def password_statement(role: str) -> str:
    """The statement that gives a role its password, for an operator to complete."""
    return _text(sql.SQL("ALTER ROLE {} PASSWORD '...';").format(sql.Identifier(role)))


def apply_roles(database: Database, roles: Roles) -> Applied:
    """Run `roles_script`, whole or not at all.

    Raises:
        GrantsError: this role may not make roles, or may not give away what is not its own.
    """
    names = (roles.worker, roles.instance, roles.dashboard)
    return _apply(database, roles_script(roles), names, worker=roles.worker, instances=[roles.instance])


def apply_login(database: Database, login: Login, password: str | None = None) -> Applied:
    """Run `login_script`, whole or not at all, and set the password, which the server never sees as it is.

    Raises:
        GrantsError: as for `apply_roles`.
    """
    return _apply(
        database, login_script(login), [login.name], instances=[login.name], login=login.name, password=password
    )


def apply_revocation(database: Database, login: Login) -> bool:
    """Run `revoke_login_script`, whole or not at all; whether the role is still there.

    Raises:
        GrantsError: as for `apply_roles`, or the role could publish by other rights than the ones taken.
    """
    with _as_owner(database) as connection:
        connection.execute(revoke_login_script(login).encode())
        return bool(_existing(connection, [login.name]))


def _apply(
    database: Database,
    script: str,
    names: Sequence[str],
    *,
    instances: Sequence[str],
    worker: str | None = None,
    login: str | None = None,
    password: str | None = None,
) -> Applied:
    with _as_owner(database) as connection:
        before = _existing(connection, names)
        connection.execute(script.encode())
        if login is not None and password is not None:
            _set_password(connection, login, password)
        wanted = {"worker": worker, "instances": list(instances), "login": login}
        if missing := connection.execute(_read("missing_rights").encode(), wanted).fetchone():
            raise GrantsError(f"{missing[0]}, and this role may not give it: run this as the owner, or as a superuser")
        checked = {"roles": list(names), "instances": list(instances), "login": login}
        surplus = connection.execute(_read("surplus_rights").encode(), checked).fetchall()
        created = [name for name in names if name not in before]
    return Applied(created, [row[0] for row in surplus])


@contextmanager
def _as_owner(database: Database) -> Iterator[psycopg.Connection[Any]]:
    """A transaction of somebody who may give rights away, and what is refused in it in one line."""
    try:
        with database.transaction() as connection:
            connection.execute(_LOCK)
            row = connection.execute(_OWNED).fetchone()
            if not row or not row[0]:
                raise GrantsError(f"found a role that does not own the tables, expected {_EXPECTED}")
            yield connection
    except psycopg.errors.InsufficientPrivilege as error:
        raise GrantsError(
            f"the database refuses, and is as it was: {summarize_error(error)} (expected {_EXPECTED})"
        ) from None


def _existing(connection: psycopg.Connection[Any], names: Sequence[str]) -> set[str]:
    rows = connection.execute("SELECT rolname::text FROM pg_roles WHERE rolname = ANY (%s)", (list(names),))
    return {row[0] for row in rows}


def _set_password(connection: psycopg.Connection[Any], role: str, password: str) -> None:
    """Encrypted here, so that it stands in no log of the server."""
    row = connection.execute("SELECT current_setting('password_encryption')").fetchone()
    algorithm = str(row[0]).encode() if row else None
    encrypted = connection.pgconn.encrypt_password(password.encode(), role.encode(), algorithm).decode()
    connection.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(role), sql.Literal(encrypted)))


def _grant_instance(role: str, login: Literal["LOGIN", "NOLOGIN"]) -> sql.Composable:
    return _fill("grant_instance", **_role(role, login), rights=_instance_rights(role))


def _renew_group(group: str) -> sql.Composable:
    """Gives the logins of single instances what the role of instances is given, where there are any."""
    rights = _instance_rights(group)
    return sql.SQL("{};\n").format(_do(_fill("renew_group", name=sql.Literal(group), rights=rights)))


def _instance_rights(role: str) -> sql.Composable:
    return sql.SQL(_text(_fill("instance_rights", role=sql.Identifier(role))).rstrip())


def _leave_roles(name: str, *roles: str) -> sql.Composable:
    block = _fill("leave_roles", name=sql.Literal(name), roles=sql.SQL(", ").join(map(sql.Literal, roles)))
    return sql.SQL(_text(block).rstrip())


def _role(name: str, login: Literal["LOGIN", "NOLOGIN"] = "LOGIN") -> dict[str, sql.Composable]:
    names: dict[str, sql.Composable] = {"role": sql.Identifier(name), "name": sql.Literal(name)}
    return {**names, "create_role": _do(_fill("create_role", **names, login=sql.SQL(login)))}


def _names(login: Login) -> dict[str, sql.Composable]:
    return {
        "role": sql.Identifier(login.name),
        "name": sql.Literal(login.name),
        "instance_id": sql.Literal(login.instance_id),
        "instance_role": sql.Identifier(login.instance_role),
        "group": sql.Identifier(login_group(login.instance_role)),
        "mark": sql.Literal(_MARK),
    }


def _do(body: sql.Composable) -> sql.Composable:
    """A DO block, quoted by a tag that no name in its body can end."""
    text = _text(body).rstrip()
    tag = "$do$"
    while tag in text:
        tag = f"{tag[:-1]}_$"
    return sql.SQL(f"DO {tag}\n{text}\n{tag}")


def _fill(file: str, /, **values: sql.Composable) -> sql.Composable:
    return sql.SQL(_read(file)).format(**values)


def _read(name: str) -> str:
    return files(__package__ or "").joinpath("sql", f"{name}.sql").read_text("utf-8")


def _text(script: sql.Composable) -> str:
    return script.as_string(None)
