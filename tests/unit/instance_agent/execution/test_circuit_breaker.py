"""The circuit breaker of one target."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instance_agent.execution.circuit_breaker import BreakerSettings, CircuitBreaker, Permit

SETTINGS = BreakerSettings(
    consecutive_failures=3,
    minimum_calls=10,
    open_seconds=10.0,
    max_open_seconds=80.0,
    jitter=0.0,
    recovery_seconds=60.0,
)


def breaker(settings: BreakerSettings = SETTINGS) -> CircuitBreaker:
    return CircuitBreaker(settings, Random(1))


def admitted(subject: CircuitBreaker, now: float) -> Permit:
    permit = subject.admit(now)
    assert permit is not None
    return permit


def fail(subject: CircuitBreaker, now: float, times: int = 1) -> None:
    for _ in range(times):
        admitted(subject, now).failed(now, "HTTP 500")


def opened(now: float = 100.0) -> CircuitBreaker:
    subject = breaker()
    fail(subject, now, times=3)
    return subject


def test_consecutive_failures_open_it() -> None:
    subject = breaker()
    fail(subject, 100.0, times=2)
    assert subject.state_at(100.0) == "closed"
    fail(subject, 100.0)
    assert subject.state_at(100.0) == "open"
    assert subject.admit(109.9) is None
    assert subject.reason == "HTTP 500"


def test_a_success_between_failures_begins_the_count_again() -> None:
    subject = breaker()
    fail(subject, 100.0, times=2)
    admitted(subject, 100.0).succeeded(100.0)
    fail(subject, 100.0, times=2)
    assert subject.state == "closed"


def test_a_share_of_failures_opens_it_once_there_are_enough_calls() -> None:
    subject = breaker()
    for number in range(9):
        permit = admitted(subject, 100.0)
        permit.failed(100.0, "HTTP 500") if number % 2 else permit.succeeded(100.0)
    assert subject.state == "closed", "4 of 9 calls failed: too few calls"
    fail(subject, 100.0)
    assert subject.state == "open", "5 of 10"


def test_failures_older_than_the_window_do_not_count() -> None:
    subject = breaker()
    for _ in range(4):
        fail(subject, 100.0)
        admitted(subject, 100.0).succeeded(100.0)
    later = 100.0 + SETTINGS.window_seconds + 6
    for _ in range(7):
        admitted(subject, later).succeeded(later)
    fail(subject, later)
    assert subject.state == "closed"


def test_half_open_lets_exactly_one_probe_pass() -> None:
    subject = opened()
    permits = [subject.admit(110.0) for _ in range(100)]
    assert sum(permit is not None for permit in permits) == 1
    assert subject.state_at(110.0) == "half_open"


def test_the_success_of_a_probe_closes_it() -> None:
    subject = opened()
    admitted(subject, 110.0).succeeded(111.0)
    assert subject.state == "closed"
    assert all(subject.admit(111.0) for _ in range(10))


def test_the_first_token_of_a_probe_closes_it() -> None:
    subject = opened()
    probe = admitted(subject, 110.0)
    probe.proved(110.5)
    assert subject.state == "closed"
    probe.failed(170.0, "died in the midst")
    assert subject.state == "closed", "one failure of three"


def test_an_outcome_without_meaning_neither_closes_nor_opens_it_and_frees_the_probe() -> None:
    subject = opened()
    admitted(subject, 110.0).said_nothing()
    assert subject.state_at(110.0) == "half_open"
    assert subject.admit(110.0) is not None


def test_reopening_takes_longer_each_time_up_to_a_bound() -> None:
    subject, now, lengths = opened(), 100.0, []
    for _ in range(6):
        lengths.append(subject.reopens_at - now)
        now = subject.reopens_at
        admitted(subject, now).failed(now, "HTTP 500")
    assert lengths == [10.0, 20.0, 40.0, 80.0, 80.0, 80.0]


def test_flapping_does_not_reset_the_time() -> None:
    subject = opened()
    admitted(subject, 110.0).succeeded(110.0)
    fail(subject, 111.0, times=3)
    assert subject.reopens_at - 111.0 == 20.0


def test_the_time_shrinks_after_a_long_recovery() -> None:
    subject = opened()
    admitted(subject, 110.0).failed(110.0, "HTTP 500")
    admitted(subject, 130.0).succeeded(130.0)
    fail(subject, 130.0 + 2 * 60.0, times=3)
    assert subject.reopens_at - 250.0 == 10.0


@given(st.integers(0, 10_000))
def test_jitter_stays_within_its_bounds(seed: int) -> None:
    subject = CircuitBreaker(BreakerSettings(consecutive_failures=1, open_seconds=10.0, jitter=0.2), Random(seed))
    fail(subject, 0.0)
    assert 8.0 <= subject.reopens_at <= 12.0


def test_a_wait_that_the_provider_asks_for_is_kept_even_as_a_last_resort() -> None:
    subject = breaker()
    admitted(subject, 100.0).cool(100.0, 7.0, "HTTP 429")
    assert subject.state_at(100.0) == "cooling"
    assert subject.admit_last_resort(106.9) is None
    assert subject.admit(107.0) is not None
    assert subject.admit(107.0) is None, "its end is half open"


def test_rate_limits_without_a_time_wait_longer_each_time() -> None:
    subject, now, waits = breaker(), 0.0, []
    for _ in range(4):
        admitted(subject, now).cool(now, None, "HTTP 429")
        waits.append(subject.reopens_at - now)
        now = subject.reopens_at
    assert waits == [1.0, 2.0, 4.0, 8.0]


def test_many_rate_limits_of_one_moment_are_one() -> None:
    subject = breaker()
    permits = [admitted(subject, 0.0) for _ in range(50)]
    for permit in permits:
        permit.cool(0.0, None, "HTTP 429")
    assert subject.reopens_at <= 4.0


def test_an_absurd_wait_is_bounded() -> None:
    subject = breaker()
    admitted(subject, 0.0).cool(0.0, 86_400.0, "HTTP 429")
    assert subject.reopens_at == SETTINGS.max_retry_after_seconds


def test_late_results_of_calls_from_before_the_opening_change_nothing() -> None:
    subject = breaker()
    late = [admitted(subject, 100.0) for _ in range(20)]
    fail(subject, 100.0, times=3)
    late[0].succeeded(105.0)
    assert subject.state == "open"
    admitted(subject, 110.0).succeeded(110.0)
    for permit in late[1:]:
        permit.failed(111.0, "timeout")
    assert subject.state == "closed", "they began before the opening that the probe has ended"


def test_a_misconfigured_target_stays_closed_to_calls_but_is_retried_as_the_last_resort() -> None:
    subject = breaker()
    admitted(subject, 0.0).misconfigured(0.0, "HTTP 401")
    assert subject.admit(599.0) is None
    assert subject.admit_last_resort(14.9) is None
    permit = subject.admit_last_resort(15.0)
    assert permit is not None
    assert subject.admit_last_resort(15.0) is None
    permit.succeeded(16.0)
    assert subject.state == "closed"


def test_a_misconfigured_target_is_probed_once_in_a_long_time() -> None:
    subject = breaker()
    admitted(subject, 0.0).misconfigured(0.0, "HTTP 402")
    probe = admitted(subject, 600.0)
    assert subject.admit(600.0) is None
    probe.misconfigured(601.0, "HTTP 402")
    assert subject.admit(1200.0) is None
    admitted(subject, 1201.0).succeeded(1202.0)
    assert subject.state == "closed"


def test_as_a_last_resort_one_call_at_a_time_passes_an_open_breaker() -> None:
    subject = opened()
    first = subject.admit_last_resort(100.1)
    assert first is not None
    assert subject.admit_last_resort(100.2) is None
    assert subject.admit_last_resort(101.2) is not None, "the first one takes longer than a second"
    first.succeeded(102.0)
    assert subject.state == "closed"


def test_a_suspicion_lowers_the_number_of_failures_for_a_while() -> None:
    subject = breaker()
    subject.suspect(100.0, 30.0)
    assert subject.admit(100.0) is not None, "it stays open to calls"
    fail(subject, 110.0, times=2)
    assert subject.state == "open"
    other = breaker()
    other.suspect(100.0, 30.0)
    fail(other, 131.0, times=2)
    assert other.state == "closed"


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["admit", "last", "success", "failure", "neutral", "cool", "token", "twice"]),
            st.floats(0.0, 8.0),
        ),
        max_size=120,
    )
)
def test_in_any_order_of_outcomes_a_breaker_that_is_not_closed_has_one_probe_at_most(
    steps: list[tuple[str, float]],
) -> None:
    subject, now = breaker(), 0.0
    running: list[Permit] = []
    for action, seconds in steps:
        now += seconds
        if action in ("admit", "last"):
            probes = sum(permit.probe and not permit.reported for permit in running)
            state = subject.state
            permit = subject.admit(now) if action == "admit" else subject.admit_last_resort(now)
            if permit is not None:
                if state != "closed" and action == "admit":
                    assert probes == 0
                running.append(permit)
        elif running:
            permit = running[0] if action == "token" else running.pop(0)
            if action == "success":
                permit.succeeded(now)
            elif action == "failure":
                permit.failed(now, "x")
            elif action == "neutral":
                permit.said_nothing()
            elif action == "cool":
                permit.cool(now, seconds, "x")
            elif action == "token":
                permit.proved(now)
            else:
                permit.failed(now, "x")
                permit.succeeded(now)
        assert subject.reopens_at <= now + max(80.0, SETTINGS.max_retry_after_seconds)
    for permit in running:
        permit.said_nothing()
    assert subject.state == "closed" or subject.admit(subject.reopens_at + 1) is not None, "it always comes back"


@pytest.mark.parametrize("outcome", ["succeeded", "failed", "cool", "misconfigured", "said_nothing"])
def test_only_the_first_outcome_of_a_permit_counts(outcome: str) -> None:
    subject = breaker()
    permit = admitted(subject, 0.0)
    permit.said_nothing()
    arguments = {"succeeded": (0.0,), "failed": (0.0, "x"), "cool": (0.0, 5.0, "x"), "misconfigured": (0.0, "x")}
    for _ in range(10):
        getattr(permit, outcome)(*arguments.get(outcome, ()))
    assert subject.state == "closed"
