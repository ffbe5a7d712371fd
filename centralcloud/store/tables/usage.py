"""Use: sums by workspace, key, policy, worker, task, complexity and model, which maintenance makes of records."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    Index,
    Numeric,
    PrimaryKeyConstraint,
    String,
    Table,
    Uuid,
    text,
)

from centralcloud.store.tables.base import TIMESTAMP, counter, metadata

usage_roll_ups = Table(
    "usage_roll_ups",
    metadata,
    Column("window_start", TIMESTAMP, nullable=False),
    counter("response_time_sum_ms"),
    counter("requests"),
    counter("attempts"),
    counter("successes"),
    counter("failures"),
    counter("blameless"),
    counter("without_cost"),
    counter("response_time_count"),
    counter("input_tokens"),
    counter("output_tokens"),
    counter("timed_tokens"),
    counter("generation_ms"),
    counter("feedback_count"),
    counter("feedback_successes"),
    Column("feedback_reward", Double, nullable=False, server_default=text("0")),
    Column("id", Uuid, nullable=False),
    Column("cost_nano_usd", Numeric, nullable=False, server_default=text("0")),
    Column("workspace", String, nullable=False),
    Column("key_id", String, nullable=False),
    Column("policy", String, nullable=False),
    Column("worker", String, nullable=False),
    Column("task_type", String, nullable=False),
    Column("model_name", String, nullable=False),
    Column("provider", String, nullable=False),
    Column("complexity", String, nullable=False, server_default=""),
    PrimaryKeyConstraint("window_start", "id"),
)
Index("idx_usage_roll_ups_workspace", usage_roll_ups.c.workspace, usage_roll_ups.c.window_start)

escalation_roll_ups = Table(
    "escalation_roll_ups",
    metadata,
    Column("window_start", TIMESTAMP, nullable=False),
    Column("requests", BigInteger, nullable=False),
    Column("id", Uuid, nullable=False),
    Column("workspace", String, nullable=False),
    Column("from_model", String, nullable=False),
    Column("to_model", String, nullable=False),
    Column("reason", String, nullable=False),
    PrimaryKeyConstraint("window_start", "id"),
)

roll_up_progress = Table(
    "roll_up_progress",
    metadata,
    Column("only_row", Boolean, primary_key=True, server_default=text("true")),
    Column("rolled_up_until", TIMESTAMP),
)
