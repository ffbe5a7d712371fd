"""Experiments as monitoring reads them."""

from datetime import datetime
from typing import Any

from centralcloud.monitoring.experiment_states import ExperimentState
from support.experiments import an_experiment, at


def a_state(
    seconds: float = 3600.0,
    *,
    treatments: tuple[dict[str, Any], ...] = ({"model": "b"},),
    plan: dict[str, Any] | None = None,
    folded_until: datetime | None = None,
    late_dropped: int = 0,
    facts: dict[tuple[int, str], dict[str, Any]] | None = None,
    **stage: Any,
) -> ExperimentState:
    """Return an experiment some seconds after it began, that is folded as far as it can be; `stage`: fields of its stage."""
    kind = "canary" if len(treatments) == 1 else "ab"
    experiment = an_experiment(
        kind=kind, treatments=list(treatments), plan=plan or {}, stage={"by_hand": False, **stage}
    )
    plan_of = experiment.plan
    due = at(seconds - plan_of.outcome_within_seconds - plan_of.window_seconds / 10)
    until = folded_until or max(due, experiment.stage.began)
    return ExperimentState(experiment, at(seconds), until, late_dropped, facts or {})


def arms(control: dict[str, Any], treatment: dict[str, Any], **facts: Any) -> dict[str, Any]:
    """Return the facts of a row of experiment_results."""
    return {"control": control, "treatment": treatment, **facts}


def success(control: int, treated: int, *, above: float = 0.0, below: float = 0.0) -> dict[str, Any]:
    """Return the facts about success, by the outcomes of the arms."""
    return arms({"outcomes": control}, {"outcomes": treated}, log_above=above, log_below=below, interval=[-1.0, 1.0])
