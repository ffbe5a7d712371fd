"""Work of administrative requests in the database: in a few threads of its own, within a time limit.

They cannot hold up requests of models: no thread and no connection is shared with them.
"""

from collections.abc import Callable
from typing import Final, TypeVar

import psycopg

from centralcloud.runtime.configuration.reading import UnreadableConfigurationError
from centralcloud.runtime.configuration.writing import (
    ConfigurationConflictError,
    ConfigurationMissingError,
    ConfigurationRightError,
    UnknownModelError,
)
from centralcloud.runtime.http.threads import BusyError, PageThreads
from centralcloud.runtime.logs import get_logger
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.errors import (
    NOT_MIGRATED,
    DatabaseUnavailableError,
    is_outage,
    lacking,
    summarize_error,
)
from instance_agent.gateway.errors import GatewayError

log = get_logger(__name__)

#: From the request to the answer of the database, the wait for a free thread included.
LIMIT_SECONDS: Final = 5.0
THREADS: Final = 4
_RETRY_SECONDS: Final = 5.0

_T = TypeVar("_T")


class DatabaseWork:
    """Runs work in the database for the handlers of one event loop."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._threads = PageThreads(THREADS, LIMIT_SECONDS)

    async def run(self, work: Callable[[Database], _T]) -> _T:
        """Call `work` in a thread, and return its result.

        Raises:
            GatewayError: 503 with a time to retry while the database does not answer, and without one where it lacks a
                migration; 403 without the right, 404 for a model that is not registered, 409 for a conflict.
            ContractError: as `work` raises it.
        """
        try:
            return await self._threads.run(lambda: work(self._database))
        except BusyError:
            raise unavailable(
                f"the database has not answered within {LIMIT_SECONDS:g} s: a change may still take effect, so look "
                "before you repeat it"
            ) from None
        except (ConfigurationRightError, psycopg.errors.InsufficientPrivilege) as error:
            raise GatewayError(_right(error), status=403, code="database_right_missing") from None
        except UnknownModelError as error:
            raise GatewayError(str(error), status=404, code="model_not_found") from None
        except ConfigurationConflictError as error:
            raise GatewayError(str(error), status=409, code="conflict") from None
        except UnreadableConfigurationError as error:
            raise GatewayError(str(error), status=503, code="configuration_unreadable") from None
        except ConfigurationMissingError as error:
            raise _not_migrated(str(error)) from None
        except NOT_MIGRATED as error:
            raise _not_migrated(
                f"the database is not that of this version ({lacking(error)}): run `centralcloud migrate` on it"
            ) from None
        except (DatabaseUnavailableError, psycopg.Error) as error:
            if not isinstance(error, DatabaseUnavailableError) and not is_outage(error):
                raise
            log.warning("gateway_database_unavailable", reason=summarize_error(error))
            raise unavailable("the database is not available") from None


def unavailable(reason: str) -> GatewayError:
    """Return 503, to be tried again in 5 seconds."""
    return GatewayError(reason, status=503, code="database_unavailable", retry_after_seconds=_RETRY_SECONDS)


def _not_migrated(reason: str) -> GatewayError:
    log.warning("gateway_database_not_migrated", reason=reason)
    return GatewayError(reason, status=503, code="not_migrated")


def _right(error: Exception) -> str:
    if isinstance(error, ConfigurationRightError):
        return str(error)
    return (
        f"the gateway's login may not do this ({summarize_error(error)}): run `centralcloud grants --apply`, which "
        "grants the roles what this version needs"
    )
