"""Calls are drawn by seed; their shares and times are those of the world; changes hold from now on."""

import pytest

from centralcloud.contracts import SettingsError
from instance_agent.simulation.behaviour import Behaviour, Draw
from instance_agent.simulation.world import built_in_world, read_world

ONE = """
models:
  - name: m
    provider: p
    scores: [3, 3, 3]
    success_rates: [0.9, 0.5, 0.1]
    latency_ms: [100, 200, 400]
    price: [1, 2]
providers:
  - name: p
    error_rate: 0.1
    hang_rate: 0.05
"""


def one(seed: int = 1, **fields: float) -> Behaviour:
    return Behaviour(read_world(ONE, "test"), seed=seed, **fields)


def draws(behaviour: Behaviour, count: int = 4000, complexity: str = "simple", model: str = "m") -> list[Draw]:
    return [behaviour.draw(model, complexity, now=float(n)) for n in range(count)]


def test_the_same_seed_draws_the_same_whatever_other_models_do() -> None:
    alone = Behaviour(built_in_world(), seed=7)
    beside = Behaviour(built_in_world(), seed=7)
    draws(beside, 50, model="cirrus-mini")
    assert draws(alone, 50, model="ember-reason") == draws(beside, 50, model="ember-reason")
    assert draws(one(1), 50) != draws(one(2), 50)


def test_the_shares_and_times_are_those_of_the_world() -> None:
    found = draws(one())
    answered = [each for each in found if each.fault is None]
    assert sum(each.fault == "error" for each in found) / len(found) == pytest.approx(0.1, abs=0.02)
    assert sum(each.fault == "hang" for each in found) / len(found) == pytest.approx(0.05, abs=0.015)
    assert sum(each.right for each in answered) / len(answered) == pytest.approx(0.9, abs=0.02)
    assert sum(each.total_seconds for each in found) / len(found) == pytest.approx(0.1, rel=0.05)
    assert all(0 < each.first_token_seconds < each.total_seconds for each in found)


def test_complexities_have_their_own_success_rate_and_time() -> None:
    found = draws(one(), complexity="complex")
    assert sum(each.right for each in found) / len(found) == pytest.approx(0.1, abs=0.02)
    assert sum(each.total_seconds for each in found) / len(found) == pytest.approx(0.4, rel=0.05)


def test_a_model_degrades_at_one_complexity_and_is_as_before_after_a_reset() -> None:
    behaviour = one()
    behaviour.change_model("m", complexity="simple", success_rate=0.0)
    assert not any(each.right for each in draws(behaviour, 200))
    assert behaviour.success_rate("m", "medium") == 0.5
    behaviour.reset()
    assert behaviour.success_rate("m", "simple") == 0.9


def test_a_change_of_one_share_leaves_the_other_draws_alone() -> None:
    changed, same = one(), one()
    changed.change_model("m", latency_factor=3.0)
    for slow, usual in zip(draws(changed, 100), draws(same, 100), strict=True):
        assert slow.right == usual.right
        assert slow.total_seconds == pytest.approx(3 * usual.total_seconds)


def test_requests_above_the_limit_are_refused_until_there_is_room() -> None:
    behaviour = one()
    behaviour.change_provider("p", error_rate=0.0, hang_rate=0.0, requests_per_second=2.0)
    assert [behaviour.draw("m", "simple", 10.0).fault for _ in range(3)] == [None, None, "rate_limited"]
    refused = behaviour.draw("m", "simple", 10.0)
    assert refused.retry_after == pytest.approx(0.5)
    assert behaviour.draw("m", "simple", 10.0 + refused.retry_after).fault is None


def test_an_invalid_world_is_refused_with_its_place() -> None:
    with pytest.raises(SettingsError, match=r"^w: .*success_rates"):
        read_world(ONE.replace("0.9, 0.5, 0.1", "1.9, 0.5, 0.1"), "w")
    with pytest.raises(SettingsError, match="has the provider 'q'"):
        read_world(ONE.replace("provider: p", "provider: q"), "w")
    with pytest.raises(SettingsError, match=r"^w: "):
        read_world("models: [", "w")


def test_in_the_built_in_world_one_model_leads_at_each_complexity() -> None:
    models = built_in_world().models
    for place in range(3):
        rates = sorted((model.success_rates[place] for model in models), reverse=True)
        assert rates[0] > 0.95 > rates[1]
