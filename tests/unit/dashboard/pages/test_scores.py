"""The page Scores."""

from datetime import UTC, datetime

from centralcloud.dashboard.pages.estimates import estimate
from centralcloud.dashboard.pages.scores import MOST_MODELS, known, summary
from centralcloud.dashboard.sources.rules import RuleScore
from centralcloud.dashboard.sources.scores import PairScore
from centralcloud.dashboard.sources.traffic import PairTraffic

NOW = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)


def an_estimate(model: str, samples: int = 1000) -> RuleScore:
    return RuleScore("adaptive", model, "simple", 4.0, samples, 0.9, 0.9, 0.8, 0.95)


def a_pair(model: str, *, pinned: bool = False, held: bool = False) -> PairScore:
    return PairScore(model, "simple", 4.0, 1, NOW, "adaptive", 100, 0.9, 0.8, 0.95, pinned, None, held)


def traffic_of(**decisions: int) -> list[PairTraffic]:
    return [PairTraffic(NOW, model, "simple", count, count, 0) for model, count in decisions.items()]


def test_the_answer_names_the_pairs_with_few_outcomes_those_with_traffic_first() -> None:
    estimates = [an_estimate("a"), an_estimate("b", 149), an_estimate("c", 150), an_estimate("d", 3)]
    shown = summary([a_pair(name) for name in "abcd"], estimates, traffic_of(a=5, d=9), "")
    assert (shown.pairs, shown.few) == (4, 2)
    assert [text for text, _ in shown.weak] == ["d for simple tasks", "b for simple tasks"]


def test_pinned_pairs_are_named_and_many_held_ones_are_counted() -> None:
    pairs = [a_pair("a", pinned=True), *(a_pair(f"m{number}", held=True) for number in range(4))]
    assert [each.text for each in summary(pairs, [], [], "").fixed] == [
        "a / simple is pinned",
        "4 pairs are held after a rollback",
    ]


def test_of_a_hundred_models_those_with_most_traffic_are_shown_and_the_rest_is_weighed() -> None:
    names = [f"m{number:03}" for number in range(100)]
    traffic = traffic_of(**{names[99]: 90, names[0]: 10})
    estimates = [an_estimate(name) for name in names]
    shown = known(estimates, traffic, {}, "adaptive")
    assert shown.hidden == 100 - MOST_MODELS
    assert shown.hidden_share == 0.0
    assert "m099 gets 90.0% of the simple tasks, with 90.0%" in str(shown.charts[0].drawing)
    everything = known(estimates, traffic, {"models": "all"}, "adaptive")
    assert [chart.title for chart in everything.charts] == [
        "Models 1 to 40 by traffic",
        "Models 41 to 80 by traffic",
        "Models 81 to 100 by traffic",
    ]


def test_a_filter_takes_a_part_of_a_name_in_any_case() -> None:
    shown = known([an_estimate("vendor/Large"), an_estimate("small")], [], {"model": " LARGE"}, "adaptive")
    assert "vendor/Large" in str(shown.charts[0].drawing)
    assert "small" not in str(shown.charts[0].drawing)
    assert known([an_estimate("small")], [], {"model": "large"}, "adaptive").charts == ()


def test_each_row_leads_to_the_page_of_its_pair() -> None:
    shown = known([an_estimate("a&b")], [], {}, "adaptive")
    assert "/pair?model=a%26b&amp;complexity=simple" in str(shown.charts[0].drawing)


def test_a_rule_without_intervals_gets_the_wilson_interval_of_its_outcomes() -> None:
    rate, low, high = estimate(None, None, None, 0.9, 100)
    assert rate == 0.9
    assert low is not None
    assert high is not None
    assert round(low, 3) == 0.840
    assert round(high, 3) == 0.939
    assert estimate(None, None, None, None, 0) == (None, None, None)
    assert estimate(0.5, 0.4, 0.6, 0.9, 100) == (0.5, 0.4, 0.6), "its own interval comes first"
