"""The rules that detect findings: what is a finding, what is not, and how it is described."""

import pytest

from centralcloud.monitoring.finding_rules import (
    FINDING_KINDS,
    FindingThresholds,
    LifetimeOutcomes,
    RecentOutcomes,
    detect_findings,
    log_likelihood_ratio,
)

_DEFAULTS = FindingThresholds()


def recent(**changes: object) -> RecentOutcomes:
    row = RecentOutcomes("m", "simple", "p", 1000, 0, 100, 0, 100, 50_000, 0, 0)
    return row._replace(**changes)  # type: ignore[arg-type]


def lifetime(**changes: object) -> LifetimeOutcomes:
    row = LifetimeOutcomes("m", "simple", 100, 100, 0, 0, 0)
    return row._replace(**changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            recent(successes=1700, failures=300),
            None,
        ),
        (
            recent(successes=1699, failures=301),
            "1,699 of 2,000 outcomes of m for simple tasks succeeded in the last 24 hours (84.95%): "
            "expected at least 85.00%",
        ),
        (
            recent(response_time_count=30, response_time_sum_ms=30 * 5000),
            None,
        ),
        (
            recent(response_time_count=30, response_time_sum_ms=30 * 5000 + 6),
            "m took 5,000.2 ms on average for simple tasks in the last 24 hours (30 outcomes): expected at most 5,000.0 ms",
        ),
        (
            recent(successes=950, failures=150, successes_last_hour=50, failures_last_hour=50),
            "50 of 100 outcomes of provider p failed in the last hour (50.0%), 100 of 1,000 in the 23 hours before (10.0%): "
            "expected a rise of less than 10 percentage points (log-likelihood ratio 44; chance explains up to 10)",
        ),
        (
            recent(successes=950, failures=150, successes_last_hour=5, failures_last_hour=4),
            None,
        ),
    ],
)
def test_a_finding_of_recent_outcomes_says_what_was_found_and_expected(
    row: RecentOutcomes, message: str | None
) -> None:
    found = detect_findings([row], [lifetime()], _DEFAULTS)
    assert [finding.message for finding in found] == ([message] if message else [])


@pytest.mark.parametrize(
    ("row", "messages"),
    [
        (lifetime(), []),
        (lifetime(outcomes=99), ["m has 99 outcomes so far: its scores are reliable from 100 on"]),
        (lifetime(outcomes=1), ["m has 1 outcome so far: its scores are reliable from 100 on"]),
        (lifetime(linked_decisions=100, linked_outcomes=80), []),
        (
            lifetime(linked_decisions=100, linked_outcomes=79),
            ["21 of 100 decisions for m (simple) have no outcome (21.0%): expected at most 20.0%"],
        ),
        (lifetime(linked_decisions=29, linked_outcomes=0), []),
        (
            lifetime(outcomes=0, blameless=1, decisions=500),
            ["m has 0 outcomes so far: its scores are reliable from 100 on"],
        ),
        (
            lifetime(outcomes=0, decisions=1500),
            [
                "m has 0 outcomes so far: its scores are reliable from 100 on",
                "m was chosen for 1,500 simple tasks, and no outcome was received: expected at least one after 20",
            ],
        ),
    ],
)
def test_a_finding_of_lifetime_outcomes_says_what_was_found_and_expected(
    row: LifetimeOutcomes, messages: list[str]
) -> None:
    found = detect_findings([], [row], _DEFAULTS)
    assert [finding.message for finding in found] == messages


def test_a_pair_is_judged_over_all_providers_and_a_newcomer_over_all_pairs() -> None:
    rows = [recent(provider="good", successes=100), recent(provider="bad", successes=80, failures=20)]
    pairs = [lifetime(outcomes=60), lifetime(complexity="complex", outcomes=40)]
    assert detect_findings(rows, pairs, _DEFAULTS) == []


def test_the_kinds_and_subjects_are_those_that_replace_findings_expects() -> None:
    found = detect_findings(
        [
            recent(successes=0, failures=200, response_time_sum_ms=10**9),
            recent(provider="q", successes=900),
            recent(provider="q", model="n", failures=90, failures_last_hour=90),
        ],
        [
            lifetime(outcomes=0),
            lifetime(model="n", outcomes=99, linked_decisions=100, linked_outcomes=0),
        ],
        FindingThresholds(success_rate=1),
    )
    assert {(finding.kind, finding.subject) for finding in found} == {
        ("low_success_rate", "m/simple"),
        ("low_success_rate", "n/simple"),
        ("slow", "m/simple"),
        ("provider_surge", "q"),
        ("newcomer", "m"),
        ("newcomer", "n"),
        ("no_outcomes", "m/simple"),
        ("unresolved", "n/simple"),
    }
    assert {finding.kind for finding in found} == set(FINDING_KINDS)


def test_two_equal_rates_have_no_log_likelihood_ratio_and_different_ones_have_more() -> None:
    assert log_likelihood_ratio(1, 10, 10, 100) == pytest.approx(0, abs=1e-12)
    assert log_likelihood_ratio(0, 0, 10, 100) == pytest.approx(0, abs=1e-12)
    assert log_likelihood_ratio(10, 10, 0, 10) == pytest.approx(20 * 0.6931, rel=1e-4), "20 ln 2"
    assert 0 < log_likelihood_ratio(5, 10, 10, 100) < log_likelihood_ratio(9, 10, 10, 100)


def test_a_rate_equal_to_its_threshold_is_not_a_finding() -> None:
    """As doubles, 0.07 x 100 is more than 7, and 0.29 x 100 less than 29."""
    for share in range(101):
        thresholds = FindingThresholds(success_rate=share / 100, unresolved_share=share / 100)
        row = recent(successes=share, failures=100 - share)
        pair = lifetime(linked_decisions=100, linked_outcomes=100 - share)
        assert detect_findings([row], [pair], thresholds) == [], share


def kinds_of(*rows: RecentOutcomes, **thresholds: float) -> set[str]:
    found = detect_findings(rows, [lifetime()], FindingThresholds(**thresholds))  # type: ignore[arg-type]
    return {f"{finding.kind} {finding.subject}" for finding in found}


def weak(model: str = "weak", **changes: object) -> RecentOutcomes:
    return recent(model=model, successes=50, failures=50, **changes)


@pytest.mark.parametrize(
    ("case", "rows", "findings"),
    [
        ("it has traffic", [weak(decisions=20), recent(decisions=980)], {"low_success_rate weak/simple"}),
        ("the fleet has left it for a good model", [weak(decisions=19), recent(decisions=981)], set()),
        (
            "the fleet has no good model for these tasks",
            [weak(decisions=19), weak("other", decisions=981)],
            {"low_success_rate weak/simple", "low_success_rate other/simple"},
        ),
        (
            "the good model has too few outcomes to know",
            [weak(decisions=19), recent(decisions=981, successes=29)],
            {"low_success_rate weak/simple"},
        ),
        (
            "the good model is good at other tasks",
            [weak(decisions=19), weak("other", decisions=981), recent(complexity="complex", decisions=981)],
            {"low_success_rate weak/simple", "low_success_rate other/simple"},
        ),
        (
            "the good model has no traffic, either",
            [weak(decisions=19), recent(decisions=19), recent(model="new", decisions=962, successes=0)],
            {"low_success_rate weak/simple"},
        ),
        ("the fleet is small", [weak(decisions=1), recent(decisions=98)], {"low_success_rate weak/simple"}),
        (
            "it was left within the day: the newest hour counts",
            [weak(decisions=500, decisions_last_hour=1), recent(decisions=600, decisions_last_hour=99)],
            set(),
        ),
        (
            "it got its traffic within the hour",
            [weak(decisions=19, decisions_last_hour=19), recent(decisions=981, decisions_last_hour=100)],
            {"low_success_rate weak/simple"},
        ),
        (
            "the newest hour has hardly any decision",
            [weak(decisions=500, decisions_last_hour=1), recent(decisions=600, decisions_last_hour=98)],
            {"low_success_rate weak/simple"},
        ),
    ],
)
def test_a_weak_model_that_the_fleet_has_left_is_not_a_finding(
    case: str, rows: list[RecentOutcomes], findings: set[str]
) -> None:
    assert kinds_of(*rows) == findings, case


def test_a_slow_model_that_the_fleet_has_left_is_not_a_finding_and_every_pair_is_judged_on_demand() -> None:
    rows = [recent(model="snail", decisions=19, response_time_sum_ms=10**6), recent(decisions=981)]
    assert kinds_of(*rows) == set()
    assert kinds_of(*rows, traffic_share=0) == {"slow snail/simple"}
    assert kinds_of(rows[0], rows[1]._replace(response_time_sum_ms=10**6)) == {"slow snail/simple", "slow m/simple"}
