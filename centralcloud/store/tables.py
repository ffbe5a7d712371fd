"""The tables as SQLAlchemy Core objects. The migrations create them; `alembic check` finds where the two differ."""

from typing import Final

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Column,
    Computed,
    DateTime,
    Double,
    Identity,
    Index,
    Integer,
    MetaData,
    Numeric,
    PrimaryKeyConstraint,
    Sequence,
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

metadata = MetaData()

_Timestamp = DateTime(timezone=True)


def _counter(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False, server_default=text("0"))


routing_records = Table(
    "routing_records",
    metadata,
    Column("id", BigInteger, Identity(), nullable=False),
    Column("timestamp", _Timestamp, nullable=False),
    Column("instance_id", String, nullable=False),
    Column("complexity", String, nullable=False),
    Column("model", String, nullable=False),
    Column("provider", String, nullable=False),
    Column("score", Double, nullable=False),
    Column("outcome", String, nullable=False),
    Column("response_time_ms", Integer),
    Column("capabilities_required", ARRAY(Text)),
    Column("preference", String),
    Column("created_at", _Timestamp, nullable=False, server_default=text("now()")),
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
    PrimaryKeyConstraint("id", "created_at"),
    postgresql_partition_by="RANGE (created_at)",
)
Index("idx_routing_records_model_complexity", routing_records.c.model, routing_records.c.complexity)
Index("idx_routing_records_timestamp", desc(routing_records.c.timestamp))

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
    _counter("routed_count"),
    _counter("success_count"),
    _counter("failure_count"),
    _counter("blameless_count"),
    _counter("linked_decision_count"),
    _counter("unlinked_routed_count"),
    _counter("unlinked_resolved_count"),
    Column("response_times", ARRAY(Integer), nullable=False, server_default=text("'{}'")),
    Column(
        "avg_response_time",
        Double,
        Computed(
            "((response_time_sum_ms)::double precision / (NULLIF(response_time_count, 0))::double precision)",
            persisted=True,
        ),
    ),
    _counter("response_time_count"),
    _counter("response_time_sum_ms"),
    Column("last_reported_score", Double),
    Column("last_reported_msg_id", BigInteger),
    Column("updated_at", _Timestamp, nullable=False, server_default=text("now()")),
    UniqueConstraint("model_name", "complexity_level"),
)

evidence_slices = Table(
    "evidence_slices",
    metadata,
    Column("slice_no", BigInteger, primary_key=True, autoincrement=False),
    Column("opened_at", _Timestamp, nullable=False, server_default=text("clock_timestamp()")),
    Column("closed_at", _Timestamp),
    _counter("after_record_id"),
    Column("gathered_at", _Timestamp),
    Column("merged_from", BigInteger),
    Column("latency_ref_ms", Integer, nullable=False, server_default=text("10000")),
    Column("cost_ref_usd", Double, nullable=False, server_default=text("0.01")),
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
        _counter("routed"),
        _counter("successes"),
        _counter("failures"),
        _counter("blameless"),
        _counter("response_time_count"),
        _counter("response_time_sum_ms"),
        _counter("input_tokens"),
        _counter("output_tokens"),
        Column("cost_usd", Double, nullable=False, server_default=text("0")),
        _counter("capped_response_time_sum_ms"),
        _counter("cost_count"),
        Column("capped_cost_sum_usd", Double, nullable=False, server_default=text("0")),
        _counter("late"),
        PrimaryKeyConstraint("model_name", "complexity_level", "slice_no", "provider", "instance_id"),
    ]


evidence = Table("evidence", metadata, *_evidence_columns())
Index("idx_evidence_slice_no", evidence.c.slice_no)
dropped_evidence = Table("dropped_evidence", metadata, *_evidence_columns())

dropped_metrics = Table(
    "dropped_metrics",
    metadata,
    Column("model_name", String, primary_key=True),
    Column("complexity_level", String, primary_key=True),
    _counter("routed_count"),
    _counter("success_count"),
    _counter("failure_count"),
    _counter("blameless_count"),
    _counter("linked_decision_count"),
    _counter("unlinked_routed_count"),
    _counter("unlinked_resolved_count"),
    _counter("response_time_count"),
    _counter("response_time_sum_ms"),
    Column("last_reported_score", Double),
    Column("last_reported_msg_id", BigInteger),
)

accounting = Table(
    "accounting",
    metadata,
    Column("only_row", Boolean, primary_key=True, server_default=text("true")),
    _counter("taken"),
    _counter("records"),
    _counter("duplicates"),
    _counter("dead_letters"),
    _counter("dead_letters_replayed"),
    _counter("dead_letters_discarded"),
    _counter("purged"),
    _counter("records_dropped"),
    _counter("ids_tracked_after"),
    Column("verified_at", _Timestamp),
    _counter("verified_ids"),
    _counter("verified_unaccounted"),
)

message_ids = Table(
    "message_ids",
    metadata,
    Column("block", BigInteger, primary_key=True, autoincrement=False),
    Column("handled", INT8MULTIRANGE, nullable=False, server_default=text("'{}'")),
    Column("missing", INT8MULTIRANGE, nullable=False, server_default=text("'{}'")),
    Column("first_at", _Timestamp, nullable=False, server_default=text("clock_timestamp()")),
    Column("last_at", _Timestamp, nullable=False, server_default=text("clock_timestamp()")),
)

ingest_workers = Table(
    "ingest_workers",
    metadata,
    Column("worker_id", BigInteger, Identity(), primary_key=True),
    Column("host", String, nullable=False),
    Column("process", String, nullable=False),
    Column("batch_size", Integer, nullable=False),
    Column("started_at", _Timestamp, nullable=False, server_default=text("now()")),
    Column("seen_at", _Timestamp, nullable=False, server_default=text("now()")),
)

model_performance = Table(
    "model_performance",
    metadata,
    Column("window_start", _Timestamp, nullable=False),
    Column("window_end", _Timestamp, nullable=False),
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
    PrimaryKeyConstraint("window_start", "model_name", "complexity_level", "provider", "instance_id"),
)

decision_ids = Table(
    "decision_ids",
    metadata,
    Column("instance_id", String, nullable=False),
    Column("decision_id", String, nullable=False),
    Column("seen", SmallInteger, nullable=False),
    Column("seen_before", SmallInteger, nullable=False, server_default=text("0")),
    Column("created_at", _Timestamp, nullable=False, server_default=text("now()")),
    PrimaryKeyConstraint("instance_id", "decision_id"),
)
Index("idx_decision_ids_created_at", decision_ids.c.created_at, postgresql_using="brin")

dead_letters = Table(
    "dead_letters",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("queue_name", String, nullable=False),
    Column("msg_id", BigInteger, nullable=False),
    Column("enqueued_at", _Timestamp, nullable=False),
    Column("message", Text),
    Column("reason", Text, nullable=False),
    Column("field", String, nullable=False),
    Column("created_at", _Timestamp, nullable=False, server_default=text("now()")),
    Column("resolution", String),
    Column("resolved_at", _Timestamp),
    Column("replayed_msg_id", BigInteger),
)
Index("idx_dead_letters_created_at", dead_letters.c.created_at)
Index(
    "idx_dead_letters_resolved_at",
    dead_letters.c.resolved_at,
    postgresql_where=text("resolution IS NOT NULL"),
)

ignored_values = Table(
    "ignored_values",
    metadata,
    Column("hour", _Timestamp, nullable=False),
    Column("field", Text, nullable=False),
    Column("messages", BigInteger, nullable=False),
    Column("example", Text, nullable=False),
    Column("instance_id", String, nullable=False),
    PrimaryKeyConstraint("hour", "field"),
)

learning_runs = Table(
    "learning_runs",
    metadata,
    Column("run_id", BigInteger, Identity(), primary_key=True),
    Column("rule", String, nullable=False),
    Column("through_slice", BigInteger, nullable=False),
    Column("started_at", _Timestamp, nullable=False),
    Column("finished_at", _Timestamp, nullable=False, server_default=text("clock_timestamp()")),
    Column("pairs_evaluated", Integer, nullable=False),
    Column("pairs_changed", Integer, nullable=False),
    Column("samples", BigInteger, nullable=False),
    Column("excluded_instances", ARRAY(Text), nullable=False, server_default=text("'{}'")),
)
Index(
    "idx_learning_runs_unpublished",
    learning_runs.c.finished_at,
    postgresql_where=text("pairs_changed = 0"),
)
Index("idx_learning_runs_finished_at", learning_runs.c.finished_at, postgresql_using="brin")


def _estimate_columns() -> list[SchemaItem]:
    """Columns of an estimated success probability; null for rules that estimate none."""
    names = ("mean", "n_eff", "low", "high", "probe_share", "latency_penalty", "cost_penalty")
    return [Column("window_start", _Timestamp), *(Column(name, Double) for name in names)]


def _rule_state_columns() -> list[SchemaItem]:
    """The state that a rule left; `state` is its form for workers up to revision 0005, which a trigger keeps up to date."""
    return [
        Column("state", JSONB, nullable=False, server_default=text("'{}'")),
        Column("evidence_from", BigInteger, nullable=False),
        Column("earlier_boundaries", ARRAY(BigInteger), nullable=False),
        Column("state_payload", JSONB, nullable=False),
        Column("excluded_instances", ARRAY(Text), nullable=False),
        Column("recomputable", Boolean, nullable=False),
    ]


model_score_version = Sequence("model_score_version", metadata=metadata)

model_scores = Table(
    "model_scores",
    metadata,
    Column("model_name", String, nullable=False),
    Column("complexity_level", String, nullable=False),
    Column("score", Numeric(4, 3), nullable=False),
    Column("version", BigInteger, nullable=False, unique=True),
    Column("reason", Text, nullable=False),
    Column("rule", String, nullable=False),
    Column("run_id", BigInteger),
    Column("confidence", Double),
    Column("based_on_samples", BigInteger, nullable=False),
    Column("evaluated_through_slice", BigInteger, nullable=False),
    Column("evaluated_at", _Timestamp, nullable=False, server_default=text("now()")),
    Column("updated_at", _Timestamp, nullable=False, server_default=text("now()")),
    Column("after_slice", BigInteger, nullable=False, server_default=text("0")),
    *_estimate_columns(),
    *_rule_state_columns(),
    PrimaryKeyConstraint("model_name", "complexity_level"),
)

model_score_history = Table(
    "model_score_history",
    metadata,
    Column("version", BigInteger, primary_key=True, autoincrement=False),
    Column("model_name", String, nullable=False),
    Column("complexity_level", String, nullable=False),
    Column("old_score", Numeric(4, 3)),
    Column("new_score", Numeric(4, 3), nullable=False),
    Column("reason", Text, nullable=False),
    Column("rule", String, nullable=False),
    Column("run_id", BigInteger),
    Column("confidence", Double),
    Column("based_on_samples", BigInteger, nullable=False),
    Column("success_rate", Double),
    Column("avg_response_time", Double),
    Column("after_slice", BigInteger, nullable=False),
    Column("through_slice", BigInteger, nullable=False),
    Column("created_at", _Timestamp, nullable=False, server_default=text("now()")),
    Column("kind", String, nullable=False, server_default=text("'step'")),
    *_estimate_columns(),
)
Index(
    "idx_model_score_history_pair",
    model_score_history.c.model_name,
    model_score_history.c.complexity_level,
    desc(model_score_history.c.version),
)
Index("idx_model_score_history_created_at", model_score_history.c.created_at, postgresql_using="brin")

rule_scores = Table(
    "rule_scores",
    metadata,
    Column("rule", String, nullable=False),
    Column("model_name", String, nullable=False),
    Column("complexity_level", String, nullable=False),
    Column("score", Numeric(4, 3), nullable=False),
    Column("kind", String, nullable=False),
    Column("reason", Text, nullable=False),
    Column("confidence", Double),
    Column("based_on_samples", BigInteger, nullable=False),
    Column("success_rate", Double),
    Column("avg_response_time", Double),
    Column("after_slice", BigInteger, nullable=False),
    Column("through_slice", BigInteger, nullable=False),
    *_estimate_columns(),
    *_rule_state_columns(),
    Column("run_id", BigInteger),
    Column("evaluated_at", _Timestamp, nullable=False, server_default=text("now()")),
    PrimaryKeyConstraint("rule", "model_name", "complexity_level"),
)

learning_control = Table(
    "learning_control",
    metadata,
    Column("only_row", Boolean, primary_key=True, server_default=text("true")),
    _counter("revision"),
    _counter("evidence_generation"),
    Column("frozen_at", _Timestamp),
    Column("frozen_reason", Text),
)

score_pins = Table(
    "score_pins",
    metadata,
    Column("model_name", String, nullable=False),
    Column("complexity_level", String, nullable=False),
    Column("score", Numeric(4, 3), nullable=False),
    Column("expires_at", _Timestamp),
    Column("created_at", _Timestamp, nullable=False, server_default=text("now()")),
    PrimaryKeyConstraint("model_name", "complexity_level"),
)

score_holds = Table(
    "score_holds",
    metadata,
    Column("model_name", String, nullable=False),
    Column("complexity_level", String, nullable=False),
    Column("after_slice", BigInteger, nullable=False),
    Column("created_at", _Timestamp, nullable=False, server_default=text("now()")),
    PrimaryKeyConstraint("model_name", "complexity_level"),
)

retired_models = Table(
    "retired_models",
    metadata,
    Column("model_name", String, primary_key=True),
    Column("retired_at", _Timestamp, nullable=False, server_default=text("now()")),
)

new_model_names = Table(
    "new_model_names",
    metadata,
    Column("instance_id", String, nullable=False),
    Column("hour", _Timestamp, nullable=False),
    Column("admitted", Boolean, nullable=False),
    _counter("names"),
    _counter("events"),
    _counter("granted"),
    Column("example", String),
    PrimaryKeyConstraint("instance_id", "hour", "admitted"),
)
Index("idx_new_model_names_hour", new_model_names.c.hour)

leases = Table(
    "leases",
    metadata,
    Column("name", String, primary_key=True),
    Column("holder", String, nullable=False),
    Column("expires_at", _Timestamp, nullable=False),
)

findings = Table(
    "findings",
    metadata,
    Column("finding_id", BigInteger, Identity(), primary_key=True),
    Column("kind", String, nullable=False),
    Column("subject", String, nullable=False),
    Column("message", Text, nullable=False),
    Column("details", JSONB, nullable=False, server_default=text("'{}'")),
    Column("opened_at", _Timestamp, nullable=False, server_default=text("now()")),
    Column("seen_at", _Timestamp, nullable=False, server_default=text("now()")),
    Column("closed_at", _Timestamp),
    Column("traffic_share", Double),
)
Index("idx_findings_open", findings.c.kind, findings.c.subject, unique=True, postgresql_where=text("closed_at IS NULL"))
Index("idx_findings_opened_at", findings.c.opened_at)

instances = Table(
    "instances",
    metadata,
    Column("instance_id", String, primary_key=True),
    Column("applied_version", BigInteger, nullable=False),
    Column("first_seen_at", _Timestamp, nullable=False, server_default=text("now()")),
    Column("last_seen_at", _Timestamp, nullable=False, server_default=text("now()")),
)

instance_logins = Table(
    "instance_logins",
    metadata,
    Column("role_name", String, nullable=False),
    Column("instance_id", String, nullable=False),
    Column("created_at", _Timestamp, nullable=False, server_default=text("now()")),
    PrimaryKeyConstraint("role_name", "instance_id"),
)

database_generation = Table(
    "database_generation",
    metadata,
    Column("only_row", Boolean, primary_key=True, server_default=text("true")),
    Column("generation", Uuid, nullable=False, server_default=text("gen_random_uuid()")),
    Column("created_at", _Timestamp, nullable=False, server_default=text("now()")),
)

server_clock = Table(
    "server_clock",
    metadata,
    Column("only_row", Boolean, primary_key=True, server_default=text("true")),
    Column("seen_at", _Timestamp),
    Column("retention_as_of", _Timestamp),
    Column("jumped_at", _Timestamp),
    Column("jump_seconds", Double),
    Column("steady_from", _Timestamp),
)

fleet_settings = Table(
    "fleet_settings",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", JSONB, nullable=False),
    Column("updated_at", _Timestamp, nullable=False, server_default=text("now()")),
)

operator_actions = Table(
    "operator_actions",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("at", _Timestamp, nullable=False, server_default=text("clock_timestamp()")),
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

#: Tables that workers do not write: they must not change which login may send for which instance.
_NOT_FOR_WORKERS: Final = ("database_generation", "instance_logins")
#: Tables that workers only read and add rows to.
APPEND_ONLY_TABLES: Final = ("operator_actions",)
#: Tables that workers read and write.
WORKER_TABLES: Final = tuple(
    name for name in sorted(metadata.tables) if name not in (*_NOT_FOR_WORKERS, *APPEND_ONLY_TABLES)
)
