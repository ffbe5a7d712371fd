"""The task of a request: which source counts, and the level that a complexity stands for."""

import json
from typing import Any

import pytest
from support.classifiers import a_classifier
from support.planning import a_planner, model, names, request, snapshot

from instance_agent.catalog.catalog import CatalogSnapshot
from instance_agent.catalog.learned_scores import LearnedScores
from instance_agent.catalog.source import CatalogSource
from instance_agent.routing.plan_json import plan_as_json
from instance_agent.routing.request import RoutingRequest
from instance_agent.routing.router import RoutingError
from instance_agent.routing.task import (
    NO_HINTS,
    TaskHints,
    hints_from_headers,
    hints_from_metadata,
    request_type_from_metadata,
    resolve_task,
    tags_from,
)

LOCAL = {"lm_studio": frozenset({"qwen/qwen3-30b-a3b-2507"})}


@pytest.mark.parametrize(
    ("complexity", "level", "first"),
    [
        (1, "simple", "local"), (2, "simple", "local"), (3, "simple", "local"),
        (4, "medium", "middle"), (5, "medium", "middle"), (6, "medium", "middle"),
        (7, "complex", "strong"), (8, "complex", "strong"), (9, "complex", "strong"), (10, "complex", "strong"),
    ],
)  # fmt: skip
def test_ten_complexities_choose_by_their_level(complexity: int, level: str, first: str) -> None:
    known = snapshot(
        model("local", complexity_scores={"simple": 4.5, "medium": 3.0}),
        model("middle", complexity_scores={"simple": 4.0, "medium": 4.4, "complex": 4.0}),
        model("strong", complexity_scores={"simple": 3.0, "medium": 4.0, "complex": 4.8}),
    )
    plan = a_planner().plan(request(complexity), known)
    assert (plan.task.level, plan.task.complexity, plan.task.level_source) == (level, complexity, "header")
    assert names(plan)[0] == first


@pytest.mark.parametrize(
    ("keys_set", "found", "complexity", "expected"),
    [
        (["ANTHROPIC_API_KEY", "GEMINI_API_KEY"], LOCAL, 3, "qwen/qwen3-30b-a3b-2507"),
        (["ANTHROPIC_API_KEY", "GEMINI_API_KEY"], LOCAL, 7, "claude-opus-5-5"),
        (["GEMINI_API_KEY", "OPENAI_API_KEY"], {}, 8, "gemini-3.8-flash"),
        (["ANTHROPIC_API_KEY"], {}, 2, "claude-haiku-5-5"),
        (["OPENROUTER_API_KEY"], {}, 9, "claude-opus-5-5"),
        (["OPENAI_API_KEY"], {}, 5, "gpt-6.1-sol"),
    ],
)  # fmt: skip
def test_the_built_in_catalog_prefers_local_models_for_simple_tasks_and_claude_then_gemini_for_complex_ones(
    keys_set: list[str], found: dict[str, frozenset[str]], complexity: int, expected: str
) -> None:
    source = CatalogSource(environ=dict.fromkeys(keys_set, "key"))
    source.use_found(found)
    configuration = source.build()
    known = CatalogSnapshot(configuration.models, LearnedScores(), configuration)
    assert names(a_planner().plan(request(complexity), known))[0] == expected


def test_the_first_source_that_says_something_counts_for_each_field() -> None:
    known = snapshot(model("a"))
    planner = a_planner()
    everything = RoutingRequest(
        model="auto:complex",
        headers=hints_from_headers({"x-centralcloud-complexity": "low", "x-centralcloud-prefer": "cost"}),
        metadata=hints_from_metadata({"complexity": 9, "taskType": "fix_bug", "prefer": "speed", "other": [1]}),
        text="Write a haiku",
    )
    task = planner.plan(everything, known).task
    assert (task.level, task.complexity, task.level_source) == ("simple", None, "header")
    assert (task.task_type, task.type_source, task.prefer) == ("fix_bug", "metadata", "cost")
    assert task.classification is None, "nothing was left open"
    by_metadata = planner.plan(RoutingRequest(model="auto:simple", metadata=everything.metadata), known).task
    assert (by_metadata.level, by_metadata.complexity, by_metadata.level_source) == ("complex", 9, "metadata")
    by_name = planner.plan(RoutingRequest(model="auto:simple", text="Prove the theorem step by step"), known).task
    assert (by_name.level, by_name.level_source) == ("simple", "model")
    assert (by_name.task_type, by_name.type_source) == ("reasoning", "classifier")
    by_text = planner.plan(RoutingRequest(text="Prove the theorem step by step"), known).task
    assert (by_text.level, by_text.level_source) == ("complex", "classifier")
    nothing = planner.plan(RoutingRequest(), known).task
    assert (nothing.level, nothing.level_source, nothing.task_type, nothing.type_source) == (
        "medium",
        "default",
        None,
        "default",
    )


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        (
            {"complexity": "11"},
            'header x-centralcloud-complexity: found "11", expected simple, medium, complex, 1 to 10, or a word',
        ),
        ({"complexity": "0"}, "x-centralcloud-complexity"),
        ({"complexity": "very"}, "x-centralcloud-complexity"),
        ({"prefer": "quality"}, 'header x-centralcloud-prefer: found "quality", expected one of speed, cost'),
        ({"task-type": "x" * 300}, "header x-centralcloud-task-type"),
        ({"capabilities": ",".join(f"c{n}" for n in range(50))}, "header x-centralcloud-capabilities"),
    ],
)
def test_an_invalid_hint_is_one_line_that_names_the_header(headers: dict[str, str], words: str) -> None:
    with pytest.raises(RoutingError) as refused:
        hints_from_headers({f"x-centralcloud-{name}": value for name, value in headers.items()})
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("value", [0, 11, True, 2.5, [], {"a": 1}, "7.5"])
def test_an_invalid_complexity_in_metadata_is_refused(value: object) -> None:
    if value in (0, []):  # says nothing
        value = -1
    with pytest.raises(RoutingError, match=r"metadata\.complexity: found"):
        hints_from_metadata({"complexity": value})


def test_neither_a_request_nor_its_plan_shows_the_prompt() -> None:
    prompt = "Prove the theorem about my secret diagnosis"
    asked = RoutingRequest(text=prompt)
    plan = a_planner().plan(asked, snapshot(model("a")))
    shown = [repr(asked), str(asked), repr(asked.__rich_repr__()), repr(plan), plan.text(), plan.explanation().decode()]
    assert "theorem" in plan.text(), "words of the classifier's own table are shown"
    assert all("my secret" not in each for each in shown)


def test_capabilities_are_read_in_every_form() -> None:
    assert hints_from_headers({"x-centralcloud-capabilities": " vision, tools ,"}).capabilities == ("tools", "vision")
    assert hints_from_metadata({"requiredCapabilities": ["vision"]}).capabilities == ("vision",)
    assert hints_from_headers({"authorization": "Bearer x"}) == TaskHints() == hints_from_metadata(None)


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({"complexity": "O(n log n)", "task_type": "coding"}, TaskHints(task_type="coding")),
        ({"prefer": "dark mode", "complexity": "complex"}, TaskHints(level="complex")),
        ({"capabilities": {"a": 1}, "agent_type": "x" * 300}, TaskHints()),
    ],
)
def test_metadata_with_another_meaning_is_left_out_where_an_application_may_have_had_it(
    metadata: dict[str, Any], expected: TaskHints
) -> None:
    assert hints_from_metadata(metadata, strict=False) == expected
    with pytest.raises(RoutingError):
        hints_from_metadata(metadata)


def test_tags_of_the_header_and_of_the_metadata_count_together() -> None:
    header = {"x-centralcloud-tags": "eu, batch,,"}
    assert tags_from({}, {}) == ()
    assert tags_from(header, {}) == ("batch", "eu")
    assert tags_from(header, {"tags": ["eu", "x"]}) == ("batch", "eu", "x")
    assert tags_from({}, {"tags": "a,b"}) == ("a", "b")
    assert tags_from(header, {"tags": {"of": "an application"}}, strict=False) == ("batch", "eu")


@pytest.mark.parametrize(
    ("headers", "metadata", "words"),
    [
        ({"x-centralcloud-tags": "a\u202eb"}, {}, "header x-centralcloud-tags: found"),
        ({}, {"tags": 7}, "metadata.tags: found 7, expected at most 32 labels"),
        ({}, {"tags": [7]}, "metadata.tags: found 7"),
        ({}, {"tags": [str(number) for number in range(33)]}, "expected at most 32 labels"),
    ],
)
def test_an_invalid_tag_is_one_line_that_names_its_place(headers: dict, metadata: dict, words: str) -> None:
    with pytest.raises(RoutingError, match=words):
        tags_from(headers, metadata)


def test_the_type_of_a_request_is_that_of_its_metadata_where_that_is_a_label() -> None:
    assert request_type_from_metadata({"requestType": "completion"}) == "completion"
    assert request_type_from_metadata({"request_type": 7}) is None
    assert request_type_from_metadata({}) is None


def test_a_trained_classifier_answers_what_the_client_leaves_open() -> None:
    known, planner = snapshot(model("a")), a_planner()
    weights = {"court": (100, -100, -100, 0, 100)}
    trained = a_classifier(weights, version=3, levels=("simple", "medium", "complex"))
    plan = planner.plan(RoutingRequest(text="a court"), known, classifier=trained)
    assert (plan.task.task_type, plan.task.level, plan.task.level_source) == ("law", "complex", "classifier")
    shown = plan_as_json(plan, None)["task"]
    assert shown["classifier"] == "trained-3"
    assert shown["confidence"] > 0.9
    assert "by trained-3" in plan.text()
    assert json.loads(plan.explanation())["task"]["confidence"] == shown["confidence"]
    hints = hints_from_headers({"x-centralcloud-task-type": "music"})
    told = planner.plan(RoutingRequest(text="a court", headers=hints), known, classifier=trained).task
    assert (told.task_type, told.level) == ("music", "complex")
    assert (told.classifier, told.confidence) == ("trained-3", None), "the client has named the type"
    forced = planner.plan(RoutingRequest(model="a", text="a court"), known, classifier=trained).task
    assert forced.task_type == "law"


@pytest.mark.parametrize(
    ("headers", "classifier", "sure"),
    [
        ({}, "trained-3+words-2", True),
        ({"complexity": "9"}, "trained-3", True),
        ({"task-type": "music"}, "words-2", False),
        ({"task-type": "music", "complexity": "9"}, None, False),
    ],
)
def test_a_task_names_each_classifier_whose_answer_it_has(
    headers: dict[str, str], classifier: str | None, sure: bool
) -> None:
    hints = hints_from_headers({f"x-centralcloud-{name}": value for name, value in headers.items()})
    types_alone = a_classifier({"court": (100, -100)}, version=3)
    task = resolve_task(hints, NO_HINTS, None, "a court", types_alone)
    assert (task.classifier, task.confidence is not None) == (classifier, sure)
    assert resolve_task(hints, NO_HINTS, None, "a court").classifier == (classifier and "words-2")
