"""The database of operators' actions: that of the pages, and it tells an error before a commit from one during it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import psycopg

from centralcloud.contracts import CentralCloudError
from centralcloud.dashboard.actions.same_database import OtherDatabaseError, check_same, read_identity
from centralcloud.runtime.logs import get_logger
from centralcloud.runtime.postgres.database import LIMIT_SECONDS, Database
from centralcloud.runtime.postgres.errors import is_contention, is_outage, summarize_error

log = get_logger(__name__)

#: Actions at the same time.
THREADS: Final = 4
#: How long the comparison of both databases may delay a start, for each of them.
_COMPARE_SECONDS: Final = 3.0


class UnknownCommitError(CentralCloudError):
    """The connection was lost during a commit: the server may have committed."""


class OperatorDatabase(Database):
    """Connects with the role of operators, for actions and nothing else."""

    def __init__(self, url: str, pages: Database) -> None:
        """Connect to nothing yet. `pages`: the database that operators see, and the only one that they may change."""
        super().__init__(url, application_name="centralcloud/dashboard-actions", max_connections=THREADS)
        self._pages = pages
        self._compared = False

    def compare_at_start(self) -> None:
        """Compare both databases now, where both can be asked; else before the first action.

        Raises:
            OtherDatabaseError: they are two.
        """
        try:
            with super().transaction(limit_seconds=_COMPARE_SECONDS) as connection:
                self._compare(connection)
        except OtherDatabaseError:
            raise
        except (psycopg.Error, CentralCloudError) as error:
            log.warning("dashboard_operators_unavailable", error=summarize_error(error), retry="before the next action")

    def _compare(self, connection: psycopg.Connection[Any]) -> None:
        """Compare once: a failover to a standby leaves both as they were."""
        if self._compared:
            return
        with self._pages.transaction(limit_seconds=_COMPARE_SECONDS) as of_pages:
            pages = read_identity(of_pages)
        check_same(pages, read_identity(connection))
        self._compared = True

    @contextmanager
    def transaction(self, *, limit_seconds: float | None = LIMIT_SECONDS) -> Iterator[psycopg.Connection[Any]]:
        """Open a transaction as `Database.transaction` does.

        Raises:
            OtherDatabaseError: it is not the database of the pages; the block is not run.
            UnknownCommitError: an outage during the commit.
        """
        ended = False
        try:
            with super().transaction(limit_seconds=limit_seconds) as connection:
                self._compare(connection)
                yield connection
                ended = True
        except Exception as error:
            if ended and is_outage(error) and not is_contention(error):
                raise UnknownCommitError("the connection was lost during the commit") from error
            raise
