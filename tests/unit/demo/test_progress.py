"""The measured course of a demonstration: "at the start" is before learning, and the story is in the order of time."""

import random

import pytest

from centralcloud.demo.fleet import Counters
from centralcloud.demo.progress import Progress
from centralcloud.demo.simulated_models import PAIRS, PRICES, SIMULATED_MODELS, SimulatedModels, catalog
from centralcloud.demo.story import Line, Story, clock


def _counters(tasks: int, successes: int, model: str = "atlas-large") -> Counters:
    choices = dict.fromkeys(PAIRS, 0) | {(model, "simple"): tasks}
    return Counters(tasks, successes, tasks / 100, choices)


def test_the_start_is_the_time_before_learning_began() -> None:
    progress = Progress()
    for second, successes in ((1, 760), (2, 1520)):
        progress.mark(second, _counters(1000 * second, successes), 0.98)
    assert progress.rate_at_start == 0.76
    progress.begin_learning()
    for second, successes in ((3, 2500), (4, 3480)):
        progress.mark(second, _counters(1000 * second, successes), 0.98)
    assert progress.rate_at_start == 0.76
    assert progress.recent_rate == 0.98
    assert progress.recent_seconds == 2
    assert progress.cost_at_start == progress.recent_cost == 10.0
    assert [round(point.rate, 3) for point in progress.points] == [0.76, 0.76, 0.98, 0.98]


def test_nothing_is_known_before_the_first_task() -> None:
    progress = Progress()
    progress.mark(0.0, _counters(0, 0), 0.98)
    assert (progress.rate_at_start, progress.recent_rate, progress.recent_cost, progress.points) == (
        None,
        None,
        None,
        [],
    )
    assert progress.leaders() == {}
    assert set(progress.shares().values()) == {0.0}


def test_a_leader_is_new_when_it_has_led_twice() -> None:
    story = Story()
    old, new = "borealis-pro", "cirrus-mini"
    for second, model in enumerate((old, old, "dune-code", old, new, new)):
        story.follow_leaders(second, {"simple": model})
    assert story.lines == [Line(5, "simple tasks now go to cirrus-mini, no longer to borealis-pro")]


def test_the_story_is_in_the_order_of_time() -> None:
    story = Story()
    for seconds in (1.0, 3.0, 2.5, 4.0):
        story.add(seconds, "something")
    assert [line.seconds for line in story.lines] == [1.0, 3.0, 3.0, 4.0]
    assert [clock(seconds) for seconds in (0, 59.9, 61, 3600)] == ["0:00", "0:59", "1:01", "60:00"]


def test_an_answer_costs_its_tokens() -> None:
    rng = random.Random(1)
    for model in SIMULATED_MODELS:
        answer = SimulatedModels().call(model, "complex", rng)
        price = PRICES[model]
        expected = (answer.input_tokens * price.input + answer.output_tokens * price.output) / 1_000_000
        assert answer.cost_usd == pytest.approx(expected, abs=1e-8)
        assert answer.cost_usd > 0


def test_the_same_seed_gives_the_same_answers() -> None:
    runs = [[SimulatedModels().call("dune-code", "medium", random.Random(7)) for _ in range(3)] for _ in range(2)]
    assert runs[0] == runs[1]


def test_the_catalog_has_a_price_for_every_model() -> None:
    assert {model.name for model in catalog() if model.pricing} == set(SIMULATED_MODELS)
