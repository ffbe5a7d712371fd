"""Tables that ingest fills: records, counters, evidence, ledgers, dead letters."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Column,
    Computed,
    Double,
    Identity,
    Index,
    Integer,
    Numeric,
    PrimaryKeyConstraint,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    desc,
    text,
)
from sqlalchemy.dialects.postgresql import INT8MULTIRANGE, JSONB
from sqlalchemy.schema import SchemaItem

from centralcloud.store.tables.base import TIMESTAMP, counter, metadata

routing_records = Table(
    "routing_records",
    metadata,
    Column("id", BigInteger, Identity(), nullable=False),
    Column("timestamp", TIMESTAMP, nullable=False),
    Column("instance_id", String, nullable=False),
    Column("complexity", String, nullable=False),
    Column("model", String, nullable=False),
    Column("provider", String, nullable=False),
    Column("score", Double, nullable=False),
    Column("outcome", String, nullable=False),
    Column("response_time_ms", Integer),
    Column("capabilities_required", ARRAY(Text)),
    Column("preference", String),
    Column("created_at", TIMESTAMP, nullable=False, server_default=text("now()")),
    Column("user_model_request", String),
    Column("decision_id", String),
    Column("input_tokens", Integer),
    Column("output_tokens", Integer),
    Column("cost_usd", Double),
    Column("error_kind", String),
    Column("task_type", String),
    Column("propensity", Double),
    Column("score_version", BigInteger),
    Column("slice_no", BigInteger, nullable=False),
    Column("extra", JSONB),
    Column("msg_id", BigInteger),
    Column("first_of_decision", Boolean),
    Column("estimated_cost_usd", Double),
    Column("cost_nano_usd", BigInteger),
    Column("reward", Double),
    Column("arm_share", Double),
    Column("feedback_until", TIMESTAMP),
    Column("attempt", Integer),
    Column("estimated_ms", Integer),
    Column("first_token_ms", Integer),
    Column("complexity_level_10", SmallInteger),
    Column("request_id", Uuid),
    Column("session", String),
    Column("workspace", String),
    Column("key_id", String),
    Column("user_id", String),
    Column("worker", String),
    Column("task_id", String),
    Column("agent_type", String),
    Column("policy", String),
    Column("rule", String),
    Column("finish_reason", String),
    Column("classifier", String),
    Column("model_version", String),
    Column("experiment", String),
    Column("arm", String),
    PrimaryKeyConstraint("id", "created_at"),
    postgresql_partition_by="RANGE (created_at)",
)
Index("idx_routing_records_model_complexity", routing_records.c.model, routing_records.c.complexity)
Index("idx_routing_records_timestamp", desc(routing_records.c.timestamp))
Index(
    "idx_routing_records_request_id",
    routing_records.c.request_id,
    postgresql_where=text("request_id IS NOT NULL"),
)
Index(
    "idx_routing_records_workspace",
    routing_records.c.workspace,
    routing_records.c.id,
    postgresql_where=text("workspace IS NOT NULL AND attempt = 1"),
)
Index(
    "idx_routing_records_experiment",
    routing_records.c.experiment,
    routing_records.c.timestamp,
    postgresql_where=text("experiment IS NOT NULL"),
)

model_routing_metrics = Table(
    "model_routing_metrics",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("model_name", String, nullable=False),
    Column("complexity_level", String, nullable=False),
    Column(
        "usage_count",
        BigInteger,
        Computed("(linked_decision_count + GREATEST(unlinked_routed_count, unlinked_resolved_count))", persisted=True),
    ),
    counter("routed_count"),
    counter("success_count"),
    counter("failure_count"),
    counter("blameless_count"),
    counter("linked_decision_count"),
    counter("unlinked_routed_count"),
    counter("unlinked_resolved_count"),
    Column("response_times", ARRAY(Integer), nullable=False, server_default=text("'{}'")),
    Column(
        "avg_response_time",
        Double,
        Computed(
            "((response_time_sum_ms)::double precision / (NULLIF(response_time_count, 0))::double precision)",
            persisted=True,
        ),
    ),
    counter("response_time_count"),
    counter("response_time_sum_ms"),
    Column("last_reported_score", Double),
    Column("last_reported_msg_id", BigInteger),
    Column("updated_at", TIMESTAMP, nullable=False, server_default=text("now()")),
    UniqueConstraint("model_name", "complexity_level"),
)

evidence_slices = Table(
    "evidence_slices",
    metadata,
    Column("slice_no", BigInteger, primary_key=True, autoincrement=False),
    Column("opened_at", TIMESTAMP, nullable=False, server_default=text("clock_timestamp()")),
    Column("closed_at", TIMESTAMP),
    counter("after_record_id"),
    Column("gathered_at", TIMESTAMP),
    Column("merged_from", BigInteger),
    Column("latency_ref_ms", Integer, nullable=False, server_default=text("10000")),
    Column("cost_ref_usd", Double, nullable=False, server_default=text("0.01")),
    Column("by_task_type", Boolean, nullable=False, server_default=text("false")),
)
Index(
    "idx_evidence_slices_ungathered",
    evidence_slices.c.slice_no,
    postgresql_where=text("gathered_at IS NULL"),
)


def _evidence_columns() -> list[SchemaItem]:
    return [
        Column("slice_no", BigInteger, nullable=False),
        Column("instance_id", String, nullable=False),
        Column("provider", String, nullable=False),
        Column("model_name", String, nullable=False),
        Column("complexity_level", String, nullable=False),
        counter("routed"),
        counter("successes"),
        counter("failures"),
        counter("blameless"),
        counter("response_time_count"),
        counter("response_time_sum_ms"),
        counter("input_tokens"),
        counter("output_tokens"),
        Column("cost_usd", Double, nullable=False, server_default=text("0")),
        counter("capped_response_time_sum_ms"),
        counter("cost_count"),
        Column("capped_cost_sum_usd", Double, nullable=False, server_default=text("0")),
        counter("late"),
        counter("graded_successes"),
        Column("graded_reward", Double, nullable=False, server_default=text("0")),
        Column("graded_reward_squares", Double, nullable=False, server_default=text("0")),
        PrimaryKeyConstraint("model_name", "complexity_level", "slice_no", "provider", "instance_id"),
    ]


evidence = Table("evidence", metadata, *_evidence_columns())
Index("idx_evidence_slice_no", evidence.c.slice_no)
dropped_evidence = Table("dropped_evidence", metadata, *_evidence_columns())

task_types = Table(
    "task_types",
    metadata,
    Column("task_no", SmallInteger, primary_key=True, autoincrement=False),
    Column("name", String, nullable=False, unique=True),
    Column("slice_no", BigInteger, nullable=False),
    Column("created_at", TIMESTAMP, nullable=False, server_default=text("now()")),
)


def _task_evidence_columns() -> list[SchemaItem]:
    return [
        Column("slice_no", BigInteger, nullable=False),
        Column("instance_id", String, nullable=False),
        Column("model_name", String, nullable=False),
        Column("complexity_level", String, nullable=False),
        Column("task_no", SmallInteger, nullable=False),
        counter("successes"),
        counter("failures"),
        counter("graded_successes"),
        Column("graded_reward", Double, nullable=False, server_default=text("0")),
        Column("graded_reward_squares", Double, nullable=False, server_default=text("0")),
        PrimaryKeyConstraint("model_name", "complexity_level", "slice_no", "task_no", "instance_id"),
    ]


task_evidence = Table("task_evidence", metadata, *_task_evidence_columns())
Index("idx_task_evidence_slice_no", task_evidence.c.slice_no)
dropped_task_evidence = Table("dropped_task_evidence", metadata, *_task_evidence_columns())

dropped_metrics = Table(
    "dropped_metrics",
    metadata,
    Column("model_name", String, primary_key=True),
    Column("complexity_level", String, primary_key=True),
    counter("routed_count"),
    counter("success_count"),
    counter("failure_count"),
    counter("blameless_count"),
    counter("linked_decision_count"),
    counter("unlinked_routed_count"),
    counter("unlinked_resolved_count"),
    counter("response_time_count"),
    counter("response_time_sum_ms"),
    Column("last_reported_score", Double),
    Column("last_reported_msg_id", BigInteger),
)

accounting = Table(
    "accounting",
    metadata,
    Column("only_row", Boolean, primary_key=True, server_default=text("true")),
    counter("taken"),
    counter("records"),
    counter("duplicates"),
    counter("dead_letters"),
    counter("dead_letters_replayed"),
    counter("dead_letters_discarded"),
    counter("purged"),
    counter("records_dropped"),
    counter("ids_tracked_after"),
    Column("verified_at", TIMESTAMP),
    counter("verified_ids"),
    counter("verified_unaccounted"),
    counter("counted_records"),
    counter("successes"),
    counter("failures"),
    counter("blameless"),
    Column("cost_nano_usd", Numeric, nullable=False, server_default=text("0")),
)

message_ids = Table(
    "message_ids",
    metadata,
    Column("block", BigInteger, primary_key=True, autoincrement=False),
    Column("handled", INT8MULTIRANGE, nullable=False, server_default=text("'{}'")),
    Column("missing", INT8MULTIRANGE, nullable=False, server_default=text("'{}'")),
    Column("first_at", TIMESTAMP, nullable=False, server_default=text("clock_timestamp()")),
    Column("last_at", TIMESTAMP, nullable=False, server_default=text("clock_timestamp()")),
)

ingest_workers = Table(
    "ingest_workers",
    metadata,
    Column("worker_id", BigInteger, Identity(), primary_key=True),
    Column("host", String, nullable=False),
    Column("process", String, nullable=False),
    Column("batch_size", Integer, nullable=False),
    Column("started_at", TIMESTAMP, nullable=False, server_default=text("now()")),
    Column("seen_at", TIMESTAMP, nullable=False, server_default=text("now()")),
)

model_performance = Table(
    "model_performance",
    metadata,
    Column("window_start", TIMESTAMP, nullable=False),
    Column("window_end", TIMESTAMP, nullable=False),
    Column("model_name", String, nullable=False),
    Column("complexity_level", String, nullable=False),
    Column("provider", String, nullable=False),
    Column("instance_id", String, nullable=False),
    Column("total_requests", BigInteger, nullable=False),
    Column("successful_requests", BigInteger, nullable=False),
    Column("failed_requests", BigInteger, nullable=False),
    Column("blameless_requests", BigInteger, nullable=False),
    Column("avg_response_time_ms", Double),
    Column("p50_response_time_ms", Double),
    Column("p95_response_time_ms", Double),
    Column("p99_response_time_ms", Double),
    Column("total_cost", Double, nullable=False),
    Column("total_tokens", BigInteger, nullable=False),
    Column("avg_tokens_used", Double),
    Column("id", Uuid, nullable=False, server_default=text("gen_random_uuid()")),
    Column("created_at", TIMESTAMP, nullable=False, server_default=text("now()")),
    Column("cost_nano_usd", Numeric),
    PrimaryKeyConstraint("window_start", "model_name", "complexity_level", "provider", "instance_id"),
)

decision_ids = Table(
    "decision_ids",
    metadata,
    Column("instance_id", String, nullable=False),
    Column("decision_id", String, nullable=False),
    Column("seen", SmallInteger, nullable=False),
    Column("seen_before", SmallInteger, nullable=False, server_default=text("0")),
    Column("created_at", TIMESTAMP, nullable=False, server_default=text("now()")),
    PrimaryKeyConstraint("instance_id", "decision_id"),
)
Index("idx_decision_ids_created_at", decision_ids.c.created_at, postgresql_using="brin")

dead_letters = Table(
    "dead_letters",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("queue_name", String, nullable=False),
    Column("msg_id", BigInteger, nullable=False),
    Column("enqueued_at", TIMESTAMP, nullable=False),
    Column("message", Text),
    Column("reason", Text, nullable=False),
    Column("field", String, nullable=False),
    Column("created_at", TIMESTAMP, nullable=False, server_default=text("now()")),
    Column("resolution", String),
    Column("resolved_at", TIMESTAMP),
    Column("replayed_msg_id", BigInteger),
)
Index("idx_dead_letters_created_at", dead_letters.c.created_at)
Index(
    "idx_dead_letters_resolved_at",
    dead_letters.c.resolved_at,
    postgresql_where=text("resolution IS NOT NULL"),
)

request_plans = Table(
    "request_plans",
    metadata,
    Column("request_id", Uuid, primary_key=True),
    Column("created_at", TIMESTAMP, nullable=False, server_default=text("now()")),
    Column("plan", JSONB, nullable=False),
)
Index("idx_request_plans_created_at", request_plans.c.created_at, postgresql_using="brin")

feedback = Table(
    "feedback",
    metadata,
    Column("request_id", Uuid, primary_key=True),
    Column("created_at", TIMESTAMP, nullable=False, server_default=text("now()")),
    Column("success", Boolean, nullable=False),
    Column("learned", Boolean, nullable=False),
    Column("reward", Double),
    Column("instance_id", String, nullable=False),
    Column("decision_id", String),
    Column("model_name", String, nullable=False),
    Column("complexity_level", String, nullable=False),
    Column("workspace", String),
    Column("user_id", String),
    Column("comment", Text),
)
Index("idx_feedback_created_at", feedback.c.created_at)
Index("idx_feedback_model", feedback.c.model_name, feedback.c.complexity_level)

waiting_feedback = Table(
    "waiting_feedback",
    metadata,
    Column("request_id", Uuid, primary_key=True),
    Column("reported_at", TIMESTAMP, nullable=False, server_default=text("now()")),
    Column("success", Boolean, nullable=False),
    Column("reward", Double),
    Column("user_id", String),
    Column("comment", Text),
    Column("tried_at", TIMESTAMP),
    Column("key_id", String),
)
Index("idx_waiting_feedback_reported_at", waiting_feedback.c.reported_at)
Index("idx_waiting_feedback_key_id", waiting_feedback.c.key_id)

ignored_values = Table(
    "ignored_values",
    metadata,
    Column("hour", TIMESTAMP, nullable=False),
    Column("field", Text, nullable=False),
    Column("messages", BigInteger, nullable=False),
    Column("example", Text, nullable=False),
    Column("instance_id", String, nullable=False),
    PrimaryKeyConstraint("hour", "field"),
)

new_model_names = Table(
    "new_model_names",
    metadata,
    Column("instance_id", String, nullable=False),
    Column("hour", TIMESTAMP, nullable=False),
    Column("admitted", Boolean, nullable=False),
    counter("names"),
    counter("events"),
    counter("granted"),
    Column("example", String),
    PrimaryKeyConstraint("instance_id", "hour", "admitted"),
)
Index("idx_new_model_names_hour", new_model_names.c.hour)
