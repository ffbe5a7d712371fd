"""The choices that a rule in the shadow would make otherwise, and their share of the traffic."""

from centralcloud.monitoring.rule_choices import compare_choices, in_words

ACTIVE = {("a", "simple"): 5.0, ("b", "simple"): 4.0, ("a", "complex"): 3.0, ("b", "complex"): 2.0}
DECISIONS = {"simple": 300, "medium": 100, "complex": 100}


def test_a_rule_with_other_leaders_names_them_and_their_share_of_the_traffic() -> None:
    other = {("a", "simple"): 4.9, ("b", "simple"): 4.1, ("a", "complex"): 1.0, ("b", "complex"): 3.5}
    shadow = compare_choices("adaptive", ACTIVE, other, DECISIONS)
    assert [(each.complexity, each.active, each.others, each.same) for each in shadow.choices] == [
        ("simple", "a", ("a",), True),
        ("complex", "a", ("b",), False),
    ]
    assert shadow.traffic_share == 0.2
    assert in_words(shadow) == "adaptive would choose otherwise for 20.0% of traffic: b, not a (complex)"


def test_a_tie_that_holds_the_leader_is_the_same_choice() -> None:
    other = dict.fromkeys(ACTIVE, 5.0)
    shadow = compare_choices("threshold", ACTIVE, other, DECISIONS)
    assert (shadow.differing, shadow.traffic_share) == ((), 0.0)
    assert in_words(shadow) == "threshold would choose the same models"


def test_models_that_one_rule_has_not_scored_are_not_compared() -> None:
    shadow = compare_choices("adaptive", ACTIVE, {("b", "complex"): 1.0, ("c", "simple"): 5.0}, DECISIONS)
    assert [(each.complexity, each.active, each.others) for each in shadow.choices] == [("complex", "b", ("b",))]


def test_without_decisions_the_share_is_not_known() -> None:
    other = {("a", "simple"): 1.0, ("b", "simple"): 2.0}
    shadow = compare_choices("adaptive", ACTIVE, other, {})
    assert shadow.traffic_share is None
    assert in_words(shadow) == "adaptive would choose otherwise: b, not a (simple)"
