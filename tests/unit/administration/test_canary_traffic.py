"""The traffic that a canary of learned scores needs."""

import pytest

from centralcloud.administration.canary_traffic import outcomes_to_decide, too_little_traffic
from centralcloud.contracts.fleet_configuration import ExperimentPlan
from centralcloud.contracts.new_experiment import Traffic

PLAN = ExperimentPlan(horizon_seconds=3 * 86_400.0)


@pytest.mark.parametrize(
    ("success", "margin", "simulated"),
    [(0.95, 0.02, 48_000), (0.95, 0.03, 40_000), (0.9, 0.02, 56_000), (0.8, 0.03, 69_000)],
)
def test_the_estimate_is_near_what_simulated_ramps_took(success: float, margin: float, simulated: int) -> None:
    found = outcomes_to_decide(ExperimentPlan(margin=margin), success)
    assert simulated / 2 < found < 2 * simulated


def test_the_first_step_alone_takes_its_least_outcomes_whatever_the_success() -> None:
    assert outcomes_to_decide(ExperimentPlan(), 1.0) > 50 / 0.01
    assert outcomes_to_decide(PLAN, None) == outcomes_to_decide(PLAN, 0.95)


def test_a_canary_that_cannot_be_decided_by_its_horizon_has_too_little_traffic() -> None:
    assert too_little_traffic(PLAN, Traffic(10.0, 0.95)) is None
    assert too_little_traffic(PLAN, Traffic(9.0, 0.95)) == (
        "a canary needs about 39,667 outcomes, and 3 days have 38,880 at the traffic of the last day"
    )
    assert too_little_traffic(PLAN, None) is None, "not known: the horizon ends it"
