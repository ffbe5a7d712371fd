"""Experiments in the form that operators ask for, and evidence for them."""

import math
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec.structs import replace

from centralcloud.contracts.canary import Facts
from centralcloud.contracts.fleet_configuration import Experiment, ExperimentStage
from centralcloud.contracts.new_experiment import begin

BEGAN = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)
TOKEN = "0123456789abcdef"

#: Evidence for nothing, of 5,000 outcomes.
NO_EVIDENCE = Facts(5_000, 500, 0.0, 0.0, 0.0, 0.0, (0.0, 0.0, 0.0, 0.0), 0.0, 0.0, 0.0, (0.0, 0.0, 0.0))


def log_of(value: float) -> float:
    """Return the log of an e-value that has just reached `value`."""
    return math.log(value) + 1e-9


SAFE = NO_EVIDENCE._replace(loss_excluded=(0.0, log_of(20), log_of(20), log_of(20)))
GOOD = SAFE._replace(
    within_margin=log_of(20), within_time=log_of(20), within_cost=log_of(20), wins=(log_of(60), 0.0, 0.0)
)
WORSE = SAFE._replace(worse=log_of(200))


def an_experiment(*, stage: dict[str, Any] | None = None, **asked: Any) -> Experiment:
    """Return an experiment that has just begun; `stage`: other fields of its stage."""
    value = {"name": "Try b", "treatments": [{"model": "b"}], **asked}
    begun = begin(value, "experiment", now=BEGAN, token=TOKEN, earlier=(), traffic=None).experiment
    return replace(begun, stage=replace(begun.stage, **(stage or {})))


def at(seconds: float) -> datetime:
    """Return a time after the experiment began."""
    return BEGAN + timedelta(seconds=seconds)


def shown(stage: ExperimentStage) -> tuple[str, int, float, float | None]:
    """Return status, step, share, and the share before."""
    return stage.status, stage.step, stage.share, stage.before
