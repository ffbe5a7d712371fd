"""The names of the tables, and what workers may do with them. Without SQLAlchemy, which takes a while to import."""

from typing import Final

#: All tables, in alphabetical order; centralcloud.store.tables has their columns.
TABLES: Final = (
    "accounting",
    "configuration_entries",
    "configuration_history",
    "configuration_state",
    "configuration_versions",
    "database_generation",
    "dead_letters",
    "decision_ids",
    "dropped_evidence",
    "dropped_metrics",
    "dropped_task_evidence",
    "escalation_roll_ups",
    "evidence",
    "evidence_slices",
    "experiment_comparisons",
    "experiment_heartbeat",
    "experiment_progress",
    "experiment_results",
    "experiment_sessions",
    "experiment_verdicts",
    "feedback",
    "findings",
    "fleet_minutes",
    "fleet_settings",
    "ignored_values",
    "ingest_workers",
    "instance_logins",
    "instances",
    "learning_control",
    "learning_runs",
    "leases",
    "message_ids",
    "model_changes",
    "model_health",
    "model_performance",
    "model_routing_metrics",
    "model_score_history",
    "model_scores",
    "model_task_scores",
    "model_versions",
    "new_model_names",
    "operator_actions",
    "request_plans",
    "retired_models",
    "roll_up_progress",
    "routing_records",
    "rule_scores",
    "score_holds",
    "score_pins",
    "server_clock",
    "spend_alerts",
    "spend_holders",
    "spend_leases",
    "spend_periods",
    "target_health",
    "task_classifier_choices",
    "task_classifiers",
    "task_evidence",
    "task_types",
    "usage_roll_ups",
    "waiting_feedback",
)
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
APPEND_ONLY_TABLES: Final = ("experiment_verdicts", "operator_actions")
#: Tables that workers read and write.
WORKER_TABLES: Final = tuple(
    name for name in TABLES if name not in (*_NOT_FOR_WORKERS, *CONFIGURATION_TABLES, *APPEND_ONLY_TABLES)
)
