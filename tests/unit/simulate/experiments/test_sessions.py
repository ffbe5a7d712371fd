"""Simulated sessions: their arms are those of a fleet, and each is folded when a fleet would fold it."""

from dataclasses import replace

import numpy as np
import pytest

from centralcloud.contracts.experiment_arms import Split, assign
from centralcloud.simulate.experiments.open_sessions import Waiting, arrange, first_outcomes
from centralcloud.simulate.experiments.scenario import Arm, Comparison, Experiment, Folding, Outage, Traffic
from centralcloud.simulate.experiments.sessions import Batch, SessionSource, Splits, lengths_of_sessions

_CONTROL = Arm(success=(0.9,))
_HALF = Splits(1, np.array([0.5]), np.array([0.5]))
_MANY = 4_000


def _experiment(**changes: object) -> Experiment:
    experiment = Experiment(
        names=("treatment",), arms=(_CONTROL, _CONTROL), traffic=Traffic(), plan=Comparison(share=0.5)
    )
    return replace(experiment, **changes)  # type: ignore[arg-type]


def _drawn(experiment: Experiment, *, begin: float = 0.0, splits: Splits = _HALF) -> Batch:
    source = SessionSource(experiment, np.random.default_rng(1))
    end = begin + 60.0 * _MANY / experiment.traffic.sessions_per_minute
    return source.draw(begin, end, np.array([0]), splits, np.array([0]))


@pytest.mark.parametrize(
    ("treatments", "share", "before"), [(1, 0.25, 0.05), (1, 0.5, 0.5), (1, 0.01, 0.0), (3, 0.2, 0.1)]
)
def test_arms_and_shares_are_those_of_a_gateway(treatments: int, share: float, before: float) -> None:
    positions = np.random.default_rng(2).random(2_000)
    splits = Splits(treatments, np.array([share]), np.array([before]))
    arms, shares = splits.assign(np.zeros(len(positions), dtype=np.int64), positions)
    for position, arm, weight in zip(positions.tolist(), arms.tolist(), shares.tolist(), strict=True):
        expected = assign(position, Split(treatments, share, None if before == share else before))
        assert arm == (0 if expected.treatment is None else expected.treatment + 1)
        assert weight == pytest.approx(expected.share or 0.0)


@pytest.mark.parametrize("mean", [1.0, 4.0, 10.5, 17.0, 20.0])
def test_sessions_have_the_length_that_was_asked_for(mean: float) -> None:
    probabilities = lengths_of_sessions(mean)
    assert sum(probabilities) == pytest.approx(1.0)
    assert sum((number + 1) * each for number, each in enumerate(probabilities)) == pytest.approx(mean, abs=1e-3)


def test_outcomes_of_a_session_are_as_alike_as_was_asked_for() -> None:
    batch = _drawn(_experiment(traffic=Traffic(likeness=0.3, requests_per_session=2.0)))
    pairs = batch.chosen(batch.requests == 2)
    first, second = pairs.success.reshape(-1, 2).T
    assert np.corrcoef(first, second)[0, 1] == pytest.approx(0.3, abs=0.08)
    assert batch.success.mean() == pytest.approx(0.9, abs=0.02)


def test_what_is_not_reported_in_time_is_a_failure_and_has_no_time() -> None:
    treatment = Arm(success=(0.9,), latency_ms=(500.0,), success_delay=60.0, failure_lost=1.0)
    control = replace(_CONTROL, latency_ms=(500.0,))
    folding = Folding(idle=1800.0, wait=60.0)
    batch = _drawn(_experiment(arms=(control, treatment), folding=folding, traffic=Traffic(latency_spread=0.0)))
    treated = batch.chosen(batch.arm == 1)
    in_time = 1 - np.exp(-59.5 / 60)
    assert treated.success.mean() == pytest.approx(0.9 * in_time, abs=0.02)
    assert (np.isfinite(treated.arrives) == treated.success).all()
    everything = np.ones(len(treated.owner), dtype=bool)
    success, latency = (arrange(treated, everything, metric, runs=1, strata=1) for metric in ("success", "latency"))
    assert success.counts.sum() == len(treated.owner)
    assert latency.counts.sum() == treated.success.sum()
    assert latency.sums.sum() == pytest.approx(0.05 * treated.success.sum())


def test_a_session_is_folded_when_it_is_idle_or_has_twenty_outcomes_and_never_before_its_minutes_are_judged() -> None:
    batch = _drawn(_experiment(traffic=Traffic(requests_per_session=15.0), folding=Folding(idle=600.0, wait=120.0)))
    last = batch.at[np.cumsum(batch.requests) - 1]
    judged = (np.floor(last / 60) + 1) * 60 + 120
    full = batch.requests == 20
    assert full.any()
    assert not full.all()
    assert batch.fold_at[~full] == pytest.approx(last[~full] + 600)
    assert batch.fold_at[full] == pytest.approx(judged[full])
    slow = _drawn(_experiment(folding=Folding(idle=30.0, wait=120.0)))
    assert (slow.fold_at >= slow.at[np.cumsum(slow.requests) - 1] + 120).all()


def test_sessions_are_taken_once_and_in_the_order_of_their_time() -> None:
    batch = _drawn(_experiment())
    waiting, times = Waiting(60.0), []
    waiting.add(batch, batch.fold_at)
    for look in range(1, 400):
        now = 60.0 * look
        taken = waiting.take(now)
        assert ((taken.fold_at > now - 60.0) & (taken.fold_at <= now)).all()
        times += taken.fold_at.tolist()
    assert times == sorted(times)
    assert len(times) == len(batch.run)


def test_the_first_outcome_of_a_session_is_the_first_that_is_known() -> None:
    slow = replace(_CONTROL, success_delay=30.0, failure_delay=5.0, success_lost=0.3)
    batch = _drawn(_experiment(arms=(slow, slow)))
    first, at = first_outcomes(batch)
    requests = batch.requests
    begins = np.cumsum(requests) - requests
    earliest = np.minimum.reduceat(batch.arrives, begins)
    assert len(first.run) == np.isfinite(earliest).sum()
    assert at == pytest.approx(earliest[np.isfinite(earliest)])
    assert (first.requests == 1).all()


def test_an_outage_and_a_drift_change_the_rates_of_their_minutes() -> None:
    outage = Outage(arms=frozenset({1}), from_minute=10, until_minute=12, success=0.2)
    rates = _experiment(outages=(outage,), drift_swing=0.05, drift_period=7200.0).success_by_minute()
    assert rates[10:12, 1, 0] == pytest.approx([0.2, 0.2])
    assert rates[30, :, 0] == pytest.approx([0.95, 0.95])
    assert rates[90, :, 0] == pytest.approx([0.85, 0.85])
    assert rates[12, 1, 0] == rates[12, 0, 0]
