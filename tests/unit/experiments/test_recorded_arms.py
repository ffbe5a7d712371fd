"""Events are in the arm that the name of their session gives, at a share that a step of the experiment has."""

import numpy as np
import pytest
from support.experiment_events import an_experiment

from centralcloud.contracts.experiment_arms import Split, assign, position_of
from centralcloud.contracts.fleet_configuration import ExperimentPlan
from centralcloud.experiments.recorded_arms import are_possible, splits_of
from centralcloud.experiments.session_batches import CONTROL, UNKNOWN

_NAMES = [f"session-{number}" for number in range(2000)]


def _draws(names: list[str]) -> "np.ndarray":
    """The first 64 bits of the hashes, with a sign, as the database gives them; the last 11 are not used."""
    wide = [int(position_of("greeting", "salt", name) * 2**53) << 11 for name in names]
    return np.array(wide, dtype=np.uint64).view(np.int64)


def _possible(splits: list[Split], arms: list[int], shares: list[float | None], treatments: int = 1) -> "np.ndarray":
    share = np.array([np.nan if each is None else each for each in shares])
    named = np.ones(len(_NAMES), dtype=bool)
    return are_possible(splits, _draws(_NAMES), named, np.array(arms), share, treatments)


@pytest.mark.parametrize("treatments", [1, 2, 3])
def test_what_a_gateway_assigns_is_possible_at_every_step_and_on_the_way_to_the_next(treatments: int) -> None:
    steps = tuple(each / treatments for each in (0.01, 0.05, 0.25, 0.5))
    names = [f"t{number}" for number in range(treatments)]
    experiment = an_experiment(*names, plan=ExperimentPlan(steps=steps), share=steps[0])
    splits = splits_of(experiment)
    for split in [Split(treatments, each) for each in steps] + [
        Split(treatments, 0.25 / treatments, 0.05 / treatments)
    ]:
        found = [assign(position_of("greeting", "salt", name), split) for name in _NAMES]
        arms = [CONTROL if each.treatment is None else each.treatment for each in found]
        assert _possible(splits, arms, [each.share for each in found], treatments).all()
        compared = np.array([each.share is not None for each in found])
        others = [0 if arm == CONTROL else CONTROL for arm in arms]
        assert not _possible(splits, others, [each.share for each in found], treatments)[compared].any()


def test_a_share_that_no_step_has_is_impossible_and_none_is_possible() -> None:
    splits = splits_of(an_experiment())
    for share, expected in ((0.3, False), (None, True)):
        assert _possible(splits, [CONTROL] * 2000, [share] * 2000).all() == expected
    assert _possible(splits, [UNKNOWN] * 2000, [0.3] * 2000).all(), "it is in no comparison"


def test_a_share_of_now_that_the_plan_does_not_have_is_possible_too() -> None:
    splits = splits_of(an_experiment(share=0.95, before=0.5))
    for split in (Split(1, 0.95), Split(1, 0.95, 0.5)):
        found = [assign(position_of("greeting", "salt", name), split) for name in _NAMES]
        arms = [CONTROL if each.treatment is None else each.treatment for each in found]
        assert _possible(splits, arms, [each.share for each in found]).all()


def test_without_a_name_any_arm_is_possible() -> None:
    splits, two = splits_of(an_experiment()), np.zeros(2, dtype=np.int64)
    share = np.array([0.5, 0.3])
    for arm in (CONTROL, 0):
        assert are_possible(splits, two, two > 0, two + arm, share, 1).tolist() == [True, False]
