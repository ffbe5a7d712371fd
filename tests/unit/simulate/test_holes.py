"""Tables with holes: what a model would have done with the tasks that it did not do is estimated, and said to be."""

from pathlib import Path

import numpy as np
import pytest
from support.outcomes import a_ground_truth, write_table

from centralcloud.contracts import SettingsError
from centralcloud.simulate.candidates import make_candidate
from centralcloud.simulate.engine import simulate
from centralcloud.simulate.evaluation import evaluate_run
from centralcloud.simulate.holes import estimate_rewards
from centralcloud.simulate.outcomes import OutcomeFile, read_outcomes

ITEMS = 400


def rasch(seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Return the chances and outcomes of 6 models; items get harder with their number."""
    rng = np.random.default_rng(seed)
    difficulty = np.sort(rng.normal(size=ITEMS))
    chance = 1 / (1 + np.exp(difficulty - np.linspace(-1, 2, 6)[:, None]))
    return chance, (rng.random(chance.shape) < chance).astype(float)


def test_a_model_that_did_only_the_easy_tasks_is_not_taken_for_an_able_one() -> None:
    chance, reward = rasch()
    known = np.ones(reward.shape, dtype=bool)
    known[3, ITEMS // 2 :] = False
    expected = estimate_rewards(reward, known, np.zeros(ITEMS, dtype=np.int64))
    truth, naive = chance[3, ITEMS // 2 :].mean(), reward[3, : ITEMS // 2].mean()
    assert expected[3, ITEMS // 2 :].mean() == pytest.approx(truth, abs=0.06)
    assert naive - truth > 0.2


def test_a_hole_is_estimated_by_what_the_model_did_with_the_task_type() -> None:
    rng = np.random.default_rng(2)
    task_type = np.arange(ITEMS) % 2
    chance = np.where(task_type == 0, 0.9, 0.2)[None, :].repeat(2, axis=0)
    chance[1] = 0.5
    reward = (rng.random(chance.shape) < chance).astype(float)
    known = rng.random(chance.shape) < 0.7
    expected = estimate_rewards(reward, known, task_type)[0]
    assert expected[task_type == 0].mean() - expected[task_type == 1].mean() > 0.4


def table_with_holes(folder: Path, share: float) -> OutcomeFile:
    _, reward = rasch()
    rng = np.random.default_rng(3)
    lines = ["model,item_id,complexity,success"]
    for model, outcomes in enumerate(reward):
        for item, outcome in enumerate(outcomes):
            complexity = "simple" if item < ITEMS // 2 else "complex"
            if (model, complexity) != (5, "complex") and not (model == 4 and rng.random() < share):
                lines.append(f"model-{model},{item},{complexity},{outcome:.0f}")
    return read_outcomes(write_table(folder, "\n".join(lines) + "\n"))


def test_a_table_says_which_outcomes_are_estimated_and_where_a_model_has_none(tmp_path: Path) -> None:
    table = table_with_holes(tmp_path, 0.5).table()
    assert table.recorded[5].tolist() == [200, 0]
    assert table.estimated[4].mean() == pytest.approx(0.5, abs=0.06)
    assert not table.estimated[:4].any()
    assert set(table.reward[4][~table.estimated[4]]) == {0.0, 1.0}
    assert 0 < table.reward[4][table.estimated[4]].min() < table.reward[4][table.estimated[4]].max() < 1


def test_a_run_shows_what_the_holes_may_hide_and_never_chooses_a_model_where_it_did_nothing(tmp_path: Path) -> None:
    ground_truth = a_ground_truth(table_with_holes(tmp_path, 0.5), phases=[{"events": 2000}])
    run = simulate(ground_truth, make_candidate("random", ground_truth), 1)
    result = evaluate_run(run, ground_truth).whole
    assert result["estimated_share"] == pytest.approx((0.5 / 6 + 0.5 / 5) / 2, abs=0.02)
    assert result["reward_at_least"] < result["reward"] < result["reward_at_most"]
    assert result["reward_at_most"] - result["reward_at_least"] == pytest.approx(result["estimated_share"])
    assert run.phases[0].traffic[5] == pytest.approx(2000 / 12, rel=0.25)


def test_a_phase_in_which_no_model_is_left_for_a_complexity_is_refused(tmp_path: Path) -> None:
    outcomes = table_with_holes(tmp_path, 0.5)
    with pytest.raises(
        SettingsError, match=r"phases\[0\]: found no model with outcomes for complex tasks, expected one"
    ):
        a_ground_truth(
            outcomes, models=["model-4", "model-5"], phases=[{"events": 1, "absent": ["model-4"]}, {"events": 1}]
        )
