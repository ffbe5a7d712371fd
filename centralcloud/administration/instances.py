"""Instances: list them, and forget one that no longer exists."""

from typing import Any

import psycopg

from centralcloud.contracts import CentralCloudError
from centralcloud.runtime.postgres.query import Query
from centralcloud.store.operator_actions import Action, Operator, record_action

_LIST_INSTANCES = Query(__package__, "list_instances", row=dict)
_DELETE_INSTANCE = Query(__package__, "delete_instance", row=dict)


class UnknownInstanceError(CentralCloudError):
    """An instance was not found."""


def list_instances(connection: psycopg.Connection[Any]) -> list[dict[str, Any]]:
    """Return one row for each instance that has acknowledged scores, by id: the columns of ``list_instances.sql``."""
    return _LIST_INSTANCES.all(connection)


def forget_instance(connection: psycopg.Connection[Any], instance_id: str, operator: Operator) -> None:
    """Remove an instance that no longer exists. Its outcomes stay; it comes back when it acknowledges scores again.

    Raises:
        UnknownInstanceError: there is none with that id.
    """
    before = _DELETE_INSTANCE.maybe(connection, {"instance_id": instance_id})
    if before is None:
        raise UnknownInstanceError(f"found no instance {instance_id}, expected one that `instances list` shows")
    record_action(connection, operator, Action.FORGET_INSTANCE, instance_id, before=before)
