"""The shadow rules beside the active one."""

from centralcloud.dashboard.pages.rule_comparison import compare, places
from centralcloud.dashboard.sources.rules import RuleScore


def a_score(rule: str, model: str, score: float, complexity: str = "simple") -> RuleScore:
    return RuleScore(rule, model, complexity, score, 100, 0.9, None, None, None)


def test_rules_that_order_the_models_alike_agree() -> None:
    rows = [a_score("adaptive", "a", 4.5), a_score("adaptive", "b", 3.0), a_score("threshold", "a", 5.0)]
    (comparison,) = compare([*rows, a_score("threshold", "b", 1.0)], "adaptive", {}, {}).comparisons
    assert comparison.differing == ()
    assert comparison.rows == ()
    assert comparison.compared == 2
    assert [(choice.active, choice.same) for choice in comparison.choices] == [("a", True)]


def test_another_leader_is_said_with_both_places_and_scores() -> None:
    rows = [a_score("adaptive", "a", 4.5), a_score("adaptive", "b", 3.0), a_score("threshold", "a", 1.0)]
    (comparison,) = compare([*rows, a_score("threshold", "b", 5.0)], "adaptive", {}, {}).comparisons
    assert comparison.differing == ("simple",)
    assert {(row.model, row.active_place, row.other_place) for row in comparison.rows} == {
        ("a", "1", "2"),
        ("b", "2", "1"),
    }
    assert next(row for row in comparison.rows if row.model == "a").other_score == 1.0


def test_a_tie_of_the_shadow_rule_is_the_same_choice_where_the_leader_is_in_it() -> None:
    rows = [a_score("adaptive", "a", 4.5), a_score("adaptive", "b", 3.0), a_score("threshold", "a", 5.0)]
    (comparison,) = compare([*rows, a_score("threshold", "b", 5.0)], "adaptive", {}, {}).comparisons
    assert comparison.differing == ()
    assert comparison.rows == (), "a tie says nothing about the order"
    assert comparison.choices[0].other == "a, b"


def test_pairs_that_only_one_rule_has_scored_are_not_compared() -> None:
    rows = [a_score("adaptive", "a", 4.5), a_score("adaptive", "b", 5.0), a_score("threshold", "a", 5.0)]
    (comparison,) = compare(rows, "adaptive", {}, {}).comparisons
    assert comparison.compared == 1
    assert comparison.choices[0].active == "a"


def test_without_scores_of_the_active_rule_nothing_is_compared() -> None:
    assert compare([a_score("threshold", "a", 5.0)], "adaptive", {}, {}).comparisons == ()
    assert compare([], None, {}, {}).comparisons == ()


def test_places_of_a_tie_span_it() -> None:
    assert places({"a": 5.0, "b": 5.0, "c": 1.0}) == {"a": (1, 2), "b": (1, 2), "c": (3, 3)}
