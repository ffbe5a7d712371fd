"""The router: its choices, its fallbacks, and the events that it publishes."""

import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from centralcloud.contracts import Estimate, RoutingEvent, parse_routing_event
from instance_agent.catalog.catalog import ModelCatalog
from instance_agent.catalog.learned_scores import LearnedScore, LearnedScores
from instance_agent.catalog.model import Model, Pricing
from instance_agent.routing.ranking import preferred_value
from instance_agent.routing.router import ModelRouter, RoutingError

NOW = datetime(2026, 11, 20, tzinfo=UTC)


class Published(list[RoutingEvent]):
    """Keeps the events that the router publishes."""

    def publish(self, event: RoutingEvent) -> None:
        self.append(event)


def model(name: str, simple: float | None = 3.0, medium: float | None = 3.0, complex_: float | None = 3.0, **fields):
    scores = {"simple": simple, "medium": medium, "complex": complex_}
    known = {complexity: score for complexity, score in scores.items() if score is not None}
    return Model(name=name, provider=f"{name}-cloud", complexity_scores=known, **fields)


def a_router(*models: Model, learned: LearnedScores | None = None, **options) -> ModelRouter:
    options.setdefault("rng", random.Random(1))
    return ModelRouter(ModelCatalog(list(models), learned=learned), instance_id="i-1", clock=lambda: NOW, **options)


def test_the_best_score_for_the_complexity_is_chosen() -> None:
    router = a_router(model("a", simple=4.0, complex_=2.0), model("b", simple=3.0, complex_=4.5))
    assert router.route("simple").model.name == "a"
    decision = router.route("complex")
    assert (decision.model.name, decision.score, decision.propensity) == ("b", 4.5, 1.0)
    assert [ranked.model.name for ranked in decision.ranking] == ["b", "a"]
    assert decision.reason == "best score for complex tasks"


def test_a_learned_score_changes_the_choice_and_its_version_is_in_the_decision() -> None:
    learned = LearnedScores().with_score(("b", "simple"), LearnedScore(score=4.9, version=12, at=NOW))
    decision = a_router(model("a", simple=4.0), model("b", simple=1.0), learned=learned).route("simple")
    assert (decision.model.name, decision.score, decision.score_version) == ("b", 4.9, 12)


def test_only_models_with_all_capabilities_are_chosen() -> None:
    router = a_router(
        model("a", simple=5.0, capabilities={"vision"}),
        model("b", simple=1.0, capabilities={"vision", "function_calling"}),
    )
    decision = router.route("simple", capabilities=["vision", "function_calling"])
    assert (decision.model.name, decision.fallback) == ("b", None)


def test_without_a_capable_model_capabilities_are_ignored_with_a_fallback() -> None:
    decision = a_router(model("a"), model("b", simple=4.0)).route("simple", capabilities=["telepathy"])
    assert (decision.model.name, decision.fallback) == ("b", "capabilities")
    assert "no model has all required capabilities (telepathy)" in decision.reason


def test_without_any_score_for_the_complexity_the_scores_for_simple_tasks_are_used_with_a_fallback() -> None:
    router = a_router(model("a", simple=4.0, complex_=None), model("b", simple=2.0, complex_=None))
    decision = router.route("complex")
    assert (decision.model.name, decision.fallback, decision.score) == ("a", "simple", 4.0)


def test_an_empty_catalog_is_a_clear_error() -> None:
    with pytest.raises(RoutingError, match="the catalog is empty"):
        a_router().route("simple")


def test_a_catalog_without_any_score_is_a_clear_error() -> None:
    with pytest.raises(RoutingError, match="no model of the catalog has a score"):
        a_router(model("a", None, None, None)).route("simple")


@pytest.mark.parametrize(("argument", "value"), [("complexity", "urgent"), ("prefer", "fame"), ("model", "unknown")])
def test_a_wrong_argument_is_named(argument: str, value: str) -> None:
    arguments = {"complexity": "simple"} | {argument: value}
    with pytest.raises(RoutingError, match=f"{argument}: found '{value}'"):
        a_router(model("a")).route(**arguments)


def test_ties_are_broken_at_random_and_repeatably() -> None:
    def choices(seed: int) -> list[str]:
        router = a_router(model("a"), model("b"), model("c", simple=2.9), rng=random.Random(seed))
        return [router.route("simple").model.name for _ in range(400)]

    assert choices(7) == choices(7)
    counts = Counter(choices(7))
    assert set(counts) == {"a", "b"}
    assert 120 < counts["a"] < 280
    assert a_router(model("a"), model("b")).route("simple").propensity == 0.5


@pytest.mark.parametrize(
    ("given_model", "prefer", "value"),
    [
        (model("m", 4.0, max_output_tokens=10_000), "speed", 0.7 * 4.0 + 0.3 * 0.5),
        (model("m", 4.0), "speed", 0.7 * 4.0),
        (model("m", 4.0, pricing=Pricing(input=0, output=0)), "cost", 0.6 * 4.0 + 0.4),
        (model("m", 4.0, pricing=Pricing(input=1, output=3)), "cost", 0.6 * 4.0 + 0.4 / 3),
        (model("m", 4.0), "cost", 0.6 * 4.0),
        (model("m", 4.0), None, 4.0),
    ],
)
def test_preferences_use_the_specifications_formulas(given_model: Model, prefer, value: float) -> None:
    assert preferred_value(given_model, 4.0, prefer) == pytest.approx(value)


def test_a_preference_can_change_the_choice() -> None:
    dear = model("dear", simple=4.0, pricing=Pricing(input=10, output=30))
    free = model("free", simple=3.5, pricing=Pricing(input=0, output=0))
    router = a_router(dear, free)
    assert router.route("simple").model.name == "dear"
    decision = router.route("simple", prefer="cost")
    assert (decision.model.name, decision.prefer) == ("free", "cost")
    assert decision.reason == "best score and cost for simple tasks"


def test_a_requested_model_is_chosen_whatever_its_score() -> None:
    published = Published()
    router = a_router(model("a", simple=5.0), model("b", simple=0.5), publisher=published)
    decision = router.route("simple", model="b")
    assert (decision.model.name, decision.score, decision.propensity) == ("b", 0.5, 1.0)
    assert published[0].user_model_request == "b"


def test_exploration_tries_every_suitable_model_with_its_propensity() -> None:
    router = a_router(model("a", simple=5.0), model("b", simple=1.0), model("c", simple=1.0), exploration=0.3)
    decisions = [router.route("simple") for _ in range(3000)]
    shares = Counter(decision.model.name for decision in decisions)
    assert shares["a"] / 3000 == pytest.approx(0.8, abs=0.03)
    assert shares["b"] / 3000 == pytest.approx(0.1, abs=0.03)
    propensities = {decision.model.name: decision.propensity for decision in decisions}
    assert propensities == pytest.approx({"a": 0.8, "b": 0.1, "c": 0.1})
    assert sum(decision.explored for decision in decisions) / 3000 == pytest.approx(0.3, abs=0.04)


def estimated(mean: float, n_eff: float, *, version: int = 1, penalty: float = 0.0, probe_share: float = 0.0):
    return LearnedScore(
        score=5 * max(0.0, mean - penalty),
        version=version,
        at=NOW,
        estimate=Estimate(mean=mean, n_eff=n_eff, probe_share=probe_share),
    )


def known(complexity: str = "simple", **scores: LearnedScore) -> LearnedScores:
    learned = LearnedScores(epoch="e")
    for name, score in scores.items():
        learned = learned.with_score((name, complexity), score)
    return learned


def test_with_estimates_the_propensity_is_the_frequency_of_the_choice() -> None:
    learned = known(a=estimated(0.85, 40, version=1), b=estimated(0.8, 20, version=2, probe_share=0.03))
    router = a_router(model("a"), model("b"), model("c", simple=2.0), learned=learned, exploration=0.05)
    choices = [router.choose("simple") for _ in range(50_000)]
    shares = Counter(choice.model.name for choice in choices)
    propensities = {choice.model.name: choice.propensity for choice in choices}
    assert {name: count / 50_000 for name, count in shares.items()} == pytest.approx(propensities, abs=0.01)
    assert sum(propensities.values()) == pytest.approx(1)
    assert {choice.method for choice in choices} == {"thompson"}
    assert {choice.score_version for choice in choices} == {1, 2, None}
    assert sum(choice.probe for choice in choices) / 50_000 == pytest.approx(0.95 * 0.03, abs=0.004)
    assert propensities["c"] > 0.05, "c has no evidence yet and may be the best"


def test_the_reason_of_a_choice() -> None:
    learned = known(a=estimated(0.9, 5000), b=estimated(0.5, 5000, probe_share=0.003))
    router = a_router(model("a"), model("b"), learned=learned)
    reasons = {choice.kind: choice.reason for choice in (router.choose("simple") for _ in range(3000))}
    assert reasons == {
        "best": "Thompson draw by score for simple tasks: its chance was 100.0%",
        "probe": "probed: 0.3% of traffic re-checks it",
    }


def test_a_probe_is_published_as_one() -> None:
    published = Published()
    learned = known(a=LearnedScore(score=4.0, version=1, at=NOW), b=estimated(0.1, 50, version=2, probe_share=0.5))
    router = a_router(model("a"), model("b"), learned=learned, publisher=published, selection="greedy")
    decisions = [router.route("simple") for _ in range(20)]
    assert {decision.model.name for decision in decisions} == {"a", "b"}
    for decision, event in zip(decisions, published, strict=True):
        assert decision.probe == (decision.model.name == "b")
        assert event.extra == ({"probe": True} if decision.probe else {})
        assert (event.propensity, event.score_version) == (0.5, 2 if decision.probe else 1)
        assert parse_routing_event(event.to_json(), NOW) == event


@pytest.mark.parametrize(
    ("selection", "with_estimate", "method"),
    [
        ("auto", True, "thompson"),
        ("auto", False, "greedy"),
        ("greedy", True, "greedy"),
        ("thompson", False, "thompson"),
    ],
)
def test_the_method_of_selection(selection, with_estimate: bool, method: str) -> None:
    score = estimated(0.8, 40) if with_estimate else LearnedScore(score=4.0, version=1, at=NOW)
    router = a_router(model("a"), model("b"), learned=known(a=score), selection=selection)
    assert router.choose("simple").method == method
    assert router.choose("complex").method == ("thompson" if selection == "thompson" else "greedy")


def test_a_model_without_a_capability_is_not_probed_and_a_preference_counts() -> None:
    learned = known(
        a=estimated(0.80, 4000), b=estimated(0.70, 4000, probe_share=0.2), blind=estimated(0.6, 9, probe_share=0.2)
    )
    router = a_router(
        model("a", capabilities={"vision"}),
        model("b", capabilities={"vision"}, pricing=Pricing(input=0, output=0)),
        model("blind"),
        learned=learned,
    )
    choice = router.choose("simple", capabilities=["vision"], prefer="cost")
    chances = {ranked.model.name: ranked.chance for ranked in choice.ranking}
    assert set(chances) == {"a", "b"}
    assert (chances["a"].win, chances["b"].win) == pytest.approx((0, 1), abs=0.001)
    assert router.choose("simple", capabilities=["vision"]).ranking[0].chance.win == pytest.approx(1)


def test_a_fallback_to_the_scores_for_simple_tasks_sends_no_probes() -> None:
    learned = known(a=estimated(0.9, 4000), b=estimated(0.5, 4000, probe_share=0.4))
    router = a_router(model("a", complex_=None), model("b", complex_=None), learned=learned)
    choice = router.choose("complex")
    assert (choice.model.name, choice.propensity, choice.fallback) == ("a", 1, "simple")
    assert choice.reason.startswith("no model has a score for complex tasks; Thompson draw by score for simple tasks")


def test_a_model_without_a_score_for_the_complexity_is_not_a_candidate() -> None:
    learned = known("complex", a=estimated(0.3, 10))
    router = a_router(model("a"), model("b", complex_=None), learned=learned)
    assert [ranked.model.name for ranked in router.choose("complex").ranking] == ["a"]


def test_new_scores_change_the_chances_at_once() -> None:
    catalog = ModelCatalog([model("a"), model("b")], learned=known(a=estimated(0.9, 4000), b=estimated(0.5, 4000)))
    router = ModelRouter(catalog, instance_id="i-1")
    assert router.choose("simple").model.name == "a"
    catalog.use(known(a=estimated(0.4, 4000, version=3), b=estimated(0.5, 4000)))
    assert router.choose("simple").model.name == "b"


def test_selections_are_cached_until_the_scores_change() -> None:
    learned = known(a=estimated(0.9, 40), b=estimated(0.8, 40))
    catalog = ModelCatalog([model("a"), model("b")], learned=learned)
    router = ModelRouter(catalog, instance_id="i-1")
    ranking = router.choose("simple").ranking
    catalog.use(replace(learned, cursor=7))  # the cursor has moved, but no score has changed
    assert router.choose("simple").ranking is ranking
    for number in range(1500):
        router.choose("simple", capabilities=[f"c{number}"])
    assert len(router._cache.selections) <= 1000


def test_choices_from_several_threads_are_those_of_the_scores_they_saw() -> None:
    states = [known(a=estimated(0.9, 4000, version=n), b=estimated(0.5, 4000, version=n)) for n in (1, 2)]
    catalog = ModelCatalog([model("a"), model("b")], learned=states[0])
    router = ModelRouter(catalog, instance_id="i-1")

    def choose_often() -> set[tuple[int | None, ...]]:
        rankings = [router.choose("simple").ranking for _ in range(3000)]
        return {tuple(ranked.learned.version for ranked in ranking if ranked.learned) for ranking in rankings}

    with ThreadPoolExecutor(4) as pool:
        running = [pool.submit(choose_often) for _ in range(4)]
        for number in range(200):
            catalog.use(states[number % 2])
        seen = set().union(*(one.result() for one in running))
    assert seen <= {(1, 1), (2, 2)}


def test_a_seed_chooses_the_same_again() -> None:
    def chosen(seed: int) -> list[str]:
        learned = known(a=estimated(0.8, 10), b=estimated(0.8, 10))
        router = a_router(model("a"), model("b"), learned=learned, rng=random.Random(seed))
        return [router.choose("simple").model.name for _ in range(50)]

    assert chosen(1) == chosen(1) != chosen(2)


def test_a_decision_and_its_outcome_are_published_under_one_id() -> None:
    published = Published()
    router = a_router(model("a", simple=4.0), publisher=published)
    decision = router.route("simple", capabilities=[], task_type="code")
    router.report_outcome(
        decision, success=False, response_time_ms=811.5, error_kind="timeout", input_tokens=7, cost_usd=0.01
    )
    routed, resolved = published
    assert routed.decision_id == resolved.decision_id == decision.decision_id
    assert (routed.outcome, routed.response_time_ms, routed.task_type) == ("routed", None, "code")
    assert (resolved.outcome, resolved.response_time_ms, resolved.error_kind) == ("failure", 812, "timeout")
    assert (resolved.model, resolved.provider, resolved.complexity_score) == ("a", "a-cloud", 4.0)
    for event in published:
        assert parse_routing_event(event.to_json(), NOW) == event


def test_an_outcome_says_which_version_of_the_model_answered() -> None:
    published = Published()
    router = a_router(model("a"), publisher=published)
    for version in ("a-2026-11", None):
        router.report_outcome(router.route("simple"), success=True, model_version=version)
    _, first, _, second = published
    assert first.to_message()["routing_decision"]["model_version"] == "a-2026-11"
    assert "model_version" not in second.to_message()["routing_decision"]
    assert all(parse_routing_event(event.to_json(), NOW) == event for event in published)


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), -3.2, 3e9, "12", True, None])
def test_an_invalid_response_time_does_not_lose_the_outcome(wrong) -> None:
    published = Published()
    router = a_router(model("a"), publisher=published)
    router.report_outcome(router.route("simple"), success=True, response_time_ms=wrong)
    assert (published[-1].outcome, published[-1].response_time_ms) == ("success", None)


def test_one_capability_may_be_given_as_a_string() -> None:
    decision = a_router(model("a", simple=5.0), model("b", capabilities={"vision"})).route(
        "simple", capabilities="vision"
    )
    assert (decision.model.name, decision.capabilities) == ("b", ("vision",))


def test_decision_ids_are_unique_and_ordered_by_time() -> None:
    router = a_router(model("a"))
    ids = [router.route("simple").decision_id for _ in range(200)]
    assert len(set(ids)) == 200
    assert ids == sorted(ids)
    assert ids[0][14] == "7"  # UUID version
