"""Arms of experiments in plans: who is in one, what a treatment changes, and what does not move a session."""

import json
from collections import Counter
from typing import Any

import pytest
from support.experiment_entries import an_experiment
from support.planning import NOW, a_planner, estimated, model, names, request, snapshot
from support.routing_rules import compiled, hints, plan, policy, refused, rule

from centralcloud.contracts import Estimate
from instance_agent.catalog.learned_scores import LearnedScore, LearnedScores
from instance_agent.routing.affinity import SessionMemory
from instance_agent.routing.plan import Plan
from instance_agent.routing.plan_json import plan_as_json
from instance_agent.routing.planner import Planner
from instance_agent.routing.request import HealthView, RoutingRequest
from instance_agent.routing.rules import RoutingRules
from instance_agent.routing.spend import NO_SPEND, SpendView
from instance_agent.routing.task import TaskHints

#: `new` has no score: the learned selection would never choose it.
MODELS = [model("a", 5.0), model("b", 4.0), model("new", None, provider="q")]
KNOWN = snapshot(*MODELS, aliases={"old": "a"})
#: First 8 bytes of `printf 'e1\nsalt\nNAME' | sha256sum`, and whether (them >> 11) / 2^53 is below 1/4, computed with bc.
GOLDEN = (
    ("session-0", "e7b8b245e22207e9", False),
    ("session-1", "6462419b04ffaffb", False),
    ("session-2", "aab312e5852e0b8a", False),
    ("session-3", "a4b14f9d5e80bcae", False),
    ("session-4", "94ec463f3a169364", False),
    ("session-5", "0364d1087297e7de", True),
    ("session-6", "bdb77d2cc1a01b67", False),
    ("session-7", "ec306e8e3cdcd831", False),
    ("session-8", "06c4fdf14c4376fc", True),
    ("session-9", "b8c1a0d6f214cfeb", False),
    ("session-10", "7b046f216e253c15", False),
    ("session-11", "4c29a95ee1aa65e3", False),
    ("session-12", "5d6fd3e942aeecfc", False),
    ("session-13", "ae2678bf10f678e1", False),
    ("session-14", "d51521b53721b04f", False),
    ("session-15", "4f9f73cede2756e3", False),
    ("session-16", "9afef3c699c62f2c", False),
    ("session-17", "774eb14cf9d88860", False),
    ("session-18", "e0524edc64bf1132", False),
    ("session-19", "2b9824b41acfc1ae", True),
)
#: Sessions of the salt on both sides of one half.
TREATED, CONTROL = "session-1", "session-0"


def rules_of(*treatments: dict[str, Any], known: Any = KNOWN, **fields: Any) -> RoutingRules:
    more = {name: fields.pop(name) for name in ("rules", "policies", "tasks", "workspaces", "agents") if name in fields}
    return compiled(known, experiments=[an_experiment(*treatments, **fields)], **more)


def served(rules: RoutingRules, session: str, known: Any = KNOWN, **fields: Any) -> Plan:
    return plan(rules, request(session=session, **fields), known)


def arm(found: Plan) -> tuple[str | None, str | None, float | None]:
    return found.experiment, found.arm, found.arm_share


@pytest.mark.parametrize(("session", "first_bytes", "treated"), GOLDEN)
def test_the_arms_of_twenty_sessions_are_fixed(session: str, first_bytes: str, treated: bool) -> None:
    found = served(rules_of(share=0.25), session)
    assert arm(found) == ("e1", "new" if treated else "control", 0.25)
    assert names(found) == (["new", "a", "b"] if treated else ["a", "b"])


def test_a_session_keeps_its_arm_and_arms_have_their_shares() -> None:
    rules = rules_of({"name": "x", "model": "b"}, {"name": "y", "model": "new"}, share=0.2)
    planner = a_planner()

    def arm_of(session: str) -> str | None:
        return planner.plan(request(session=session), KNOWN, rules=rules).arm

    counts = Counter(arm_of(f"s-{number}") for number in range(4000))
    assert counts["x"] / 4000 == pytest.approx(0.2, abs=0.03)
    assert counts["y"] / 4000 == pytest.approx(0.2, abs=0.03)
    assert {arm_of("s-1") for _ in range(20)} == {arm_of("s-1")}


def test_without_a_session_the_request_decides() -> None:
    rules = rules_of()
    assert plan(rules, request(id=TREATED)).arm == "new"
    assert plan(rules, request(id=CONTROL)).arm == "control"
    assert plan(rules, request(id=TREATED, session=CONTROL)).arm == "control"
    assert plan(rules, request()).arm in ("new", "control")


def test_a_step_of_the_ramp_moves_no_session_that_is_compared() -> None:
    before, step, after = (
        rules_of(share=0.05),
        rules_of(share=0.25, stage={"before": 0.05}),
        rules_of(share=0.25),
    )
    planner, uncompared = a_planner(), 0
    for number in range(500):
        asked = request(session=f"s-{number}")
        old, now, new = (planner.plan(asked, KNOWN, rules=each) for each in (before, step, after))
        if now.arm_share is None:
            uncompared += 1
            assert (old.arm, now.arm, new.arm) == ("control", "control", "new")
        else:
            assert old.arm == now.arm == new.arm
            assert now.arm_share == pytest.approx(0.05 / 0.8)
    assert uncompared / 500 == pytest.approx(0.2, abs=0.06)


def test_a_model_comes_first_and_control_follows_without_a_draw() -> None:
    known = snapshot(*MODELS, learned=estimated(a=0.9, b=0.89))
    rules = rules_of(known=known)
    planner = a_planner(exploration=0.5)
    found = [planner.plan(request(session=TREATED), known, rules=rules) for _ in range(50)]
    assert {tuple(names(each)) for each in found} == {("new", "a", "b")}
    first = found[0]
    assert (first.kind, first.propensity, first.method) == ("experiment", None, None)
    assert [each.code for each in first.targets] == ["experiment", "fallback", "fallback"]
    control = [planner.plan(request(session=CONTROL), known, rules=rules) for _ in range(50)]
    assert len({tuple(names(each)) for each in control}) > 1, "control is served as without the experiment"
    assert all(each.propensity for each in control)


def outcome_of(found: Plan) -> tuple[Any, ...]:
    return names(found), found.kind, found.propensity, found.struck


def test_control_is_served_as_without_the_experiment_but_for_probes() -> None:
    known = snapshot(*MODELS, learned=estimated(a=0.9, b=0.89))
    with_it, without = a_planner(exploration=0.2), a_planner(exploration=0.2)
    for _ in range(100):
        one = with_it.plan(request(session=CONTROL), known, rules=rules_of(known=known))
        other = without.plan(request(session=CONTROL), known, rules=compiled(known), probing=False)
        assert outcome_of(one) == outcome_of(other)


PROBED = LearnedScores(
    scores={
        (name, "medium"): LearnedScore(
            score=score, version=1, at=NOW, estimate=Estimate(mean=score / 5, n_eff=10_000, probe_share=share)
        )
        for name, score, share in (("a", 4.5, 0.0), ("b", 0.5, 0.4))
    }
)


@pytest.mark.parametrize("treatment", ["model", "policy", "table", "named"])
def test_neither_arm_is_probed_while_it_is_compared(treatment: str) -> None:
    known = snapshot(*MODELS, learned=PROBED)
    learning = policy("learning", "a", "b", order="learned")
    scope = {"requestedModels": ["new"]} if treatment == "named" else {}
    of_kind = {
        "model": {"name": "t", "model": "new"},
        "policy": {"name": "t", "policy": "learning"},
        "named": {"name": "t", "policy": "learning"},
        "table": table(a=0.8),
    }[treatment]
    planner = a_planner(exploration=0.3)

    def kinds(session: str, **fields: Any) -> set[str]:
        rules = rules_of(of_kind, known=known, policies=[learning], scope=scope, **fields)
        asked = request(session=session, model="new" if treatment == "named" else "auto")
        found = [planner.plan(asked, known, rules=rules) for _ in range(100)]
        assert {each.experiment for each in found} == {"e1"}
        assert len({each.arm_share for each in found}) == 1
        return {each.kind for each in found}

    tried = {"probe", "exploration"}
    for session in (TREATED, CONTROL):
        assert not kinds(session) & tried, "compared"
    if treatment != "named":  # a model that the client named is not probed anyway
        assert kinds(CONTROL, stage={"status": "paused"}) >= tried, "paused: nothing is compared"
        assert kinds(CONTROL, share=0.0) >= tried
    if treatment in ("policy", "named"):
        promoted = {"status": "promoted", "winner": "t"}
        assert kinds(CONTROL, share=0.0, stage=promoted) >= tried, "its policy is served as any other"


def test_sessions_outside_of_the_scope_are_probed_while_an_experiment_runs() -> None:
    known = snapshot(*MODELS, learned=PROBED)
    rules, planner = rules_of(known=known, scope={"workspaces": ["acme"]}), a_planner(exploration=0.3)
    kinds = {planner.plan(request(session=TREATED), known, rules=rules).kind for _ in range(100)}
    assert kinds == {"best", "probe", "exploration"}


def test_a_policy_serves_the_request_with_its_limits() -> None:
    rules = rules_of({"name": "fast", "policy": "fast"}, policies=[policy("fast", "b", "a", max_tokens=100)])
    found = served(rules, TREATED)
    assert (names(found), found.policy, found.policy_from, found.kind) == (["b", "a"], "fast", "experiment", "policy")
    assert found.settings is not None
    assert found.settings.max_tokens == 100
    control = served(rules, CONTROL)
    assert (names(control)[0], control.policy, arm(control)) == ("a", None, ("e1", "control", 0.5))


def table(**means: float) -> dict[str, Any]:
    scores = [
        {"modelId": name, "complexity": "medium", "score": 5 * mean, "mean": mean, "nEff": 10_000}
        for name, mean in means.items()
    ]
    return {"name": "table", "scoreTable": scores}


def test_a_score_table_replaces_the_learned_scores_of_its_pairs_without_probes() -> None:
    known = snapshot(*MODELS[:2], learned=estimated(a=0.9, b=0.1))
    rules = rules_of(table(b=0.99), known=known)
    planner = a_planner(exploration=0.5)
    found = [planner.plan(request(session=TREATED), known, rules=rules) for _ in range(100)]
    assert {(*names(each), each.kind) for each in found} == {("b", "a", "best")}
    assert found[0].first.score_version is None
    # Another complexity has the learned scores, and no probes either.
    simple = {planner.plan(request("simple", session=TREATED), known, rules=rules).kind for _ in range(100)}
    assert simple == {"best"}
    assert names(planner.plan(request(session=CONTROL), known, rules=rules, probing=False)) == ["a", "b"]


def test_a_score_table_may_have_scores_of_task_types() -> None:
    known = snapshot(*MODELS[:2], learned=estimated(a=0.9, b=0.1))
    code = {"taskType": "code", "score": 4.95, "mean": 0.99, "nEff": 10_000}
    proposed = table(b=0.2)
    proposed["scoreTable"][0]["taskTypes"] = [code]
    rules = rules_of(proposed, known=known)

    def first(session: str, task_type: str) -> str:
        asked = RoutingRequest(headers=TaskHints(level="medium", task_type=task_type), session=session)
        return names(a_planner().plan(asked, known, rules=rules))[0]

    assert (first(TREATED, "code"), first(TREATED, "chat"), first(CONTROL, "code")) == ("b", "a", "a")


def test_the_probabilities_of_a_table_are_prepared_with_those_of_new_scores() -> None:
    known = snapshot(*MODELS[:2], learned=estimated(a=0.9, b=0.1))
    rules, planner = rules_of(table(b=0.99), known=known), a_planner()
    planner.plan(request(session=TREATED), known, rules=rules)
    newer = known._replace(learned=estimated(a=0.8, b=0.2))
    planner.prepare(newer)
    computed = planner.sets_computed
    assert names(planner.plan(request(session=TREATED), newer, rules=rules)) == ["b", "a"]
    assert planner.sets_computed == computed


def test_a_table_has_no_request_whose_models_are_listed() -> None:
    rules = rules_of(table(b=0.99), rules=[rule("r", "b", condition={"tags": ["x"]})])
    for session in (TREATED, CONTROL):
        found = served(rules, session, tags=("x",))
        assert (found.rule, arm(found)) == ("r", (None, None, None))
        assert "its model is not selected by learned scores" in found.passed_over[0]


def test_the_scope_decides_who_is_in_it() -> None:
    asked = {"session": TREATED, "workspace": "acme"}
    rules = rules_of(scope={"complexities": ["simple"], "workspaces": ["acme"], "taskTypes": ["analysis"]})
    simple = RoutingRequest(headers=TaskHints(level="simple", task_type="analysis"), **asked)
    assert plan(rules, simple, KNOWN).arm == "new"
    for changed in ({"workspace": "other"}, {"workspace": None}):
        other = RoutingRequest(headers=simple.headers, **{**asked, **changed})
        assert plan(rules, other, KNOWN).arm is None
    assert served(rules, TREATED, workspace="acme").arm is None, "medium"


def test_the_scope_of_a_policy_is_that_which_would_serve_the_request() -> None:
    rules = rules_of(
        scope={"policies": ["code"]}, policies=[policy("code", "b", "a")], tasks=[{"id": "fix", "policy": "code"}]
    )
    asked = RoutingRequest(headers=hints(task_type="fix").headers, session=TREATED)
    found = plan(rules, asked, KNOWN)
    assert (names(found), found.policy, found.arm) == (["new", "b", "a"], "code", "new")
    assert served(rules, TREATED).arm is None


@pytest.mark.parametrize("name", ["a", "old", "policy:fast", "auto:simple"])
def test_a_name_of_the_client_comes_before_an_experiment_unless_the_scope_has_it(name: str) -> None:
    policies = [policy("fast", "a", "b")]
    open_scope = served(rules_of(policies=policies), TREATED, model=name)
    assert (open_scope.arm, names(open_scope)[0]) == ((None, "a") if name != "auto:simple" else ("new", "new"))
    rules = rules_of(scope={"requestedModels": [name]}, policies=policies)
    found = served(rules, TREATED, model=name)
    assert (found.arm, found.kind, names(found)[:2]) == ("new", "experiment", ["new", "a"])
    assert found.is_named is (name in ("a", "old"))
    control = served(rules, CONTROL, model=name)
    assert (control.arm, names(control)[0], control.arm_share) == ("control", "a", 0.5)
    assert served(rules, TREATED).arm is None, "auto is not in it"


def test_a_policy_may_serve_requests_for_a_model() -> None:
    rules = rules_of(
        {"name": "fast", "policy": "fast"}, policies=[policy("fast", "b")], scope={"requestedModels": ["a"]}
    )
    found = served(rules, TREATED, model="a")
    assert (names(found), found.policy, found.is_named) == (["b"], "fast", True)


def test_the_first_by_id_has_the_session_also_while_it_is_paused() -> None:
    second = an_experiment({"name": "b", "model": "b"}, id="e2")
    paused = an_experiment(stage={"status": "paused"})
    both = compiled(KNOWN, experiments=[second, paused])
    assert arm(served(both, TREATED)) == ("e1", "control", None)
    assert names(served(both, TREATED))[0] == "a"
    stopped = compiled(KNOWN, experiments=[second, {**paused, "stage": {**paused["stage"], "status": "stopped"}}])
    assert {served(stopped, f"s{number}").experiment for number in range(5)} == {"e2"}
    ended = an_experiment(stage={"status": "stopped"})
    assert compiled(KNOWN, experiments=[ended]).experiments is None


def test_a_promoted_treatment_has_every_session_and_is_not_compared() -> None:
    rules = rules_of(share=0.0, stage={"status": "promoted", "winner": "new"})
    for session in (TREATED, CONTROL, "s"):
        found = served(rules, session)
        assert (names(found)[0], arm(found)) == ("new", ("e1", "new", None))
    silent = plan(rules, request(session=CONTROL), KNOWN, treating=False)
    assert (names(silent)[0], silent.arm) == ("new", "new"), "a decision that was made stays"


def test_a_silent_daemon_ends_every_treatment() -> None:
    found = plan(rules_of(), request(session=TREATED), KNOWN, treating=False)
    assert (names(found)[0], arm(found)) == ("a", ("e1", "control", None))
    assert "the daemon is silent" in found.text()


# A treatment that cannot serve a request: neither arm has it.


@pytest.mark.parametrize(
    ("fields", "more", "words"),
    [
        (
            {"workspace": "acme"},
            {"workspaces": [{"id": "acme", "deniedModels": ["new"]}]},
            'the workspace "acme" denies it',
        ),
        ({"needs": ("vision",)}, {}, "it does not accept vision"),
        ({"input_tokens": 9000}, {}, "context window of 8000 tokens"),
        ({"spend": SpendView(targets={"new@q": "its budget is used up"})}, {}, "its budget is used up"),
    ],
)
def test_requests_that_the_treatment_cannot_serve_are_in_no_arm(
    fields: dict[str, Any], more: dict[str, Any], words: str
) -> None:
    able = {"capabilities": frozenset({"vision"}), "context_window": 100_000}
    known = snapshot(model("a", 5.0, **able), model("new", None, provider="q", context_window=8000))
    rules = rules_of(known=known, **more)
    for session in (TREATED, CONTROL):
        found = plan(rules, request(session=session, **fields), known)
        assert (names(found)[0], arm(found)) == ("a", (None, None, None))
        assert found.passed_over[-1].startswith("experiment e1: the treatment new cannot serve this request: ")
        assert words in found.passed_over[-1]
    assert served(rules, TREATED, known).arm == "new"


def test_a_budget_that_is_used_up_counts_from_the_next_request_on() -> None:
    rules = rules_of(policies=[policy("p", "a")], scope={"requestedModels": ["policy:p"]})
    planner, spend = a_planner(), SpendView(targets={"new@q": "its budget is used up"})

    def arm_with(view: SpendView) -> str | None:
        return planner.plan(request(session=TREATED, model="policy:p", spend=view), KNOWN, rules=rules).arm

    assert [arm_with(each) for each in (NO_SPEND, spend, NO_SPEND)] == ["new", None, "new"]


def test_the_limit_of_a_policys_cost_holds_for_the_treatment() -> None:
    known = snapshot(model("a", 5.0), model("new", None, provider="q", pricing={"input": 0, "output": 1000}))
    rules = rules_of(
        known=known, policies=[policy("p", "a", max_cost_per_task=0.01)], scope={"requestedModels": ["policy:p"]}
    )
    cheap = served(rules, TREATED, known, model="policy:p", output_tokens=5)
    dear = served(rules, CONTROL, known, model="policy:p", output_tokens=500)
    assert (cheap.arm, dear.arm) == ("new", None)
    assert "the policy p allows 0.01 USD" in dear.passed_over[0]


def test_a_model_that_this_catalog_does_not_have_has_no_arm_here() -> None:
    rules = rules_of({"name": "x", "model": "nowhere"})
    assert rules.experiments is not None
    assert rules.experiments.problems == {"e1": "its treatment x: the catalog of this gateway does not have nowhere"}
    found = served(rules, CONTROL)
    assert (names(found)[0], found.arm) == ("a", None)
    inactive = rules_of({"name": "x", "policy": "p"}, policies=[policy("p", "b", is_active=False)])
    assert served(inactive, CONTROL).passed_over == (
        "experiment e1: the treatment x cannot serve this request: its policy p is not active",
    )


def test_an_experiment_that_this_gateway_cannot_serve_takes_no_request_from_the_next_one() -> None:
    second = an_experiment({"name": "b", "model": "b"}, id="e2")
    known = snapshot(*MODELS, model("resting", 4.0, status="inactive"))
    for broken in (
        {"name": "x", "model": "mistyped"},
        {"name": "x", "model": "resting"},
        {"name": "x", "policy": "off"},
    ):
        rules = compiled(
            known, experiments=[an_experiment(broken), second], policies=[policy("off", "b", is_active=False)]
        )
        found = [served(rules, f"s{number}", known) for number in range(20)]
        assert {each.experiment for each in found} == {"e2"}
        assert {each.arm for each in found} == {"b", "control"}
        assert rules.experiments is not None
        assert list(rules.experiments.problems) == ["e1"]
    paused = an_experiment({"name": "x", "model": "mistyped"}, stage={"status": "paused"})
    assert served(compiled(KNOWN, experiments=[paused, second]), TREATED).experiment == "e2"


def test_a_promoted_experiment_needs_its_winner_alone() -> None:
    gone, kept = {"name": "x", "model": "gone"}, {"name": "b", "model": "b"}
    promoted = an_experiment(gone, kept, share=0.0, plan={"steps": [0.3]}, stage={"status": "promoted", "winner": "b"})
    second = an_experiment(id="e2")
    assert arm(served(compiled(KNOWN, experiments=[promoted, second]), CONTROL)) == ("e1", "b", None)
    lost = {**promoted, "stage": {**promoted["stage"], "winner": "x"}}
    assert served(compiled(KNOWN, experiments=[lost, second]), CONTROL).experiment == "e2"


def test_a_table_that_was_promoted_leaves_the_choice_to_the_learned_scores() -> None:
    known = snapshot(*MODELS[:2], learned=estimated(a=0.9, b=0.1))
    rules = rules_of(table(b=0.99), known=known, share=0.0, stage={"status": "promoted", "winner": "table"})
    found = served(rules, CONTROL, known)
    assert (names(found), arm(found)) == (["a", "b"], ("e1", "table", None))


def test_a_table_that_leaves_no_model_good_enough_keeps_the_request_in_its_arm() -> None:
    known = snapshot(*MODELS[:2], learned=PROBED)
    strict = [{"id": "acme", "qualityRequirements": {"minSuccessRate": 0.85}}]
    rules = rules_of(table(a=0.5), known=known, workspaces=strict)
    for session, expected in ((TREATED, "table"), (CONTROL, "control")):
        found = served(rules, session, known, workspace="acme")
        assert (names(found)[0], arm(found)) == ("a", ("e1", expected, 0.5))


def test_a_model_that_is_down_keeps_its_place_and_its_arm() -> None:
    open_breaker, posted = (
        HealthView(breaker_open=frozenset({"new@q"})),
        HealthView(unhealthy={"new": "reported as unhealthy"}),
    )
    for health in (open_breaker, posted):
        found = a_planner().plan(request(session=TREATED), KNOWN, health, rules_of())
        assert (names(found), arm(found)) == (["new", "a", "b"], ("e1", "new", 0.5))
        assert [each.key for each in found.waived] == ["new@q"]


def test_an_error_of_control_is_one_of_every_arm() -> None:
    rules = rules_of(
        known=KNOWN, workspaces=[{"id": "acme", "modelRestrictions": ["new"]}], scope={"requestedModels": ["a"]}
    )
    for session in (TREATED, CONTROL):
        error = refused(rules, request(session=session, model="a", workspace="acme"), KNOWN)
        assert error.code == "workspace_restriction"


# Sessions


def remembering(known: Any, session: str, name: str, arm: tuple[str, str] | None) -> Planner:
    sessions = SessionMemory()
    sessions.record(session, name, 1000, arm)
    return a_planner(sessions=sessions)


def test_a_sessions_model_counts_only_under_the_arm_that_chose_it() -> None:
    learned = LearnedScores(
        scores={
            (name, "medium"): LearnedScore(score=score, version=1, at=NOW, estimate=Estimate())
            for name, score in (("a", 5.0), ("b", 4.9))
        }
    )
    known = snapshot(*MODELS[:2], learned=learned)
    tabled = rules_of(
        {"name": "t", "scoreTable": [{"modelId": "b", "complexity": "medium", "score": 4.8}]}, known=known
    )
    for session, kept_under, other in ((TREATED, ("e1", "t"), None), (CONTROL, None, ("e1", "t"))):
        asked = request(session=session)
        kept = remembering(known, session, "b", kept_under).plan(asked, known, rules=tabled)
        assert (names(kept)[0], kept.affinity, kept.kind) == ("b", "kept", "session")
        left = remembering(known, session, "b", other).plan(asked, known, rules=tabled)
        assert (names(left)[0], left.affinity) == ("a", "left_arm")
    ended = remembering(known, TREATED, "b", ("e1", "t")).plan(request(session=TREATED), known, rules=compiled(known))
    assert (names(ended)[0], ended.affinity) == ("a", "left_arm"), "a treatment that was rolled back does not go on"


def test_no_session_moves_a_treatments_request_from_its_model() -> None:
    known = snapshot(*MODELS)
    found = remembering(known, TREATED, "a", ("e1", "new")).plan(request(session=TREATED), known, rules=rules_of())
    assert (names(found), found.affinity) == (["new", "a", "b"], None)


def test_the_order_of_a_treatment_is_made_once() -> None:
    rules, planner = rules_of(), a_planner()
    one, other = (planner.plan(request(session=TREATED), KNOWN, rules=rules) for _ in range(2))
    assert one.targets is other.targets


# Explanations


def test_the_plan_says_which_arm_in_words_and_json() -> None:
    rules = rules_of(share=0.01)
    session = next(f"s{n}" for n in range(1000) if served(rules, f"s{n}").arm == "new")
    found = served(rules, session)
    assert "experiment e1: treatment new at 1%" in found.text()
    assert 'new@q: the treatment "new" of the experiment "e1"' in found.text()
    assert "experiment e1: control (treatment at 1%)" in served(rules, CONTROL).text()
    explained = json.loads(found.explanation())
    assert (explained["experiment"], explained["arm"], explained["arm_share"]) == ("e1", "new", 0.01)
    assert "experiment" not in json.loads(plan(compiled(KNOWN), request(), KNOWN).explanation())
    shown = plan_as_json(found, None)
    assert {"experiment": "e1", "arm": "new", "armShare": 0.01, "kind": "experiment"}.items() <= shown.items()
    assert shown["armReason"] == "experiment e1: treatment new at 1%"
