"""Whether two logins are for one database: operators must not change another fleet than the one that they see."""

from typing import Any, Final, NamedTuple

import psycopg

from centralcloud.contracts import SettingsError
from centralcloud.runtime.postgres.query import Query

OPERATOR_SETTING: Final = "CENTRALCLOUD_OPERATOR_DATABASE_URL"


class Identity(NamedTuple):
    """A database, as each role sees it.

    Attributes:
        name: of the database.
        number: its oid.
        cluster: the system identifier, which standbys share and a copy by dump and restore does not; None: the server does
            not show it to this role, as some managed ones.
    """

    name: str
    number: int
    cluster: int | None


class _Row(NamedTuple):
    name: str
    number: int
    shows_cluster: bool


_READ_IDENTITY = Query(__package__, "read_identity", row=_Row)
_READ_CLUSTER = Query(__package__, "read_cluster", row=int)


class OtherDatabaseError(SettingsError):
    """The login of operators is for another database than the one that the pages show."""


def read_identity(connection: psycopg.Connection[Any]) -> Identity:
    """Return what names the database of a connection, whatever its role may read."""
    name, number, shows_cluster = _READ_IDENTITY.one(connection)
    return Identity(name, number, _READ_CLUSTER.one(connection) if shows_cluster else None)


def check_same(pages: Identity, operators: Identity) -> None:
    """Check that operators change the database that the pages show.

    A cluster that is not shown to one of the logins is not compared.

    Raises:
        OtherDatabaseError: they are two databases.
    """
    is_known = None not in (pages.cluster, operators.cluster)
    differs = is_known and pages.cluster != operators.cluster
    if not differs and pages.number == operators.number:
        return
    where = f" of {'another' if differs else 'the same'} server" if is_known else ""
    raise OtherDatabaseError(
        f"{OPERATOR_SETTING} is for the database {operators.name!r}{where}, expected {pages.name!r}, which the pages show"
    )
