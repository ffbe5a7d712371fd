"""Seed 002's tree over the built-in catalog: which provider gets a task, and which one follows when it is unavailable."""

from pathlib import Path

import pytest

from instance_agent import IntelligentModelRouter, RoutingError, TaskType
from instance_agent.client.local_first import POLICY
from instance_agent.client.request import read_request
from instance_agent.routing.request import HealthView

KEYS = ("ANTHROPIC_API_KEY", "OPENAI_API_KEY", "GEMINI_API_KEY")
LOCAL_MODELS = frozenset({"qwen/qwen3-30b-a3b-2507", "mistralai/devstral-small-2507"})
#: The first and the second provider of each type of task, for a complexity of 4 to 6.
PREFERENCES = {
    TaskType.CODE_GENERATION: ("lm_studio", "openai"),
    TaskType.CODE_REFACTOR: ("lm_studio", "anthropic"),
    TaskType.REASONING: ("anthropic", "gemini"),
    TaskType.ANALYSIS: ("anthropic", "gemini"),
    TaskType.COMPLETION: ("openai", "lm_studio"),
    TaskType.CREATIVE: ("anthropic", "gemini"),
}


@pytest.fixture
def router(monkeypatch: pytest.MonkeyPatch) -> IntelligentModelRouter:
    """A router with all three keys, and with LM Studio and two models."""
    for name in ("INSTANCE_AGENT_CATALOG", "OPENROUTER_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    for name in KEYS:
        monkeypatch.setenv(name, f"sk-test-{name.lower()}")
    router = IntelligentModelRouter()
    router.decisions.use_found({"lm_studio": LOCAL_MODELS})
    return router


def planned_providers(
    router: IntelligentModelRouter, task_type: str, complexity: int, unhealthy: str = ""
) -> list[str]:
    """Return the providers of a plan in their order; all models of the provider `unhealthy` are away."""
    state = router.decisions.current()
    away = {model.name: "away" for model in state.catalog.models if model.provider == unhealthy}
    request = router.decisions.routing_of(read_request("Do it", task_type, complexity), state, "r-1")
    plan = router.decisions.plan(request, state, HealthView(unhealthy=away))
    return [each.target.model.provider for each in plan.targets]


@pytest.mark.parametrize("task_type", TaskType)
@pytest.mark.parametrize("complexity", range(1, 11))
def test_complexity_and_type_choose_the_provider(
    router: IntelligentModelRouter, task_type: TaskType, complexity: int
) -> None:
    expected = "lm_studio" if complexity <= 3 else "anthropic" if complexity >= 7 else PREFERENCES[task_type][0]
    assert router.route("Do it", task_type, complexity)["provider"] == expected


@pytest.mark.parametrize("task_type", TaskType)
def test_the_second_preference_follows_when_the_first_is_away(
    router: IntelligentModelRouter, task_type: TaskType
) -> None:
    first, second = PREFERENCES[task_type]
    assert planned_providers(router, task_type, 5)[0] == first
    assert planned_providers(router, task_type, 5, unhealthy=first)[0] == second


def test_gemini_reasons_when_claude_is_away(router: IntelligentModelRouter) -> None:
    assert planned_providers(router, "reasoning", 9, unhealthy="anthropic")[0] == "gemini"


def test_the_strongest_model_reasons_and_a_middle_one_does_tasks_of_medium_complexity(
    router: IntelligentModelRouter,
) -> None:
    assert router.route("Do it", TaskType.REASONING, 9)["model"] == "claude-opus-5-5"
    assert router.route("Do it", TaskType.REASONING, 5)["model"] == "claude-sonnet-5-5"


def test_two_failures_in_a_row_put_others_before_local_models_until_one_succeeds(
    router: IntelligentModelRouter,
) -> None:
    failures = router.decisions.failures
    failures.failed(POLICY)
    assert router.route("Do it", "code_generation", 2)["provider"] == "lm_studio"
    failures.failed(POLICY)
    assert router.route("Do it", "code_generation", 2)["provider"] == "openai"
    failures.succeeded(POLICY)
    assert router.route("Do it", "code_generation", 2)["provider"] == "lm_studio"


def test_a_request_tries_another_provider_before_a_second_model_of_one(router: IntelligentModelRouter) -> None:
    state = router.decisions.current()
    request = router.decisions.routing_of(read_request("Do it", "code_generation", 1), state, "r-1")
    planned = router.decisions.plan(request, state).targets
    assert [each.target.model.provider for each in planned[:5]] == [
        "lm_studio",
        "openai",
        "anthropic",
        "gemini",
        "lm_studio",
    ]
    assert len({each.target.key for each in planned}) == len(planned)
    assert router.route("Do it", "code_generation", 1)["fallbacks"][0] == "gpt-6.1-sol"


@pytest.mark.parametrize(
    ("alias", "complexity", "model"),
    [
        ("local_mlx", 9, "qwen/qwen3-30b-a3b-2507"),
        ("claude", 2, "claude-haiku-5-5"),
        ("claude", 5, "claude-sonnet-5-5"),
        ("claude", "complex", "claude-opus-5-5"),
        ("openai", 8, "gpt-6.1-sol"),
        ("gemini", 1, "gemini-3.5-flash-lite"),
        ("gpt-4o", 1, "gpt-4o"),
        ("claude-3-opus", 1, "claude-opus-5-5"),
        ("openai/gpt-next", 1, "openai/gpt-next"),
    ],
)
def test_a_forced_name_is_a_model_or_the_best_one_of_a_provider(
    router: IntelligentModelRouter, alias: str, complexity: int | str, model: str
) -> None:
    decision = router.route("Do it", "reasoning", complexity, {"force_model": alias})
    assert (decision["model"], decision["forced"]) == (model, True)


def test_local_mlx_is_a_model_that_is_loaded(router: IntelligentModelRouter) -> None:
    router.decisions.use_found({"lm_studio": frozenset({"mistralai/devstral-small-2507"})})
    assert router.route("Do it", context={"force_model": "local_mlx"})["model"] == "mistralai/devstral-small-2507"


def test_a_forced_name_that_is_not_known_is_an_error_that_names_it(router: IntelligentModelRouter) -> None:
    with pytest.raises(
        RoutingError, match=r'context.force_model: found "claud" \(did you mean claude\?\), expected local_mlx'
    ):
        router.route("Do it", context={"force_model": "claud"})


def test_a_missing_key_is_the_reason_why_models_are_not_available(
    router: IntelligentModelRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in KEYS[1:]:
        monkeypatch.delenv(name)
    router.decisions.use_found({})
    models = router.get_available_models()
    assert models["claude-opus-5-5"]["available"]
    assert not models["gpt-4o"]["available"]
    assert "OPENAI_API_KEY is not set" in str(models["gpt-4o"]["reason"])
    assert "does not answer at http://localhost:1234/v1" in str(models["qwen/qwen3-30b-a3b-2507"]["reason"])
    assert router.route("Do it", "code_generation", 2)["provider"] == "anthropic"
    with pytest.raises(RoutingError, match="GEMINI_API_KEY is not set"):
        router.route("Do it", context={"force_model": "gemini"})


def test_a_catalog_of_other_providers_is_used_as_it_is_listed_by_score(tmp_path: Path) -> None:
    file = tmp_path / "catalog.yaml"
    file.write_text("""
providers: [{provider: mine, base_url: "http://127.0.0.1:9/v1"}]
models:
  - {name: weak, provider: mine, complexity_scores: {medium: 1.0, complex: 1.0}}
  - {name: strong, provider: mine, complexity_scores: {medium: 4.0, complex: 4.0}}
""")
    decision = IntelligentModelRouter(file).route("Do it", TaskType.REASONING, 8)
    assert (decision["model"], decision["fallbacks"]) == ("strong", ["weak"])


def test_an_empty_catalog_says_so(tmp_path: Path) -> None:
    file = tmp_path / "catalog.yaml"
    file.write_text("models: []\n")
    with pytest.raises(RoutingError, match="the catalog is empty"):
        IntelligentModelRouter(file).route("Do it")
