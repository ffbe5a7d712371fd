"""Instances: listing them, and forgetting one that is gone."""

from typing import Any

import psycopg
from psycopg.rows import dict_row

from centralcloud.contracts import CentralCloudError
from centralcloud.runtime.postgres.query import Query

_LIST_INSTANCES = Query(__package__, "list_instances")
_FORGET_INSTANCE = Query(__package__, "delete_instance")


class UnknownInstanceError(CentralCloudError):
    """There is no such instance."""


def list_instances(connection: psycopg.Connection[Any]) -> list[dict[str, Any]]:
    """One row an instance that has acknowledged scores, by id: the columns of ``list_instances.sql``."""
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(_LIST_INSTANCES.text).fetchall()


def forget_instance(connection: psycopg.Connection[Any], instance_id: str) -> None:
    """Remove an instance that is gone for good. Its outcomes stay; it comes back when it acknowledges scores again.

    Raises:
        UnknownInstanceError: there is none of that id.
    """
    if not connection.execute(_FORGET_INSTANCE.text, {"instance_id": instance_id}).rowcount:
        raise UnknownInstanceError(f"found no instance {instance_id}, expected one that `instances list` shows")
