"""The doctor's check of the requests that no model is known for."""

from typing import Any, Final, NamedTuple

import psycopg

from centralcloud.contracts.limits import OTHER
from centralcloud.runtime.diagnostics import CheckResult, ok, warn
from centralcloud.runtime.postgres.query import Query
from centralcloud.runtime.wording import percent

_LARGE_SHARE: Final = 0.2
_FEWEST_REQUESTS: Final = 100


class _OtherRequests(NamedTuple):
    """Requests of the newest 24 hours, as far as they are rolled up; `other` of them are under `OTHER`."""

    requests: int
    other: int


_OTHER_REQUESTS = Query(__package__, "other_requests", row=_OtherRequests)


def check_model_names(connection: psycopg.Connection[Any]) -> CheckResult:
    """Check that most requests of the last day are under the name of a model: the others teach nothing."""
    requests, other = _OTHER_REQUESTS.one(connection, {"other": OTHER})
    if other < _FEWEST_REQUESTS or other <= _LARGE_SHARE * requests:
        return ok(f"{other:,} of {requests:,} requests of the last 24 hours are under the model {OTHER}")
    return warn(
        f"{percent(other / requests, 2)} of the requests of the last 24 hours ({other:,} of {requests:,}) are under the "
        f"model {OTHER}: nothing is learned from them",
        "`centralcloud findings` (new_names_refused) names their instances: correct their model names. If the names are "
        "right, raise names.new_per_instance or names.new_per_fleet with `centralcloud settings set`",
    )
