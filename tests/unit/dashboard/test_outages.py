"""Outages in words: the kind of the problem, and the command that repairs it."""

import psycopg
import pytest

from centralcloud.dashboard.reader.outages import problem_of
from centralcloud.runtime.postgres.errors import DatabaseUnavailableError
from centralcloud.store.schema_revision import SchemaError


@pytest.mark.parametrize(
    ("error", "title", "command"),
    [
        (
            SchemaError("the database has no schema yet: run `centralcloud migrate`"),
            "The schema of the database does not fit this version",
            "centralcloud migrate",
        ),
        (
            SchemaError("the database is at revision 9: install the newer version"),
            "The schema of the database does not fit this version",
            None,
        ),
        (
            psycopg.errors.InsufficientPrivilege("permission denied for table model_scores"),
            "The login lacks a right",
            "centralcloud grants --apply",
        ),
        (
            psycopg.OperationalError('connection failed: FATAL:  password authentication failed for user "x"'),
            "The database refuses the login",
            None,
        ),
        (DatabaseUnavailableError("no connection"), "The database is unavailable", "centralcloud doctor"),
        (OSError(24, "Too many open files"), "This program has no file descriptor left", None),
        (ValueError("x"), "The database answers, and cannot be read", "centralcloud doctor"),
    ],
)
def test_each_problem_is_named_with_the_command_that_repairs_it(
    error: Exception, title: str, command: str | None
) -> None:
    found = problem_of(error)
    assert (found.title, found.command) == (title, command)
    assert found.reason
