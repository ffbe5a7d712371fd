"""The threshold rule: every branch and every boundary, without and with a dead band."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from centralcloud.learning.evidence import Evidence, Sums
from centralcloud.learning.rule import as_score, wilson_interval
from centralcloud.learning.rules import ThresholdRule, ThresholdSettings
from centralcloud.learning.rules.threshold import PairEvidence

PAIR = ("m", "simple")
DEAD_BAND = ThresholdSettings(low_success_rate=Decimal("0.85"), fast_response_ms=Decimal(500))


def evidence(successes: int, failures: int, time_sum: int = 0, times: int = 0, score: str = "2.500") -> PairEvidence:
    return PairEvidence(
        old_score=Decimal(score),
        successes=successes,
        failures=failures,
        response_time_count=times,
        response_time_sum_ms=time_sum,
    )


@pytest.mark.parametrize(
    ("case", "given_evidence", "expected"),
    [
        ("no outcomes", evidence(0, 0), None),
        ("99 outcomes", evidence(99, 0), None),
        ("100 outcomes", evidence(100, 0), "2.700"),
        ("above 0.95", evidence(96, 4), "2.700"),
        ("exactly 0.95", evidence(95, 5), "2.300"),
        ("exactly 0.95 of many", evidence(950_000, 50_000), "2.300"),
        ("just above 0.95 of many", evidence(950_001, 49_999), "2.700"),
        ("below 0.95", evidence(94, 6), "2.300"),
        ("no success at all", evidence(0, 100), "2.300"),
        ("no times", evidence(100, 0), "2.700"),
        ("fast", evidence(100, 0, time_sum=100, times=1), "2.800"),
        ("exactly 2000 ms", evidence(100, 0, time_sum=20_000, times=10), "2.800"),
        ("just above 2000 ms", evidence(100, 0, time_sum=20_001, times=10), "2.600"),
        ("slow", evidence(100, 0, time_sum=90_000, times=10), "2.600"),
        ("struggling and slow", evidence(10, 90, time_sum=90_000, times=10), "2.200"),
        ("struggling and fast", evidence(10, 90, time_sum=1_000, times=10), "2.400"),
        ("limited at 5", evidence(100, 0, time_sum=1, times=1, score="4.900"), "5.000"),
        ("already at 5", evidence(100, 0, time_sum=1, times=1, score="5.000"), "5.000"),
        ("limited at 0", evidence(0, 100, time_sum=9_000, times=1, score="0.100"), "0.000"),
        ("already at 0", evidence(0, 100, time_sum=9_000, times=1, score="0.000"), "0.000"),
    ],
)
def test_the_rule_of_the_specification(case: str, given_evidence: PairEvidence, expected: str | None) -> None:
    judged = ThresholdRule().judge(given_evidence)
    assert (None if judged is None else str(judged[0])) == expected, case


@pytest.mark.parametrize(
    ("case", "given_evidence", "expected"),
    [
        ("above the band", evidence(96, 4), "2.700"),
        ("exactly 0.95", evidence(95, 5), "2.500"),
        ("in the band", evidence(90, 10), "2.500"),
        ("exactly 0.85", evidence(85, 15), "2.500"),
        ("below the band", evidence(84, 16), "2.300"),
        ("faster than the band", evidence(90, 10, time_sum=4_999, times=10), "2.600"),
        ("exactly 500 ms", evidence(90, 10, time_sum=5_000, times=10), "2.500"),
        ("in the band of times", evidence(90, 10, time_sum=12_000, times=10), "2.500"),
        ("exactly 2000 ms", evidence(90, 10, time_sum=20_000, times=10), "2.500"),
        ("slower than the band", evidence(90, 10, time_sum=20_001, times=10), "2.400"),
    ],
)
def test_a_dead_band(case: str, given_evidence: PairEvidence, expected: str) -> None:
    judged = ThresholdRule(DEAD_BAND).judge(given_evidence)
    assert judged is not None
    assert str(judged[0]) == expected, case


def evidence_of(*slices: Sums, reported: float = 2.0) -> Evidence:
    collected = Evidence()
    collected.reported = {PAIR: reported}
    for number, sums in enumerate(slices, start=1):
        collected.append(number, datetime(2026, 1, 1, tzinfo=UTC), {PAIR: sums})
    return collected


def sums(successes: int, failures: int, **others: float) -> Sums:
    return Sums(
        outcomes=successes + failures, successes=successes, reward=successes, reward_squares=successes, **others
    )


def test_blameless_failures_are_not_outcomes() -> None:
    assert ThresholdRule().evaluate(evidence_of(Sums(blameless=500)), {}).scores == []


def test_an_evaluation_uses_its_evidence_up() -> None:
    rule, collected = ThresholdRule(), evidence_of(sums(60, 0), sums(40, 0))
    result = rule.evaluate(collected, {})
    assert [str(score.score) for score in result.scores] == ["2.200"]
    assert rule.evaluate(collected, result.states).scores == []
    collected.append(3, datetime(2026, 1, 1, tzinfo=UTC), {PAIR: sums(0, 99)})
    assert rule.evaluate(collected, result.states).scores == []
    collected.append(4, datetime(2026, 1, 1, tzinfo=UTC), {PAIR: sums(0, 1)})
    (score,) = rule.evaluate(collected, result.states).scores
    assert (str(score.score), score.samples, score.after_slice, score.through_slice) == ("2.000", 100, 2, 4)


def test_a_pair_that_an_operator_has_set_continues_from_that_score() -> None:
    rule, collected = ThresholdRule(), evidence_of(sums(100, 0))
    state = {PAIR: rule.reset(None, Decimal("4.000"), 1)}
    assert rule.evaluate(collected, state).scores == []
    collected.append(2, datetime(2026, 1, 1, tzinfo=UTC), {PAIR: sums(100, 0)})
    assert [str(score.score) for score in rule.evaluate(collected, state).scores] == ["4.200"]


def test_a_score_can_be_computed_again() -> None:
    rule, collected = ThresholdRule(), evidence_of(sums(60, 0), sums(40, 0, timed=1, response_time_ms=5))
    result = rule.evaluate(collected, {})
    (score,) = result.scores
    assert rule.recompute(collected, PAIR, score.after_slice, result.states[PAIR]) == score.score


def test_a_step_of_a_tenth_is_a_change_wherever_it_starts() -> None:
    """Compared as floats, a step of 0.1 is more than 0.1 for 31 of 50 scores and not for the others."""
    for tenths in range(1, 50):
        before = Decimal(tenths) / 10
        judged = ThresholdRule().judge(evidence(0, 100, time_sum=1, times=1, score=f"{before:.3f}"))
        assert judged is not None
        assert before - judged[0] == Decimal("0.1")


def test_the_reason_names_the_numbers() -> None:
    judged = ThresholdRule().judge(evidence(1173, 31, time_sum=2_213_000, times=1204, score="4.900"))
    assert judged is not None
    assert judged[1] == (
        "1,173 of 1,204 outcomes succeeded (97.4%, more than 95%): +0.2; "
        "average response time 1,838 ms (not more than 2,000 ms): +0.1; 4.900 -> 5.000 (limited, would be 5.200)"
    )


@pytest.mark.parametrize(
    ("successes", "failures", "time_sum", "settings", "reasons"),
    [
        (19_001, 999, 40_002_000, {}, ("(95.005%, more than 95%)", "2,000.1 ms (more than 2,000.0 ms)")),
        (18_999, 1001, 40_000_000, {}, ("(94.995%, not more than 95%)", "2,000 ms (not more than 2,000 ms)")),
        (19_000, 1000, 20_000_000, {}, ("(95%, not more than 95%)", "1,000 ms (not more than 2,000 ms)")),
        (
            16_001, 3999, 9_999_999, {"low_success_rate": "0.8", "fast_response_ms": 500},
            ("(80.005%, from 80% to 95%)", "499.99995 ms (less than 500.00000 ms)"),
        ),
    ],
)  # fmt: skip
def test_the_reason_compares_two_numbers_that_read_differently(
    successes: int, failures: int, time_sum: int, settings: dict[str, object], reasons: tuple[str, str]
) -> None:
    rule = ThresholdRule(ThresholdSettings(**settings))  # type: ignore[arg-type]
    judged = rule.judge(evidence(successes, failures, time_sum=time_sum, times=20_000))
    assert judged is not None
    assert all(reason in judged[1] for reason in reasons), judged[1]


def test_the_reason_says_that_there_were_no_response_times() -> None:
    judged = ThresholdRule().judge(evidence(100, 0))
    assert judged is not None
    assert "no response times: +0" in judged[1]


def test_confidence_grows_with_the_number_of_outcomes() -> None:
    confidences = [
        ThresholdRule().evaluate(evidence_of(sums(outcomes * 9 // 10, outcomes // 10)), {}).scores[0].confidence
        for outcomes in (100, 1_000, 10_000)
    ]
    assert confidences == sorted(confidences)
    assert 0.8 < confidences[0] < confidences[-1] < 1


@pytest.mark.parametrize(
    ("successes", "outcomes", "low", "high"),
    # Newcombe 1998, table I (method 3): 81/263, 15/148, 0/20, 1/29
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_the_wilson_interval_has_its_published_values(successes: int, outcomes: int, low: float, high: float) -> None:
    assert wilson_interval(successes, outcomes) == pytest.approx((low, high), abs=1e-4)


@pytest.mark.parametrize(
    ("value", "score"), [(2.5, "2.500"), (0.1 + 0.2, "0.300"), (2.0005, "2.000"), (2.0015, "2.002"), (7.0, "5.000")]
)
def test_a_score_has_three_places_and_stays_in_range(value: float, score: str) -> None:
    assert str(as_score(value)) == score
