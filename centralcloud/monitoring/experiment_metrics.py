"""Prometheus metrics of the experiments that are open, and of the verdicts on all of them."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple, TypeAlias

import psycopg
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from centralcloud.contracts.fleet_configuration.experiment import MAX_RUNNING
from centralcloud.monitoring.experiment_states import Experiments, ExperimentState
from centralcloud.runtime.postgres.query import Query

#: Kinds of verdicts that are shown before there is one: an increase from nothing is not seen.
VERDICTS: Final = (
    "step",
    "paused",
    "retry",
    "rolledBack",
    "promoted",
    "confirmed",
    "undecided",
    "stopped",
    "better",
    "worse",
    "published",
)
_OPEN: Final = ("running", "paused")

#: Values of an experiment by its other labels; None where nothing is known.
_Values: TypeAlias = Mapping[tuple[str, ...], float | None]


class ExperimentSnapshot(NamedTuple):
    """The experiments at one moment, and how many verdicts of each kind there were ever."""

    experiments: Experiments = Experiments()
    verdicts: Mapping[str, int] = {}


class _NewVerdicts(NamedTuple):
    verdict: str
    number: int
    newest: int


_COUNT_NEW_VERDICTS = Query(__package__, "count_new_verdicts", row=_NewVerdicts)


class VerdictCounts:
    """The verdicts by kind. Each is read once: they are never taken back."""

    def __init__(self) -> None:
        self._newest = 0
        self._counts = dict.fromkeys(VERDICTS, 0)

    def read(self, connection: psycopg.Connection[Any]) -> Mapping[str, int]:
        """Add the verdicts since the last call, and return all."""
        newest = self._newest
        for each in _COUNT_NEW_VERDICTS.all(connection, {"after": self._newest}):
            self._counts[each.verdict] = self._counts.get(each.verdict, 0) + each.number
            newest = max(newest, each.newest)
        self._newest = newest
        return dict(self._counts)


def experiment_metrics(snapshot: ExperimentSnapshot | None) -> Iterator[Metric]:
    """Yield the metric families with the values of `snapshot`; without values for None."""
    found = snapshot or ExperimentSnapshot()
    shown = found.experiments.open[:MAX_RUNNING]
    for family, is_counter, text, labels, values in _FAMILIES:
        kind = CounterMetricFamily if is_counter else GaugeMetricFamily
        metric = kind(f"centralcloud_experiment_{family}", text, labels=["experiment", *labels])
        for state in shown:
            for label_values, value in values(state).items():
                if value is not None:
                    metric.add_metric([state.experiment.id, *label_values], value)
        yield metric
    yield GaugeMetricFamily(
        "centralcloud_experiments_unattended_seconds",
        "Time since a daemon looked after the open experiments",
        value=found.experiments.unattended_seconds,
    )
    verdicts = CounterMetricFamily(
        "centralcloud_experiment_verdicts", "Verdicts on experiments, and their steps, by kind", labels=["verdict"]
    )
    for verdict, number in found.verdicts.items():
        verdicts.add_metric([verdict], number)
    yield verdicts


def _statuses(state: ExperimentState) -> _Values:
    return {(name,): float(state.experiment.stage.status == name) for name in _OPEN}


def _outcomes(state: ExperimentState) -> _Values:
    return {(arm,): count for arm, count in state.outcomes().items()}


def _evidence(state: ExperimentState) -> _Values:
    return {
        (treatment.name, direction): state.number(number, "success", name)
        for number, treatment in enumerate(state.experiment.treatments)
        for direction, name in (("better", "log_above"), ("worse", "log_below"))
    }


class _Family(NamedTuple):
    name: str
    is_counter: bool
    text: str
    labels: tuple[str, ...]
    values: Callable[[ExperimentState], _Values]


_FAMILIES: Final = (
    _Family("status", False, "1: the open experiment has this status; 0: it has another", ("status",), _statuses),
    _Family(
        "step",
        False,
        "Step of the ramp, from 0; a hold is the last",
        (),
        lambda state: {(): state.experiment.stage.step},
    ),
    _Family(
        "share",
        False,
        "Share of the sessions of its scope that each treatment gets, 0 to 0.5; 0.95 in the hold after a promotion",
        (),
        lambda state: {(): state.experiment.split.share},
    ),
    _Family(
        "stage_age_seconds",
        False,
        "Time since the step, or the pause, began",
        (),
        lambda state: {(): state.stage_seconds},
    ),
    _Family(
        "horizon_used_ratio",
        False,
        "Used part of the horizon, in time or in outcomes; at 1 the experiment ends undecided",
        (),
        lambda state: {(): state.horizon_used},
    ),
    _Family(
        "folding_behind_seconds",
        False,
        "Time for which the oldest decision waits that is due and does not count yet",
        (),
        lambda state: {(): state.behind_seconds},
    ),
    _Family(
        "evidence",
        False,
        "Natural logarithm of the e-value that the success of the treatment is better, or worse, than that of control",
        ("treatment", "direction"),
        _evidence,
    ),
    _Family(
        "scores_waiting",
        False,
        "Learned scores that wait for the experiment: it judges them, and the learner has started it",
        (),
        lambda state: {(): len(state.experiment.treatments[0].score_table) if state.experiment.learned_by else None},
    ),
    _Family("outcomes", True, "Outcomes that count, by arm", ("arm",), _outcomes),
    _Family("late_dropped", True, "Records that came too late to count", (), lambda state: {(): state.late_dropped}),
)
