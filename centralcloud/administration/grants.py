"""Roles with no more rights than they need: for each kind of program, and a login for one instance.

Every script is a file of sql/; psycopg quotes the names and values in it. A script may be run repeatedly.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.resources import files
from types import MappingProxyType
from typing import Any, Final, Literal, NamedTuple

import psycopg
from psycopg import sql

from centralcloud.contracts import CentralCloudError
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.errors import summarize_error
from centralcloud.runtime.postgres.query import Query
from centralcloud.runtime.wording import listed
from centralcloud.store.operator_actions import Action, Operator, record_action
from centralcloud.store.privileges import missing_privileges
from centralcloud.store.table_names import APPEND_ONLY_TABLES, READ_ONLY_TABLES, WORKER_TABLES

_MISSING_RIGHTS = Query(__package__, "missing_rights", row=str)
_LOGIN_EXISTS = Query(__package__, "login_exists", row=bool)
_SURPLUS_RIGHTS = Query(__package__, "surplus_rights", row=str)
#: PostgreSQL truncates longer names, and would confuse two of them.
_LONGEST_ROLE_NAME: Final = 63
_DIGEST_LENGTH: Final = 12
_MOST_NAMED: Final = 10
#: The comment on logins that `login_script` makes: `revoke_login_script` drops no others. By its words "centralcloud grants
#: --instance" the functions for instances know that an unlisted login may act for none (migration 0005).
_MARK: Final = "made by centralcloud grants --instance"
#: GRANT and REVOKE only warn when the role that runs them does not own the object.
_OWNED: Final = "SELECT pg_has_role(relowner, 'MEMBER') FROM pg_class WHERE oid = 'public.routing_records'::regclass"
#: Without it, two scripts at the same time would fail: "tuple concurrently updated".
_LOCK: Final = "SELECT pg_advisory_xact_lock(hashtext('centralcloud.grants'))"
_EXPECTED: Final = "the owner of the tables, as a role that may create roles, or a superuser"


class GrantsError(CentralCloudError):
    """The database refuses to create roles or to grant rights."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Roles:
    """The names of the roles."""

    worker: str = "centralcloud_worker"
    instance: str = "centralcloud_instance"
    dashboard: str = "centralcloud_dashboard"
    gateway: str = "centralcloud_gateway"
    configurator: str = "centralcloud_configurator"
    operator: str = "centralcloud_operator"

    @property
    def names(self) -> tuple[str, ...]:
        """Every name, in the order of the attributes."""
        return tuple(asdict(self).values())


class Login(NamedTuple):
    """A login that may act for one instance, with the rights of the role of instances."""

    name: str
    instance_id: str
    instance_role: str


class Applied(NamedTuple):
    """The result of running a script: the new roles, and warnings about the others."""

    created: list[str]
    warnings: list[str]


class Revoked(NamedTuple):
    """The result of a revocation: whether there was such a login, and whether its role still exists."""

    existed: bool
    remains: bool


def login_name(instance_role: str, instance_id: str) -> str:
    """Return the name of an instance's login; if it is too long for PostgreSQL, its beginning and a digest of the whole."""
    return _short_enough(f"{instance_role}_{instance_id}")


def login_group(instance_role: str) -> str:
    """Return the name of the role that gives logins of single instances their rights. It cannot log in."""
    return _short_enough(f"{instance_role}s")


def _short_enough(name: str) -> str:
    if len(name.encode()) <= _LONGEST_ROLE_NAME:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:_DIGEST_LENGTH]
    beginning = name.encode()[: _LONGEST_ROLE_NAME - _DIGEST_LENGTH - 1].decode(errors="ignore")
    return f"{beginning}_{digest}"


def roles_script(roles: Roles) -> str:
    """Return SQL that creates the roles and grants each its rights."""
    parts = (
        _fill("grant_foundation"),
        _fill(
            "grant_worker",
            **_role(roles.worker),
            tables=_identifiers(WORKER_TABLES),
            read_only_tables=_identifiers(READ_ONLY_TABLES),
            append_only_tables=_identifiers(APPEND_ONLY_TABLES),
        ),
        _grant_instance(roles.instance, "LOGIN"),
        _renew_group(login_group(roles.instance)),
        _fill("grant_dashboard", **_role(roles.dashboard)),
        _fill("grant_gateway", **_role(roles.gateway), rights=_instance_rights(roles.gateway)),
        _fill("grant_configurator", **_role(roles.configurator)),
        _fill("grant_operator", **_role(roles.operator)),
    )
    return _text(sql.SQL("\n").join(parts))


def login_script(login: Login) -> str:
    """Return SQL that creates the login of an instance, and the role that gives it its rights if that is missing."""
    names = _names(login)
    leave_roles = _do(_leave_roles(login.name, login.instance_role))
    parts = (
        _fill("grant_foundation"),
        _grant_instance(login_group(login.instance_role), "NOLOGIN"),
        _fill("grant_login", **names, create_login=_do(_fill("create_login", **names)), leave_roles=leave_roles),
    )
    return _text(sql.SQL("\n").join(parts))


def revoke_login_script(login: Login) -> str:
    """Return SQL that revokes an instance's login, and drops the role if `login_script` made it."""
    leave_roles = _leave_roles(login.name, login.instance_role, login_group(login.instance_role))
    return _text(sql.SQL("{};\n").format(_do(_fill("revoke_login", **_names(login), leave_roles=leave_roles))))


def password_statement(role: str) -> str:
    """Return the statement that sets the password of a role, for an operator to complete."""
    return _text(sql.SQL("ALTER ROLE {} PASSWORD '...';").format(sql.Identifier(role)))


def apply_roles(
    database: Database, roles: Roles, operator: Operator, passwords: Mapping[str, str] = MappingProxyType({})
) -> Applied:
    """Run `roles_script` in one transaction, and set the passwords, by role. The server gets them encrypted.

    Raises:
        GrantsError: this role may not create roles, or may not grant rights on what it does not own.
    """
    names = roles.names
    with _as_owner(database) as connection:
        before = _existing(connection, names)
        connection.execute(roles_script(roles).encode())
        for role, password in passwords.items():
            _set_password(connection, role, password)
        warnings = _check_rights(
            connection,
            names,
            worker=roles.worker,
            instances=[roles.instance, roles.gateway],
            gateway=roles.gateway,
            configurator=roles.configurator,
            operator=roles.operator,
        )
        created = [name for name in names if name not in before]
        after = {**asdict(roles), "created": created, "passwords_set": sorted(passwords)}
        _record(connection, operator, Action.GRANT_ROLES, "roles", after=after)
    return Applied(created, warnings)


def apply_login(database: Database, login: Login, operator: Operator, password: str | None = None) -> Applied:
    """Run `login_script` in one transaction, and set the password. The server gets it encrypted.

    Raises:
        GrantsError: as for `apply_roles`.
    """
    with _as_owner(database) as connection:
        created = [] if _existing(connection, [login.name]) else [login.name]
        connection.execute(login_script(login).encode())
        if password is not None:
            _set_password(connection, login.name, password)
        warnings = _check_rights(connection, [login.name], instances=[login.name], login=login.name)
        after = {"login": login.name, "created": bool(created), "password_set": password is not None}
        _record(connection, operator, Action.GRANT_LOGIN, login.instance_id, after=after)
    return Applied(created, warnings)


def apply_revocation(database: Database, login: Login, operator: Operator) -> Revoked:
    """Run `revoke_login_script` in one transaction. Without such a login nothing is written to the log, either.

    Raises:
        GrantsError: as for `apply_roles`, or the role could still publish, by rights that were granted in another way.
    """
    with _as_owner(database) as connection:
        if not _LOGIN_EXISTS.one(connection, {"login": login.name, "instance_id": login.instance_id}):
            return Revoked(existed=False, remains=False)
        connection.execute(revoke_login_script(login).encode())
        remains = bool(_existing(connection, [login.name]))
        before = {"login": login.name}
        after = {"role": "remains" if remains else "dropped"}
        _record(connection, operator, Action.REVOKE_LOGIN, login.instance_id, before=before, after=after)
        return Revoked(existed=True, remains=remains)


def _check_rights(
    connection: psycopg.Connection[Any],
    names: Sequence[str],
    *,
    instances: Sequence[str],
    worker: str | None = None,
    gateway: str | None = None,
    configurator: str | None = None,
    operator: str | None = None,
    login: str | None = None,
) -> list[str]:
    """Return a warning for each right that a role should not have.

    Raises:
        GrantsError: a role lacks a right, because GRANT only warned.
    """
    called: list[tuple[str | None, str]] = [(role, "instance_rights") for role in instances]
    called += [(gateway, "grant_gateway"), (configurator, "grant_configurator"), (operator, "grant_operator")]
    calls = [(role, name) for role, script in called if role is not None for name in granted_functions(script)]
    wanted = {
        "callers": [role for role, _ in calls],
        "functions": [name for _, name in calls],
        "operator": operator,
        "login": login,
    }
    missing = _MISSING_RIGHTS.maybe(connection, wanted)
    if worker is not None and (lacking := missing_privileges(connection, worker)):
        missing = f"the role {worker} lacks {listed(lacking, _MOST_NAMED)}"
    if missing:
        raise GrantsError(f"{missing}, and this role may not grant it: run this as the owner, or as a superuser")
    without_tables = [*instances, *filter(None, [configurator])]
    return _SURPLUS_RIGHTS.all(connection, {"roles": list(names), "instances": without_tables, "login": login})


def granted_functions(script: str) -> list[str]:
    """Return the names of the functions of the schema centralcloud that a script of sql/ grants, sorted."""
    grants = re.findall(r"^GRANT EXECUTE ON FUNCTION\s(.*?)\bTO\b", _read(script), re.DOTALL | re.MULTILINE)
    return sorted({name for text in grants for name in re.findall(r"\bcentralcloud\.(\w+)", text)})


def _record(
    connection: psycopg.Connection[Any],
    operator: Operator,
    action: Action,
    subject: str,
    *,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any],
) -> None:
    """Write to the log, if the schema has it already."""
    ((has_log,),) = connection.execute("SELECT to_regclass('public.operator_actions') IS NOT NULL").fetchall()
    if has_log:
        record_action(connection, operator, action, subject, before=before, after=after)


@contextmanager
def _as_owner(database: Database) -> Iterator[psycopg.Connection[Any]]:
    """Open a transaction of a role that may grant rights. A refusal of the database becomes one line."""
    try:
        with database.transaction() as connection:
            connection.execute(_LOCK)
            row = connection.execute(_OWNED).fetchone()
            if not row or not row[0]:
                raise GrantsError(f"found a role that does not own the tables, expected {_EXPECTED}")
            yield connection
    except psycopg.errors.InsufficientPrivilege as error:
        raise GrantsError(
            f"the database refuses, and is unchanged: {summarize_error(error)} (expected {_EXPECTED})"
        ) from None


def _existing(connection: psycopg.Connection[Any], names: Sequence[str]) -> set[str]:
    rows = connection.execute("SELECT rolname::text FROM pg_roles WHERE rolname = ANY (%s)", (list(names),))
    return {row[0] for row in rows}


def _set_password(connection: psycopg.Connection[Any], role: str, password: str) -> None:
    """Encrypt it here, so that no log of the server contains it."""
    ((algorithm,),) = connection.execute("SELECT current_setting('password_encryption')").fetchall()
    encrypted = connection.pgconn.encrypt_password(password.encode(), role.encode(), algorithm.encode()).decode()
    connection.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(role), sql.Literal(encrypted)))


def _grant_instance(role: str, login: Literal["LOGIN", "NOLOGIN"]) -> sql.Composable:
    return _fill("grant_instance", **_role(role, login), rights=_instance_rights(role))


def _renew_group(group: str) -> sql.Composable:
    """Grant the logins of single instances the rights of the role of instances, where there are any."""
    rights = _instance_rights(group)
    return sql.SQL("{};\n").format(_do(_fill("renew_group", name=sql.Literal(group), rights=rights)))


def _instance_rights(role: str) -> sql.Composable:
    return sql.SQL(_text(_fill("instance_rights", role=sql.Identifier(role))).rstrip())


def _leave_roles(name: str, *roles: str) -> sql.Composable:
    block = _fill("leave_roles", name=sql.Literal(name), roles=sql.SQL(", ").join(map(sql.Literal, roles)))
    return sql.SQL(_text(block).rstrip())


def _identifiers(names: Sequence[str]) -> sql.Composable:
    return sql.SQL(",\n    ").join(map(sql.Identifier, names))


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
    """Return a DO block, quoted with a tag that no name in its body can end."""
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
