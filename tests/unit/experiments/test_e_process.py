"""The golden values of the design (its reference program prints them), and what must hold for any stream."""

import math

import numpy as np
import pytest

from centralcloud.experiments.e_process import BETS, NULLS, EProcess, Metric, Sessions
from centralcloud.experiments.interval import interval

_ZERO = NULLS.index(0.0)


def _session(number: int) -> Sessions:
    treated = number % 2
    length = 1 + (number // 2) % 4
    outcomes = [float((7 * number + 3 * each) % 100 < (90 if treated else 80)) for each in range(length)]
    total = sum(outcomes)
    return Sessions(
        np.array([[treated == 1]]),
        np.array([[0.5]]),
        np.array([[[float(length)]]]),
        np.array([[[total]]]),
        np.array([[total]]),
    )


def test_the_golden_values_are_met() -> None:
    process, found = EProcess([Metric()], strata=1), {}
    for number in range(2000):
        process.fold(_session(number))
        if number + 1 in (10, 100, 1000, 2000):
            found[number + 1] = (process.log_above()[0, _ZERO], process.log_below()[0, _ZERO])
    assert found[10] == pytest.approx((-0.158775, 0.069897), abs=1e-6)
    assert found[100] == pytest.approx((0.601906, -2.081794), abs=1e-6)
    assert found[1000] == pytest.approx((9.895551, -4.198211), abs=1e-6)
    assert found[2000] == pytest.approx((21.251367, -6.140072), abs=1e-6)
    assert interval(process)[0] == pytest.approx((0.0545, 0.1569), abs=1e-4)


def _stream(metric: Metric, seed: int, sessions: int) -> list[Sessions]:
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(sessions):
        counts = rng.integers(0, 4, 3).astype(float)
        values = [rng.random(int(each)) for each in counts]
        if metric.binary:
            values = [(each < 0.8).astype(float) for each in values]
        share = rng.choice([0.01, 0.25, 0.5])
        found.append(
            Sessions(
                np.array([[rng.random() < share]]),
                np.array([[share]]),
                counts[None, None, :],
                np.array([[[each.sum() for each in values]]]),
                np.array([[sum(float((each**2).sum()) for each in values)]]),
            )
        )
    return found


def _joined(stream: list[Sessions]) -> Sessions:
    return Sessions(*(np.concatenate(each) for each in zip(*stream, strict=True)))


def _wealth_by_hand(metric: Metric, stream: list[Sessions], null: float, bet: float) -> tuple[float, float]:
    """Log of the wealth of two bets, number by number, in the words of the design."""
    strata = [[0.0, 0.0] for _ in range(3)]
    total = squares = count = 0.0
    above = below = 0.0

    def clamped(sum_: float, number: float) -> float:
        return min(max((sum_ + 0.5) / (number + 1), 0.02), 0.98)

    for session in stream:
        counts, sums = session.counts[0, 0], session.sums[0, 0]
        n, x = counts.sum(), sums.sum()
        if n == 0:
            continue
        a, p = float(session.treated[0, 0]), float(session.share[0, 0])
        means = [clamped(*each) for each in strata]
        seen = [means[s] for s in range(3) if strata[s][1] or counts[s]]
        m = clamped(total, count)
        v = m * (1 - m) if metric.binary else max((squares + 0.05) / (count + 1) - m * m, 0.005)
        w = 1 / (1 + 0.2 * (n - 1))
        expected = sum(counts[s] * means[s] for s in range(3))
        if metric.ratio:
            k, c = 1 + null, 0.0
            z = w * (a * (1 - p) * (x - k * expected) - k * (1 - a) * p * (x - expected))
        else:
            k, c = 1.0, w * p * (1 - p) * n * null
            z = w * ((a - p) * (x - expected) - p * (1 - p) * n * null)
        low = w * n * min(-(1 - p) * k * max(seen), -k * p * (1 - min(seen))) - c
        high = w * n * max((1 - p) * (1 - k * min(seen)), k * p * max(seen)) - c
        above += math.log(1 + min(bet / v, 0.9 / max(-low, 1e-9)) * z)
        below += math.log(1 - min(bet / v, 0.9 / max(high, 1e-9)) * z)
        for s in range(3):
            strata[s][0] += sums[s]
            strata[s][1] += counts[s]
        total, squares, count = total + x, squares + float(session.squares[0, 0]), count + n
    return above, below


@pytest.mark.parametrize("metric", [Metric(), Metric(binary=False), Metric(binary=False, ratio=True)])
def test_each_bet_is_that_of_the_formulas_with_strata_ratios_and_shares_that_change(metric: Metric) -> None:
    stream = _stream(metric, 1, 300)
    process = EProcess([metric])
    for session in stream:
        process.fold(session)
    for null in (-0.2, 0.0, 0.25):
        for bet in (0.005, 0.64):
            place = 0, NULLS.index(null), BETS.index(bet)
            found = float(process.above[place]), float(process.below[place])
            assert found == pytest.approx(_wealth_by_hand(metric, stream, null, bet), rel=1e-9, abs=1e-9)


def test_comparisons_side_by_side_have_the_bits_of_each_alone() -> None:
    metrics = [Metric(), Metric(binary=False), Metric(binary=False, ratio=True)]
    streams = [_stream(metric, seed, 200) for seed, metric in enumerate(metrics)]
    together = EProcess(metrics)
    for parts in zip(*streams, strict=True):
        together.fold(Sessions(*(np.concatenate(each, axis=1) for each in zip(*parts, strict=True))))
    for number, (metric, stream) in enumerate(zip(metrics, streams, strict=True)):
        alone = EProcess([metric])
        for session in stream:
            alone.fold(session)
        assert np.array_equal(together.above[number], alone.above[0])
        assert np.array_equal(together.below[number], alone.below[0])
        assert np.array_equal(together.means[number], alone.means[0])


@pytest.mark.parametrize("looks", [1, 7, 50, 1000])
def test_the_bits_do_not_depend_on_how_often_it_is_looked_at(looks: int) -> None:
    stream = _stream(Metric(binary=False), 3, 1000)
    process, all_at_once = EProcess([Metric(binary=False)]), EProcess([Metric(binary=False)])
    all_at_once.fold(_joined(stream))
    for first in range(0, 1000, looks):
        process.fold(_joined(stream[first : first + looks]))
        process.log_above()
    assert process.above.tobytes() == all_at_once.above.tobytes()
    assert process.below.tobytes() == all_at_once.below.tobytes()
    assert process.means.tobytes() == all_at_once.means.tobytes()


def test_a_session_without_outcomes_says_nothing() -> None:
    stream = _stream(Metric(), 4, 50)
    nothing = Sessions(
        np.array([[True]]), np.array([[0.5]]), np.zeros((1, 1, 3)), np.zeros((1, 1, 3)), np.zeros((1, 1))
    )
    with_gaps, without = EProcess([Metric()]), EProcess([Metric()])
    for session in stream:
        with_gaps.fold(session)
        with_gaps.fold(nothing)
        without.fold(session)
    assert with_gaps.above.tobytes() == without.above.tobytes()
    assert with_gaps.totals.tobytes() == without.totals.tobytes()


def test_wealth_never_falls_to_nothing_and_no_session_breaks_it() -> None:
    """The hardest sessions: one arm only, at shares of 1 and 99 percent, of 20 outcomes that are all alike."""
    for metric in (Metric(), Metric(binary=False, ratio=True)):
        for value in (0.0, 1.0):
            for treated, share in ((True, 0.01), (False, 0.99), (True, 0.5)):
                process = EProcess([metric], strata=1)
                sums = np.full((500, 1, 1), 20.0 * value)
                arms, shares = np.full((500, 1), treated), np.full((500, 1), share)
                process.fold(Sessions(arms, shares, np.full((500, 1, 1), 20.0), sums, sums[..., 0]))
                assert np.isfinite([process.above, process.below]).all()
