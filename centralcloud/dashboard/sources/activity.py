"""The actions of operators, and the versions of the configuration."""

import json
from datetime import datetime
from typing import Any, Final, NamedTuple

import psycopg

from centralcloud.contracts.authorship import way_of
from centralcloud.dashboard.reader.source import Lookup, Source, Tier
from centralcloud.runtime.postgres.query import Query

#: Actions of one page of the log.
PAGE_SIZE: Final = 50
#: Parts of a value that are left out first where it is large.
_LONG: Final = ["entries", "scores", "rows", "ids", "edits", "models", "differences", "newest_ranges"]


class ActionRow(NamedTuple):
    """An action of an operator.

    Attributes:
        who: the name of the operator, " as ", the database role.
        via: ``cli``, ``web`` or ``api``.
        before, after: JSON; None: there is nothing on that side, or it is large.
        is_cut: whether one of them is large, and was cut.
        version: the newest score version that it published.
    """

    id: int
    at: datetime
    who: str
    via: str
    source: str
    action: str
    subject: str
    reason: str | None
    before: str | None
    after: str | None
    is_cut: bool
    version: int | None

    @property
    def way(self) -> str:
        """How it was taken: `via`, or ``migration``."""
        return way_of(self.who, self.via, self.source) or self.via

    @property
    def values(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """The values before and after, as objects; empty where there is none."""
        found = [json.loads(text) if text else {} for text in (self.before, self.after)]
        before, after = [each if isinstance(each, dict) else {"value": each} for each in found]
        return before, after


class PastAction(NamedTuple):
    """The part of an action that the summary of a week needs."""

    id: int
    at: datetime
    action: str
    subject: str


class ConfigurationVersion(NamedTuple):
    """A version of the configuration. `entries`: how many it changed."""

    version: int
    at: datetime
    who: str
    reason: str | None
    entries: int


class ActionFilter(NamedTuple):
    """Which actions to list. None takes all; `until_id` is the newest one of the page."""

    who: str | None = None
    action: str | None = None
    subject: str | None = None
    since: datetime | None = None
    until_id: int | None = None


_EVERYTHING: Final = ActionFilter()
_LIST_ACTIONS = Query(__package__, "list_actions", row=ActionRow)
_RECENT_ACTIONS = Query(__package__, "recent_actions", row=PastAction)
_LIST_VERSIONS = Query(__package__, "list_configuration_versions", row=ConfigurationVersion)


def read_actions(connection: psycopg.Connection[Any], which: ActionFilter = _EVERYTHING) -> tuple[ActionRow, ...]:
    """Read a page of actions, newest first, and one more where there is one."""
    return tuple(_LIST_ACTIONS.all(connection, {**which._asdict(), "long": _LONG, "most": PAGE_SIZE + 1}))


#: The newest page without a filter.
ACTIONS: Final = Source("actions", Tier.QUARTER, read_actions)
#: The page of a filter.
ACTIONS_OF: Final = Lookup("actions_of", read_actions, keep_seconds=10)
#: Actions of the last 31 days, oldest first.
PAST_ACTIONS: Final = Source("past_actions", Tier.MINUTE, lambda connection: tuple(_RECENT_ACTIONS.all(connection)))
CONFIGURATION_VERSIONS: Final = Source(
    "configuration_versions", Tier.QUARTER, lambda connection: tuple(_LIST_VERSIONS.all(connection))
)
