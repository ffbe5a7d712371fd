"""Plans by priority, where the learned scores say that a model has clearly fallen."""

import pytest
from support.planning import a_planner, learned, names, snapshot
from support.routing_rules import MODELS, compiled, plan, policy

from instance_agent.routing.plan_json import plan_as_json
from instance_agent.routing.request import RoutingRequest


@pytest.mark.parametrize(
    ("scores", "order", "codes"),
    [
        ({"a": (0.6, 200), "b": (0.9, 200)}, "bca", ["fallen"]),
        ({"a": (0.6, 6), "b": (0.9, 6)}, "abc", []),
        ({"a": (0.84, 5000), "b": (0.9, 5000)}, "abc", []),
        ({"a": (0.3, 100)}, "bca", ["failing"]),
        ({"a": (0.3, 100), "b": (0.35, 100), "c": (0.32, 100)}, "abc", ["failing"] * 3),
        ({"a": 2.0, "b": 3.0}, "bca", ["fallen"]),
        ({"a": 2.1, "b": 3.0}, "abc", []),
        ({"a": 2.0, "b": (0.9, 200)}, "abc", []),
        ({}, "abc", []),
    ],
)
def test_a_model_that_has_clearly_fallen_is_tried_last(scores: dict, order: str, codes: list[str]) -> None:
    known = snapshot(*MODELS, learned=learned(**scores))
    found = plan(compiled(known, policies=[policy("p", "a", "b", "c")]), RoutingRequest(model="policy:p"), known)
    # The classifier is not asked: the level is medium.
    assert ("".join(names(found)), [each.code for each in found.demoted]) == (order, codes)


def test_a_demotion_is_shown_with_its_numbers_and_ends_with_the_next_scores() -> None:
    known = snapshot(*MODELS, learned=learned(a=(0.6, 200), b=(0.9, 200)))
    rules, planner = compiled(known, policies=[policy("p", "a", "b")]), a_planner()
    asked = RoutingRequest(model="policy:p")
    found = planner.plan(asked, known, rules=rules)
    assert "demoted: a: it succeeds in 60% of these tasks (at most 66%), b in 90% (at least 87%)" in found.text()
    assert plan_as_json(found, None)["demoted"][0]["code"] == "fallen"
    assert b'"demoted":[{"model":"a","reason":"it succeeds in 60%' in found.explanation()
    promoted = "tried before a, which is demoted"
    assert f'"promoted":[{{"model":"b","reason":"{promoted}"}}]'.encode() in found.explanation()
    assert plan_as_json(found, None)["promoted"] == [{"modelId": "b", "reason": promoted}]
    (standing,) = rules.standings(known.learned)
    assert (standing.policy, standing.level, standing.order) == ("p", "medium", ("b", "a"))
    assert (standing.demoted, standing.promoted) == (found.demoted, found.promoted)
    risen = known._replace(learned=learned(a=(0.85, 400), b=(0.9, 200)))
    assert rules.standings(risen.learned) == []
    assert names(planner.plan(asked, risen, rules=rules)) == ["a", "b"]
    learned_order = compiled(known, policies=[policy("p", "a", "b", order="learned")])
    assert learned_order.standings(known.learned) == [], "its order is that of the scores"
