"""Tables of the fleet's configuration: its entries under one version, their history, the posted health of models, and
trained classifiers.

Only the functions of migration 0015 write the entries and the health.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    Uuid,
    desc,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from centralcloud.store.tables.base import TIMESTAMP, counter, metadata

configuration_state = Table(
    "configuration_state",
    metadata,
    Column("only_row", Boolean, primary_key=True, server_default=text("true")),
    counter("config_version"),
    counter("health_version"),
)

configuration_versions = Table(
    "configuration_versions",
    metadata,
    Column("config_version", BigInteger, primary_key=True, autoincrement=False),
    Column("stamp", Uuid, nullable=False, server_default=text("gen_random_uuid()")),
    Column("at", TIMESTAMP, nullable=False, server_default=text("clock_timestamp()")),
    Column("who", Text, nullable=False),
    Column("reason", Text),
    Column("entries", Integer, nullable=False),
)

configuration_entries = Table(
    "configuration_entries",
    metadata,
    Column("kind", Text, nullable=False),
    Column("id", Text, nullable=False),
    Column("body", JSONB),
    Column("config_version", BigInteger, nullable=False),
    PrimaryKeyConstraint("kind", "id"),
)
Index("idx_configuration_entries_version", configuration_entries.c.config_version)

configuration_history = Table(
    "configuration_history",
    metadata,
    Column("config_version", BigInteger, nullable=False),
    Column("kind", Text, nullable=False),
    Column("id", Text, nullable=False),
    Column("body", JSONB),
    PrimaryKeyConstraint("config_version", "kind", "id"),
)
Index(
    "idx_configuration_history_entry",
    configuration_history.c.kind,
    configuration_history.c.id,
    desc(configuration_history.c.config_version),
)

model_health = Table(
    "model_health",
    metadata,
    Column("model_id", Text, primary_key=True),
    Column("body", JSONB, nullable=False),
    Column("reported_at", TIMESTAMP, nullable=False),
    Column("expires_at", TIMESTAMP, nullable=False),
    Column("health_version", BigInteger, nullable=False),
)

task_classifiers = Table(
    "task_classifiers",
    metadata,
    Column("version", BigInteger, primary_key=True, autoincrement=False),
    Column("trained_at", TIMESTAMP, nullable=False, server_default=text("clock_timestamp()")),
    Column("who", Text, nullable=False),
    Column("reason", Text),
    Column("sha256", Text, nullable=False),
    Column("summary", JSONB, nullable=False),
    Column("model", LargeBinary),
)

task_classifier_choices = Table(
    "task_classifier_choices",
    metadata,
    Column("choice", BigInteger, primary_key=True, autoincrement=False),
    Column("version", BigInteger, ForeignKey("task_classifiers.version")),
    Column("at", TIMESTAMP, nullable=False, server_default=text("clock_timestamp()")),
)
