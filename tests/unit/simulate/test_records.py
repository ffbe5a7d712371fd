"""A log as a world: rates are weighed by propensities, and what it cannot tell is said."""

import numpy as np
import pytest

from centralcloud.contracts import SettingsError
from centralcloud.simulate.comparison import compare
from centralcloud.simulate.records import Outcome, RecordedWorld, Records, records_of
from centralcloud.simulate.scenario import Weights
from centralcloud.simulate.scenario_file import scenario_from


def outcomes(
    model: str, successes: int, failures: int, propensity: float | None, complexity: str = "simple"
) -> list[Outcome]:
    return [
        Outcome(complexity, model, float(number < successes), 1000.0, 0.01, propensity)
        for number in range(successes + failures)
    ]


def log(*more: Outcome) -> Records:
    return records_of(
        [
            *outcomes("leader", 900, 100, 0.9),
            # Chosen rarely for hard tasks, often for easy ones: 0.5 overall, not 0.7.
            *outcomes("other", 80, 0, 0.8),
            *outcomes("other", 10, 30, 0.1),
            *outcomes("rare", 5, 5, 0.01),
            *outcomes("leader", 300, 700, None, "complex"),
            *more,
        ]
    )


def test_rates_are_weighed_with_the_propensities() -> None:
    pairs = {(each["model"], each["complexity"]): each for each in log().pairs}
    assert pairs["leader", "simple"]["reward"] == 0.9
    assert pairs["other", "simple"]["reward"] == pytest.approx((80 / 0.8 + 10 / 0.1) / (80 / 0.8 + 40 / 0.1), abs=1e-4)
    assert pairs["other", "simple"]["worth"] == pytest.approx(500**2 / (80 / 0.8**2 + 40 / 0.1**2), abs=0.1)
    assert pairs["leader", "complex"]["reward"] == 0.3


def test_the_log_says_what_it_cannot_tell() -> None:
    records = log()
    assert (records.models, records.complexities) == (("leader", "other"), ("simple", "complex"))
    told = "\n".join(records.unknown)
    assert "rare, simple: 10 outcomes, worth 10 that weigh equally; expected 30. It is not chosen there" in told
    assert "complex: 0.0% of the outcomes have a propensity, so none is weighed" in told
    assert "\nsimple:" not in told
    assert records.shares == {"simple": pytest.approx(1130 / 2130), "complex": pytest.approx(1000 / 2130)}


def test_each_seed_draws_a_world_that_the_log_allows() -> None:
    records = log()
    world = RecordedWorld(scenario_from({"phases": [{"events": 100}], "weights": {"latency": 0}}, records), records)
    rates = np.array([world.for_seed(seed).phases[0].success[:, 0] for seed in range(200)])
    assert rates.mean(axis=0) == pytest.approx([0.9, 0.4], abs=0.02)
    assert rates[:, 0].std() == pytest.approx((0.9 * 0.1 / 1000) ** 0.5, rel=0.25)
    assert rates[:, 1].std() > 3 * rates[:, 0].std()
    assert np.array_equal(world.for_seed(3).phases[0].success, world.for_seed(3).phases[0].success)
    assert world.for_seed(3).phases[0].present.tolist() == [[True, True], [True, False]]


def test_a_rule_runs_in_the_worlds_of_a_log() -> None:
    records = log()
    world = RecordedWorld(scenario_from({"phases": [{"events": 2000}], "weights": {"latency": 0}}, records), records)
    result = compare(world, "thompson", [1, 2], jobs=1)
    assert result["success_rate"]["mean"] == pytest.approx((0.9 + 0.3) / 2, abs=0.05)
    assert result["mean_latency_ms"]["mean"] == pytest.approx(1000)
    was = records.as_it_was(Weights(latency=0.1, latency_ref_ms=10_000, cost=0.0))
    assert was["success_rate"] == pytest.approx((900 + 90 + 5 + 300) / 2130 * 1.0, abs=0.001)
    assert was["reward"] == pytest.approx(was["success_rate"] - 0.01)


def test_a_log_without_enough_outcomes_is_refused() -> None:
    with pytest.raises(SettingsError, match="--from-records: found 3 outcomes, and no model with 30 at one complexity"):
        records_of(outcomes("a", 2, 1, 0.5))
    with pytest.raises(SettingsError, match="found 0 outcomes"):
        records_of([])
