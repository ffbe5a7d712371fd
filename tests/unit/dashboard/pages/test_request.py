"""The page of a request: pure parts."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from centralcloud.dashboard.pages.attempts import attempts_of
from centralcloud.dashboard.pages.request import began_at, heading, outcome, task_view
from centralcloud.dashboard.pages.request_plan import plan_view, planned_name
from centralcloud.dashboard.pages.shadow import shadows_of
from centralcloud.dashboard.sources.request import FoundRequest, KeptDays, RequestRecord, RuleScore

NOW = datetime(2026, 11, 30, 2, 0, tzinfo=UTC)
ID = "01a22a53-e68c-7282-ae24-2ddb2b943e19"


def a_record(attempt: int, outcome: str, model: str = "atlas", at: float = 0.0, **values: Any) -> RequestRecord:
    fields: dict[str, Any] = dict.fromkeys(RequestRecord._fields)
    fields |= {
        "timestamp": NOW + timedelta(seconds=at),
        "created_at": NOW + timedelta(seconds=at + 1),
        "instance_id": "gw",
        "decision_id": f"d{attempt}",
        "attempt": attempt,
        "outcome": outcome,
        "model": model,
        "provider": f"{model}-cloud",
        "score": 4.0,
        "complexity": "complex",
    }
    return RequestRecord(**(fields | values))


FAILED_OVER = (
    a_record(1, "routed", estimated_ms=900, estimated_nano_usd=5),
    a_record(1, "failure", at=2.0, response_time_ms=2000, error_kind="timeout"),
    a_record(2, "routed", "ember", at=2.5),
    a_record(
        2, "success", "ember", at=4.0, response_time_ms=1500, first_token_ms=300, cost_nano_usd=7, output_tokens=9
    ),
)


def test_attempts_have_their_times_and_the_failure_before() -> None:
    first, second = attempts_of(FAILED_OVER, {("atlas", "atlas-cloud"): "best", ("ember", "ember-cloud"): "fallback"})
    assert (first.state, first.result, first.why) == ("look", "no answer in time", "the best by its score")
    assert (first.waited_ms, first.total_ms, first.estimated_ms) == (None, 2000, 900)
    assert (second.state, second.result) == ("good", "answered")
    assert (second.waited_ms, second.first_token_ms, second.total_ms) == (500, 300, 1500)
    assert second.why == "after a failure: no answer in time; in the plan: the next, should those before it fail"


def test_attempts_do_not_depend_on_the_order_of_arrival() -> None:
    assert attempts_of(tuple(reversed(FAILED_OVER)), {}) == attempts_of(FAILED_OVER, {})


def test_an_answer_that_failed_a_check_is_named_so() -> None:
    records = (a_record(1, "routed"), a_record(1, "failure", error_kind="provider", finish_reason="stop"))
    attempts = attempts_of(records, {})
    assert attempts[0].result == "its answer failed a check"
    headline = heading(ID, task_view(records, {}), attempts, NOW, None).headline
    assert headline == "atlas answered a complex task, but its answer failed a check"


def test_an_outcome_alone_began_when_its_time_says() -> None:
    (attempt,) = attempts_of([a_record(1, "success", at=3.0, response_time_ms=1000)], {})
    assert attempt.began == NOW + timedelta(seconds=2)


def test_the_heading_is_the_answer() -> None:
    task = task_view(FAILED_OVER, {})
    attempts = attempts_of(FAILED_OVER, {})
    said = heading(ID, task, attempts, NOW, "acme")
    assert (said.state, said.headline) == ("look", "ember answered a complex task in 3.5 s, after 1 failed attempt")
    assert (
        heading(ID, task, attempts[:1], NOW, None).headline == "atlas did not answer a complex task: no answer in time"
    )
    open_one = attempts_of([a_record(1, "routed", feedback_until=NOW)], {})
    assert heading(ID, task, open_one, NOW, None).headline == "atlas was called for a complex task; waits for feedback"


def test_learning_counts_what_speaks_of_the_model() -> None:
    records = (*FAILED_OVER, a_record(3, "routed", "dune"), a_record(3, "failure", "dune", error_kind="caller"))
    found = outcome(FoundRequest(records, None, None, (), KeptDays(90, 7)), attempts_of(records, {}), "complex")
    assert found is not None
    assert [(model, text.split(":")[0]) for model, _, text in found.learned] == [
        ("atlas", "counts as a failure for complex tasks"),
        ("ember", "counts as a success for complex tasks"),
        ("dune", "counts neither for nor against the model"),
    ]
    assert (found.total_ms, found.cost_nano_usd, found.estimated_nano_usd) == (3500, 7, 5)


def test_a_plan_is_shown_in_words() -> None:
    plan = {
        "kind": "policy", "rule": "night", "policy": "code", "policy_from": "task type", "relaxed": ["unhealthy"],
        "demoted": [{"model": "dune", "reason": "it fails"}],
        "targets": [
            {"model": "atlas", "provider": "p", "reason": "policy", "score": 4.5}, {"model": "ember", "provider": "p"},
        ],
        "targets_left_out": 3, "struck": [{"target": "fjord@p", "reason": "breaker_open"}], "propensity": 0.5,
    }  # fmt: skip
    view = plan_view(plan, "simple", {("ember", "p"): 2})
    assert view.kind == "the first of the policy"
    assert view.policy_from == "the type of the task has it"
    assert [(each.model, each.called) for each in view.candidates] == [("atlas", None), ("ember", 2)]
    assert (view.more_candidates, view.left_out[0].why) == (3, "its circuit breaker is open: calls of it have failed")
    assert view.moved[0].later
    assert view.candidates[0].url == "/pair?model=atlas&complexity=simple"


@pytest.mark.parametrize(
    "plan",
    [{}, {"targets": 3, "struck": None, "relaxed": "x", "kind": 7}, {"targets": [1, {"model": None, "score": "x"}]},
     {"task": [], "demoted": [{}], "propensity": True}],
)  # fmt: skip
def test_a_plan_of_another_form_breaks_nothing(plan: dict[str, Any]) -> None:
    plan_view(plan, "unknown", {})
    task_view([], plan)


def test_a_name_that_the_plan_has_cut_is_found_again() -> None:
    name = "m" * 80
    plan = {"targets": [{"model": planned_name(name), "provider": "p"}]}
    (candidate,) = plan_view(plan, "simple", {(planned_name(name), "p"): 1}).candidates
    assert candidate.called == 1
    assert candidate.url == "", "the page of the pair needs the whole name"


def a_score(rule: str, model: str, score: float, *, at: float, published: bool = False) -> RuleScore:
    return RuleScore(rule, model, score, None, None, 100, NOW + timedelta(seconds=at), published)


def test_a_shadow_rule_leads_among_the_candidates_by_its_scores_of_then() -> None:
    scores = [
        a_score("adaptive", "atlas", 5.0, at=9, published=True),
        a_score("threshold", "atlas", 3.0, at=-60),
        a_score("threshold", "ember", 4.0, at=-60),
        a_score("threshold", "not-a-candidate", 5.0, at=-60),
    ]
    (shadow,) = shadows_of(scores, {"atlas", "ember"}, "atlas", NOW)
    assert (shadow.rule, shadow.leader, shadow.chosen_score, shadow.agrees, shadow.of_then) == (
        "threshold", "ember", 3.0, False, True,
    )  # fmt: skip


def test_scores_that_were_computed_since_are_not_those_of_then() -> None:
    (shadow,) = shadows_of([a_score("threshold", "atlas", 3.0, at=1)], {"atlas"}, "atlas", NOW)
    assert shadow.agrees
    assert not shadow.of_then


def test_the_id_says_when_a_request_began() -> None:
    assert began_at(ID) == datetime(2026, 11, 30, 2, 41, 11, 308000, tzinfo=UTC)
    assert began_at(str(uuid.uuid4())) is None
