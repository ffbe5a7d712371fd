"""Models are renamed, merged and retired with all their data; instances are listed and forgotten."""

import json
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest
from support.commands import run_command
from support.events import an_event, outcomes, random_events, send
from support.history import pretend_all_came
from support.ingesting import ingest
from support.operators import OPERATOR
from support.servers import execute
from support.waiting import eventually

from centralcloud.administration.instances import forget_instance, list_instances
from centralcloud.administration.models import (
    UnknownModelError,
    list_models,
    reinstate_model,
    rename_model,
    retire_model,
)
from centralcloud.administration.score_audit import audit_scores
from centralcloud.administration.score_overrides import RetiredModelError, pin, roll_back
from centralcloud.administration.verification import verify
from centralcloud.ingest.batch_ingest import ingest_batch
from centralcloud.ingest.batch_limits import BatchLimits
from centralcloud.ingest.drain import drain
from centralcloud.learning.learner import Learner
from centralcloud.learning.rule import Rule
from centralcloud.learning.rules import AdaptiveRule, ThresholdRule
from centralcloud.maintenance.maintenance import Maintenance
from centralcloud.maintenance.retention import Retention
from centralcloud.monitoring.reports import ModelMetrics
from centralcloud.runtime.postgres.database import Database
from centralcloud.store import slices
from centralcloud.store.findings import Finding, replace_findings
from centralcloud.store.slices import References, close_slice
from instance_agent.catalog.learned_scores_file import LearnedScoresFile
from instance_agent.sync.score_updater import ScoreUpdater

ADAPTIVE: list[Rule] = [AdaptiveRule(), ThresholdRule()]
THRESHOLD: list[Rule] = [ThresholdRule(), AdaptiveRule()]


def command(url: str, *arguments: str, code: int = 0) -> str:
    result = run_command("centralcloud", *arguments, env={"DATABASE_URL": url})
    assert result.returncode == code, result.stderr
    assert code == 0 or (result.stdout, result.stderr.count("\n")) == ("", 1)
    return result.stdout if code == 0 else result.stderr


def published(url: str) -> dict[tuple[str, str], float]:
    rows = execute(url, "SELECT model_name, complexity_level, score FROM model_scores")
    return {(row[0], row[1]): float(row[2]) for row in rows}


def models_in(url: str) -> dict[str, list[str]]:
    """Return the models in each table."""
    columns = {
        "routing_records": "model",
        **dict.fromkeys(
            (
                "model_routing_metrics", "evidence", "dropped_metrics", "dropped_evidence", "model_performance",
                "rule_scores", "model_scores", "score_pins", "score_holds", "retired_models",
            ),
            "model_name",
        ),
    }  # fmt: skip
    return {
        table: [row[0] for row in execute(url, f"SELECT DISTINCT {column} FROM {table} ORDER BY 1")]
        for table, column in columns.items()
    }


def totals(database: Database) -> dict[str, int]:
    names = ("usage_count", "routed_count", "success_count", "failure_count", "blameless_count", "response_time_count")
    with database.transaction() as connection:
        rows = ModelMetrics(connection).all()
    return {name: sum(row[name] for row in rows) for name in names}


def fill(database: Database, url: str, seed: int = 1) -> None:
    """Create four models with a history: dropped partitions, roll-ups, several slices, resends, and a slice that is open."""
    rng = random.Random(seed)
    for days_ago in (100, 20, 0):
        linked = [
            an_event(decision_id=f"{days_ago}-{n}", selected_model=model, outcome=outcome, response_time_ms=n)
            for n in range(20)
            for model in ("atlas", "dune")
            for outcome in ("routed", "success")
        ]
        ingest(database, url, [*random_events(600, rng), *linked, *linked[:5]])
        if days_ago:
            close_slice(database)
            pretend_all_came(url, days_ago)
    Maintenance(database, retention=Retention(records_days=90)).run_once()
    ingest(database, url, random_events(100, rng))


@pytest.mark.parametrize("rules", [ADAPTIVE, THRESHOLD])
def test_a_renamed_model_keeps_all_its_data(database: Database, database_url: str, rules: list[Rule]) -> None:
    fill(database, database_url)
    Learner(database, rules).learn(force=True)
    pin(database, ("atlas", "simple"), published(database_url)["atlas", "simple"], None, OPERATOR)  # type: ignore[arg-type]
    before, scores = totals(database), published(database_url)
    tables = models_in(database_url)
    done = rename_model(database, "atlas", "zephyr", OPERATOR)
    assert (sorted(done.complexities), done.merged) == (["complex", "medium", "simple"], [])
    assert models_in(database_url) == {
        table: sorted("zephyr" if model == "atlas" else model for model in models) for table, models in tables.items()
    }
    assert published(database_url) == {
        ("zephyr" if pair[0] == "atlas" else pair[0], pair[1]): score for pair, score in scores.items()
    }
    assert totals(database) == before
    assert verify(database).differences == []
    audit = audit_scores(database, rules)
    assert audit.checked
    assert audit.differences == []
    assert Learner(database, rules).learn().changes == [], "the rule continues from its previous score"
    history = execute(database_url, "SELECT DISTINCT rule FROM model_score_history WHERE model_name = 'atlas'")
    assert set(history) == {(rules[0].name,), ("pin",)}, "the history keeps the old name"
    renamed = execute(database_url, "SELECT DISTINCT rule, kind FROM model_score_history WHERE model_name = 'zephyr'")
    assert renamed == [("renamed", "renamed")]


@pytest.mark.parametrize("rules", [ADAPTIVE, THRESHOLD])
def test_merged_models_are_counted_together_and_the_score_of_the_new_name_stays(
    database: Database, database_url: str, rules: list[Rule]
) -> None:
    fill(database, database_url)
    Learner(database, rules).learn(force=True)
    before, scores = totals(database), published(database_url)
    done = rename_model(database, "atlas", "dune", OPERATOR)
    assert sorted(done.merged) == ["complex", "medium", "simple"]
    assert all("atlas" not in models for models in models_in(database_url).values())
    assert totals(database) == before
    verification = verify(database)
    assert verification.differences == []
    assert audit_scores(database, rules).differences == []
    assert published(database_url) == {pair: score for pair, score in scores.items() if pair[0] != "atlas"}
    reasons = execute(database_url, "SELECT reason FROM model_scores WHERE model_name = 'dune'")
    assert all(reason.startswith("atlas was merged into dune, whose score stays: ") for (reason,) in reasons)
    Learner(database, rules).learn(force=True)
    assert verify(database).differences == []
    assert audit_scores(database, rules).differences == []


def test_a_merge_into_a_model_without_a_score_keeps_the_old_score(database: Database, database_url: str) -> None:
    ingest(
        database,
        database_url,
        [
            *outcomes(98, 2, selected_model="old", complexity_score=4.0),
            *outcomes(98, 2, selected_model="old", complexity="simple", complexity_score=3.0),
            *outcomes(2, 98, selected_model="new", complexity_score=4.0),
        ],
    )
    Learner(database, THRESHOLD).learn(force=True)
    assert published(database_url) == {("old", "complex"): 4.3, ("old", "simple"): 3.3, ("new", "complex"): 3.9}
    done = rename_model(database, "old", "new", OPERATOR)
    assert done.merged == ["complex"]
    assert published(database_url) == {("new", "complex"): 3.9, ("new", "simple"): 3.3}
    assert {(change.complexity, change.new_score) for change in done.changes} == {("complex", 3.9), ("simple", 3.3)}
    updates = execute(
        database_url,
        "SELECT message->>'model', message->>'rule' FROM pgmq.q_model_score_updates ORDER BY msg_id DESC LIMIT 2",
    )
    assert updates == [("new", "renamed"), ("new", "renamed")]
    ingest(database, database_url, outcomes(100, 0, selected_model="new", complexity="simple"))
    (change,) = Learner(database, THRESHOLD).learn().changes
    assert (change.old_score, change.new_score, change.based_on_samples) == (3.3, 3.6, 100)


def test_an_instance_follows_a_rename(database: Database, database_url: str, tmp_path: Path) -> None:
    updater = ScoreUpdater(database, instance_id="i", file=LearnedScoresFile(tmp_path), reconcile_interval_seconds=0)
    ingest(database, database_url, outcomes(98, 2, selected_model="old", complexity_score=4.0))
    Learner(database, THRESHOLD).learn()
    updater.run_once()
    rename_model(database, "old", "new", OPERATOR)
    updater.run_once()
    assert {pair: score.score for pair, score in updater.learned.scores.items()} == {("new", "complex"): 4.3}
    with database.transaction() as connection:
        (row,) = list_instances(connection)
    assert row["versions_behind"] == 0


@contextmanager
def renaming(database: Database, database_url: str, old: str, new: str) -> Iterator[None]:
    """Start a rename that must wait for the lock of the block, and ends after it."""
    failures: list[BaseException] = []

    def rename() -> None:
        try:
            rename_model(database, old, new, OPERATOR)
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=rename)
    thread.start()
    waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    eventually(lambda: execute(database_url, waits)[0][0] > 0, what="the renaming waiting")
    try:
        yield
    finally:
        thread.join(60)
    assert not thread.is_alive()
    assert failures == []


def test_events_in_flight_are_renamed_too(database: Database, database_url: str) -> None:
    fill(database, database_url)
    send(database_url, outcomes(10, 5, selected_model="atlas"))
    with psycopg.connect(database_url) as ingest:
        assert ingest_batch(ingest, BatchLimits(1000)).result.records == 15
        with renaming(database, database_url, "atlas", "dune"):
            ingest.commit()
    assert all("atlas" not in models for models in models_in(database_url).values())
    close_slice(database)
    assert all("atlas" not in models for models in models_in(database_url).values())
    assert verify(database).differences == []


def test_evidence_that_is_being_gathered_is_renamed_too(database: Database, database_url: str) -> None:
    fill(database, database_url)
    with database.transaction() as closing:
        closing.execute("SELECT pg_advisory_xact_lock(hashtext('centralcloud.slice'))")
        closing.execute(slices._CLOSE_SLICE.text, {"latency_ref_ms": 10_000, "cost_ref_usd": 0.01})
    with psycopg.connect(database_url) as gathering:
        for slice_no in slices._UNGATHERED_SLICES.all(gathering):
            slices._GATHER_EVIDENCE.run(gathering, {"slice_no": slice_no})
            slices._MARK_GATHERED.run(gathering, {"slice_no": slice_no})
        with renaming(database, database_url, "atlas", "zephyr"):
            gathering.commit()
    assert "atlas" not in models_in(database_url)["evidence"]
    assert verify(database).differences == []


def test_ingest_and_learning_run_while_models_are_renamed_back_and_forth(database: Database, database_url: str) -> None:
    fill(database, database_url)
    done = threading.Event()
    failures: list[BaseException] = []

    def every_moment(work) -> None:
        try:
            while not done.is_set():
                work()
        except BaseException as error:
            failures.append(error)

    rng = random.Random(5)
    learner = Learner(database, ADAPTIVE)
    threads = [
        threading.Thread(target=every_moment, args=(work,))
        for work in (
            lambda: ingest(database, database_url, random_events(50, rng)),
            lambda: drain(database, batch_size=7),
            lambda: learner.learn(force=True),
            lambda: Maintenance(database).run_once(),
        )
    ]
    for thread in threads:
        thread.start()
    try:
        for _ in range(4):
            rename_model(database, "atlas", "zephyr", OPERATOR)
            rename_model(database, "zephyr", "dune", OPERATOR)
            eventually(lambda: "atlas" in models_in(database_url)["model_routing_metrics"], what="atlas again")
    finally:
        done.set()
        for thread in threads:
            thread.join(60)
    assert failures == []
    drain(database, batch_size=1000)
    close_slice(database)
    assert verify(database).differences == []


def test_no_router_chooses_a_retired_model_and_it_is_excluded_from_learning(
    database: Database, database_url: str
) -> None:
    events = [event for model in "ab" for event in outcomes(98, 2, selected_model=model, complexity_score=4.0)]
    ingest(database, database_url, events)
    learner = Learner(database, ADAPTIVE)
    learner.learn()
    before = published(database_url)
    changes = retire_model(database, "a", OPERATOR)
    assert {change.complexity for change in changes} == {"simple", "medium", "complex"}, (
        "also where it was never chosen"
    )
    assert {change.new_score for change in changes} == {0.0}
    ingest(database, database_url, outcomes(100, 0, selected_model="a"))
    run = learner.learn()
    assert all(change.model != "a" for change in run.changes)
    assert published(database_url) == {
        **{("a", complexity): 0.0 for complexity in ("simple", "medium", "complex")},
        ("b", "complex"): pytest.approx(before["b", "complex"], abs=0.01),
    }
    with database.transaction() as connection:
        (metrics, _) = ModelMetrics(connection).all()
        (listed, _) = list_models(connection)
    assert metrics["success_count"] == 198, "its events are still counted"
    assert (listed["model"], listed["retired"], listed["complexities"]) == ("a", True, ["complex"])
    assert verify(database).differences == []
    with pytest.raises(UnknownModelError, match="a is retired already"):
        retire_model(database, "a", OPERATOR)
    with pytest.raises(RetiredModelError, match=r"a is retired, since .*models retire --undo"):
        pin(database, ("a", "complex"), Decimal("4.5"), None, OPERATOR)
    assert published(database_url)["a", "complex"] == 0.0


@pytest.mark.parametrize("rules", [ADAPTIVE, THRESHOLD])
def test_a_reinstated_model_gets_the_score_of_the_active_rule(
    database: Database, database_url: str, rules: list[Rule], tmp_path: Path
) -> None:
    updater = ScoreUpdater(database, instance_id="i", file=LearnedScoresFile(tmp_path), reconcile_interval_seconds=0)
    ingest(database, database_url, outcomes(98, 2, selected_model="a", complexity_score=4.0))
    learner = Learner(database, rules)
    learner.learn()
    before = published(database_url)
    retire_model(database, "a", OPERATOR)
    updater.run_once()
    assert {score.score for score in updater.learned.scores.values()} == {0.0}
    ingest(database, database_url, outcomes(0, 100, selected_model="a"))
    learner.learn()
    (change,) = reinstate_model(database, "a", OPERATOR)
    assert (change.complexity, change.old_score, change.new_score) == ("complex", 0.0, before["a", "complex"])
    assert published(database_url) == before, "a pair without a score has none again"
    updater.run_once()
    assert {pair: score.score for pair, score in updater.learned.scores.items()} == before
    (learned,) = learner.learn().changes
    assert learned.new_score < before["a", "complex"], "the outcomes that arrived meanwhile count now"
    assert audit_scores(database, rules).differences == []
    with pytest.raises(UnknownModelError, match="found no retired model a"):
        reinstate_model(database, "a", OPERATOR)


def test_a_rollback_leaves_a_retired_model_retired(database: Database, database_url: str) -> None:
    ingest(database, database_url, outcomes(98, 2, selected_model="a", complexity_score=4.0))
    Learner(database, THRESHOLD).learn()
    ((version,),) = execute(database_url, "SELECT max(version) FROM model_scores")
    retire_model(database, "a", OPERATOR)
    assert roll_back(database, THRESHOLD, version, References(), OPERATOR).undone == []
    assert set(published(database_url).values()) == {0.0}


def test_a_retired_model_stays_retired_under_its_new_name(database: Database, database_url: str) -> None:
    ingest(database, database_url, [e for model in "ab" for e in outcomes(98, 2, selected_model=model)])
    Learner(database, THRESHOLD).learn()
    retire_model(database, "a", OPERATOR)
    rename_model(database, "a", "c", OPERATOR)
    assert models_in(database_url)["retired_models"] == ["(other)", "c"]
    assert published(database_url)["c", "complex"] == 0.0
    reinstate_model(database, "c", OPERATOR)
    assert ("c", "complex") not in published(database_url)
    Learner(database, THRESHOLD).learn()
    assert published(database_url)["c", "complex"] == 5.0
    retire_model(database, "c", OPERATOR)
    rename_model(database, "c", "b", OPERATOR)
    assert models_in(database_url)["retired_models"] == ["(other)"], "a name that is in use stays in use"
    assert published(database_url).keys() == {("b", "complex")}
    assert published(database_url)["b", "complex"] > 0


def test_a_retired_model_that_absorbs_another_stays_retired(database: Database, database_url: str) -> None:
    ingest(database, database_url, [e for m in "ab" for e in outcomes(98, 2, selected_model=m, complexity_score=2.0)])
    Learner(database, THRESHOLD).learn()
    retire_model(database, "b", OPERATOR)
    rename_model(database, "a", "b", OPERATOR)
    assert models_in(database_url)["retired_models"] == ["(other)", "b"]
    assert published(database_url) == {("b", complexity): 0.0 for complexity in ("simple", "medium", "complex")}
    reinstate_model(database, "b", OPERATOR)
    assert published(database_url) == {("b", "complex"): 2.3}


def test_the_models_commands_print_their_results(database: Database, database_url: str) -> None:
    assert command(database_url, "models", "list") == "no model was ever chosen\n"
    ingest(database, database_url, outcomes(98, 2, selected_model="old", complexity_score=4.0))
    Learner(database, THRESHOLD).learn()
    renamed = json.loads(command(database_url, "models", "rename", "old", "new", "--json"))
    assert (renamed["records"], renamed["complexities"], renamed["merged"]) == (100, ["complex"], [])
    assert renamed["changes"][0]["new_score"] == 4.3
    (model,) = json.loads(command(database_url, "models", "list", "--json"))
    assert model.pop("last_seen_at")
    assert model == {
        "model": "new",
        "complexities": ["complex"],
        "outcomes": 100,
        "success_rate": 0.98,
        "scores": {"complex": 4.3},
        "retired": False,
    }
    assert "complex=4.300" in command(database_url, "models", "list")
    assert "new is retired\n" in command(database_url, "models", "retire", "new")
    assert "new is no longer retired\n" in command(database_url, "models", "retire", "new", "--undo")
    assert "newer is new from now on" not in command(database_url, "models", "rename", "new", "newer")


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        (["rename", "phantom", "x"], 1, "found no model phantom, expected one that `centralcloud models list` shows"),
        (["rename", "x", "x"], 2, "NEW: found 'x', expected another name than OLD"),
        (["rename", "x", ""], 2, "NEW: found 0 characters, expected 1 to 512"),
        (["rename", "x", "y" * 513], 2, "NEW: found 513 characters"),
        (["rename", "\udcff", "y"], 2, "OLD: found a byte that is not UTF-8"),
        (["retire", "phantom"], 1, "found no model phantom"),
        (["retire", "phantom", "--undo"], 1, "found no retired model phantom"),
    ],
)
def test_a_wrong_name_is_one_line(database_url: str, arguments: list[str], code: int, complaint: str) -> None:
    assert complaint in command(database_url, "models", *arguments, code=code)


def test_instances_are_listed_with_the_versions_that_they_are_behind(database: Database, database_url: str) -> None:
    assert "no instance" in command(database_url, "instances", "list")
    events = [
        *(an_event("i-1", outcome="success") for _ in range(60)),
        *(an_event("i-1", outcome="failure") for _ in range(60)),
    ]
    ingest(database, database_url, events)
    Learner(database, THRESHOLD).learn()
    ingest(
        database,
        database_url,
        [an_event("i-1", outcome="success"), an_event("i-1", outcome="failure", error_kind="caller")],
    )
    ((version,),) = execute(database_url, "SELECT max(version) FROM model_scores")
    execute(database_url, "SELECT centralcloud.acknowledge('i-1', %s), centralcloud.acknowledge('i-2', 0)", (version,))
    with database.transaction() as connection:
        replace_findings(connection, ["quarantined_instance"], [Finding("quarantined_instance", "i-2", "differs", {})])
    listed = json.loads(command(database_url, "instances", "list", "--json"))
    assert [
        (
            row["instance_id"],
            row["applied_version"],
            row["versions_behind"],
            row["outcomes_last_24_hours"],
            row["quarantined"],
        )
        for row in listed
    ] == [("i-1", version, 0, 121, False), ("i-2", 0, version, 0, True)]
    assert all(row["first_seen_at"] and row["last_seen_at"] for row in listed)
    assert "i-2" in command(database_url, "instances", "list")


def test_outcomes_of_more_than_a_day_ago_are_not_counted_as_the_newest(database: Database, database_url: str) -> None:
    ingest(database, database_url, outcomes(5, 5))
    close_slice(database)
    pretend_all_came(database_url, 10)
    ingest(database, database_url, outcomes(1, 2))
    execute(database_url, "SELECT centralcloud.acknowledge('singularity-1', 0)")
    with database.transaction() as connection:
        assert [row["outcomes_last_24_hours"] for row in list_instances(connection)] == [3]


def test_a_forgotten_instance_is_listed_again_when_it_acknowledges(database: Database, database_url: str) -> None:
    for model in ("a", "b"):
        ingest(database, database_url, outcomes(60, 60, selected_model=model))
        Learner(database, THRESHOLD).learn()
    ((newest,),) = execute(database_url, "SELECT max(version) FROM model_scores")
    execute(database_url, "SELECT centralcloud.acknowledge('i-1', %s)", (newest - 1,))
    assert command(database_url, "instances", "forget", "i-1") == "forgot i-1\n"
    with database.transaction() as connection:
        assert list_instances(connection) == []
    complaint = command(database_url, "instances", "forget", "i-1", code=1)
    assert complaint == "centralcloud: found no instance i-1, expected one that `instances list` shows\n"
    execute(database_url, "SELECT centralcloud.acknowledge('i-1', %s)", (newest,))
    with database.transaction() as connection:
        assert [row["applied_version"] for row in list_instances(connection)] == [newest]
        forget_instance(connection, "i-1", OPERATOR)


def test_retiring_a_model_does_not_change_the_age_of_other_evidence(database: Database, database_url: str) -> None:
    """The outcomes of a retired model still count for the age of other evidence. Otherwise other scores would change."""
    for times in ((200, 9000), (4000, 300), (100, 5000)):
        events = [
            an_event(selected_model=model, outcome="success", response_time_ms=response_time_ms)
            for model, response_time_ms in zip(("kept", "gone"), times, strict=True)
            for _ in range(400 if model == "gone" else 100)
        ]
        send(database_url, events)
        drain(database, batch_size=1000)
        Learner(database, ADAPTIVE).learn()
    retire_model(database, "gone", OPERATOR)
    assert audit_scores(database, ADAPTIVE).differences == []
