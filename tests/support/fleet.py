"""A database as in production: an owner that is not a superuser, and roles that own nothing."""

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
from support.servers import with_database

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


@contextmanager
def a_fleet(server: str, *, granted: bool = True) -> Iterator[Fleet]:
    """Create a database, migrated by its owner, which may create roles; with the roles if `granted`."""
    fleet = Fleet(server, f"cc_fleet_{uuid.uuid4().hex[:8]}")
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {fleet.name}_owner LOGIN CREATEROLE PASSWORD '{_PASSWORD}'")
        connection.execute(f"CREATE DATABASE {fleet.name} OWNER {fleet.name}_owner")
        if connection.info.server_version < 150000:  # where the owner of a database does not own its schema public
            with psycopg.connect(fleet.admin) as inside:
                inside.execute(f"ALTER SCHEMA public OWNER TO {fleet.name}_owner")
        try:
            with Database(fleet.owner, application_name="tests") as database:
                migrate(database)
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
