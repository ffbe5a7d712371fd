"""Targets that are ready to be called, the calls of a plan, and the health view that plans are made by."""

import random

import pytest
from support.planning import model, request, snapshot

from instance_agent.catalog.catalog import CatalogSnapshot
from instance_agent.catalog.configuration import CatalogConfiguration, Target, build_configuration
from instance_agent.catalog.key_reader import KeyReader
from instance_agent.catalog.learned_scores import LearnedScores
from instance_agent.catalog.model import Endpoint, Model, Pricing, TimeLimits
from instance_agent.catalog.provider import Provider
from instance_agent.execution.breakers import Breakers
from instance_agent.execution.circuit_breaker import BreakerSettings
from instance_agent.execution.errors import ExecutionError
from instance_agent.execution.plan_calls import plan_calls
from instance_agent.execution.target_health import TargetHealth
from instance_agent.execution.targets import CallTarget, CallTargets, merged_limits
from instance_agent.providers.errors import ProviderError, Retry
from instance_agent.providers.upstream import Limits
from instance_agent.routing.planner import Planner
from instance_agent.routing.request import HealthView

KEY = "sk-secret-0123456789"


def configured(*models: Model, dialect: str = "openai", key: str = KEY) -> CatalogConfiguration:
    provider = Provider(provider="p", dialect=dialect, base_url="http://h/v1", api_key="env:P_KEY")
    return build_configuration(models, [provider], keys=KeyReader({"P_KEY": key}))


def ready(configuration: CatalogConfiguration, name: str = "m") -> CallTarget:
    return CallTargets(configuration).ready(configuration.targets_of(name)[0])


def failed(status: int = 500) -> ProviderError:
    return ProviderError("p: x", provider="p", error_kind="provider", retry=Retry.REFUSED, upstream_status=status)


def test_limits_are_those_of_the_model_then_of_the_provider_then_of_the_gateway() -> None:
    found = merged_limits(
        Limits(connect=1, first_byte=2, idle=3, total=None),
        TimeLimits(first_byte_seconds=20, idle_seconds=30),
        TimeLimits(idle_seconds=300, total_seconds=3000),
    )
    assert (found.connect, found.first_byte, found.idle, found.total) == (1, 20, 300, 3000)


def test_a_whole_answer_is_waited_for_as_long_as_the_call_may_take_unless_a_limit_is_set() -> None:
    found = ready(configured(model("m")))
    assert found.upstream.limits == Limits()
    assert found.whole_upstream.limits.first_byte == Limits().total
    limited = ready(configured(model("m", time_limits=TimeLimits(first_byte_seconds=5))))
    assert limited.upstream.limits.first_byte == limited.whole_upstream.limits.first_byte == 5


def test_another_key_or_address_gives_another_breaker_and_no_key_is_shown() -> None:
    same, again = ready(configured(model("m"))), ready(configured(model("m")))
    assert same.breaker_key == again.breaker_key
    other_key = ready(configured(model("m"), key="sk-another-0123456789"))
    other_address = ready(configured(model("m", endpoints=[Endpoint(url="http://other/v1")])))
    assert len({each.breaker_key for each in (same, other_key, other_address)}) == 3
    assert len({each.service_key for each in (same, other_key, other_address)}) == 3
    assert KEY not in repr(same.upstream) + same.breaker_key + same.service_key


def test_two_models_of_a_provider_share_its_service() -> None:
    configuration = configured(model("m"), model("n"))
    one, two = ready(configuration, "m"), ready(configuration, "n")
    assert one.service_key == two.service_key
    assert one.breaker_key != two.breaker_key


def test_prices_of_the_catalog_come_before_list_prices() -> None:
    own = ready(configured(model("m", pricing=Pricing(input=1.5, output=3))))
    assert own.prices is not None
    assert (own.prices.input, own.prices.output, own.prices.source) == (1_500_000_000, 3_000_000_000, "catalog")
    assert ready(configured(model("m"))).prices is None


def test_a_target_is_made_once_for_each_state_of_the_catalog() -> None:
    configuration = configured(model("m"))
    targets = CallTargets(configuration)
    (target,) = configuration.targets_of("m")
    assert targets.ready(target) is targets.ready(target)
    invented = [configuration.targets_of("p/invented")[0] for _ in range(2)]
    assert targets.ready(invented[0]) is targets.ready(invented[1]), "a name that a client invents"


def test_a_dialect_that_is_not_installed_is_an_error_of_its_targets_alone() -> None:
    configuration = configured(model("m"), dialect="unheard-of")
    with pytest.raises(ProviderError, match="expected one of"):
        ready(configuration)


def test_the_calls_of_a_plan_have_its_order_and_the_propensity_of_the_first() -> None:
    known = snapshot(model("a", 5.0), model("b", 3.0), model("c", 1.0))
    assert known.configuration is not None
    plan = Planner(rng=random.Random(1)).plan(request(), known)
    calls = plan_calls(plan, CallTargets(known.configuration))
    assert [call.target.key for call in calls] == [planned.target.key for planned in plan.targets]
    assert [call.propensity for call in calls] == [plan.propensity, None, None]
    assert [call.score for call in calls] == [5.0, 3.0, 1.0]


def test_the_calls_of_a_plan_are_made_when_they_are_reached() -> None:
    known = snapshot(*(model(f"m{number}", 3.0) for number in range(6)), model("z", 1.0))
    assert known.configuration is not None
    plan = Planner(rng=random.Random(1)).plan(request(), known)
    targets, made = CallTargets(known.configuration), []

    class Counting(CallTargets):
        def ready(self, target: Target) -> CallTarget:
            made.append(target.key)
            return targets.ready(target)

    calls = plan_calls(plan, Counting(build_configuration(())))
    assert (len(made), calls[0].target.key) == (1, plan.first.target.key)
    assert next(iter(calls)) is calls[0]
    assert calls[2].target.key == plan.targets[2].target.key
    assert len(made) == 3
    assert (len(calls), len(made), calls[-1].target.key, len(calls[1:])) == (7, 7, "z@p", 6)
    with pytest.raises(IndexError):
        calls[7]


def test_a_plan_without_a_target_that_can_be_called_is_an_error_with_the_reason() -> None:
    configuration = configured(model("m", 3.0), dialect="unheard-of")
    known = CatalogSnapshot(configuration.models, LearnedScores(), configuration)
    plan = Planner().plan(request(), known)
    with pytest.raises(ExecutionError, match="unheard-of") as caught:
        plan_calls(plan, CallTargets(configuration))
    assert caught.value.status == 503


def test_plans_leave_out_open_breakers_until_they_are_half_open() -> None:
    configuration = configured(model("a", 5.0), model("b", 3.0))
    known = CatalogSnapshot(configuration.models, LearnedScores(), configuration)
    targets = CallTargets(configuration)
    breakers = Breakers(BreakerSettings(consecutive_failures=1, open_seconds=10, jitter=0))
    health, planner = TargetHealth(breakers), Planner(rng=random.Random(1))

    def first(now: float) -> str:
        return planner.plan(request(), known, health.view(targets, now)).first.target.key

    assert first(0.0) == "a@p"
    permit = breakers.admit(ready(configuration, "a"), 0.0)
    assert permit is not None
    permit.failed(failed(), 0.0)
    assert first(0.0) == "b@p"
    assert first(9.9) == "b@p"
    assert first(10.0) == "a@p", "one request is to probe it"
    probe = breakers.admit(ready(configuration, "a"), 10.0)
    assert probe is not None
    probe.succeeded(10.0)
    assert first(10.0) == "a@p"


def test_the_view_is_the_same_one_until_something_changes() -> None:
    configuration = configured(model("a", 5.0))
    targets, breakers = CallTargets(configuration), Breakers(BreakerSettings(consecutive_failures=1, jitter=0))
    health = TargetHealth(breakers)
    view = health.view(targets, 0.0)
    assert health.view(targets, 1e6) is view
    permit = breakers.admit(ready(configuration, "a"), 0.0)
    assert permit is not None
    permit.failed(failed(), 0.0)
    changed = health.view(targets, 0.0)
    assert changed == HealthView(breaker_open=frozenset({"a@p"}))
    assert health.view(targets, 4.9) is changed
    assert health.view(targets, 5.0).breaker_open == frozenset()


def test_breakers_of_an_old_configuration_are_dropped() -> None:
    breakers = Breakers(BreakerSettings(consecutive_failures=1, jitter=0))
    permit = breakers.admit(ready(configured(model("m"))), 0.0)
    assert permit is not None
    permit.failed(failed(), 0.0)
    breakers.keep(CallTargets(configured(model("m"), key="sk-new-0123456789")).breaker_keys())
    assert breakers.states(0.0) == {}


def test_a_posted_report_counts_until_it_expires_or_is_withdrawn() -> None:
    configuration = configured(model("a", 5.0), model("b", 3.0))
    targets, health = CallTargets(configuration), TargetHealth(Breakers())
    known = CatalogSnapshot(configuration.models, LearnedScores(), configuration)
    planner = Planner(rng=random.Random(1))

    def first(now: float) -> str:
        return planner.plan(request(), known, health.view(targets, now)).first.target.key

    assert first(0.0) == "a@p"
    health.post("a", "an operator says so", until=60.0)
    assert first(0.0) == "b@p"
    assert health.view(targets, 59.0).unhealthy == {"a": "an operator says so"}
    assert first(60.0) == "a@p"
    health.post("a@p", "again", until=120.0)
    assert first(61.0) == "b@p"
    health.post("a@p", None)
    assert first(61.0) == "a@p"
