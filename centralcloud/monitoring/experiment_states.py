"""The experiments as operators see them: their stage, how far their records are folded, and what is known of each metric."""

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import psycopg

from centralcloud.contracts import ContractError
from centralcloud.contracts.fleet_configuration import CONTROL, Experiment, parse_experiment
from centralcloud.contracts.fleet_configuration.configuration import entry_path
from centralcloud.runtime.postgres.query import Query


class ExperimentState(NamedTuple):
    """An experiment as of `now`, by the server's clock.

    Attributes:
        folded_until: decisions before are folded; None: the daemon has not folded any yet.
        late_dropped: records that came too late to count.
        facts: what is known, by the number of the treatment and the metric, in the form of
            `centralcloud.experiments.results.ComparisonResult`.
    """

    experiment: Experiment
    now: datetime
    folded_until: datetime | None = None
    late_dropped: int = 0
    facts: Mapping[tuple[int, str], Mapping[str, Any]] = {}

    @property
    def stage_seconds(self) -> float:
        """Time since the stage began, in seconds."""
        return max(0.0, (self.now - self.experiment.stage.since).total_seconds())

    @property
    def behind_seconds(self) -> float:
        """Time since the oldest decision was due that is not folded: 0 while all are that are old enough."""
        plan, since = self.experiment.plan, self.folded_until or self.experiment.stage.began
        due_after = plan.outcome_within_seconds + plan.minute_seconds
        return max(0.0, (self.now - since).total_seconds() - due_after)

    @property
    def horizon_used(self) -> float:
        """The part of the horizon that is over, in time or in outcomes, whichever is more; 1: the experiment ends.

        0 in a hold, which no horizon ends.
        """
        if self.experiment.is_held:
            return 0.0
        plan = self.experiment.plan
        by_time = (self.now - self.experiment.stage.began).total_seconds() / plan.horizon_seconds
        return max(0.0, by_time, sum(self.outcomes().values()) / plan.horizon_outcomes)

    def number(self, treatment: int, metric: str, name: str) -> float | None:
        """Return a number of the facts about a metric; None: not known."""
        return _finite(self.facts.get((treatment, metric), {}).get(name))

    def by_arm(self, treatment: int, metric: str, name: str) -> tuple[float, float] | None:
        """Return a number of control and of a treatment; None: not known."""
        arms = self.facts.get((treatment, metric), {})
        control, treated = (_finite((arms.get(arm) or {}).get(name)) for arm in ("control", "treatment"))
        return None if control is None or treated is None else (control, treated)

    def interval(self, treatment: int, metric: str) -> tuple[float, float] | None:
        """Return the interval of the difference from control as of now; None: not known. -1 and 1: an end is not."""
        low, high = (_finite(each) for each in self.facts.get((treatment, metric), {}).get("interval") or (None, None))
        return None if low is None or high is None else (low, high)

    def outcomes(self) -> dict[str, float]:
        """Return the folded outcomes by arm; without those of which nothing is known."""
        found: dict[str, float] = {}
        for number, treatment in enumerate(self.experiment.treatments):
            if (counts := self.by_arm(number, "success", "outcomes")) is not None:
                found[CONTROL] = max(found.get(CONTROL, 0.0), counts[0])  # the same in each comparison
                found[treatment.name] = counts[1]
        return found


class Experiments(NamedTuple):
    """The experiments of the configuration.

    Attributes:
        states: by id; those that this version cannot read are left out.
        unreadable: the ids of those.
        seen_seconds: time since a daemon looked after them, in seconds; None: it never did.
    """

    states: Sequence[ExperimentState] = ()
    unreadable: Sequence[str] = ()
    seen_seconds: float | None = None

    @property
    def open(self) -> list[ExperimentState]:
        """Those that are not decided: they run, or are paused."""
        return [each for each in self.states if each.experiment.is_open]

    @property
    def unattended_seconds(self) -> float | None:
        """For how long no daemon has looked after the open ones, in seconds; None: there are none.

        The daemon looks at none while none is open: at most since the oldest one began.
        """
        if not (open_ones := self.open):
            return None
        oldest = max((each.now - each.experiment.stage.began).total_seconds() for each in open_ones)
        return max(0.0, oldest if self.seen_seconds is None else min(oldest, self.seen_seconds))


class _Row(NamedTuple):
    id: str
    body: dict[str, Any]
    now: datetime
    began: datetime | None
    folded_until: datetime | None
    late_dropped: int
    results: list[tuple[int, str, dict[str, Any]]]


_EXPERIMENT_STATES = Query(__package__, "experiment_states", row=_Row)
_HEARTBEAT_AGE: Query[float | None] = Query(__package__, "experiment_heartbeat_age", row=float)


def read_experiment_states(connection: psycopg.Connection[Any]) -> Experiments:
    """Read the experiments of the configuration with what is known of them."""
    states, unreadable = [], []
    for row in _EXPERIMENT_STATES.all(connection):
        try:
            experiment = parse_experiment(row.body, entry_path("experiment", row.id))
        except ContractError:
            unreadable.append(row.id)
            continue
        states.append(_state(experiment, row))
    return Experiments(states, unreadable, _HEARTBEAT_AGE.maybe(connection))


def _state(experiment: Experiment, row: _Row) -> ExperimentState:
    if row.began != experiment.stage.began:  # nothing is folded, or an earlier experiment had the id
        return ExperimentState(experiment, row.now)
    facts = {(treatment, metric): found for treatment, metric, found in row.results}
    return ExperimentState(experiment, row.now, row.folded_until, row.late_dropped, facts)


def _finite(value: Any) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if is_number else None
