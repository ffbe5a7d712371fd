"""Experiments by an operator: start, change, remove; score tables, and their publication when they are promoted."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
from support.commands import run_command
from support.events import an_event, send
from support.fleet import Fleet
from support.operators import OPERATOR
from support.servers import execute

from centralcloud.administration.experiments import change, remove_experiment, start
from centralcloud.administration.promoted_scores import publish_promoted
from centralcloud.administration.score_overrides import pin
from centralcloud.administration.score_tables import (
    UnknownTableError,
    differing,
    table_of_rule,
    table_of_time,
    table_of_version,
)
from centralcloud.contracts import CentralCloudError, ContractError
from centralcloud.contracts.experiment_changes import ExperimentStateError, paused, promoted, resumed, stopped
from centralcloud.contracts.fleet_configuration import Experiment, parse_rule, put
from centralcloud.ingest.drain import drain
from centralcloud.learning.learner import Learner
from centralcloud.learning.rules import AdaptiveRule, ThresholdRule
from centralcloud.monitoring.experiments import list_experiments, show_experiment
from centralcloud.runtime.configuration.experiments import UnknownExperimentError, read_experiments
from centralcloud.runtime.configuration.writing import (
    Author,
    ConfigurationRightError,
    change_configuration,
    read_whole,
)
from centralcloud.runtime.postgres.database import Database
from centralcloud.store.slices import References

CANARY = {"name": "Try b", "treatments": [{"model": "b"}]}
RULES = [AdaptiveRule(), ThresholdRule()]


def started(database: Database, asked: dict[str, Any] = CANARY, **more: Any) -> Experiment:
    return start(database, asked, OPERATOR, field="experiment", any_model=True, **more).experiment


def stored(database: Database) -> list[Experiment]:
    with database.transaction() as connection:
        return [each.experiment for each in read_experiments(connection)]


def test_one_that_this_version_cannot_read_keeps_no_other_from_being_paused(
    database: Database, database_url: str
) -> None:
    good, newer = started(database).id, started(database, {**CANARY, "name": "Newer"}).id
    execute(
        database_url,
        "UPDATE configuration_entries SET body = jsonb_set(body, '{kind}', '\"bandit\"') WHERE id = %s",
        (newer,),
    )
    assert change(database, good, paused, OPERATOR).experiment.stage.status == "paused"
    with database.transaction() as connection:
        assert show_experiment(connection, "Try b")["experiment"]["id"] == good
    with pytest.raises(CentralCloudError, match=r'kind: found "bandit", expected one of canary, ab'):
        change(database, newer, paused, OPERATOR)


def test_an_experiment_is_started_changed_and_removed_with_a_log(database: Database, database_url: str) -> None:
    assert started(database, dry_run=True) is not None
    assert stored(database) == []
    begun = start(database, CANARY, OPERATOR, field="experiment", any_model=True)
    assert stored(database) == [begun.experiment]
    assert begun.notes == (
        "margin 2 points of success: the traffic of the scope is not known",
        "the model b is not registered: gateways whose catalog does not have it leave the experiment out",
    )
    name = begun.experiment.id
    for to, status in ((paused, "paused"), (resumed, "running"), (stopped, "stopped")):
        after = change(database, name if to is paused else "Try b", to, OPERATOR)
        assert stored(database) == [after.experiment]
        assert after.experiment.stage.status == status
    with pytest.raises(
        ExperimentStateError, match=r"is stopped by hand since .* UTC, expected one that runs or is paused"
    ):
        change(database, name, stopped, OPERATOR)
    remove_experiment(database, name, OPERATOR)
    assert stored(database) == []
    with pytest.raises(UnknownExperimentError, match='found no experiment "Try b"'):
        change(database, "Try b", paused, OPERATOR)
    log = execute(database_url, "SELECT action, subject, via FROM operator_actions ORDER BY id")
    assert log == [("change_configuration", f"experiment/{name}", "cli")] * 5


def test_a_running_experiment_is_not_removed_and_a_removed_one_still_counts_as_an_attempt(database: Database) -> None:
    first = started(database)
    with pytest.raises(ExperimentStateError, match="expected one that has ended: stop it first"):
        remove_experiment(database, first.id, OPERATOR)
    change(database, first.id, stopped, OPERATOR)
    remove_experiment(database, first.id, OPERATOR)
    second = start(database, {**CANARY, "name": "Once more"}, OPERATOR, field="experiment", any_model=True)
    assert second.experiment.plan.alpha == pytest.approx(0.025)
    assert any(note.startswith("experiment number 2 of this treatment and scope") for note in second.notes)
    assert second.experiment.salt != first.salt


def test_a_mistyped_model_is_refused_with_those_that_may_be_meant(
    database: Database, learned: Callable[..., None]
) -> None:
    learned(**{"gpt-5-mini": (5, 5), "claude": (5, 5)})
    mistyped = {"name": "x", "treatments": [{"model": "gpt-5-mni"}]}
    with pytest.raises(
        ContractError, match=r'treatments\[0\].model: found "gpt-5-mni", .* such as gpt-5-mini; --any-model'
    ):
        start(database, mistyped, OPERATOR, field="experiment")
    assert stored(database) == []
    start(database, {"name": "x", "treatments": [{"model": "gpt-5-mini"}]}, OPERATOR, field="experiment")


def test_the_margin_follows_from_the_sums_of_use_in_the_scope(database: Database, database_url: str) -> None:
    execute(
        database_url,
        "INSERT INTO usage_roll_ups (window_start, id, requests, successes, failures, complexity, workspace, key_id, "
        "policy, worker, task_type, model_name, provider) "
        "SELECT date_trunc('hour', now()), gen_random_uuid(), requests, successes, failures, complexity, '', '', '', '', "
        "'', 'a', 'p' FROM (VALUES (1440000, 1400000, 40000, 'simple'), (100, 70, 30, 'complex')) "
        "AS sums (requests, successes, failures, complexity)",
    )
    margins = {
        level: started(database, {**CANARY, "scope": {"complexities": [level]}}, dry_run=True).plan.margin
        for level in ("simple", "medium", "complex")
    }
    assert margins == {"simple": 0.01, "medium": 0.02, "complex": 0.03}


def test_the_split_of_a_rule_becomes_an_experiment_in_one_version(database: Database) -> None:
    rule = parse_rule(
        {
            "id": "reviewers",
            "name": "Reviewers",
            "condition": {"taskType": ["review"]},
            "targetModels": [{"modelId": "a"}, {"modelId": "b", "fallbackOrder": 2}],
            "trafficSplit": {"primary": 80, "canary": 20},
        }
    )
    author = Author(who="tester", via="cli", source="here")
    change_configuration(database, author, lambda _: [put(rule)], is_known=lambda _: True)
    begun = start(database, {"plan": {"retries": 0}}, OPERATOR, field="experiment", rule="Reviewers")
    fleet = read_whole(database).configuration
    assert fleet.version == begun.version == 2
    assert fleet.experiments == (begun.experiment,)
    assert (begun.experiment.plan.steps, begun.experiment.plan.retries) == ((0.01, 0.05, 0.2), 0)
    (left,) = fleet.rules
    assert (left.traffic_split, [each.weight for each in left.target_models]) == (None, [1.0, 0.0])
    with pytest.raises(
        ContractError, match='rule: found "Reviewer", expected the id of a rule with a trafficSplit: none'
    ):
        start(database, {}, OPERATOR, field="experiment", rule="Reviewer")


def test_each_role_may_do_its_part(shared_fleet: Fleet) -> None:
    with Database(shared_fleet.configurator, application_name="tests") as configurator:
        begun = started(configurator)
    with Database(shared_fleet.worker, application_name="tests") as worker:
        change(worker, begun.id, paused, OPERATOR)
        with pytest.raises(ConfigurationRightError):
            started(worker)
    with Database(shared_fleet.operator, application_name="tests") as operator:
        change(operator, begun.id, resumed, OPERATOR)
        with operator.transaction() as connection:
            assert [each["reason"] for each in show_experiment(connection, begun.id)["history"]] == [None] * 3
            assert len(list_experiments(connection)) == 1
    with Database(shared_fleet.gateway, application_name="tests") as gateway:
        with pytest.raises(ConfigurationRightError, match="this login may not change an experiment"):
            change(gateway, begun.id, stopped, OPERATOR)
        with gateway.transaction() as connection:
            query = "SELECT centralcloud.experiment_report(%s) ->> 'results'"
            assert connection.execute(query, (begun.id,)).fetchone() == ("[]",)


def test_start_and_remove_need_only_the_role_that_changes_the_configuration(
    shared_fleet: Fleet, tmp_path: Path
) -> None:
    def experiments(url: str, *arguments: str) -> CompletedProcess[str]:
        return run_command("centralcloud", "experiments", *arguments, env={"DATABASE_URL": url})

    begun = experiments(shared_fleet.configurator, "start", "--model", "c", "--any-model", "--name", "x", "--json")
    assert begun.returncode == 0, begun.stderr
    table = tmp_path / "table.yaml"
    table.write_text("- {modelId: a, complexity: simple, score: 4}")
    refused = experiments(shared_fleet.configurator, "start", "--score-table", str(table), "--name", "refused")
    assert (refused.returncode, "permission denied" in refused.stderr) == (1, True)
    assert "refused" not in experiments(shared_fleet.operator, "list").stdout
    assert experiments(shared_fleet.operator, "promote", "x").returncode == 0
    removed = experiments(shared_fleet.configurator, "remove", "x", "--yes")
    assert (removed.returncode, "its verdicts stay" in removed.stdout) == (0, True), removed.stderr


@pytest.fixture
def learned(database: Database, database_url: str) -> Callable[..., None]:
    def ingest_and_learn(**models: tuple[int, int]) -> None:
        events = [
            an_event(f"i-{n % 3}", selected_model=model, outcome=outcome, response_time_ms=1000, complexity_score=2.0)
            for model, (successes, failures) in models.items()
            for n, outcome in enumerate(["success"] * successes + ["failure"] * failures)
        ]
        send(database_url, events)
        drain(database, batch_size=1000)
        Learner(database, RULES).learn()

    return ingest_and_learn


def scores(url: str) -> dict[str, float]:
    return {row[0]: float(row[1]) for row in execute(url, "SELECT model_name, score FROM model_scores")}


def test_score_tables_are_those_of_a_rule_a_version_or_a_time(
    database: Database, database_url: str, learned: Callable[..., None]
) -> None:
    learned(a=(90, 10), b=(60, 40))
    between = datetime.now(UTC)
    learned(a=(10, 190), b=(190, 10))
    newest = scores(database_url)
    with database.transaction() as connection:
        ours = table_of_rule(connection, "adaptive", ())
        earlier = table_of_time(connection, between, ("complex",))
        assert {each["modelId"]: each["score"] for each in ours} == pytest.approx(newest)
        assert earlier == table_of_version(connection, 2, ())
        assert [each["modelId"] for each in earlier] == ["a", "b"]
        assert all(each["nEff"] > 0 for each in earlier)
        old = started(database, {"name": "back", "treatments": [{"scoreTable": earlier}]}).treatments[0].score_table
        assert differing(connection, old) == 2
        same = started(database, {"name": "same", "treatments": [{"scoreTable": ours}]}).treatments[0].score_table
        assert differing(connection, same) == 0
        with pytest.raises(
            UnknownTableError, match=r'found no scores of a rule "mine", expected .*: adaptive, threshold'
        ):
            table_of_rule(connection, "mine", ())
        with pytest.raises(UnknownTableError, match="found no score of the rule adaptive for simple tasks"):
            table_of_rule(connection, "adaptive", ("simple",))
        with pytest.raises(UnknownTableError, match="expected a later time"):
            table_of_time(connection, between - timedelta(days=1), ())


def test_a_promoted_score_table_is_published_once_and_the_rules_continue_from_it(
    database: Database, database_url: str, learned: Callable[..., None]
) -> None:
    learned(a=(90, 10), b=(60, 40), c=(50, 50))
    before = scores(database_url)
    table = [
        {"modelId": model, "complexity": "complex", "score": 4.5, "mean": 0.9, "nEff": 200}
        for model in ("a", "b", "c", "d")
    ]
    begun = started(database, {"name": "table", "treatments": [{"scoreTable": table}]})
    pin(database, ("c", "complex"), Decimal("1.000"), None, OPERATOR)
    assert publish_promoted(database, RULES, References()) == {}, "it still runs"
    change(database, begun.id, promoted, OPERATOR)
    with pytest.raises(ExperimentStateError, match="a score table that is not published yet"):
        remove_experiment(database, begun.id, OPERATOR)
    changes = publish_promoted(database, RULES, References())[begun.id]
    assert [(each.model, each.new_score) for each in changes] == [("a", 4.5), ("b", 4.5)], "c is pinned, d is unknown"
    assert changes[1].reason == f"promoted by the experiment {begun.id}: {before['b']:.3f} -> 4.500"
    assert scores(database_url) == {"a": 4.5, "b": 4.5, "c": 1.0}
    assert publish_promoted(database, RULES, References()) == {}, "once"
    assert execute(database_url, "SELECT verdict, facts ->> 'version' FROM experiment_verdicts") == [
        ("published", str(changes[1].version))
    ]
    log = execute(
        database_url, "SELECT who, via, reason, version FROM operator_actions WHERE action = 'promote_scores'"
    )
    ((who, *rest),) = log
    assert who.startswith("centralcloud as ")
    assert rest == ["daemon", f"promoted by the experiment {begun.id}", changes[1].version]
    Learner(database, RULES).learn()
    assert scores(database_url)["b"] == 4.5, "it is held until enough new outcomes have arrived"
    learned(b=(0, 60))
    assert scores(database_url)["b"] < 4.5, "evidence since then counts"
    assert remove_experiment(database, begun.id, OPERATOR).experiment.id == begun.id
