"""Tables of experiments: how far their records are folded, their evidence, open sessions, results, verdicts."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Identity,
    Index,
    Integer,
    Interval,
    LargeBinary,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from centralcloud.store.tables.base import TIMESTAMP, counter, metadata


def _of_experiment() -> Column[str]:
    return Column(
        "experiment_id", Text, ForeignKey("experiment_progress.experiment_id", ondelete="CASCADE"), nullable=False
    )


experiment_progress = Table(
    "experiment_progress",
    metadata,
    Column("experiment_id", Text, primary_key=True),
    Column("began", TIMESTAMP, nullable=False),
    Column("folded_until", TIMESTAMP, nullable=False),
    Column("prompted_id", BigInteger, nullable=False),
    Column("step", SmallInteger, nullable=False),
    Column("retries", Integer, nullable=False),
    counter("late_dropped"),
    Column("state", LargeBinary, nullable=False),
    Column("repeated_until", TIMESTAMP, nullable=False, server_default=text("'epoch'")),
    Column("repeated_id", BigInteger, nullable=False, server_default=text("0")),
    Column("updated_at", TIMESTAMP, nullable=False, server_default=text("now()")),
)

experiment_comparisons = Table(
    "experiment_comparisons",
    metadata,
    _of_experiment(),
    Column("treatment", SmallInteger, nullable=False),
    Column("state", LargeBinary, nullable=False),
    Column("updated_at", TIMESTAMP, nullable=False, server_default=text("now()")),
    PrimaryKeyConstraint("experiment_id", "treatment"),
)

experiment_sessions = Table(
    "experiment_sessions",
    metadata,
    _of_experiment(),
    Column("session_key", BigInteger, nullable=False),
    Column("first_at", TIMESTAMP, nullable=False),
    Column("last_at", TIMESTAMP, nullable=False),
    Column("share", Double),
    Column("treatment", SmallInteger),
    Column("is_folded", Boolean, nullable=False, server_default=text("false")),
    Column("has_ended", Boolean, nullable=False, server_default=text("false")),
    Column("outcomes", LargeBinary, nullable=False),
    PrimaryKeyConstraint("experiment_id", "session_key"),
)
Index(
    "idx_experiment_sessions_open",
    experiment_sessions.c.experiment_id,
    experiment_sessions.c.first_at,
    postgresql_where=text("NOT has_ended"),
)

experiment_results = Table(
    "experiment_results",
    metadata,
    _of_experiment(),
    Column("treatment", SmallInteger, nullable=False),
    Column("metric", Text, nullable=False),
    Column("facts", JSONB, nullable=False),
    Column("updated_at", TIMESTAMP, nullable=False, server_default=text("now()")),
    PrimaryKeyConstraint("experiment_id", "treatment", "metric"),
)

experiment_verdicts = Table(
    "experiment_verdicts",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("experiment_id", Text, nullable=False),
    Column("treatment", SmallInteger),
    Column("at", TIMESTAMP, nullable=False, server_default=text("clock_timestamp()")),
    Column("verdict", Text, nullable=False),
    Column("facts", JSONB, nullable=False, server_default=text("'{}'")),
)
Index("idx_experiment_verdicts_experiment", experiment_verdicts.c.experiment_id, experiment_verdicts.c.id)

experiment_heartbeat = Table(
    "experiment_heartbeat",
    metadata,
    Column("only_row", Boolean, primary_key=True, server_default=text("true")),
    Column("seen_at", TIMESTAMP),
    Column("resumed_at", TIMESTAMP),
    Column("silent_for", Interval),
)
