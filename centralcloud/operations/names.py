"""The names that events come with, as an operator sees them: models and instances."""

from typing import Any

import psycopg
from psycopg.rows import dict_row

from centralcloud.contracts import CentralCloudError
from centralcloud.store import queries

_LIST_MODELS = queries.load("list_models")
_LIST_INSTANCES = queries.load("list_instances")
_FORGET_INSTANCE = queries.load("forget_instance")


class UnknownInstanceError(CentralCloudError):
    """There is no such instance."""


def list_models(connection: psycopg.Connection[Any]) -> list[dict[str, Any]]:
    """One row a model, by name: the columns of ``list_models.sql``. `success_rate` is 0 to 1, None without outcomes."""
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(_LIST_MODELS).fetchall()


def list_instances(connection: psycopg.Connection[Any]) -> list[dict[str, Any]]:
    """One row an instance that has acknowledged scores, by id: the columns of ``list_instances.sql``."""
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(_LIST_INSTANCES).fetchall()


def forget_instance(connection: psycopg.Connection[Any], instance_id: str) -> None:
    """Remove an instance that is gone for good. Its outcomes stay; it comes back when it acknowledges scores again.

    Raises:
        UnknownInstanceError: there is none of that id.
    """
    if not connection.execute(_FORGET_INSTANCE, {"instance_id": instance_id}).rowcount:
        raise UnknownInstanceError(f"found no instance {instance_id}, expected one that `instances list` shows")
