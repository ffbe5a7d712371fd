"""Seed 002's tree: 10 complexities and 6 task types, and what follows failures of local models."""

from itertools import product

import pytest
from support.planning import MISSING, a_planner, model, names, struck
from support.routing_rules import compiled

from instance_agent.catalog.catalog import CatalogSnapshot
from instance_agent.catalog.configuration import build_configuration
from instance_agent.catalog.learned_scores import LearnedScores
from instance_agent.catalog.provider import Provider
from instance_agent.routing.local_failures import FORGET_AFTER_SECONDS, FixedFailures, LocalFailures
from instance_agent.routing.request import HealthView, RoutingRequest
from instance_agent.routing.task import TaskHints

_CONFIGURATION = build_configuration(
    [
        model("mlx", provider="lm_studio"), model("devstral", provider="lm_studio"), model("claude", None),
        model("openai"), model("gemini"),
    ],
    [
        Provider(provider="p", base_url="http://10.0.0.1/v1"),
        Provider(provider="lm_studio", base_url="http://localhost:1234/v1", local=True),
        MISSING,
    ],
    found={"lm_studio": frozenset({"mlx", "devstral"})},
)  # fmt: skip
KNOWN = CatalogSnapshot(_CONFIGURATION.models, LearnedScores(), _CONFIGURATION)
PREFERENCES = {
    "code_generation": ["mlx", "openai"],
    "code_refactor": ["mlx", "claude"],
    "reasoning": ["claude", "gemini"],
    "analysis": ["claude", "gemini"],
    "completion": ["openai", "mlx"],
    "creative": ["claude", "gemini"],
}
RULES = compiled(
    KNOWN,
    policies=[
        {
            "name": "seed",
            "order": "local_first",
            "models": [{"model": name} for name in ("mlx", "devstral", "openai", "claude", "gemini")],
            "reasoning_models": ["claude", "gemini"],
            "task_preferences": PREFERENCES,
        }
    ],
)


def asked(complexity: int | None, task_type: str | None, level: str = "medium", **fields: object) -> RoutingRequest:
    hints = TaskHints(level=level, complexity=complexity, task_type=task_type)
    return RoutingRequest(model="policy:seed", headers=hints, **fields)  # type: ignore[arg-type]


def order(request: RoutingRequest, failures: int = 0, health: HealthView | None = None) -> list[str]:
    view = FixedFailures({"seed": failures})
    return names(a_planner().plan(request, KNOWN, health or HealthView(), RULES, view))


#: The first models by complexity; then follow the preferences of the type, and the others as they are listed.
LOCAL, REASONING = ["mlx", "devstral"], ["claude", "gemini"]


@pytest.mark.parametrize(("complexity", "task_type"), [*product(range(1, 11), PREFERENCES)])
def test_the_tree_for_each_complexity_and_task_type(complexity: int, task_type: str) -> None:
    begin = LOCAL if complexity <= 3 else REASONING if complexity >= 7 else []
    expected = [*begin, *PREFERENCES[task_type], "mlx", "devstral", "openai", "claude", "gemini"]
    assert order(asked(complexity, task_type)) == list(dict.fromkeys(expected))


@pytest.mark.parametrize(
    ("level", "first"), [("simple", ["mlx", "devstral"]), ("medium", ["openai", "mlx"]), ("complex", ["claude", "gemini"])]
)  # fmt: skip
def test_a_level_without_a_number_counts_as_its_middle(level: str, first: list[str]) -> None:
    assert order(asked(None, "completion", level))[:2] == first


def test_a_task_type_without_preferences_gets_the_models_as_listed() -> None:
    assert order(asked(5, "translation")) == ["mlx", "devstral", "openai", "claude", "gemini"]


@pytest.mark.parametrize(("complexity", "task_type"), [*product(range(1, 11), PREFERENCES)])
def test_after_two_failures_of_local_models_in_a_row_the_others_are_first(complexity: int, task_type: str) -> None:
    found = order(asked(complexity, task_type), failures=2)
    assert found[3:] == LOCAL
    begin = REASONING if complexity >= 7 else []
    expected = [*begin, *(name for name in PREFERENCES[task_type] if name != "mlx"), "openai", "claude", "gemini"]
    assert found[:3] == list(dict.fromkeys(expected))
    assert order(asked(complexity, task_type), failures=1) == order(asked(complexity, task_type))


def test_a_local_model_that_is_down_is_left_out_and_the_next_preference_follows() -> None:
    health = HealthView(breaker_open=frozenset({"mlx@lm_studio"}))
    assert order(asked(5, "code_generation"), health=health) == ["openai", "devstral", "claude", "gemini"]
    plan = a_planner().plan(asked(5, "code_generation"), KNOWN, health, RULES)
    assert struck(plan) == {"mlx@lm_studio": "breaker_open"}


def test_the_plan_says_which_branch_of_the_tree_it_follows() -> None:
    planner = a_planner()
    words = [planner.plan(asked(complexity, "completion"), KNOWN, rules=RULES).first.words for complexity in (2, 5, 8)]
    assert words == [
        "a local model, for complexities up to 3 (score 3.00)",
        "preferred for the task type completion (score 3.00)",
        "a reasoning model, for complexities from 7 on (no score)",
    ]
    escalated = planner.plan(asked(2, "completion"), KNOWN, rules=RULES, failures=FixedFailures({"seed": 2}))
    assert "not a local one, after failures of local models in a row" in escalated.first.words


def test_failures_count_in_a_row_until_a_success_or_a_minute_without_another() -> None:
    now = [0.0]
    failures = LocalFailures(lambda: now[0])
    failures.failed("seed")
    failures.failed("seed")
    assert (failures.of("seed"), failures.of("other")) == (2, 0)
    failures.succeeded("seed")
    assert failures.of("seed") == 0
    failures.failed("seed")
    now[0] = FORGET_AFTER_SECONDS
    failures.failed("seed")
    assert failures.of("seed") == 2
    now[0] += FORGET_AFTER_SECONDS + 0.1
    assert failures.of("seed") == 0, "local models are tried again"
