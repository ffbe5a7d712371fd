"""The rules for values that were accepted and look wrong: each with its threshold, and without noise beside it."""

import pytest

from centralcloud.ingest.batch import REPEATED_DECISION_ID
from centralcloud.monitoring.finding_rules import FindingThresholds, RecentOutcomes
from centralcloud.monitoring.input_rules import INPUT_FINDING_KINDS, IgnoredField, detect_input_findings
from centralcloud.store.findings import Finding

_DEFAULTS = FindingThresholds()
_OFF = FindingThresholds(
    fast_response_ms=0, similar_name_decisions=0, missing_cost_outcomes=0, unknown_error_kinds=0, ignored_values=0
)


def recent(model: str = "m", provider: str = "p", **changes: object) -> RecentOutcomes:
    row = RecentOutcomes(model, "simple", provider, 1000, 0, 100, 0, 100, 50_000, 0, 0, 0)
    return row._replace(**changes)  # type: ignore[arg-type]


def ignored(field: str = "routing_decision.cost_usd", messages: int = 10) -> IgnoredField:
    return IgnoredField(field, messages, 'cost_usd: "cheap"', "edge-1")


def detect(*rows: RecentOutcomes | IgnoredField, thresholds: FindingThresholds = _DEFAULTS) -> list[Finding]:
    outcomes = [row for row in rows if isinstance(row, RecentOutcomes)]
    return detect_input_findings(outcomes, [row for row in rows if isinstance(row, IgnoredField)], thresholds)


def test_an_average_response_time_under_20_ms_is_found_for_the_pair_and_provider() -> None:
    assert detect(recent(response_time_sum_ms=2000)) == []
    assert detect(recent(response_time_count=29, response_time_sum_ms=29)) == []
    (found,) = detect(recent(response_time_sum_ms=840), recent(provider="q"))
    assert (found.kind, found.subject) == ("too_fast", "m/simple of p")
    assert found.message == (
        "m of p took 8.4 ms on average for simple tasks in the last 24 hours (100 outcomes): expected at least 20.0 ms; "
        "are seconds sent as response_time_ms?"
    )
    assert found.details["provider"] == "p"


def test_a_name_that_differs_from_another_by_case_only_is_found_by_its_rarer_spelling() -> None:
    rows = [recent("gpt-4o"), recent("GPT-4o", decisions=10), recent("Gpt-4o", decisions=9), recent("gpt-4")]
    (found,) = detect(*rows)
    assert (found.kind, found.subject) == ("similar_names", "model GPT-4o")
    assert found.message == (
        "the model GPT-4o (10 decisions in the last 24 hours) differs from gpt-4o (1,000) by upper and lower case only: "
        "expected one spelling, as each learns on its own"
    )
    assert found.details == {"model": "GPT-4o", "usual": "gpt-4o", "decisions": 10, "usual_decisions": 1000}
    (provider,) = detect(recent(provider="Acme"), recent(provider="acme", model="n", decisions=20))
    assert (provider.subject, provider.details["provider"]) == ("provider acme", "acme")


def test_a_provider_without_any_cost_is_found_where_others_send_costs() -> None:
    free = recent(provider="local")
    assert detect(free, recent(provider="q")) == [], "a fleet that sends no cost"
    assert detect(free, recent(provider="q", cost_count=49)) == [], "a fleet that hardly sends costs"
    assert detect(free._replace(successes=99), recent(provider="q", cost_count=50)) == []
    assert detect(free._replace(cost_count=1), recent(provider="q", cost_count=100)) == []
    (found,) = detect(free, recent(provider="q", cost_count=50))
    assert (found.kind, found.subject) == ("missing_cost", "local")
    assert "expected cost_usd, 0 if it is free" in found.message


def test_ignored_values_are_found_by_field_and_unknown_error_kinds_apart() -> None:
    assert detect(ignored(messages=9), ignored("routing_decision.error_kind", 9)) == []
    value, kind = detect(ignored(), ignored("routing_decision.error_kind", 10))
    assert (value.kind, value.subject) == ("values_ignored", "routing_decision.cost_usd")
    assert value.message == (
        "10 messages of the last 24 hours had a value for routing_decision.cost_usd that was ignored "
        '(cost_usd: "cheap", from edge-1): expected a value of the contract in its place'
    )
    assert kind.kind == "unknown_error_kind"
    assert "words.error_kind" in kind.message


def test_decision_ids_that_repeat_are_found() -> None:
    assert detect(ignored(REPEATED_DECISION_ID, 9)) == []
    (found,) = detect(ignored(REPEATED_DECISION_ID, 10))
    assert (found.kind, found.subject) == ("repeated_decision_ids", REPEATED_DECISION_ID)
    assert (
        "at least 10 messages of the last 24 hours had the decision_id of another event, and were left out"
        in found.message
    )


@pytest.mark.parametrize(
    "rows",
    [
        [recent(response_time_sum_ms=0)],
        [recent("gpt-4o"), recent("GPT-4o")],
        [recent(), recent(provider="q", cost_count=100)],
        [ignored(REPEATED_DECISION_ID, 1000)],
        [ignored(messages=1000), ignored("routing_decision.error_kind", 1000)],
    ],
)
def test_a_threshold_of_0_switches_a_rule_off(rows: list) -> None:
    assert {found.kind for found in detect(*rows)} <= set(INPUT_FINDING_KINDS)
    assert detect(*rows)
    assert detect(*rows, thresholds=_OFF) == []
