"""Tables of the versions of models."""

from sqlalchemy import BigInteger, Column, Identity, Index, Integer, PrimaryKeyConstraint, String, Table, Text, text

from centralcloud.store.tables.base import TIMESTAMP, metadata

model_versions = Table(
    "model_versions",
    metadata,
    Column("model_name", String, nullable=False),
    Column("provider", String, nullable=False),
    Column("instance_id", String, nullable=False),
    Column("version", String),
    Column("newest", String, nullable=False),
    Column("run", BigInteger, nullable=False),
    Column("run_after_slice", BigInteger, nullable=False),
    Column("switches", Integer, nullable=False, server_default=text("0")),
    Column("switched_at", TIMESTAMP),
    Column("seen_at", TIMESTAMP, nullable=False, server_default=text("now()")),
    PrimaryKeyConstraint("model_name", "provider", "instance_id"),
)
Index("idx_model_versions_seen_at", model_versions.c.seen_at, postgresql_using="brin")

model_changes = Table(
    "model_changes",
    metadata,
    Column("change_id", BigInteger, Identity(always=True), primary_key=True),
    Column("model_name", String, nullable=False),
    Column("complexity_level", String),
    Column("after_slice", BigInteger, nullable=False),
    Column("provider", String),
    Column("instance_id", String),
    Column("version_before", String),
    Column("version_after", String),
    Column("reason", Text),
    Column("created_at", TIMESTAMP, nullable=False, server_default=text("now()")),
    Column("undone_at", TIMESTAMP),
)
Index("idx_model_changes_created_at", model_changes.c.created_at)
Index("idx_model_changes_model", model_changes.c.model_name, model_changes.c.change_id)
