"""A database that cannot be reached: background tasks use it without a connection."""

import pytest

from centralcloud.runtime.postgres.database import Database


@pytest.fixture
def nowhere() -> Database:
    return Database("postgresql://user@127.0.0.1:1/none", application_name="tests")
