"""The events of attempts: the fields that say who asked, what was expected, and which names a client made up."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace
from support.experiment_entries import an_experiment
from support.routing_rules import configured, policy, rule

from centralcloud.contracts import RequestEvent, RoutingEvent
from instance_agent.catalog.catalog import CatalogSnapshot
from instance_agent.catalog.configuration import build_configuration
from instance_agent.catalog.key_reader import KeyReader
from instance_agent.catalog.learned_scores import LearnedScores
from instance_agent.catalog.model import Model, Pricing
from instance_agent.catalog.provider import Provider
from instance_agent.chat.answers import Usage
from instance_agent.chat.protocol import RequestHead
from instance_agent.execution.attempts import Attempt
from instance_agent.execution.planned import PlannedCall
from instance_agent.execution.targets import CallTargets
from instance_agent.gateway.auth import Principal
from instance_agent.gateway.context import RequestContext
from instance_agent.gateway.errors import GatewayError
from instance_agent.gateway.events import EventSink, events_of
from instance_agent.gateway.expectations import Expectations, Measured
from instance_agent.gateway.request_labels import label_request
from instance_agent.routing.affinity import SessionMemory
from instance_agent.routing.planner import Planner
from instance_agent.routing.request import RoutingRequest
from instance_agent.routing.rules import NO_RULES, RoutingRules

CONFIGURATION = build_configuration(
    [
        Model(
            name=name,
            provider="p",
            pricing=Pricing(input=1.0, output=2.0),
            complexity_scores={"simple": score, "medium": score, "complex": score},
        )
        for name, score in (("gpt", 3), ("opus", 2))
    ],
    [Provider(provider="p", dialect="openai", base_url="http://127.0.0.1:1/v1", api_key="env:K")],
    keys=KeyReader({"K": "sk-test"}),
)
TARGETS = CallTargets(CONFIGURATION)


def a_context(**fields: Any) -> RequestContext:
    context = RequestContext(
        Principal(role="user", key_id="key-1", workspace="acme"),
        SimpleNamespace(names=frozenset({"gpt", "opus"}), rules=NO_RULES),
    )
    context.routing = RoutingRequest(input_tokens=1_000)
    context.head = RequestHead(model="auto", text="hi", characters=2, messages=1)
    for name, value in fields.items():
        setattr(context, name, value)
    return context


def an_attempt(model: str = "gpt", number: int = 1, *, reason: str = "best", outcome: str = "success") -> Attempt:
    (target,) = CONFIGURATION.targets_of(model)
    return Attempt(
        decision_id=f"d-{number}",
        request_id="00000000-0000-7000-8000-000000000001",
        number=number,
        call=PlannedCall(target=TARGETS.ready(target), reason=reason),
        propensity=None,
        started_at=datetime.now(UTC),
        outcome=outcome,
        error_kind=None if outcome == "success" else "provider",
        response_time_ms=400,
        usage=Usage(input_tokens=900, output_tokens=50) if outcome == "success" else None,
    )


class Published(list[RequestEvent]):
    """Keeps what a sink publishes."""

    def publish_together(self, events: Sequence[RoutingEvent]) -> None:
        self += [each for each in events if isinstance(each, RequestEvent)]


class Quiet:
    """Observes nothing."""

    def attempt(self, attempt: Attempt, context: RequestContext) -> None:
        return


class Broken:
    """An observer with a defect."""

    def attempt(self, attempt: Attempt, context: RequestContext) -> None:
        raise ZeroDivisionError


def test_each_attempt_of_a_request_that_waits_for_feedback_says_so() -> None:
    context = a_context(feedback_seconds=600.0)
    failed = events_of(an_attempt(outcome="failure"), context, "g")
    (answered,) = events_of(an_attempt("opus", 2), context, "g")

    assert [each.outcome for each in failed] == ["routed", "failure"], "a failure has its outcome at once"
    assert failed[0].feedback_until is not None
    assert failed[1].feedback_until is None
    assert answered.feedback_until is not None


def test_only_the_attempt_at_the_probed_target_is_a_probe() -> None:
    probe, other = (events_of(an_attempt(reason=reason), a_context(), "g")[0] for reason in ("probe", "fallback"))
    assert (probe.extra, other.extra) == ({"probe": True}, {})


def test_an_error_in_metrics_loses_no_event(caplog: pytest.LogCaptureFixture) -> None:
    published = Published()
    sink = EventSink(published, Broken(), SessionMemory(), "g")
    with caplog.at_level("ERROR"):
        sink.record_all(((an_attempt(), a_context()), (an_attempt(), a_context())))
    assert [each.outcome for each in published] == ["routed", "success"] * 2
    assert caplog.text.count("attempt_not_recorded") == 2


def test_both_events_of_a_name_that_is_not_of_the_catalog_say_so() -> None:
    marked = events_of(an_attempt("p/made-up"), a_context(), "g")
    assert [each.extra for each in marked] == [{"named_by": "client"}] * 2
    assert [each.extra for each in events_of(an_attempt(), a_context(), "g")] == [{}, {}]


def test_a_decision_has_the_time_and_the_cost_that_were_expected() -> None:
    published = Published()
    sink = EventSink(published, Quiet(), SessionMemory(), "g")
    for _ in range(2):
        sink.record_all(((an_attempt(), a_context()),))
    first, second = (each for each in published if each.outcome == "routed")

    assert (first.estimated_ms, first.estimated_cost_usd) == (None, None), "it has not answered yet"
    # 1,000 tokens at 1 USD a million, and the 50 of the last answer at 2.
    assert (second.estimated_ms, second.estimated_cost_usd) == (400, 0.0011)


def labelled(*, store_objective: bool = False, **fields: Any) -> RequestContext:
    context = a_context()
    head = RequestHead(model="auto", text=fields.get("text", ""), characters=2, messages=1, user=fields.get("user"))
    label_request(context, head, fields.get("headers", {}), fields.get("metadata", {}), store_objective=store_objective)
    return context


def test_user_worker_and_task_come_from_the_request() -> None:
    metadata = {"worker": "body", "taskId": "t-7"}
    context = labelled(user="jane", headers={"x-centralcloud-worker": "w-1"}, metadata=metadata)
    decision = events_of(an_attempt(), context, "g")[0]
    assert (decision.user_id, decision.worker, decision.task_id) == ("jane", "w-1", "t-7")

    ignored = labelled(user="x" * 201, metadata={"worker": "a\nb", "task_id": 7})
    assert (ignored.user_id, ignored.worker, ignored.task_id) == (None, None, None)
    with pytest.raises(
        GatewayError, match="x-centralcloud-task-id: found another value, expected a text of at most 200"
    ):
        labelled(headers={"x-centralcloud-task-id": "x" * 201})


def test_the_objective_is_kept_only_where_it_is_asked_for() -> None:
    assert labelled(text="fix the\0 bug").objective is None
    context = labelled(text="fix the\0 bug " + "x" * 300, store_objective=True)
    assert context.objective == "fix the bug " + "x" * 187
    assert events_of(an_attempt(), context, "g")[0].extra["objective"] == context.objective
    assert "objective" not in events_of(an_attempt("opus", 2), context, "g")[0].extra, "once a request"


def test_the_estimate_of_a_first_call_needs_no_answer_where_output_costs_nothing() -> None:
    context = a_context(routing=RoutingRequest(input_tokens=1_000, model_type="embedding"))
    published = Published()
    EventSink(published, Quiet(), Planner().sessions, "g").record_all(((an_attempt(), context),))
    assert published[0].estimated_cost_usd == 0.001


LOCAL = build_configuration(
    [
        Model(name=name, provider=provider, complexity_scores={"medium": 3})
        for name, provider in (("mlx", "lm_studio"), ("gpt", "p"))
    ],
    [
        Provider(provider="lm_studio", base_url="http://127.0.0.1:1/v1", local=True),
        Provider(provider="p", base_url="http://127.0.0.1:2/v1"),
    ],
    found={"lm_studio": frozenset({"mlx"})},
)


def followed(**entries: Any) -> RequestContext:
    """The context of a request that follows the policy ``seed``."""
    known = CatalogSnapshot(LOCAL.models, LearnedScores(), LOCAL)
    rules = RoutingRules(configured(**entries), LOCAL)
    context = a_context()
    context.state = SimpleNamespace(names=frozenset({"gpt", "mlx"}), rules=rules, catalog=known)  # type: ignore[assignment]
    context.plan = Planner().plan(RoutingRequest(), known, rules=rules)
    return context


def test_failures_of_local_models_count_under_a_policy_that_tries_them_first() -> None:
    sink = EventSink(None, Quiet(), SessionMemory(), "g")
    seed = policy("seed", "mlx", "gpt", order="local_first")
    context = followed(policies=[seed], rules=[rule("r", policy="seed")])
    local, other = (PlannedCall(target=CallTargets(LOCAL).ready(LOCAL.targets_of(name)[0])) for name in ("mlx", "gpt"))

    def record(call: PlannedCall, outcome: str, kind: str | None = None) -> int:
        attempt = replace(an_attempt(outcome=outcome), call=call, error_kind=kind)
        sink.record_all([(attempt, context)])
        return sink.local_failures.of("seed")

    assert record(local, "failure", "provider") == 1
    assert record(other, "failure", "provider") == 1, "not a local model"
    assert record(other, "success") == 1, "nor this one"
    assert record(local, "failure", "caller") == 1, "the caller is at fault"
    assert record(local, "failure", "timeout") == 2
    assert record(local, "success") == 0
    context = followed(policies=[policy("seed", "mlx", "gpt")], rules=[rule("r", policy="seed")])
    assert record(local, "failure", "provider") == 0, "the policy has another order"
    main = policy("main", "gpt", fallback="seed")
    context = followed(policies=[main, seed], rules=[rule("r", policy="main")])
    assert record(local, "failure", "provider") == 1, "the policy that follows counts, too"


def test_the_outcome_waits_where_the_policy_learns_from_feedback_and_the_time_of_the_client_counts_first() -> None:
    waiting = policy("seed", "mlx", "gpt", learn_from="feedback")
    context = followed(policies=[waiting], rules=[rule("r", policy="seed")])
    took = timedelta(milliseconds=400)
    (routed,) = events_of(an_attempt(), context, "g")
    assert routed.feedback_until == routed.timestamp + took + timedelta(days=1)
    assert "output_tokens" in routed.extra["feedback_outcome"]
    context.feedback_seconds = 60.0
    (routed,) = events_of(an_attempt(), context, "g")
    assert routed.feedback_until == routed.timestamp + took + timedelta(minutes=1)
    failed = an_attempt(outcome="failure")
    assert [each.outcome for each in events_of(failed, context, "g")] == ["routed", "failure"]


def test_events_name_the_rule_and_the_policy() -> None:
    context = followed(policies=[policy("seed", "mlx", "gpt")], rules=[rule("r", policy="seed")])
    routed, outcome = events_of(an_attempt(), context, "g")
    assert (routed.rule, routed.policy) == ("r", "seed")
    assert (outcome.rule, outcome.policy) == (None, None), "fields of the request are in the decision alone"


def test_plans_and_limits_see_what_was_measured_once_in_ten_seconds() -> None:
    seen: list[Measured] = []
    sink = EventSink(None, Quiet(), SessionMemory(), "g")
    sink.on_measured = lambda measured, _state: seen.append(measured)
    for _ in range(3):
        sink.record_all([(an_attempt(), followed())])
    assert seen == [Measured({"gpt@p": 400.0}, {})]


def test_ninety_five_of_a_hundred_answers_say_what_to_expect_until_ten_minutes_without_one() -> None:
    now = 1000.0
    known = Expectations(lambda: now)

    def answered(milliseconds: int, tokens: int, times: int) -> None:
        usage = Usage(input_tokens=900, output_tokens=tokens)
        for _ in range(times):
            known.learn(replace(an_attempt(), response_time_ms=milliseconds, usage=usage))

    answered(100, 50, 19)
    assert known.measured() == Measured({"gpt@p": 100.0}, {}), "too few for more than a mean"
    answered(9000, 3001, 4)
    answered(100, 50, 57)
    assert known.measured() == Measured({"gpt@p": 100.0}, {"gpt@p": 50}, 50), "4 of 80 are beyond"
    answered(9000, 3001, 3)
    assert known.measured() == Measured({"gpt@p": 9000.0}, {"gpt@p": 3100}, 3100), "7 of 83 are"
    answered(100, 50, 100)
    assert known.measured().latency_ms == {"gpt@p": 100.0}, "the last 100 count"
    now += 601
    assert known.measured().latency_ms == {}
    answered(700, 50, 1)
    assert known.measured().latency_ms == {"gpt@p": 700.0}


def in_experiment(session: str) -> RequestContext:
    """Return the context of a request for gpt or opus whose sessions are split in halves between control and opus."""
    fleet = configured(experiments=[an_experiment({"name": "new", "model": "opus"})])
    rules = RoutingRules(fleet, CONFIGURATION)
    snapshot = CatalogSnapshot(CONFIGURATION.models, LearnedScores(), CONFIGURATION)
    routing = RoutingRequest(session=session)
    return a_context(routing=routing, plan=Planner().plan(routing, snapshot, rules=rules))


def test_both_events_of_the_first_attempt_carry_the_arm_and_its_share() -> None:
    for session, arm, first in (("session-1", "new", "opus"), ("session-0", "control", "gpt")):
        for event in events_of(an_attempt(first), in_experiment(session), "i"):
            assert (event.experiment, event.arm, event.arm_share) == ("e1", arm, 0.5)
        for event in events_of(an_attempt("gpt", 2, reason="fallback"), in_experiment(session), "i"):
            assert (event.experiment, event.arm, event.arm_share) == ("e1", arm, None), (
                "only first attempts are compared"
            )


def test_a_first_attempt_elsewhere_than_at_the_first_choice_of_an_arm_is_marked() -> None:
    for session, arm, other in (("session-1", "new", "gpt"), ("session-0", "control", "opus")):
        for event in events_of(an_attempt(other, reason="fallback"), in_experiment(session), "i"):
            assert (event.arm, event.arm_share, event.extra) == (arm, 0.5, {"not_made": "not_callable"})


def test_only_control_passes_over_what_is_not_healthy() -> None:
    for session, other, marks in (("session-1", "gpt", {"not_made": "waits"}), ("session-0", "opus", {})):
        attempt = replace(an_attempt(other, reason="fallback"), skipped="unavailable")
        assert [each.extra for each in events_of(attempt, in_experiment(session), "i")] == [marks] * 2


def test_a_session_remembers_under_which_treatment_its_model_has_answered() -> None:
    sessions = SessionMemory()
    sink = EventSink(Published(), Quiet(), sessions, "i")
    sink.record_all([(an_attempt("opus"), in_experiment("session-1")), (an_attempt("gpt"), in_experiment("session-0"))])
    treated, control = sessions.get("session-1"), sessions.get("session-0")
    assert treated is not None
    assert control is not None
    assert (treated.arm, control.arm) == (("e1", "new"), None)
