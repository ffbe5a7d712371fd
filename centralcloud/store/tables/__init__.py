"""The tables as SQLAlchemy Core objects. The migrations create them; `alembic check` finds where the two differ."""

# Each module adds its tables to the one metadata.
from centralcloud.store.tables import configuration, experiments, ingest, learning, operation, spend, usage, versions  # noqa: F401
from centralcloud.store.tables.base import metadata as metadata
