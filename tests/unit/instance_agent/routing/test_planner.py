"""The planner: the order of targets, models that a client names, caches, and claims for all catalogs."""

import random
import threading
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.planning import a_planner, estimated, keys, model, names, request, snapshot, struck

from instance_agent.catalog.catalog import CatalogSnapshot
from instance_agent.catalog.learned_scores import LearnedScores
from instance_agent.catalog.model import Endpoint
from instance_agent.routing.explanation import MAX_EXPLANATION_BYTES
from instance_agent.routing.plan import PlanError
from instance_agent.routing.planner import Planner
from instance_agent.routing.request import HealthView, RoutingRequest
from instance_agent.routing.router import ModelRouter
from instance_agent.routing.task import TaskHints, hints_from_metadata


def test_a_forced_model_that_is_not_known_is_an_error_that_names_it() -> None:
    with pytest.raises(
        PlanError,
        match=r'model: found "gpt-9", expected auto, auto:simple, auto:medium, auto:complex, one of the catalog \(a\), or',
    ) as refused:
        a_planner().plan(request(model="gpt-9"), snapshot(model("a")))
    assert refused.value.code == "model_not_found"
    for near, meant in (("autoo", "auto"), ("gpt4o", "gpt-4o"), ("auto:simpel", "auto:simple")):
        with pytest.raises(PlanError, match=rf'found "{near}" \(did you mean {meant}\?\), expected '):
            a_planner().plan(request(model=near), snapshot(model("gpt-4o")))
    with pytest.raises(PlanError, match=r"\(a\), an alias \(fast, claude-\*\), or PROVIDER/MODEL"):
        a_planner().plan(request(model="gpt-9"), snapshot(model("a"), aliases={"claude-*": "auto", "fast": "a"}))


def test_a_forced_model_is_used_even_when_unhealthy_and_has_no_propensity() -> None:
    known = snapshot(model("weak", 1.0, context_window=10), model("best", 5.0))
    health = HealthView(breaker_open=frozenset({"weak@p"}), unhealthy={"weak": "down"})
    plan = a_planner().plan(request(model="weak", input_tokens=100, needs=("vision",)), known, health)
    assert (names(plan), plan.kind, plan.propensity, plan.method) == (["weak"], "forced", None, None)
    assert plan.first.code == "forced"
    assert "the client named it" in plan.text()


def test_a_forced_model_may_be_deprecated_or_without_a_score_and_not_inactive() -> None:
    known = snapshot(model("old", None, status="deprecated"), model("off", status="inactive"), model("a"))
    plan = a_planner().plan(request(model="old"), known)
    assert (names(plan), plan.first.ranked) == (["old"], None)
    with pytest.raises(
        PlanError, match="model off cannot be used: off@p: an operator has set it to inactive"
    ) as refused:
        a_planner().plan(request(model="off"), known)
    assert refused.value.code == "model_unusable"


def test_the_healthy_endpoints_of_a_forced_model_come_first() -> None:
    endpoints = [Endpoint(), Endpoint(url="http://10.0.0.9/v1", type="fallback")]
    known = snapshot(model("m", endpoints=endpoints), model("m", provider="none"))
    plan = a_planner().plan(request(model="m"), known, HealthView(breaker_open=frozenset({"m@p"})))
    assert keys(plan) == ["m@p#2", "m@p"]
    assert [planned.code for planned in plan.targets] == ["forced", "endpoint"]
    assert struck(plan) == {"m@none": "provider_unavailable"}


def test_any_model_of_a_known_provider_can_be_forced() -> None:
    plan = a_planner().plan(request(model="p/some/model:free"), snapshot(model("a")))
    assert (names(plan), plan.first.target.model.sent_as) == (["p/some/model:free"], "some/model:free")
    with pytest.raises(PlanError, match="its provider has no key that can be used"):
        a_planner().plan(request(model="none/model"), snapshot(model("a")))


def test_an_alias_leads_to_its_model_or_to_a_choice() -> None:
    known = snapshot(model("a"), model("b", 5.0), aliases={"gpt-*": "a", "claude-*": "auto:complex"})
    forced = a_planner().plan(request(model="gpt-4"), known)
    assert (names(forced), forced.kind, forced.alias) == (["a"], "forced", "gpt-4")
    chosen = a_planner().plan(RoutingRequest(model="claude-opus"), known)
    assert (names(chosen)[0], chosen.kind, chosen.alias, chosen.task.level) == ("b", "best", "claude-opus", "complex")


def test_the_first_model_is_drawn_as_the_router_draws_it_with_the_same_propensities() -> None:
    models = [model(name) for name in "abc"]
    learned = estimated(a=0.8, b=0.78, c=0.6)
    known = snapshot(*models, learned=learned)
    planner = a_planner()

    class Fixed:
        before_use = None
        snapshot = CatalogSnapshot(tuple(models), learned)

        def refresh_in_background(self) -> None:
            """Read nothing."""

    router = ModelRouter(Fixed(), instance_id="i", rng=random.Random(1))  # type: ignore[arg-type]
    seen = Counter()
    for _ in range(3000):
        plan, choice = planner.plan(request(), known), router.choose("medium")
        assert (plan.first.target.model.name, plan.kind) == (choice.model.name, choice.kind)
        assert plan.propensity == choice.propensity
        assert plan.first.score_version == 9
        seen[plan.kind] += 1
    assert seen.keys() == {"best", "probe"}


def test_without_a_budget_for_probes_no_request_is_one_and_the_propensities_say_so() -> None:
    known = snapshot(*[model(name) for name in "abc"], learned=estimated(a=0.8, b=0.78, c=0.6))
    planner = a_planner(exploration=0.1)
    plans = [planner.plan(request(), known, probing=number % 2 == 0) for number in range(2000)]
    assert {plan.kind for plan in plans[::2]} == {"best", "probe", "exploration"}
    assert {plan.kind for plan in plans[1::2]} == {"best"}
    drawn = {plan.first.target.model.name: plan.propensity for plan in plans[1::2]}
    assert 0 < sum(each or 0.0 for each in drawn.values()) <= 1.0 + 1e-9


def test_fallbacks_follow_by_value() -> None:
    known = snapshot(model("c", 1.0), model("a", 4.0), model("b", 2.0))
    plan = a_planner().plan(request(), known)
    assert names(plan) == ["a", "b", "c"]
    assert [planned.code for planned in plan.targets] == ["best", "fallback", "fallback"]


def test_entries_of_one_name_are_one_model_with_several_targets() -> None:
    known = snapshot(
        model("m", 4.0, provider="q", endpoints=[Endpoint(type="secondary")]), model("other", 3.0), model("m", 4.0)
    )
    plan = a_planner().plan(request(), known)
    assert keys(plan) == ["m@p", "m@q", "other@p"]
    assert (plan.propensity, [planned.code for planned in plan.targets]) == (1.0, ["best", "endpoint", "fallback"])


@pytest.mark.parametrize("first", [True, False])
def test_endpoints_of_one_type_are_drawn_by_weight(first: bool) -> None:
    endpoints = [
        Endpoint(url="http://10.0.0.1/v1", weight=3), Endpoint(url="http://10.0.0.2/v1", weight=1),
        Endpoint(url="http://10.0.0.3/v1", type="fallback", weight=100),
    ]  # fmt: skip
    known = snapshot(model("m", 4.0 if first else 2.0, endpoints=endpoints), model("other", 3.0))
    planner = a_planner()
    seen = Counter()
    for _ in range(2000):
        order = [key for key in keys(planner.plan(request(), known)) if key.startswith("m")]
        assert order[-1] == "m@p#3", "the type comes before the weight"
        seen[order[0]] += 1
    assert seen["m@p"] / 2000 == pytest.approx(0.75, abs=0.03)


def test_three_endpoints_are_drawn_without_repetition_by_weight() -> None:
    endpoints = [Endpoint(url=f"http://10.0.0.{n}/v1", weight=n) for n in (1, 2, 3)]
    known, planner = snapshot(model("m", endpoints=endpoints)), a_planner()
    orders = Counter(tuple(keys(planner.plan(request(), known))) for _ in range(6000))
    assert all(sorted(order) == ["m@p", "m@p#2", "m@p#3"] for order in orders)
    assert orders["m@p#3", "m@p#2", "m@p"] / 6000 == pytest.approx(3 / 6 * 2 / 3, abs=0.03)
    assert orders["m@p", "m@p#2", "m@p#3"] / 6000 == pytest.approx(1 / 6 * 2 / 5, abs=0.02)


def test_a_set_is_computed_once_for_all_shapes_and_health_views_that_lead_to_it() -> None:
    known = snapshot(*[model(f"m{n}", context_window=1000 * (n + 1)) for n in range(5)])
    planner = a_planner()
    sick = HealthView(breaker_open=frozenset({"m0@p"}))
    for health in (HealthView(), sick, HealthView(), sick, HealthView(breaker_open=frozenset({"m0@p"}))):
        for tokens in (0, 10, 500, 999):
            planner.plan(request(input_tokens=tokens), known, health)
    assert planner.sets_computed == 2
    moved = known._replace(learned=LearnedScores(cursor=7, scores=known.learned.scores))
    planner.plan(request(), moved)
    assert planner.sets_computed == 2, "another cursor of the same scores changes nothing"


def test_prepare_computes_the_sets_of_late_before_new_scores_are_used() -> None:
    models = [model("a"), model("b")]
    known, planner = snapshot(*models), a_planner()
    for complexity in ("simple", "complex"):
        planner.plan(request(complexity), known)
    computed = planner.sets_computed
    new = known._replace(learned=estimated(a=0.2, b=0.9))
    worker = threading.Thread(target=planner.prepare, args=(new,))
    worker.start()
    worker.join(10)
    assert names(planner.plan(request(), known)), "the old scores are still used"
    computed = planner.sets_computed
    plans = [planner.plan(request(complexity), new) for complexity in ("simple", "complex")]
    assert all(plan.first.score_version == 9 for plan in plans)
    assert planner.sets_computed == computed


def test_capabilities_that_callers_invent_do_not_fill_the_memory() -> None:
    known, planner = snapshot(model("a"), model("b")), a_planner()
    for number in range(3000):
        planner.plan(RoutingRequest(headers=TaskHints(level="simple", capabilities=(f"c{number}",))), known)
    assert planner.sets_computed == 1
    assert len(planner._state._eligible) <= 1000  # type: ignore[union-attr]


def test_models_alone_make_a_plan_that_says_that_no_provider_is_described() -> None:
    with pytest.raises(PlanError, match="a@p: the catalog has no provider p"):
        a_planner().plan(request(), CatalogSnapshot((model("a"),), LearnedScores()))


statuses = st.sampled_from(["active", "active", "active", "deprecated", "inactive"])
catalogs = st.lists(
    st.builds(
        model,
        name=st.sampled_from([f"m{n}" for n in range(6)]),
        score=st.one_of(st.none(), st.floats(0, 5)),
        provider=st.sampled_from(["p", "p", "q", "none"]),
        status=statuses,
        capabilities=st.frozensets(st.sampled_from(["vision", "tools", "json_schema"])),
        context_window=st.one_of(st.none(), st.integers(1, 50)),
        endpoints=st.lists(
            st.builds(Endpoint, type=st.sampled_from(["primary", "secondary", "fallback"]), weight=st.floats(0.1, 10)),
            max_size=3,
        ),
    ),
    min_size=1,
    max_size=8,
    unique_by=lambda each: (each.name, each.provider),
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(
    models=catalogs,
    means=st.dictionaries(st.sampled_from([f"m{n}" for n in range(6)]), st.floats(0.05, 0.95)),
    needs=st.frozensets(st.sampled_from(["vision", "function_calling", "json_schema"])),
    asked=st.frozensets(st.sampled_from(["vision", "other"])),
    tokens=st.integers(0, 60),
    complexity=st.integers(1, 10),
    open_ones=st.sets(st.integers(0, 20)),
    exploration=st.sampled_from([0.0, 0.2]),
)
def test_no_plan_has_a_struck_target_and_the_propensities_of_the_first_choices_add_up_to_1(
    models, means, needs, asked, tokens, complexity, open_ones, exploration
) -> None:
    known = snapshot(*models, learned=estimated(**means))
    assert known.configuration is not None
    every = [target.key for group in known.configuration.targets.values() for target in group]
    health = HealthView(breaker_open=frozenset(key for n, key in enumerate(every) if n in open_ones))
    hints = TaskHints(level=hints_from_metadata({"complexity": complexity}).level, capabilities=tuple(sorted(asked)))
    wanted = RoutingRequest(headers=hints, needs=tuple(sorted(needs)), input_tokens=tokens)
    planner = Planner(rng=random.Random(3), exploration=exploration)
    plans, refused = [], None
    try:
        plans = [planner.plan(wanted, known, health) for _ in range(20)]
    except PlanError as error:
        refused = error
    if refused is not None:
        assert sorted(each.key for each in refused.struck) == sorted(every), "each target has its reason"
        return
    for plan in plans:
        used = keys(plan)
        assert len(used) == len(set(used))
        assert not set(used) & struck(plan).keys()
        assert sorted([*used, *struck(plan)]) == sorted(every), "each target is used or has its reason"
        for planned in plan.targets:
            assert planned.target.model.status == "active"
            assert planned.target.problem is None
            assert "vision" not in needs or "vision" in planned.target.model.capabilities
            assert plan.relaxed or planned.target.key not in health.breaker_open
        assert len(plan.explanation()) <= MAX_EXPLANATION_BYTES
    chances = {each.ranked.model.name: each.ranked.chance.propensity for each in plans[0].targets if each.ranked}
    assert sum(chances.values()) == pytest.approx(1)
    for plan in plans:
        assert plan.propensity == chances[plan.first.target.model.name] > 0
