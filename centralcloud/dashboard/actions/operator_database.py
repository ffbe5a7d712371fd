"""The database of operators' actions: it tells an error before a commit from one during it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import psycopg

from centralcloud.contracts import CentralCloudError
from centralcloud.runtime.postgres.database import LIMIT_SECONDS, Database
from centralcloud.runtime.postgres.errors import is_contention, is_outage

#: Actions at the same time.
THREADS: Final = 4


class UnknownCommitError(CentralCloudError):
    """The connection was lost during a commit: the server may have committed."""


class OperatorDatabase(Database):
    """Connects with the role of operators, for actions and nothing else."""

    def __init__(self, url: str) -> None:
        super().__init__(url, application_name="centralcloud/dashboard-actions", max_connections=THREADS)

    @contextmanager
    def transaction(self, *, limit_seconds: float | None = LIMIT_SECONDS) -> Iterator[psycopg.Connection[Any]]:
        """Open a transaction as `Database.transaction` does.

        Raises:
            UnknownCommitError: an outage during the commit.
        """
        ended = False
        try:
            with super().transaction(limit_seconds=limit_seconds) as connection:
                yield connection
                ended = True
        except Exception as error:
            if ended and is_outage(error) and not is_contention(error):
                raise UnknownCommitError("the connection was lost during the commit") from error
            raise
