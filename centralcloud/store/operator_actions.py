"""The log of operators' actions: what was changed, by whom, from where, and why.

Append-only: a trigger refuses UPDATE, DELETE and TRUNCATE to every role, and workers have no right to them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

import psycopg
from psycopg.types.json import Jsonb

from centralcloud.contracts.authorship import way_of
from centralcloud.runtime.postgres.query import Query
from centralcloud.store.swallowed_rows import require_stored

_INSERT_ACTION = Query(__package__, "insert_operator_action")
_LIST_ACTIONS = Query(__package__, "list_operator_actions", row=dict)
_NEWEST_SETTING_CHANGES = Query(__package__, "newest_setting_changes")


class Action(StrEnum):
    """The kinds of changes."""

    PIN = "pin"
    UNPIN = "unpin"
    ROLLBACK = "rollback"
    FREEZE = "freeze"
    UNFREEZE = "unfreeze"
    FORCE_LEARNING = "force_learning"
    CHANGE_SETTING = "change_setting"
    RENAME_MODEL = "rename_model"
    RETIRE_MODEL = "retire_model"
    REINSTATE_MODEL = "reinstate_model"
    MARK_MODEL_CHANGED = "mark_model_changed"
    UNDO_MODEL_CHANGE = "undo_model_change"
    FORGET_MODELS = "forget_models"
    FORGET_INSTANCE = "forget_instance"
    REPLAY_DEAD_LETTERS = "replay_dead_letters"
    DISCARD_DEAD_LETTERS = "discard_dead_letters"
    PURGE_QUEUE = "purge_queue"
    REPAIR = "repair"
    REPAIR_SEQUENCES = "repair_sequences"
    GRANT_ROLES = "grant_roles"
    GRANT_LOGIN = "grant_login"
    REVOKE_LOGIN = "revoke_login"
    CHANGE_CONFIGURATION = "change_configuration"
    CREATE_KEY = "create_key"
    ROTATE_KEY = "rotate_key"
    REVOKE_KEY = "revoke_key"
    REMOVE_KEY = "remove_key"
    TRAIN_CLASSIFIER = "train_classifier"
    CHOOSE_CLASSIFIER = "choose_classifier"
    PROMOTE_SCORES = "promote_scores"


@dataclass(frozen=True, slots=True)
class Operator:
    """A person who changes something, and how; or the daemon, where it decides by itself.

    Attributes:
        who: the user's name: of the operating system for a command, of the login for a page. The database adds its role.
        via: a command, a page of the dashboard, or the daemon by itself.
        source: the host of the command, or the address that the page is used from.
        reason: why, in the operator's words.
    """

    who: str
    via: Literal["cli", "web", "daemon"]
    source: str
    reason: str | None = None


def record_action(
    connection: psycopg.Connection[Any],
    operator: Operator,
    action: Action,
    subject: str,
    *,
    before: Any = None,
    after: Any = None,
    version: int | None = None,
) -> None:
    """Write one action to the log, in the transaction of the change.

    Args:
        subject: what was changed: a model, ``model/complexity``, an instance, a setting, ``dead-letters``, ``queue`` ...
        before, after: the values on both sides, as JSON; None: there is nothing on that side.
        version: the newest score version that the action published.
    """
    stored = _INSERT_ACTION.run(
        connection,
        {
            "who": operator.who,
            "via": operator.via,
            "source": operator.source,
            "action": action.value,
            "subject": subject,
            "reason": operator.reason,
            "before": None if before is None else Jsonb(before),
            "after": None if after is None else Jsonb(after),
            "version": version,
        },
    )
    require_stored("operator_actions", written=1, stored=stored)


def list_actions(
    connection: psycopg.Connection[Any],
    *,
    subject: str | None = None,
    action: Action | None = None,
    since: datetime | None = None,
    limit: int,
) -> list[dict[str, Any]]:
    """The newest `limit` actions, newest first: the columns of ``list_operator_actions.sql``. A filter of None takes all.

    The `via` of an action that a migration took is `migration`.

    Args:
        subject: the subject, or the part before its ``/``: a model also finds the actions on its pairs.
    """
    filters: Mapping[str, Any] = {"subject": subject, "action": action and action.value, "since": since, "limit": limit}
    rows = _LIST_ACTIONS.all(connection, filters)
    return [{**row, "via": way_of(row["who"], row["via"], row["source"])} for row in rows]


def newest_setting_changes(connection: psycopg.Connection[Any]) -> dict[str, str]:
    """The operator who changed each fleet setting last, by its name; nothing for a setting that none has changed."""
    return dict(_NEWEST_SETTING_CHANGES.all(connection, {"action": Action.CHANGE_SETTING.value}))
