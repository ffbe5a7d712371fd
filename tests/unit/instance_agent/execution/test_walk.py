"""The walk over a plan: which target is called next."""

from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from instance_agent.catalog.model import Model
from instance_agent.chat.errors import UnsupportedFeatureError
from instance_agent.execution.breakers import Breakers
from instance_agent.execution.circuit_breaker import BreakerSettings
from instance_agent.execution.errors import ExecutionError, PaymentRefusedError
from instance_agent.execution.planned import PlannedCall
from instance_agent.execution.targets import CallTarget
from instance_agent.execution.walk import GiveUp, Go, Wait, Walk, WalkSettings
from instance_agent.providers.errors import ProviderError, Retry
from instance_agent.providers.installed import dialect
from instance_agent.providers.upstream import Upstream

_KINDS = {Retry.CALLER: "caller", Retry.POLICY: "policy"}


def target(name: str) -> PlannedCall:
    upstream = Upstream(provider=f"p-{name}", dialect="openai", base_url=f"http://{name}/v1")
    return PlannedCall(target=CallTarget(name, Model(name=name, provider=f"p-{name}"), dialect("openai"), upstream))


def failure(retry: Retry, status: int | None = 500, retry_after: float | None = None) -> ProviderError:
    kind: Any = _KINDS.get(retry, "provider")
    return ProviderError(
        "x: failed",
        provider="x",
        error_kind=kind,
        retry=retry,
        status=429 if status == 429 else 502,
        upstream_status=status,
        retry_after_seconds=retry_after,
    )


def walked(
    names: str,
    errors: dict[str, ProviderError],
    *,
    breakers: Breakers | None = None,
    settings: WalkSettings | None = None,
) -> tuple[list[str], ExecutionError | None, float]:
    """Walk a plan whose targets fail with `errors`, always; others succeed.

    Return the targets in the order of the calls, the final error, and the seconds of all pauses.
    """
    breakers = breakers or Breakers(BreakerSettings(jitter=0.0))
    now, called = 1000.0, []
    walk = Walk([target(name) for name in names], breakers, settings or WalkSettings(), now, Random(1))
    for _ in range(50):
        step = walk.next(now)
        if isinstance(step, Wait):
            now += step.seconds
        elif isinstance(step, GiveUp):
            assert isinstance(step.error, ExecutionError)
            return called, step.error, now - 1000.0
        else:
            name = step.call.target.key
            called.append(name)
            error = errors.get(name)
            if error is None:
                step.permit.succeeded(now)
                return called, None, now - 1000.0
            step.permit.failed(error, now)
            walk.failed(error)
    raise AssertionError("the walk does not end")


def test_a_refused_request_goes_elsewhere_at_once() -> None:
    assert walked("AB", {"A": failure(Retry.REFUSED)}) == (["A", "B"], None, 0.0)


def test_three_attempts_is_all_whatever_the_chain() -> None:
    names = "ABCDEFGHIJ"
    called, error, _ = walked(names, {name: failure(Retry.REFUSED, 429) for name in names})
    assert called == ["A", "B", "C"]
    assert error is not None
    assert error.status == 429
    assert error.attempts == 3


def test_a_short_chain_is_repeated_after_pauses_up_to_the_same_bound() -> None:
    called, error, seconds = walked("AB", dict.fromkeys("AB", failure(Retry.REFUSED)))
    assert called == ["A", "B", "A"]
    assert error is not None
    assert error.status == 502
    assert 0.1 < seconds < 2.0


def test_a_target_that_is_cooling_is_not_repeated() -> None:
    called, error, _ = walked("A", {"A": failure(Retry.REFUSED, 429, 7.0)})
    assert called == ["A"]
    assert error is not None
    assert error.retry_after_seconds == pytest.approx(7.0)


def test_a_short_wait_is_waited_for() -> None:
    called, _, seconds = walked("A", {"A": failure(Retry.REFUSED, 429, 0.5)})
    assert called == ["A", "A", "A"]
    assert seconds >= 1.0


def test_a_call_that_may_have_been_billed_is_tried_elsewhere_once_and_never_there_again() -> None:
    called, error, _ = walked("ABCD", dict.fromkeys("ABCD", failure(Retry.UNCERTAIN, None)))
    assert called == ["A", "B"]
    assert error is not None
    assert not error.retry_is_safe
    assert walked("A", {"A": failure(Retry.UNCERTAIN, None)})[0] == ["A"]


def test_after_an_uncertain_failure_a_refusal_leads_to_another_new_target_but_to_no_repetition() -> None:
    assert walked("ABC", {"A": failure(Retry.UNCERTAIN, None), "B": failure(Retry.REFUSED)})[0] == ["A", "B", "C"]
    assert walked("AB", {"A": failure(Retry.REFUSED), "B": failure(Retry.UNCERTAIN, None)})[0] == ["A", "B"]


@pytest.mark.parametrize("retry", [Retry.CALLER, Retry.POLICY, Retry.SETUP, Retry.BEGUN])
def test_other_failures_are_never_tried_again(retry: Retry) -> None:
    called, error, _ = walked("ABC", {"A": failure(retry, 400)})
    assert called == ["A"]
    assert error is not None
    assert error.cause is not None


def test_open_breakers_are_passed_over() -> None:
    breakers = Breakers(BreakerSettings(consecutive_failures=1, jitter=0.0))
    assert walked("AB", {"A": failure(Retry.REFUSED)}, breakers=breakers)[0] == ["A", "B"]
    assert walked("AB", {"A": failure(Retry.REFUSED)}, breakers=breakers)[0] == ["B"]


def test_the_last_candidate_is_never_cooled_to_zero() -> None:
    breakers = Breakers(BreakerSettings(consecutive_failures=1, jitter=0.0))
    for _ in range(5):
        called, error, _ = walked("A", {"A": failure(Retry.REFUSED)}, breakers=breakers)
        assert called == ["A"], "each request tries it once, and not again: it is cooling"
        assert error is not None
        assert error.retry_after_seconds is not None


def test_with_every_breaker_open_the_one_that_comes_back_first_is_tried() -> None:
    breakers = Breakers(BreakerSettings(consecutive_failures=1, jitter=0.0))
    plan = [target("A"), target("B")]
    for call, at in zip(plan, (1000.0, 998.0), strict=True):
        permit = breakers.admit(call.target, at)
        assert permit is not None
        permit.failed(failure(Retry.REFUSED), at)
    assert walked("AB", {}, breakers=breakers)[0] == ["B"]


def test_with_every_target_asked_to_wait_the_client_gets_429_with_the_soonest_return() -> None:
    breakers = Breakers()
    for name, seconds in (("A", 30.0), ("B", 12.0)):
        permit = breakers.admit(target(name).target, 1000.0)
        assert permit is not None
        permit.failed(failure(Retry.REFUSED, 429, seconds), 1000.0)
    called, error, _ = walked("AB", {}, breakers=breakers)
    assert called == []
    assert error is not None
    assert error.status == 429
    assert error.retry_after_seconds == pytest.approx(12.0)
    assert error.code == "no_target_available"


def test_the_probe_of_a_misconfigured_target_shows_no_error_to_its_request() -> None:
    breakers = Breakers()
    permit = breakers.admit(target("A").target, 0.0)
    assert permit is not None
    permit.failed(failure(Retry.SETUP, 402), 0.0)
    errors = {"A": failure(Retry.SETUP, 402)}
    assert walked("AB", errors, breakers=breakers)[0] == ["A", "B"], "1000 seconds later"
    assert walked("AB", errors, breakers=breakers)[0] == ["B"]


def test_the_deadline_ends_the_walk() -> None:
    settings = WalkSettings(deadline_seconds=0.3, backoff_seconds=10.0, max_wait_seconds=100.0)
    called, error, seconds = walked("A", {"A": failure(Retry.REFUSED)}, settings=settings)
    assert called == ["A"]
    assert error is not None
    assert seconds < 0.3


def test_no_attempt_begins_where_the_timer_of_the_deadline_ends_a_moment_too_early() -> None:
    walk = Walk([target("A"), target("B")], Breakers(), WalkSettings(deadline_seconds=0.3), 0.0, Random(1))
    step = walk.next(0.0)
    assert isinstance(step, Go)
    error = failure(Retry.UNCERTAIN)
    step.permit.failed(error, 0.2995)
    walk.failed(error)
    assert isinstance(walk.next(0.2995), GiveUp)


def test_a_request_without_an_equivalent_goes_on_without_an_attempt() -> None:
    breakers = Breakers()
    walk = Walk([target("A"), target("B")], breakers, WalkSettings(max_attempts=1), 0.0, Random(1))
    step = walk.next(0.0)
    assert isinstance(step, Go)
    step.permit.said_nothing()
    walk.unsupported(UnsupportedFeatureError("n", "gemini"))
    step = walk.next(0.0)
    assert isinstance(step, Go)
    assert step.number == 1
    assert step.call.target.key == "B"
    step.permit.said_nothing()
    walk.unsupported(UnsupportedFeatureError("n", "anthropic"))
    end = walk.next(0.0)
    assert isinstance(end, GiveUp)
    assert end.error.status == 400


def test_a_target_that_is_cooling_may_have_the_equivalent_that_another_lacks() -> None:
    breakers = Breakers()
    plan = [target("A"), target("B")]
    permit = breakers.admit(plan[1].target, 0.0)
    assert permit is not None
    permit.failed(failure(Retry.REFUSED, 429, 30.0), 0.0)
    walk = Walk(plan, breakers, WalkSettings(), 0.0, Random(1))
    step = walk.next(0.0)
    assert isinstance(step, Go)
    step.permit.said_nothing()
    walk.unsupported(UnsupportedFeatureError("n", "anthropic"))
    end = walk.next(0.0)
    assert isinstance(end, GiveUp)
    assert isinstance(end.error, ExecutionError)
    assert end.error.retry_after_seconds == pytest.approx(30.0)


def test_an_empty_plan_is_an_error() -> None:
    _, error, _ = walked("", {})
    assert error is not None
    assert error.status == 503


@given(
    st.integers(1, 6),
    st.lists(st.sampled_from([*Retry]), min_size=6, max_size=6),
    st.integers(1, 5),
    st.sampled_from([None, 0.1, 1.5, 30.0]),
)
def test_whatever_fails_the_bounds_hold(
    length: int, retries: list[Retry], max_attempts: int, retry_after: float | None
) -> None:
    names = "ABCDEF"[:length]
    status = 500 if retry_after is None else 429
    errors = {name: failure(retry, status, retry_after) for name, retry in zip(names, retries, strict=False)}
    called, _, _ = walked(names, errors, settings=WalkSettings(max_attempts=max_attempts))
    assert 1 <= len(called) <= max_attempts
    uncertain = [name for name in called if errors[name].retry is Retry.UNCERTAIN]
    assert len(uncertain) == len(set(uncertain)) <= 2
    for name in called[:-1]:
        assert errors[name].retry in (Retry.REFUSED, Retry.UNCERTAIN)


def test_a_target_that_another_replica_suspects_is_tried_last_and_not_left_out() -> None:
    breakers = Breakers(BreakerSettings(jitter=0.0))
    calls = [target("a"), target("b")]
    breakers.hint(calls[0].target.breaker_key, 0.0, 30.0)
    walk = Walk(calls, breakers, WalkSettings(), 0.0, Random(1))
    first = walk.next(0.0)
    assert isinstance(first, Go)
    assert first.call is calls[1]
    first.permit.failed(failure(Retry.REFUSED), 0.0)
    walk.failed(failure(Retry.REFUSED))
    second = walk.next(0.0)
    assert isinstance(second, Go)
    assert second.call is calls[0]
    only = Walk(calls[:1], breakers, WalkSettings(), 0.0, Random(1)).next(0.0)
    assert isinstance(only, Go), "the last candidate is never left alone because of a hint"


def test_a_request_that_has_waited_for_its_only_target_calls_it_although_another_replica_may_probe() -> None:
    breakers = Breakers(BreakerSettings(jitter=0.0), may_probe=lambda _key: False)
    walk = Walk([target("a")], breakers, WalkSettings(), 0.0, Random(1))
    first = walk.next(0.0)
    assert isinstance(first, Go)
    limited = failure(Retry.REFUSED, 429, retry_after=1.0)
    first.permit.failed(limited, 0.0)
    walk.failed(limited)
    wait = walk.next(0.0)
    assert isinstance(wait, Wait)
    assert isinstance(walk.next(wait.seconds), Go)


def test_a_first_target_that_may_not_be_paid_ends_the_walk_without_an_attempt() -> None:
    walk = Walk([target("a"), target("b")], Breakers(BreakerSettings(jitter=0.0)), WalkSettings(), 0.0, Random(1))
    step = walk.next(0.0)
    assert isinstance(step, Go)
    refused = PaymentRefusedError("too dear", status=402, code="budget_exhausted")
    step.permit.said_nothing()
    walk.unpaid(refused)
    given_up = walk.next(0.0)
    assert isinstance(given_up, GiveUp)
    assert (given_up.error, walk.attempts) == (refused, 0)


def test_after_a_failure_targets_that_may_not_be_paid_are_passed_over_and_the_failure_is_the_error() -> None:
    walk = Walk([target(name) for name in "abc"], Breakers(BreakerSettings(jitter=0.0)), WalkSettings(), 0.0, Random(1))
    now, called = 0.0, []
    for _ in range(20):
        step = walk.next(now)
        if isinstance(step, Wait):
            now += step.seconds
            continue
        if isinstance(step, GiveUp):
            break
        called.append(step.call.target.key)
        if len(called) == 1:
            step.permit.failed(failure(Retry.REFUSED), now)
            walk.failed(failure(Retry.REFUSED))
        else:
            step.permit.said_nothing()
            walk.unpaid(PaymentRefusedError("too dear", status=402, code="budget_busy"))
    assert called == ["a", "b", "c", "a"], "each once, and the first one again"
    assert isinstance(step, GiveUp)
    assert isinstance(step.error, ExecutionError)
    assert (step.error.status, step.error.attempts) == (502, 1)


def treated(names: str, breakers: Breakers, error: ProviderError | None = None) -> list[str]:
    """Walk the plan of a treatment: its model is the first one; return the targets in the order of the calls."""
    calls = [
        replace(target(name), reason="fallback" if position else "experiment") for position, name in enumerate(names)
    ]
    walk, called = Walk(calls, breakers, WalkSettings(), 1000.0, Random(1)), []
    while isinstance(step := walk.next(1000.0), Go):
        called.append(step.call.target.key)
        if error is None or step.call.target.key != names[0]:
            step.permit.succeeded(1000.0)
            return called
        step.permit.failed(error, 1000.0)
        walk.failed(error)
    return called


def test_a_treatments_model_is_called_although_its_breaker_is_open() -> None:
    breakers = Breakers(BreakerSettings(jitter=0.0))
    for _ in range(20):
        assert treated("AB", breakers, failure(Retry.REFUSED)) == ["A", "B"]
    assert breakers.states(1000.0)
    assert walked("AB", {}, breakers=breakers)[0] == ["B"], "other requests leave it alone"


def test_requests_of_a_treatment_do_not_wait_for_each_other_while_its_breaker_is_open() -> None:
    breakers = Breakers(BreakerSettings(jitter=0.0))
    while not breakers.states(1000.0):
        treated("AB", breakers, failure(Retry.REFUSED))
    calls = [replace(target("A"), reason="experiment"), target("B")]
    steps = [Walk(calls, breakers, WalkSettings(), 1000.0, Random(1)).next(1000.0) for _ in range(3)]
    assert [each.call.target.key for each in steps if isinstance(each, Go)] == ["A", "A", "A"]


def test_a_treatments_model_is_first_although_other_replicas_suspect_it() -> None:
    breakers = Breakers(BreakerSettings(jitter=0.0))
    breakers.hint(target("A").target.breaker_key, 1000.0, 60.0)
    assert walked("AB", {}, breakers=breakers)[0] == ["B"]
    assert treated("AB", breakers) == ["A"]


def test_a_treatments_model_is_left_alone_while_its_provider_asks_for_a_wait() -> None:
    breakers = Breakers(BreakerSettings(jitter=0.0))
    assert treated("AB", breakers, failure(Retry.REFUSED, 429, retry_after=30.0)) == ["A", "B"]
    assert treated("AB", breakers) == ["B"]
