"""Performing an action in a thread, with a time limit, and the outcome of it."""

from collections.abc import Mapping
from typing import Final, NamedTuple, TypeAlias

import psycopg

from centralcloud.administration.conflict import ChangedMeanwhileError
from centralcloud.contracts import CentralCloudError
from centralcloud.dashboard.actions.action import Action, Done
from centralcloud.dashboard.actions.forms import InvalidFormError
from centralcloud.dashboard.actions.operator_database import UnknownCommitError
from centralcloud.dashboard.web.page import PageError
from centralcloud.runtime.configuration.writing import ConfigurationConflictError
from centralcloud.runtime.http.threads import BusyError
from centralcloud.runtime.postgres.errors import is_contention, is_outage, summarize_error

#: From the form until its answer; longer than a transaction may take.
ACT_SECONDS: Final = 20.0
_NOTHING: Final = "Nothing was changed."


class Refused(NamedTuple):
    """An action that changed nothing.

    Attributes:
        status: of HTTP.
        message: one line; empty where a field says it.
        problems: one line for each wrong field.
        is_readable: whether the database can be read for a new preview.
    """

    status: int
    message: str
    problems: Mapping[str, str] = {}
    is_readable: bool = True


class Unknown(NamedTuple):
    """An action that may have changed something. `message`: why that is not known."""

    message: str


Outcome: TypeAlias = Done | Refused | Unknown


def outcome_of(error: Exception, action: Action) -> Outcome | None:
    """Return the outcome of an action that ended by an error; None: the error is none that is expected."""
    summary = summarize_error(error)
    if isinstance(error, InvalidFormError):
        return Refused(422, "", error.problems)
    if isinstance(error, ChangedMeanwhileError):
        return Refused(409, f"{_capital(summary)} since you looked. {_NOTHING} Below is what it would do now.")
    if isinstance(error, ConfigurationConflictError):
        return Refused(
            409, f"The configuration has changed since you looked. {_NOTHING} Below is what it would do now."
        )
    if isinstance(error, UnknownCommitError | BusyError):
        return Unknown(_capital(summary))
    if is_contention(error):
        return Refused(503, f"Another change was in the way: {summary}. {_NOTHING} Try again.")
    if is_outage(error):
        if action.in_parts:
            return Unknown(f"The database became unavailable: {summary}")
        stop = "" if summary.endswith(("?", ".")) else "."
        advice = "`centralcloud doctor` says what is wrong."
        return Refused(503, f"The database is unavailable: {summary}{stop} {_NOTHING} {advice}", is_readable=False)
    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        advice = "`centralcloud grants --apply` gives each role its rights"
        return Refused(503, f"A login of the dashboard lacks a right: {summary}; {advice}. {_NOTHING}")
    if isinstance(error, PageError):
        return Refused(error.status, _NOTHING)
    if isinstance(error, CentralCloudError):
        return Refused(422, f"It cannot be done: {summary}. {_NOTHING}")
    return None


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
