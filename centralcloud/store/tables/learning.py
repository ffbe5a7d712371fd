"""Tables of learning: runs, scores and their history, and what operators set for scores."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    Numeric,
    PrimaryKeyConstraint,
    Sequence,
    String,
    Table,
    Text,
    desc,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.schema import SchemaItem

from centralcloud.store.tables.base import TIMESTAMP, counter, metadata

learning_runs = Table(
    "learning_runs",
    metadata,
    Column("run_id", BigInteger, Identity(), primary_key=True),
    Column("rule", String, nullable=False),
    Column("through_slice", BigInteger, nullable=False),
    Column("started_at", TIMESTAMP, nullable=False),
    Column("finished_at", TIMESTAMP, nullable=False, server_default=text("clock_timestamp()")),
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
    names = ("mean", "n_eff", "draw_n", "low", "high", "probe_share", "latency_penalty", "cost_penalty")
    return [Column("window_start", TIMESTAMP), *(Column(name, Double) for name in names)]


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
    Column("evaluated_at", TIMESTAMP, nullable=False, server_default=text("now()")),
    Column("updated_at", TIMESTAMP, nullable=False, server_default=text("now()")),
    Column("after_slice", BigInteger, nullable=False, server_default=text("0")),
    *_estimate_columns(),
    *_rule_state_columns(),
    PrimaryKeyConstraint("model_name", "complexity_level"),
)

model_task_scores = Table(
    "model_task_scores",
    metadata,
    Column("model_name", String, nullable=False),
    Column("complexity_level", String, nullable=False),
    Column("task_type", String, nullable=False),
    Column("score", Numeric(4, 3), nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("pair_version", BigInteger, nullable=False),
    Column("based_on_samples", BigInteger, nullable=False),
    Column("mean", Double, nullable=False),
    Column("n_eff", Double, nullable=False),
    Column("draw_n", Double),
    Column("probe_share", Double),
    Column("updated_at", TIMESTAMP, nullable=False, server_default=text("now()")),
    PrimaryKeyConstraint("model_name", "complexity_level", "task_type"),
    ForeignKeyConstraint(
        ["model_name", "complexity_level"],
        ["model_scores.model_name", "model_scores.complexity_level"],
        ondelete="CASCADE",
    ),
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
    Column("created_at", TIMESTAMP, nullable=False, server_default=text("now()")),
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
    Column("evaluated_at", TIMESTAMP, nullable=False, server_default=text("now()")),
    Column("task_types", JSONB, nullable=False, server_default=text("'{}'")),
    PrimaryKeyConstraint("rule", "model_name", "complexity_level"),
)

learning_control = Table(
    "learning_control",
    metadata,
    Column("only_row", Boolean, primary_key=True, server_default=text("true")),
    counter("revision"),
    counter("evidence_generation"),
    counter("versions_through_slice"),
    Column("frozen_at", TIMESTAMP),
    Column("frozen_reason", Text),
)

score_pins = Table(
    "score_pins",
    metadata,
    Column("model_name", String, nullable=False),
    Column("complexity_level", String, nullable=False),
    Column("score", Numeric(4, 3), nullable=False),
    Column("expires_at", TIMESTAMP),
    Column("created_at", TIMESTAMP, nullable=False, server_default=text("now()")),
    PrimaryKeyConstraint("model_name", "complexity_level"),
)

score_holds = Table(
    "score_holds",
    metadata,
    Column("model_name", String, nullable=False),
    Column("complexity_level", String, nullable=False),
    Column("after_slice", BigInteger, nullable=False),
    Column("created_at", TIMESTAMP, nullable=False, server_default=text("now()")),
    PrimaryKeyConstraint("model_name", "complexity_level"),
)

retired_models = Table(
    "retired_models",
    metadata,
    Column("model_name", String, primary_key=True),
    Column("retired_at", TIMESTAMP, nullable=False, server_default=text("now()")),
)
