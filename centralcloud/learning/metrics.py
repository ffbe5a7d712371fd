"""Prometheus metrics of the learner in this process."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram


class LearningMetrics:
    """Counters of the learner's runs in this process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._runs = Counter("centralcloud_learning_runs", "Completed runs of the learner", registry=registry)
        self._evaluated = Counter("centralcloud_pairs_evaluated", "Evaluations of a pair", registry=registry)
        self._changed = Counter("centralcloud_scores_changed", "Scores that changed", registry=registry)
        self._told = Counter(
            "centralcloud_model_changes",
            "Changes of a model that its provider told: answers name another model id",
            registry=registry,
        )
        self._seconds = Histogram("centralcloud_learning_run_duration_seconds", "Duration of a run", registry=registry)
        self._last = Gauge(
            "centralcloud_learning_last_success_timestamp_seconds", "End of the last completed run", registry=registry
        )

    def count_model_changes(self, told: int) -> None:
        """Count changes of models that their providers told."""
        self._told.inc(told)

    def add(self, evaluated: int, changed: int, seconds: float) -> None:
        """Count one completed run."""
        self._runs.inc()
        self._evaluated.inc(evaluated)
        self._changed.inc(changed)
        self._seconds.observe(seconds)
        self._last.set_to_current_time()
