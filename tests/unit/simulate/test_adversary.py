"""The reports of lying instances, compared with the true outcomes."""

from pathlib import Path

import numpy as np
import pytest
from support.outcomes import a_ground_truth, a_table

from centralcloud.simulate.adversary import report
from centralcloud.simulate.ground_truth import GroundTruth
from centralcloud.simulate.reports import Reports, Tasks
from centralcloud.simulate.scenario import Adversary

COUNT = 3000


@pytest.fixture
def ground_truth(tmp_path: Path) -> GroundTruth:
    return a_ground_truth(a_table(tmp_path), phases=[{"events": 1}])


def some_tasks(ground_truth: GroundTruth) -> Tasks:
    rng = np.random.default_rng(1)
    return Tasks.done(
        ground_truth.phases[0],
        rng.integers(4, size=COUNT),
        rng.integers(600, size=COUNT),
        rng.integers(len(ground_truth.models), size=COUNT),
    )


def reported(ground_truth: GroundTruth, tasks: Tasks, kind: str, from_event: int = 0) -> tuple[Reports, Reports]:
    """Return the reports of instance 2, the liar, and those of the others."""
    adversaries = [Adversary(instance=2, kind=kind, from_event=from_event)]
    reports = report(tasks, ground_truth.phases[0], 0, adversaries, np.random.default_rng(2))
    liar = reports.instance == 2
    return reports.chosen(np.flatnonzero(liar)), reports.chosen(np.flatnonzero(~liar))


@pytest.mark.parametrize("kind", ["all_failure", "invert", "fabricate", "flood", "drip"])
def test_honest_instances_report_the_true_outcomes(ground_truth: GroundTruth, kind: str) -> None:
    tasks = some_tasks(ground_truth)
    _, others = reported(ground_truth, tasks, kind)
    honest = tasks.chosen(np.flatnonzero(tasks.instance != 2))
    assert np.array_equal(others.reward, honest.reward)
    assert np.array_equal(others.pair, honest.model * 3 + honest.complexity)
    assert np.array_equal(others.latency_ms, honest.latency_ms)


def test_all_failure_reports_every_task_as_a_failure(ground_truth: GroundTruth) -> None:
    lies, _ = reported(ground_truth, some_tasks(ground_truth), "all_failure")
    assert len(lies.reward) == (some_tasks(ground_truth).instance == 2).sum()
    assert not lies.reward.any()


def test_invert_reports_the_opposite_outcome(ground_truth: GroundTruth) -> None:
    tasks = some_tasks(ground_truth)
    lies, _ = reported(ground_truth, tasks, "invert")
    assert np.array_equal(lies.reward, 1 - tasks.reward[tasks.instance == 2])


def test_drip_inverts_three_in_ten(ground_truth: GroundTruth) -> None:
    tasks = some_tasks(ground_truth)
    lies, _ = reported(ground_truth, tasks, "drip")
    truth = tasks.reward[tasks.instance == 2]
    assert (lies.reward != truth).mean() == pytest.approx(0.3, abs=0.05)


@pytest.mark.parametrize(("kind", "volume"), [("fabricate", 1), ("flood", 11)])
def test_fabricate_praises_the_worst_and_damns_the_best(ground_truth: GroundTruth, kind: str, volume: int) -> None:
    tasks = some_tasks(ground_truth)
    lies, _ = reported(ground_truth, tasks, kind)
    model = lies.pair // 3
    assert len(lies.reward) == volume * (tasks.instance == 2).sum()
    assert set(model) == {ground_truth.models.index("good"), ground_truth.models.index("bad")}
    assert (lies.reward[model == ground_truth.models.index("bad")] == 1).all()
    assert (lies.reward[model == ground_truth.models.index("good")] == 0).all()
    assert lies.reward.mean() == pytest.approx(0.5, abs=0.06)
    assert (lies.latency_ms == 500 * (model + 1)).all()


def test_lies_begin_at_their_task(ground_truth: GroundTruth) -> None:
    tasks = some_tasks(ground_truth)
    lies, _ = reported(ground_truth, tasks, "all_failure", from_event=COUNT // 2)
    honest = tasks.reward[: COUNT // 2][tasks.instance[: COUNT // 2] == 2]
    assert lies.reward.sum() == honest.sum()
