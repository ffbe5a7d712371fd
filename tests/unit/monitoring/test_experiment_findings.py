"""The rules about experiments: what is a finding, what is not, and how it is described."""

import pytest
from msgspec.structs import replace
from support.experiment_states import a_state, arms, success
from support.experiments import at

from centralcloud.experiments.stages import SAMPLE_RATIO
from centralcloud.monitoring.experiment_findings import EXPERIMENT_FINDING_KINDS, detect_experiment_findings
from centralcloud.monitoring.experiment_states import ExperimentState
from centralcloud.store.findings import Finding

_WEEK = 7 * 86_400.0
_TABLE = {"name": "table", "scoreTable": [{"modelId": "b", "complexity": "simple", "score": 4.0}]}


def found(state: ExperimentState) -> list[Finding]:
    return list(detect_experiment_findings([state]))


def arrived(low: float, high: float) -> dict:
    return {(0, "arrived"): arms({"mean": 0.999}, {"mean": 0.962}, interval=[low, high])}


def late(number: int, requests: tuple[int, int] = (900, 100)) -> ExperimentState:
    rows = {(0, "comparison"): arms({"requests": requests[0]}, {"requests": requests[1]})}
    return a_state(late_dropped=number, facts=rows)


@pytest.mark.parametrize(
    ("state", "kind", "message"),
    [
        (
            a_state(status="rolledBack", reason="fewer successes", since=at(600)),
            "experiment_rolled_back",
            'the experiment "Try b" was rolled back at 2026-11-30 12:10 UTC: fewer successes; every session is served by '
            "control. `centralcloud experiments show {id}` has the evidence",
        ),
        (
            a_state(status="promoted", winner="b", reason="better", since=at(600)),
            "experiment_promoted",
            'the experiment "Try b" has promoted b at 2026-11-30 12:10 UTC: better; it serves every session of the scope '
            "until the experiment is removed: put it into the configuration, then `centralcloud experiments remove {id}`",
        ),
        (
            a_state(treatments=(_TABLE,), status="promoted", winner="table", reason="no worse", since=at(600)),
            "experiment_promoted",
            'the experiment "Try b" has promoted table at 2026-11-30 12:10 UTC: no worse; its scores are published to the '
            "fleet, and learning goes on from them",
        ),
        (
            a_state(
                status="undecided",
                since=at(600),
                plan={"margin": 0.02},
                facts={(0, "success"): success(9_000, 1_000)},
            ),
            "experiment_undecided",
            'the experiment "Try b" ended undecided at 2026-11-30 12:10 UTC, after 10,000 outcomes of its arms: expected a '
            "decision within 14 days and 200,000 outcomes; every session is served by control. The arms may differ by less "
            "than the margin (2.0%); a larger share or scope decides sooner",
        ),
        (
            a_state(
                status="stopped",
                reason=SAMPLE_RATIO,
                since=at(600),
                facts={(0, "comparison"): arms({"sessions": 4_000}, {"sessions": 2_000})},
            ),
            "experiment_sample_ratio",
            'the experiment "Try b" was stopped at 2026-11-30 12:10 UTC: its sessions are not split as recorded (2,000 '
            "sessions of b, 4,000 of control), so its arms cannot be compared. Look for what loses or repeats the sessions "
            "of one arm: a cache or retries before the gateways, a gateway that cannot serve the treatment, events that are "
            "lost; then start another experiment",
        ),
        (
            a_state(3600, folded_until=at(1000)),
            "experiment_folding_behind",
            'the experiment "Try b" does not count what is due: the oldest decision waits for 26 minutes, expected at most '
            "15 minutes. Its guards are blind meanwhile. Messages that wait in the queue hold it back, and a daemon whose "
            "task `experiments` fails; `centralcloud doctor` finds both",
        ),
        (
            late(40),
            "experiment_outcomes_late",
            'the experiment "Try b" had 40 records that came after their time was folded (3.8% of all): expected at most '
            "3.0%. They count nowhere. Events are sent too late, or outcomeWithinSeconds (960) is too short: it is the "
            "longest time of a request and a minute",
        ),
        (
            a_state(facts=arrived(-0.06, -0.01)),
            "experiment_arrival_differs",
            'the experiment "Try b" compares arms whose outcomes do not arrive alike: within outcomeWithinSeconds 96.2% of '
            "those of b did, and 99.9% of those of control, which chance does not explain. A missing outcome counts as a "
            "failure: look for requests of one arm that take too long, or whose outcome is not reported",
        ),
        (
            a_state(facts={(0, "comparison"): arms({"mismatched": 1}, {"mismatched": 8})}),
            "experiment_mismatched",
            'the experiment "Try b" had 9 requests in an arm, or at a share, that their session cannot have: expected '
            "that of the session's hash, at a step of the plan. They are left out. Look for a program that publishes "
            "events of its own, or a gateway whose configuration is not the fleet's",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) and " " not in value else "",
)
def test_a_finding_about_an_experiment_says_what_was_found_and_what_to_do(
    state: ExperimentState, kind: str, message: str
) -> None:
    (finding,) = found(state)
    assert (finding.kind, finding.message) == (kind, message.replace("{id}", state.experiment.id))
    assert finding.details["experiment"] == state.experiment.id
    assert finding.subject == (
        state.experiment.id + "/b" if kind == "experiment_arrival_differs" else state.experiment.id
    )
    assert kind in EXPERIMENT_FINDING_KINDS


@pytest.mark.parametrize(
    "state",
    [
        a_state(),
        a_state(status="stopped", reason="stopped by hand", by_hand=True, since=at(600)),
        a_state(status="stopped", reason="for a reason of a later version", since=at(600)),
        a_state(status="promoted", winner="b", reason="promoted by hand", by_hand=True, since=at(600)),
        a_state(3600, folded_until=at(3600 - 960 - 6 - 900)),
        a_state(3600, folded_until=at(1000), status="stopped", reason="stopped by hand", by_hand=True),
        late(30),
        late(19, requests=(9, 1)),
        a_state(facts={(0, "comparison"): arms({"mismatched": 0}, {"mismatched": 4})}),
        a_state(facts=arrived(-0.06, 0.0)),
        a_state(facts=arrived(-1.0, 1.0)),
        a_state(facts=arrived(0.2, 0.1)),
    ],
    ids=[
        "it runs",
        "stopped by hand",
        "stopped for another reason",
        "promoted by hand",
        "behind, but not by much",
        "behind, but over",
        "few late ones",
        "hardly any request",
        "hardly any in a wrong arm",
        "chance explains it",
        "not known yet",
        "no difference fits all of the time",
    ],
)
def test_what_is_part_of_normal_work_is_not_a_finding(state: ExperimentState) -> None:
    assert found(state) == []


@pytest.mark.parametrize("status", ["rolledBack", "undecided"])
def test_a_finding_about_scores_of_the_learner_says_that_they_are_withdrawn(status: str) -> None:
    state = a_state(treatments=(_TABLE,), status=status, since=at(600))
    (finding,) = found(state._replace(experiment=replace(state.experiment, learned_by="adaptive")))
    assert finding.message.endswith(
        ". It has withdrawn 1 score of adaptive: `centralcloud status` says when the learner proposes such leaders again; "
        f"`centralcloud experiments remove {state.experiment.id}` lets it do so at once"
    )


def test_scores_of_the_learner_that_were_promoted_are_not_a_finding() -> None:
    state = a_state(treatments=(_TABLE,), status="promoted", winner="table", since=at(600))
    assert found(state._replace(experiment=replace(state.experiment, learned_by="adaptive"))) == []


@pytest.mark.parametrize("status", ["rolledBack", "undecided", "promoted"])
def test_an_end_is_a_finding_for_a_week_but_a_promotion_that_reroutes_until_it_is_removed(status: str) -> None:
    winner = "b" if status == "promoted" else None
    assert len(found(a_state(_WEEK - 1, status=status, winner=winner, since=at(0)))) == 1
    assert len(found(a_state(_WEEK, status=status, winner=winner, since=at(0)))) == (1 if winner else 0)
    table = a_state(_WEEK, treatments=(_TABLE,), status="promoted", winner="table", since=at(0))
    assert found(table) == []
