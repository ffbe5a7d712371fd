"""The metrics of experiments, and the line about them: those that are open, and no more than the bound."""

import math
from typing import Any

from msgspec.structs import replace
from support.experiment_states import a_state, success
from support.experiments import at

from centralcloud.contracts.fleet_configuration.experiment import MAX_RUNNING
from centralcloud.monitoring.experiment_checks import check_experiments
from centralcloud.monitoring.experiment_metrics import ExperimentSnapshot, experiment_metrics
from centralcloud.monitoring.experiment_states import Experiments, ExperimentState
from centralcloud.runtime.diagnostics import Verdict


def renamed(state: ExperimentState, name: str) -> ExperimentState:
    return state._replace(experiment=replace(state.experiment, id=name))


def shown(*states: ExperimentState, **more: Any) -> dict[tuple[str, ...], float]:
    """Return the values by the end of the metric's name and its labels."""
    snapshot = ExperimentSnapshot(Experiments(states, **more), {"rolledBack": 2})
    return {
        (each.name.removeprefix("centralcloud_experiment"), *each.labels.values()): each.value
        for family in experiment_metrics(snapshot)
        for each in family.samples
    }


def test_an_open_experiment_is_shown_with_its_stage_and_its_evidence() -> None:
    state = a_state(
        1000.0,
        treatments=({"name": "b", "model": "b"}, {"name": "c", "model": "c"}),
        plan={"steps": [0.25], "horizonSeconds": 2000.0, "horizonOutcomes": 2000},
        since=at(400),
        folded_until=at(300),
        late_dropped=7,
        facts={(0, "success"): success(900, 80, above=1.5, below=-2.0), (1, "success"): success(900, 70, below=3.0)},
    )
    found = shown(renamed(state, "e"), seen_seconds=4.0)
    assert found == {
        ("_status", "e", "running"): 1,
        ("_status", "e", "paused"): 0,
        ("_step", "e"): 0,
        ("_share", "e"): 0.25,
        ("_stage_age_seconds", "e"): 600,
        ("_horizon_used_ratio", "e"): (900 + 80 + 70) / 2000,
        ("_folding_behind_seconds", "e"): 0,
        ("_evidence", "e", "b", "better"): 1.5,
        ("_evidence", "e", "b", "worse"): -2.0,
        ("_evidence", "e", "c", "better"): 0.0,
        ("_evidence", "e", "c", "worse"): 3.0,
        ("_outcomes_total", "e", "control"): 900,
        ("_outcomes_total", "e", "b"): 80,
        ("_outcomes_total", "e", "c"): 70,
        ("_late_dropped_total", "e"): 7,
        ("s_unattended_seconds",): 4,
        ("_verdicts_total", "rolledBack"): 2,
    }


def test_one_that_is_paused_treats_no_session_and_one_that_has_ended_is_not_shown() -> None:
    paused = renamed(a_state(5000.0, status="paused", folded_until=at(1000)), "p")
    ended = renamed(a_state(status="rolledBack"), "r")
    found = shown(paused, ended)
    assert (found["_status", "p", "paused"], found["_share", "p"]) == (1, 0)
    assert found["_folding_behind_seconds", "p"] == 5000 - 1000 - 960 - 60
    assert {labels[0] for _, *labels in found if labels} == {"p", "rolledBack"}
    assert set(shown(ended)) == {("_verdicts_total", "rolledBack")}, "no daemon needs to look after it"


def test_what_is_not_a_number_is_not_shown() -> None:
    state = renamed(a_state(facts={(0, "success"): success(9, 1, above=math.nan) | {"treatment": None}}), "e")
    assert not {"_evidence", "_outcomes_total"} & {name for name, *labels in shown(state) if "better" in labels}
    assert ("_outcomes_total", "e", "control") not in shown(state)


def test_at_most_as_many_experiments_are_shown_as_may_be_open() -> None:
    states = [renamed(a_state(), f"e-{number:02}") for number in range(MAX_RUNNING + 5)]
    assert sum(name == "_step" for name, *_ in shown(*states)) == MAX_RUNNING


def test_experiments_that_were_never_looked_after_wait_since_the_oldest_began() -> None:
    assert shown(a_state(500.0), a_state(900.0))["s_unattended_seconds",] == 900
    new = a_state(20.0)
    assert shown(new, seen_seconds=86_400.0)["s_unattended_seconds",] == 20, (
        "the daemon looks at none while none is open"
    )


def test_the_line_about_experiments_says_what_waits_and_is_left_out_without_any() -> None:
    assert check_experiments(Experiments()) is None
    healthy = Experiments([a_state(1000.0, folded_until=at(280)), a_state(status="stopped")], seen_seconds=9.0)
    found = check_experiments(healthy)
    assert found is not None
    assert (found.verdict, found.found) == (
        Verdict.OK,
        "2 experiments: 1 running, 1 stopped; folded until 12 minutes ago",
    )
    for experiments, part in (
        (healthy._replace(seen_seconds=121.0), "a daemon looked after them 2 minutes ago, expected within 2 minutes"),
        (healthy._replace(seen_seconds=None), "a daemon looked after them never"),
        (Experiments([a_state(3600, folded_until=at(1000))], seen_seconds=9.0), "do not count yet: "),
        (Experiments(unreadable=["newer"]), "this version cannot read newer"),
    ):
        found = check_experiments(experiments)
        assert found is not None
        assert found.verdict == Verdict.WARN
        assert part in found.found


def test_no_horizon_ends_a_hold() -> None:
    held = a_state(20 * 86_400.0, step=4, share=0.95, winner="b")
    assert held.horizon_used == 0
    assert a_state(20 * 86_400.0, step=3, share=0.5).horizon_used > 1
