"""The tables as SQLAlchemy Core objects. The migrations create them; `alembic check` finds where the two differ."""

from typing import Final

# Each module adds its tables to the one metadata.
from centralcloud.store.tables import configuration, ingest, learning, operation, spend, usage  # noqa: F401
from centralcloud.store.tables.base import metadata as metadata

#: Tables that workers do not write: they must not change which login may send for which instance.
_NOT_FOR_WORKERS: Final = ("database_generation", "instance_logins")
#: Tables that functions write, for the role that configures the fleet and for gateways.
CONFIGURATION_TABLES: Final = (
    "configuration_entries",
    "configuration_history",
    "configuration_state",
    "configuration_versions",
    "model_health",
)
#: Tables that workers only read. Entries of the configuration have the hashes of keys.
READ_ONLY_TABLES: Final = ("configuration_state", "configuration_versions", "model_health")
#: Tables that workers only read and add rows to.
APPEND_ONLY_TABLES: Final = ("operator_actions",)
#: Tables that workers read and write.
WORKER_TABLES: Final = tuple(
    name
    for name in sorted(metadata.tables)
    if name not in (*_NOT_FOR_WORKERS, *CONFIGURATION_TABLES, *APPEND_ONLY_TABLES)
)
