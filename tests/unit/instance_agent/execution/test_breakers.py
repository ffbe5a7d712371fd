"""The breakers of all targets: two guard each call."""

from dataclasses import dataclass

import pytest

from instance_agent.execution.breakers import BreakerChange, Breakers, CallPermit
from instance_agent.execution.circuit_breaker import BreakerSettings
from instance_agent.providers.errors import ErrorKind, ProviderError, Retry


@dataclass(frozen=True)
class A:
    """A target."""

    breaker_key: str
    service_key: str = "service"


ONE, TWO = A("one"), A("two")
SETTINGS = BreakerSettings(consecutive_failures=3, jitter=0.0)


def error(
    retry: Retry = Retry.REFUSED,
    status: int | None = 500,
    *,
    kind: ErrorKind = "provider",
    retry_after: float | None = None,
) -> ProviderError:
    return ProviderError(
        "x: failed", provider="x", error_kind=kind, retry=retry, upstream_status=status, retry_after_seconds=retry_after
    )


def admitted(breakers: Breakers, target: A, now: float) -> CallPermit:
    permit = breakers.admit(target, now)
    assert permit is not None
    return permit


def fail(breakers: Breakers, target: A, found: ProviderError, now: float = 0.0, times: int = 1) -> None:
    for _ in range(times):
        admitted(breakers, target, now).failed(found, now)


def test_an_answer_of_500_for_one_model_says_nothing_about_the_others_of_the_service() -> None:
    breakers = Breakers(SETTINGS)
    fail(breakers, ONE, error(), times=3)
    assert breakers.admit(ONE, 0.0) is None
    assert breakers.admit(TWO, 0.0) is not None


@pytest.mark.parametrize("status", [401, 402])
def test_an_error_for_a_name_that_a_client_made_up_takes_the_service_from_no_one(status: int) -> None:
    breakers = Breakers(SETTINGS)
    breakers.keep(["one", "service"])
    made_up = A("made-up")
    fail(breakers, made_up, error(Retry.SETUP, status))
    assert breakers.admit(made_up, 0.0) is None
    assert breakers.admit(A("another made-up one"), 0.0) is not None
    assert breakers.admit(ONE, 0.0) is not None

    fail(breakers, ONE, error(Retry.SETUP, status))
    assert breakers.admit(A("another made-up one"), 0.0) is None, "it is the key of the catalog's own model"


def test_a_402_about_one_request_takes_nothing_from_others() -> None:
    breakers = Breakers(SETTINGS)
    fail(breakers, ONE, error(Retry.CALLER, 402, kind="caller"), times=9)
    assert breakers.admit(ONE, 0.0) is not None
    assert breakers.admit(TWO, 0.0) is not None


def test_a_host_that_cannot_be_reached_is_left_by_all_its_models() -> None:
    breakers = Breakers(SETTINGS)
    fail(breakers, ONE, error(status=None), times=2)
    fail(breakers, TWO, error(status=None))
    assert breakers.admit(ONE, 0.0) is None
    assert breakers.admit(TWO, 0.0) is None


def test_after_a_dead_host_one_probe_passes_for_all_its_models() -> None:
    breakers = Breakers(SETTINGS)
    fail(breakers, ONE, error(status=None), times=3)
    later = 6.0
    passed = [each for each in (breakers.admit(TWO, later), breakers.admit(ONE, later)) if each]
    assert len(passed) == 1
    passed[0].succeeded(later)
    assert breakers.admit(TWO, later) is not None


@pytest.mark.parametrize("kind", ["caller", "policy"])
def test_errors_of_the_callers_making_are_neutral(kind: ErrorKind) -> None:
    breakers = Breakers(SETTINGS)
    fail(breakers, ONE, error(Retry.CALLER, 400, kind=kind), times=50)
    assert breakers.unavailable(ONE, 0.0) is None


def test_a_400_does_not_close_a_half_open_breaker() -> None:
    breakers = Breakers(SETTINGS)
    fail(breakers, ONE, error(), times=3)
    admitted(breakers, ONE, 6.0).failed(error(Retry.CALLER, 400, kind="caller"), 6.0)
    assert breakers.states(6.0) == {"one": "half_open"}


def test_a_wrong_key_marks_every_model_of_the_service_with_the_reason() -> None:
    breakers = Breakers(SETTINGS)
    fail(breakers, ONE, error(Retry.SETUP, 401))
    found = breakers.unavailable(TWO, 599.0)
    assert found is not None
    assert found.state == "misconfigured"
    assert found.seconds is None
    assert found.reason == "x: HTTP 401", "without the provider's own words"


def test_another_key_or_address_is_another_target() -> None:
    breakers = Breakers(SETTINGS)
    fail(breakers, ONE, error(Retry.SETUP, 401))
    assert breakers.admit(A("one with another key", "service with another key"), 0.0) is not None


def test_a_model_that_the_provider_does_not_have_marks_itself_alone() -> None:
    breakers = Breakers(SETTINGS)
    fail(breakers, ONE, error(Retry.SETUP, 404))
    assert breakers.admit(ONE, 599.0) is None
    assert breakers.admit(TWO, 0.0) is not None


def test_one_403_or_404_that_may_be_the_requests_fault_takes_no_model_from_the_others() -> None:
    breakers = Breakers(SETTINGS)
    doubtful = error(Retry.SETUP, 404, kind="caller")
    for _ in range(5):
        fail(breakers, ONE, doubtful)
        fail(breakers, ONE, error())  # an outage between them proves nothing about the setup
        admitted(breakers, ONE, 0.0).succeeded(0.0)
        fail(breakers, ONE, doubtful)
        admitted(breakers, ONE, 0.0).first_token(0.0)
    assert breakers.states(0.0) == {}
    fail(breakers, ONE, doubtful)
    fail(breakers, TWO, doubtful)
    assert breakers.states(0.0) == {}, "other targets have doubts of their own"
    fail(breakers, ONE, doubtful)
    assert breakers.states(0.0) == {"one": "misconfigured"}


def test_a_caller_alone_takes_no_model_from_the_others_by_wrong_requests() -> None:
    breakers = Breakers(SETTINGS)
    doubtful = error(Retry.SETUP, 404, kind="caller")
    for _ in range(50):
        admitted(breakers, ONE, 0.0).failed(doubtful, 0.0, "a")
    assert breakers.states(0.0) == {}
    admitted(breakers, ONE, 0.0).failed(doubtful, 0.0, "b")
    assert breakers.states(0.0) == {"one": "misconfigured"}, "another caller has the same"
    later = 600.0
    admitted(breakers, ONE, later).failed(doubtful, later, "b")
    assert breakers.admit(ONE, later + 599.0) is None, "a probe with the same error keeps it so"


def test_wrong_requests_of_two_callers_that_are_hours_apart_mark_no_model() -> None:
    breakers = Breakers(SETTINGS)
    doubtful = error(Retry.SETUP, 404, kind="caller")
    for now, caller in ((0.0, "a"), (3600.0, "b"), (7200.0, "a")):
        admitted(breakers, ONE, now).failed(doubtful, now, caller)
        assert breakers.states(now) == {}
    admitted(breakers, ONE, 7300.0).failed(doubtful, 7300.0, "b")
    assert breakers.states(7300.0) == {"one": "misconfigured"}


def test_a_probe_with_the_same_doubtful_error_keeps_the_target_marked() -> None:
    breakers = Breakers(SETTINGS)
    doubtful = error(Retry.SETUP, 403, kind="caller")
    fail(breakers, ONE, doubtful, times=2)
    probe = admitted(breakers, ONE, 600.0)
    assert probe.rechecks, "its request goes on to the next target"
    probe.failed(doubtful, 600.0)
    assert breakers.admit(ONE, 1199.0) is None


def test_retry_after_of_429_and_503_is_a_wait_of_the_target() -> None:
    breakers = Breakers(SETTINGS)
    fail(breakers, ONE, error(status=429, retry_after=7.0))
    fail(breakers, TWO, error(status=503, retry_after=3.0))
    assert breakers.soonest([ONE, TWO], 1.0) == pytest.approx(2.0)
    assert breakers.soonest([ONE], 8.0) == 0.0


def test_changes_are_reported_once_each() -> None:
    changes: list[BreakerChange] = []
    breakers = Breakers(SETTINGS, on_change=changes.append)
    fail(breakers, ONE, error(), times=3)
    admitted(breakers, ONE, 6.0).succeeded(6.0)
    assert [(each.key, each.state) for each in changes] == [("one", "open"), ("one", "closed")]
    assert changes[0].seconds == pytest.approx(5.0)
    assert breakers.changes == 2


def test_a_hint_of_another_replica_lowers_confidence_and_closes_nothing() -> None:
    breakers = Breakers(SETTINGS)
    breakers.hint("one", 0.0, 30.0)
    assert breakers.unavailable(ONE, 0.0) is None
    fail(breakers, ONE, error(), times=2)
    assert breakers.unavailable(ONE, 0.0) is not None


def test_a_probe_is_left_to_another_replica_where_the_fleet_says_so() -> None:
    asked: list[str] = []

    def may_probe(key: str) -> bool:
        asked.append(key)
        return len(asked) > 1

    breakers = Breakers(SETTINGS, may_probe=may_probe)
    fail(breakers, ONE, error(), times=3)
    assert breakers.admit(ONE, 6.0) is None
    assert breakers.admit(ONE, 6.0) is not None
    assert asked == ["one", "one"]


def test_the_number_of_breakers_is_bounded_and_open_ones_stay() -> None:
    breakers = Breakers(SETTINGS, most=20)
    fail(breakers, ONE, error(), times=3)
    for number in range(1000):
        target = A(f"invented-{number}")
        admitted(breakers, target, 0.0).succeeded(0.0)
    assert breakers.unavailable(ONE, 0.0) is not None
    assert breakers.count <= 20


def test_breakers_of_targets_that_have_gone_are_dropped() -> None:
    breakers = Breakers(SETTINGS)
    fail(breakers, ONE, error(), times=3)
    breakers.keep({"two", "service"})
    assert breakers.states(0.0) == {}
    assert breakers.count == 1


def test_a_check_that_passes_again_lets_a_misconfigured_target_be_probed() -> None:
    breakers = Breakers(SETTINGS)
    fail(breakers, ONE, error(Retry.SETUP, 401))
    breakers.clear("one", 1.0, 1.0)
    breakers.clear("service", 1.0, 1.0)
    assert admitted(breakers, ONE, 1.0).rechecks
    assert breakers.admit(ONE, 1.0) is None, "one probe: the check says nothing of the key"


def test_own_evidence_weighs_more_than_a_hint() -> None:
    breakers = Breakers(SETTINGS)
    admitted(breakers, ONE, 0.0).succeeded(0.0)
    breakers.hint("one", 1.0, 30.0)
    assert not breakers.suspected(ONE, 1.0), "a success within the window before the hint"
    breakers.hint("one", 100.0, 30.0)
    assert breakers.suspected(ONE, 100.0)
    admitted(breakers, ONE, 101.0).succeeded(101.0)
    assert not breakers.suspected(ONE, 101.0), "a success after the hint"
    breakers.hint("one", 200.0, 600.0, age=150.0)
    assert not breakers.suspected(ONE, 200.0), "it was reported before this replica's own success"
    breakers.hint("one", 300.0, 30.0)
    breakers.unhint("one")
    assert not breakers.suspected(ONE, 300.0)


def test_a_check_that_passes_again_closes_the_breaker_and_keeps_a_wait_that_the_provider_asked_for() -> None:
    changes: list[BreakerChange] = []
    breakers = Breakers(SETTINGS, on_change=changes.append)
    fail(breakers, ONE, error(), now=1.0, times=3)
    breakers.clear("one", 1.1, since=0.9)
    assert breakers.unavailable(ONE, 1.1) is not None, "the check was made before the breaker opened"
    breakers.clear("one", 2.0, since=1.0)
    assert breakers.states(2.0) == {}
    assert [change.state for change in changes] == ["open", "closed"], "other replicas learn it"
    fail(breakers, ONE, error(status=429, retry_after=60.0), now=2.0)
    breakers.clear("one", 2.0, since=2.0)
    assert breakers.unavailable(ONE, 2.0) is not None
