"""Session affinity, and the explanation of a plan."""

import hashlib
import json

import pytest
from support.planning import a_planner, estimated, model, names, request, snapshot

from instance_agent.routing.affinity import SessionMemory, session_key
from instance_agent.routing.explanation import MAX_EXPLANATION_BYTES
from instance_agent.routing.request import HealthView
from instance_agent.routing.task import estimate_tokens


def test_the_second_turn_stays_with_its_model() -> None:
    known, planner = snapshot(model("a", 4.0), model("b", 3.8)), a_planner()
    asked = request(session=session_key("w", "s"), input_tokens=1000)
    assert planner.plan(asked, known).affinity is None
    planner.sessions.record(asked.session, "b", 900)
    plan = planner.plan(asked, known)
    assert (names(plan), plan.kind, plan.affinity, plan.propensity) == (["b", "a"], "session", "kept", None)
    assert "it answered the last turn" in plan.text()
    assert names(planner.plan(request(session=session_key("w", "t")), known))[0] == "a", "another session is new"
    assert names(planner.plan(request(session=session_key("v", "s")), known))[0] == "a", "and another workspace"


@pytest.mark.parametrize(
    ("kept", "cached", "affinity"),
    [(3.51, 1000, "kept"), (3.49, 1000, "left_for_better"), (3.9, 100, "left_for_better"), (3.96, 100, "kept")],
)
def test_a_session_leaves_its_model_when_the_gain_exceeds_the_loss_of_its_prompt_cache(
    kept: float, cached: int, affinity: str
) -> None:
    known, planner = snapshot(model("a", 4.0), model("b", kept)), a_planner()
    planner.sessions.record("s", "b", cached)
    plan = planner.plan(request(session="s", input_tokens=1000), known)
    assert plan.affinity == affinity
    assert names(plan)[0] == ("b" if affinity == "kept" else "a")


def test_a_session_leaves_a_model_that_cannot_be_used() -> None:
    known, planner = snapshot(model("a"), model("b", 2.9)), a_planner()
    planner.sessions.record("s", "b", 1000)
    plan = planner.plan(request(session="s"), known, HealthView(breaker_open=frozenset({"b@p"})))
    assert (names(plan), plan.affinity, plan.kind) == (["a"], "left_struck", "best")


def test_the_memory_of_sessions_is_bounded_and_forgets_the_oldest() -> None:
    memory = SessionMemory(limit=3)
    for name in "abc":
        memory.record(name, "m", 1)
    assert memory.get("a") is not None
    memory.record("d", "m", 1)
    assert (len(memory), memory.get("b"), memory.get("a") is not None) == (3, None, True)


def test_a_session_key_is_that_of_events() -> None:
    assert session_key("w", "s") == hashlib.sha256(b"w\ns").hexdigest()[:16]
    assert len(session_key("", "\ud800")) == 16
    assert session_key("a\nb", "c") != session_key("a", "bc")


def test_the_explanation_is_json_of_at_most_2_kb_whatever_the_names() -> None:
    models = [model("é" * 400 + str(n), 3.0 + n / 1000) for n in range(60)]
    models += [model("x" * 500 + str(n), status="inactive") for n in range(60)]
    plan = a_planner().plan(request(), snapshot(*models, aliases={"ü" * 200: "auto"}))
    text = plan.explanation()
    assert len(text) <= MAX_EXPLANATION_BYTES
    found = json.loads(text)
    assert len(found["targets"]) + found["targets_left_out"] == 60
    assert len(found.get("struck", [])) + found["struck_left_out"] == 60
    assert len(plan.text().splitlines()) > 120


def test_an_explanation_uses_its_room_and_each_list_what_the_other_does_not_need() -> None:
    models = [model(f"model-{n}", 3.0 + n / 1000) for n in range(60)]
    planner, alone = a_planner(), snapshot(*models)
    whole = planner.plan(request(), alone).explanation()
    both = planner.plan(
        request(), snapshot(*models, *[model(f"x{n}", status="inactive") for n in range(60)])
    ).explanation()
    for text in (whole, both):
        assert MAX_EXPLANATION_BYTES - 200 < len(text) <= MAX_EXPLANATION_BYTES
    shown = json.loads(both)
    assert len(json.loads(whole)["targets"]) > len(shown["targets"]) > 5
    assert len(shown["struck"]) > 5
    assert planner.plan(request(), alone).explanation() == planner.plan(request(), alone).explanation()


def test_the_explanation_of_a_small_plan_is_complete() -> None:
    known = snapshot(model("a", 4.0), model("b"), model("c", status="inactive"), learned=estimated(a=0.9))
    found = json.loads(a_planner().plan(request(8), known).explanation())
    assert found["task"] == {
        "type": None,
        "level": "complex",
        "complexity": 8,
        "from": ["default", "header"],
        "confidence": None,
    }
    assert [each["model"] for each in found["targets"]] == ["a", "b"]
    assert found["struck"] == [{"target": "c@p", "reason": "inactive"}]
    assert (found["kind"], found["score_version"], found["method"]) == ("best", 9, "thompson")


def test_tokens_are_estimated_from_characters_and_images() -> None:
    assert (estimate_tokens(0), estimate_tokens(3_500), estimate_tokens(0, images=2)) == (0, 1_000, 2_200)
