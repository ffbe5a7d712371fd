"""A database as in production: an owner that is not a superuser, and roles that own nothing.

An owner migrates a database once in a process of the tests; each fleet is a copy of it, handed over to an owner of its own.
"""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from centralcloud.administration.grants import Roles, apply_roles
from centralcloud.runtime.postgres.database import Database
from centralcloud.store.partitions import ensure_partitions
from centralcloud.store.schema import migrate
from support.operators import OPERATOR
from support.servers import compact_catalog, copy_database, execute, with_database

_PASSWORD = "fleet"


class Fleet:
    """The database, and a URL for each role. The name of every role begins with `name`."""

    def __init__(self, server: str, name: str) -> None:
        self.name = name
        self.admin = with_database(server, name)
        self.roles = Roles(
            worker=f"{name}_worker",
            instance=f"{name}_instance",
            dashboard=f"{name}_dashboard",
            gateway=f"{name}_gateway",
            configurator=f"{name}_configurator",
            operator=f"{name}_operator",
        )

    @property
    def options(self) -> list[str]:
        """The options that name the roles on the command line."""
        return [word for kind, name in asdict(self.roles).items() for word in (f"--{kind}-role", name)]

    def url(self, role: str) -> str:
        return make_conninfo(self.admin, user=role, password=_PASSWORD)

    @property
    def owner(self) -> str:
        return self.url(f"{self.name}_owner")

    @property
    def worker(self) -> str:
        return self.url(self.roles.worker)

    @property
    def instance(self) -> str:
        return self.url(self.roles.instance)

    @property
    def dashboard(self) -> str:
        return self.url(self.roles.dashboard)

    @property
    def gateway(self) -> str:
        return self.url(self.roles.gateway)

    @property
    def configurator(self) -> str:
        return self.url(self.roles.configurator)

    @property
    def operator(self) -> str:
        return self.url(self.roles.operator)

    def let_in(self, *roles: str) -> None:
        """Set the password that `url` contains, for servers that require one."""
        with psycopg.connect(self.admin) as connection:
            for role in roles:
                statement = sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(role), sql.Literal(_PASSWORD))
                connection.execute(statement)


#: The migrated database on each server, to be copied.
_templates: dict[str, str] = {}


def drop_fleet_template(server: str) -> None:
    """Remove what fleets were copied from, on a server that stays."""
    if name := _templates.pop(server, None):
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
            connection.execute(f"DROP ROLE {name}_owner")


def _template(server: str) -> str:
    """Return the name of a database that an owner has migrated."""
    if server not in _templates:
        template = Fleet(server, f"cc_fleet_template_{uuid.uuid4().hex[:8]}")
        with psycopg.connect(server, autocommit=True) as connection:
            _create(connection, template, "template1")
            if connection.info.server_version < 150000:  # where the owner of a database does not own its schema public
                execute(template.admin, f"ALTER SCHEMA public OWNER TO {template.name}_owner")
            with Database(template.owner, application_name="tests") as database:
                migrate(database)
                ensure_partitions(database)
            compact_catalog(template.admin)
            # The owner of a copy takes over all that this owner has, which must not be the template itself.
            connection.execute(f"ALTER DATABASE {template.name} OWNER TO CURRENT_USER")
        _templates[server] = template.name
    return _templates[server]


def _create(connection: psycopg.Connection, fleet: Fleet, template: str) -> None:
    """Create the database and its owner, which may create roles."""
    connection.execute(f"CREATE ROLE {fleet.name}_owner LOGIN CREATEROLE PASSWORD '{_PASSWORD}'")
    copy_database(connection, template, f"{fleet.name} OWNER {fleet.name}_owner")


@contextmanager
def a_fleet(server: str, *, granted: bool = True) -> Iterator[Fleet]:
    """Create a database, migrated by its owner, which may create roles; with the roles if `granted`."""
    template, fleet = _template(server), Fleet(server, f"cc_fleet_{uuid.uuid4().hex[:8]}")
    with psycopg.connect(server, autocommit=True) as connection:
        _create(connection, fleet, template)
        try:
            execute(fleet.admin, f"REASSIGN OWNED BY {template}_owner TO {fleet.name}_owner")
            with Database(fleet.owner, application_name="tests") as database:
                ensure_partitions(database)
                if granted:
                    apply_roles(database, fleet.roles, OPERATOR)
                    fleet.let_in(*fleet.roles.names)
            yield fleet
        finally:
            connection.execute(f"DROP DATABASE {fleet.name} WITH (FORCE)")
            # The owner last: it granted the memberships of the others.
            ours = connection.execute(
                "SELECT rolname FROM pg_roles WHERE starts_with(rolname, %s) ORDER BY rolname LIKE '%%owner', 1 DESC",
                (fleet.name,),
            )
            for (role,) in ours.fetchall():
                connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))
