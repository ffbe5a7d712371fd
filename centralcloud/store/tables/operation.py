"""Tables of the operation: leases, findings, instances, health of targets, settings, the log of actions of operators."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    Identity,
    Index,
    Integer,
    Numeric,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from centralcloud.store.tables.base import TIMESTAMP, metadata

leases = Table(
    "leases",
    metadata,
    Column("name", String, primary_key=True),
    Column("holder", String, nullable=False),
    Column("expires_at", TIMESTAMP, nullable=False),
)

findings = Table(
    "findings",
    metadata,
    Column("finding_id", BigInteger, Identity(), primary_key=True),
    Column("kind", String, nullable=False),
    Column("subject", String, nullable=False),
    Column("message", Text, nullable=False),
    Column("details", JSONB, nullable=False, server_default=text("'{}'")),
    Column("opened_at", TIMESTAMP, nullable=False, server_default=text("now()")),
    Column("seen_at", TIMESTAMP, nullable=False, server_default=text("now()")),
    Column("closed_at", TIMESTAMP),
    Column("traffic_share", Double),
)
Index("idx_findings_open", findings.c.kind, findings.c.subject, unique=True, postgresql_where=text("closed_at IS NULL"))
Index("idx_findings_opened_at", findings.c.opened_at)

instances = Table(
    "instances",
    metadata,
    Column("instance_id", String, primary_key=True),
    Column("applied_version", BigInteger, nullable=False),
    Column("first_seen_at", TIMESTAMP, nullable=False, server_default=text("now()")),
    Column("last_seen_at", TIMESTAMP, nullable=False, server_default=text("now()")),
)

target_health = Table(
    "target_health",
    metadata,
    Column("kind", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("reporter", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text),
    Column("reported_at", TIMESTAMP, nullable=False),
    Column("expires_at", TIMESTAMP, nullable=False),
    PrimaryKeyConstraint("kind", "key"),
)

instance_logins = Table(
    "instance_logins",
    metadata,
    Column("role_name", String, nullable=False),
    Column("instance_id", String, nullable=False),
    Column("created_at", TIMESTAMP, nullable=False, server_default=text("now()")),
    PrimaryKeyConstraint("role_name", "instance_id"),
)

database_generation = Table(
    "database_generation",
    metadata,
    Column("only_row", Boolean, primary_key=True, server_default=text("true")),
    Column("generation", Uuid, nullable=False, server_default=text("gen_random_uuid()")),
    Column("created_at", TIMESTAMP, nullable=False, server_default=text("now()")),
)

server_clock = Table(
    "server_clock",
    metadata,
    Column("only_row", Boolean, primary_key=True, server_default=text("true")),
    Column("seen_at", TIMESTAMP),
    Column("retention_as_of", TIMESTAMP),
    Column("jumped_at", TIMESTAMP),
    Column("jump_seconds", Double),
    Column("steady_from", TIMESTAMP),
)

fleet_settings = Table(
    "fleet_settings",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", JSONB, nullable=False),
    Column("updated_at", TIMESTAMP, nullable=False, server_default=text("now()")),
)

operator_actions = Table(
    "operator_actions",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("at", TIMESTAMP, nullable=False, server_default=text("clock_timestamp()")),
    Column("who", Text, nullable=False),
    Column("via", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("reason", Text),
    Column("before", JSONB),
    Column("after", JSONB),
    Column("version", BigInteger),
)

fleet_minutes = Table(
    "fleet_minutes",
    metadata,
    Column("minute", TIMESTAMP, primary_key=True),
    Column("read_at", TIMESTAMP, nullable=False),
    Column("counted_seconds", Double, nullable=False, server_default=text("0")),
    Column("ingested", BigInteger),
    Column("successes", BigInteger),
    Column("failures", BigInteger),
    Column("blameless", BigInteger),
    Column("cost_nano_usd", BigInteger),
    Column("queue_messages", BigInteger, nullable=False),
    Column("queue_oldest_seconds", Double),
    Column("dead_letters", BigInteger, nullable=False),
    Column("instances", Integer, nullable=False),
    Column("instances_behind", Integer, nullable=False),
    Column("records_until", BigInteger, nullable=False),
    Column("counted_until", BigInteger, nullable=False),
    Column("successes_until", BigInteger, nullable=False),
    Column("failures_until", BigInteger, nullable=False),
    Column("blameless_until", BigInteger, nullable=False),
    Column("cost_nano_usd_until", Numeric, nullable=False),
)
