"""Claims for all configurations: restrictions, completeness, no target twice, and plans that do not depend on caches."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from support.planning import a_planner, estimated, keys, model, snapshot
from support.routing_rules import compiled, policy, rule

from instance_agent.catalog.model import Pricing
from instance_agent.routing.local_failures import FixedFailures
from instance_agent.routing.plan import PlanError
from instance_agent.routing.request import HealthView, RoutingRequest
from instance_agent.routing.task import TaskHints

NAMES = [f"m{number}" for number in range(6)]
MODELS = [
    model(name, 3.0 if number % 3 else None, provider="pq"[number % 2], tags=["eu"] if number % 2 else [],
          pricing=Pricing(input=number, output=4 * number))
    for number, name in enumerate(NAMES)
]  # fmt: skip
KNOWN = snapshot(*MODELS, learned=estimated(m1=0.9, m2=0.3))
some = st.lists(st.sampled_from([*NAMES, "gone"]), unique=True, max_size=5)
at_least_one = st.lists(st.sampled_from([*NAMES, "gone"]), unique=True, min_size=1, max_size=5)
orders = st.sampled_from(["priority", "learned", "local_first"])
limits = st.sampled_from([None, 0.001, 0.01])


@st.composite
def configurations(draw: st.DrawFn) -> dict[str, list[dict[str, Any]]]:
    policies = [
        policy(name, *draw(at_least_one), order=draw(orders), fallback=following, max_cost_per_task=draw(limits))
        for name, following in (("p", "q"), ("q", None))
    ]
    rules = [
        rule("r", *draw(at_least_one), condition={"tags": ["r"]}),
        rule("s", policy="p", condition={"tags": ["s"]}),
    ]
    workspace = {"id": "w", "modelRestrictions": draw(some), "deniedModels": draw(some)}
    if draw(st.booleans()):
        workspace["complianceRequirements"] = ["eu"]
    agent = {"id": "a", "preferredModels": draw(some), "performanceRequirements": {"minSuccessRate": 0.5}}
    tasks = [{"id": "t", "policy": "q"}]
    return {"policies": policies, "rules": rules, "workspaces": [workspace], "agents": [agent], "tasks": tasks}


requests = st.builds(
    RoutingRequest,
    model=st.sampled_from(["auto", "auto:complex", "policy:p", "policy:q", "m0", "m3", "p/m3", "q/other"]),
    headers=st.builds(
        TaskHints,
        level=st.just("medium"),
        complexity=st.sampled_from([None, 2, 8]),
        agent_type=st.sampled_from([None, "a"]),
        task_type=st.sampled_from([None, "t"]),
    ),
    tags=st.sampled_from([(), ("r",), ("s",)]),
    workspace=st.sampled_from([None, "w"]),
    input_tokens=st.sampled_from([0, 500, 5_000]),
    session=st.sampled_from(["one", "two"]),
)
KEYS = [f"{each.name}@{each.provider}" for each in MODELS]
healths = st.builds(HealthView, breaker_open=st.frozensets(st.sampled_from(KEYS)))


@settings(max_examples=60, deadline=None)
@given(configurations(), st.lists(requests, min_size=1, max_size=4), healths, st.sampled_from([0, 2]))
def test_plans_cross_no_restriction_and_account_for_every_candidate_once(
    entries: dict, asked: list[RoutingRequest], health: HealthView, failures: int
) -> None:
    rules, warm = compiled(KNOWN, **entries), a_planner()
    space = entries["workspaces"][0]
    allowed = space["modelRestrictions"] or [*NAMES, "other"]
    for each in [*asked, *asked]:
        try:
            plan = warm.plan(each, KNOWN, health, rules, FixedFailures({"p": failures}))
        except PlanError:
            continue
        planned, struck = keys(plan), [one.key for one in plan.struck]
        assert len(set(planned)) == len(planned)
        assert not set(planned) & set(struck)
        if plan.policy is not None or plan.rule is not None or plan.agent is not None:
            listed = rules.named(plan.policy) if plan.policy is not None else None
            if listed is not None:
                assert {target.key for target in listed.targets} <= {*planned, *struck}
        elif plan.kind != "forced":
            assert set(KEYS) == {*planned, *struck}
        if each.workspace == "w":
            for one in plan.targets:
                name = one.target.model.sent_as
                assert name in allowed
                assert name not in space["deniedModels"]
                assert "complianceRequirements" not in space or "eu" in one.target.model.tags
        if plan.method is None:
            cold = a_planner().plan(each, KNOWN, health, rules, FixedFailures({"p": failures}))
            assert keys(cold) == planned, "the caches change nothing"
