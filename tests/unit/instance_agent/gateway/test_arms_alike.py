"""Each way in which a request may not get the first choice of its arm: no arm alone loses such requests.

Either neither arm has them, or they stay in the arm of their session, as ones whose first attempt has failed. Only a model
that is not healthy is passed over without that, by control: it is served as it stands.
"""

import asyncio
from collections.abc import Callable, Sequence
from random import Random
from types import SimpleNamespace
from typing import Any, Final, TypeAlias

import pytest
from support.experiment_entries import an_experiment
from support.planning import model, request, snapshot
from support.routing_rules import compiled

from centralcloud.contracts import RequestEvent
from instance_agent.chat.errors import ChatError, UnsupportedFeatureError
from instance_agent.execution.attempts import Attempt, AttemptRecorder, not_made
from instance_agent.execution.breakers import Breakers
from instance_agent.execution.circuit_breaker import BreakerSettings
from instance_agent.execution.errors import PaymentRefusedError
from instance_agent.execution.plan_calls import plan_calls
from instance_agent.execution.planned import PlannedCall
from instance_agent.execution.targets import CallTargets
from instance_agent.execution.walk import GiveUp, Walk, WalkSettings
from instance_agent.gateway.auth import Principal
from instance_agent.gateway.context import RequestContext
from instance_agent.gateway.events import events_of
from instance_agent.gateway.limits.admission import executed
from instance_agent.providers.errors import ProviderError, Retry
from instance_agent.routing.affinity import SessionMemory
from instance_agent.routing.planner import Planner
from instance_agent.routing.spend import SpendView

#: `old` is control's first choice, `new` the treatment; both fall back to `other`.
KNOWN = snapshot(
    model("old", 5.0, capabilities=frozenset({"vision"}), context_window=100_000),
    model("other", 4.9, capabilities=frozenset({"vision"}), context_window=100_000),
    model("new", 1.0, provider="q", context_window=8_000),
)
assert KNOWN.configuration is not None
TARGETS = CallTargets(KNOWN.configuration)
SESSIONS: Final = {"new": "session-1", "control": "session-0"}
FIRST: Final = {"new": "new", "control": "old"}
NOW: Final = 1000.0
NO_ARM: Final = "no arm"
SETTINGS: Final = WalkSettings(max_wait_seconds=0.0)

#: Before the walk: gets the breakers, the calls of the plan and the name of the arm's first choice; returns the calls.
Before: TypeAlias = Callable[[Breakers, Sequence[PlannedCall], str], Sequence[PlannedCall]]


def as_planned(_breakers: Breakers, calls: Sequence[PlannedCall], _first: str) -> Sequence[PlannedCall]:
    return calls


def _fail(breakers: Breakers, calls: Sequence[PlannedCall], retry_after: float | None) -> None:
    for call in calls:
        while (permit := breakers.admit(call.target, NOW)) is not None:
            status = 500 if retry_after is None else 429
            permit.failed(
                ProviderError(
                    "x: failed",
                    provider="x",
                    error_kind="provider",
                    retry=Retry.REFUSED,
                    status=status,
                    upstream_status=status,
                    retry_after_seconds=retry_after,
                ),
                NOW,
            )


def breaker_opens(breakers: Breakers, calls: Sequence[PlannedCall], first: str) -> Sequence[PlannedCall]:
    _fail(breakers, [each for each in calls if each.target.model.name == first], None)
    return calls


def others_suspect_it(breakers: Breakers, calls: Sequence[PlannedCall], _first: str) -> Sequence[PlannedCall]:
    breakers.hint(calls[0].target.breaker_key, NOW, 60.0)
    return calls


def provider_asks_for_a_wait(breakers: Breakers, calls: Sequence[PlannedCall], first: str) -> Sequence[PlannedCall]:
    _fail(breakers, [each for each in calls if each.target.model.name == first], 30.0)
    return calls


def all_providers_ask_for_a_wait(
    breakers: Breakers, calls: Sequence[PlannedCall], _first: str
) -> Sequence[PlannedCall]:
    _fail(breakers, calls, 30.0)
    return calls


def cannot_be_called(_breakers: Breakers, calls: Sequence[PlannedCall], first: str) -> Sequence[PlannedCall]:
    return [each for each in calls if each.target.model.name != first]


def _first_attempt(arm: str, way: dict[str, Any]) -> tuple[RequestEvent, ...]:
    """Return the events of the first attempt of a request of an arm's session."""
    scope = {"requestedModels": way["scope"]} if "scope" in way else {}
    rules = compiled(KNOWN, experiments=[an_experiment(scope=scope)], workspaces=way.get("workspaces", []))
    sessions = SessionMemory()
    if "remembered" in way:
        sessions.record(SESSIONS[arm], way["remembered"], 50_000, ("e1", "new") if arm == "new" else None)
    context = RequestContext(Principal(role="user", key_id="key-1", workspace=None), _State(rules))  # type: ignore[arg-type]
    context.routing = request(session=SESSIONS[arm], **way.get("asked", {}))
    context.plan = Planner(rng=Random(1), sessions=sessions).plan(context.routing, KNOWN, rules=rules)
    context.unpaid = "unpaid" in way
    breakers = Breakers(BreakerSettings(jitter=0.0))
    calls = way.get("before", as_planned)(breakers, plan_calls(context.plan, TARGETS), FIRST[arm])
    walk = Walk(calls, breakers, SETTINGS, NOW, Random(1))
    found: list[Attempt] = []
    while not found:
        step = walk.next(NOW)
        if isinstance(step, GiveUp):
            found.append(not_made(calls[0], context.request_id, step.error))
            break
        assert not hasattr(step, "seconds"), "it waits for nothing"
        if way.get("untranslatable") and step.call.target.model.name == FIRST[arm]:
            step.permit.said_nothing()
            walk.unsupported(UnsupportedFeatureError("a tool", "x"))
            continue
        recorder = AttemptRecorder(
            step.call,
            context.request_id,
            step.number,
            streamed=False,
            clock=lambda: NOW,
            on_record=found.append,
            skipped=step.skipped,
        )
        if way.get("gone"):
            recorder.abandoned("the client has gone")
        else:
            recorder.succeeded(None, None, estimates=(1, 1))
    return events_of(found[0], context, "g")


class _State:
    names = frozenset({"old", "other", "new"})

    def __init__(self, rules: Any) -> None:
        self.rules = rules


#: Each way, with the mark of the treatment's and of control's events and the models that the events name.
WAYS: Final[dict[str, tuple[dict[str, Any], tuple[str | None, str], tuple[str | None, str]]]] = {
    "nothing": ({}, (None, "new"), (None, "old")),
    "capability": ({"asked": {"needs": ("vision",)}}, (NO_ARM, "old"), (NO_ARM, "old")),
    "context window": ({"asked": {"input_tokens": 9_000}}, (NO_ARM, "old"), (NO_ARM, "old")),
    "restriction of a workspace": (
        {"asked": {"workspace": "acme"}, "workspaces": [{"id": "acme", "deniedModels": ["new"]}]},
        (NO_ARM, "old"),
        (NO_ARM, "old"),
    ),
    "budget, known before": (
        {"asked": {"spend": SpendView(targets={"new@q": "its budget is used up"})}},
        (NO_ARM, "old"),
        (NO_ARM, "old"),
    ),
    "budget of control's model": (
        {"asked": {"spend": SpendView(targets={"old@p": "its budget is used up"})}},
        (None, "new"),
        (None, "other"),
    ),
    "spend, refused at the call": ({"unpaid": True}, ("unpaid", "new"), ("unpaid", "old")),
    "breaker": ({"before": breaker_opens}, (None, "new"), (None, "other")),
    "suspicion of another replica": ({"before": others_suspect_it}, (None, "new"), (None, "other")),
    "Retry-After": ({"before": provider_asks_for_a_wait}, ("waits", "old"), ("waits", "other")),
    "Retry-After of every model": (
        {"before": all_providers_ask_for_a_wait},
        ("unserved", "new"),
        ("unserved", "old"),
    ),
    "translation": ({"untranslatable": True}, ("untranslatable", "old"), ("untranslatable", "other")),
    "a dialect that is not installed": (
        {"before": cannot_be_called},
        ("not_callable", "old"),
        ("not_callable", "other"),
    ),
    "a client that has gone": ({"gone": True}, (None, "new"), (None, "old")),
    "a model that the client named": ({"asked": {"model": "old"}}, (NO_ARM, "old"), (NO_ARM, "old")),
    "a named model in the scope": ({"asked": {"model": "old"}, "scope": ["old"]}, (None, "new"), (None, "old")),
    "affinity of the session": ({"remembered": "other"}, (None, "new"), (None, "other")),
}


@pytest.mark.parametrize("arm", ["new", "control"])
@pytest.mark.parametrize("name", WAYS)
def test_no_arm_alone_loses_a_request(name: str, arm: str) -> None:
    way, *expected = WAYS[name]
    mark, first = expected[arm == "control"]
    for event in _first_attempt(arm, way):
        assert event.model == first
        if mark == NO_ARM:
            assert (event.experiment, event.arm, event.arm_share) == (None, None, None)
            assert "not_made" not in event.extra
        else:
            assert (event.experiment, event.arm, event.arm_share) == ("e1", arm, 0.5)
            assert event.extra.get("not_made") == mark


def test_what_ends_without_an_attempt_says_nothing_about_the_model() -> None:
    way, *_ = WAYS["Retry-After of every model"]
    decision, outcome = _first_attempt("new", way)
    assert (decision.outcome, outcome.outcome, outcome.blameless) == ("routed", "failure", True)
    assert (outcome.response_time_ms, outcome.cost_nano_usd, decision.propensity) == (None, None, None)


class _Unlimited:
    """Admission without limits: what refuses is the run of the test."""

    def payer(self, _context: RequestContext) -> None:
        return None


@pytest.mark.parametrize("arm", ["new", "control"])
def test_a_refusal_of_money_keeps_the_request_in_its_arm_with_another_plan(arm: str) -> None:
    """In either arm: the first choice may be too dear for what is left."""
    rules = compiled(KNOWN, experiments=[an_experiment()])
    context = RequestContext(Principal(role="user", key_id="key-1", workspace=None), _State(rules))  # type: ignore[arg-type]
    context.routing = request(session=SESSIONS[arm])
    planner, tried = Planner(rng=Random(1)), []

    def plan() -> Sequence[PlannedCall]:
        assert context.routing is not None
        context.plan = planner.plan(context.routing, KNOWN, rules=rules)
        return plan_calls(context.plan, TARGETS)

    async def run(calls: Sequence[PlannedCall], _execution: Any) -> PlannedCall:
        tried.append(calls[0].target.model.name)
        if tried[-1] == FIRST[arm]:
            dear = SpendView(targets={calls[0].target.key: "it is too dear"})
            raise PaymentRefusedError("too dear", status=402, code="task_limit", remedy=dear)
        return calls[0]

    execution = SimpleNamespace(payer=None)
    served = asyncio.run(executed(_Unlimited(), context, plan(), execution, run, plan))  # type: ignore[arg-type]
    assert tried == [FIRST[arm], "other" if arm == "control" else "old"]
    made: list[Attempt] = []
    AttemptRecorder(served, context.request_id, 1, streamed=False, clock=lambda: NOW, on_record=made.append).succeeded(
        None, None, estimates=(1, 1)
    )
    for event in events_of(made[0], context, "g"):
        assert (event.arm, event.arm_share, event.extra) == (arm, 0.5, {"not_made": "unpaid"})


def test_without_an_experiment_nothing_is_marked() -> None:
    context = RequestContext(Principal(role="user", key_id="key-1", workspace=None), _State(compiled(KNOWN)))  # type: ignore[arg-type]
    context.plan = Planner().plan(request(), KNOWN, rules=context.state.rules)
    call = plan_calls(context.plan, TARGETS)[1]
    attempt = AttemptRecorder(
        call, "r", 1, streamed=False, clock=lambda: NOW, on_record=lambda _: None, skipped="waits"
    ).failed(ChatError("x", error_kind="provider", status=500))
    assert attempt is not None
    assert [each.extra for each in events_of(attempt, context, "g")] == [{}, {}]
