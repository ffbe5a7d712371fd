"""A model is renamed or merged into another one with all its data, while ingest and learning run."""

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest
from support.events import an_event, outcomes, random_events, send
from support.history import pretend_all_came
from support.ingest import ingest
from support.models import ADAPTIVE, THRESHOLD, models_in, published
from support.operators import OPERATOR
from support.servers import execute
from support.waiting import eventually

from centralcloud.administration.instances import list_instances
from centralcloud.administration.models import reinstate_model, rename_model, retire_model
from centralcloud.administration.score_audit import audit_scores
from centralcloud.administration.score_overrides import pin, unpin
from centralcloud.administration.verification import verify
from centralcloud.ingest.batch_ingest import ingest_batch
from centralcloud.ingest.batch_limits import BatchLimits
from centralcloud.ingest.drain import drain
from centralcloud.learning.learner import Learner
from centralcloud.learning.rule import Rule
from centralcloud.maintenance.maintenance import Maintenance
from centralcloud.maintenance.retention import Retention
from centralcloud.monitoring.reports import ModelMetrics
from centralcloud.runtime.postgres.database import Database
from centralcloud.store import slices
from centralcloud.store.slices import close_slice
from instance_agent.catalog.learned_scores_file import LearnedScoresFile
from instance_agent.sync.score_updater import ScoreUpdater


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


def _pins(url: str) -> list[tuple[str, str]]:
    return execute(url, "SELECT model_name, score::text FROM score_pins ORDER BY 1")


def test_a_pin_that_moves_in_a_merge_is_applied(database: Database, database_url: str, tmp_path: Path) -> None:
    updater = ScoreUpdater(database, instance_id="i", file=LearnedScoresFile(tmp_path), reconcile_interval_seconds=0)
    ingest(database, database_url, [e for m in ("old", "new") for e in outcomes(98, 2, selected_model=m)])
    Learner(database, THRESHOLD).learn(force=True)
    pin(database, ("old", "complex"), Decimal("1.5"), None, OPERATOR)
    done = rename_model(database, "old", "new", OPERATOR)
    assert _pins(database_url) == [("new", "1.500")]
    assert published(database_url) == {("new", "complex"): 1.5}
    assert [(change.model, change.new_score) for change in done.changes] == [("new", 1.5)]
    ((rule, reason),) = execute(database_url, "SELECT rule, reason FROM model_scores")
    assert (rule, reason) == ("pin", "old was merged into new, with its pin: pinned at 1.500 by an operator")
    updater.run_once()
    assert {pair: score.score for pair, score in updater.learned.scores.items()} == {("new", "complex"): 1.5}
    assert verify(database).differences == []
    assert audit_scores(database, THRESHOLD).differences == []
    assert Learner(database, THRESHOLD).learn(force=True).changes == []
    unpin(database, ("new", "complex"), OPERATOR)
    (learned,) = Learner(database, THRESHOLD).learn(force=True).changes
    assert learned.new_score > 1.5, "the rule publishes again"


def test_in_a_merge_of_two_pinned_models_the_pin_of_the_new_name_stays(database: Database, database_url: str) -> None:
    ingest(database, database_url, [e for m in ("old", "new") for e in outcomes(98, 2, selected_model=m)])
    pin(database, ("old", "complex"), Decimal("1.5"), None, OPERATOR)
    pin(database, ("new", "complex"), Decimal("2.5"), None, OPERATOR)
    rename_model(database, "old", "new", OPERATOR)
    assert _pins(database_url) == [("new", "2.500")]
    assert published(database_url) == {("new", "complex"): 2.5}


def test_the_pin_of_a_retired_model_does_not_move_to_one_in_use(database: Database, database_url: str) -> None:
    ingest(database, database_url, [e for m in ("old", "new") for e in outcomes(98, 2, selected_model=m)])
    Learner(database, THRESHOLD).learn(force=True)
    pin(database, ("old", "complex"), Decimal("1.5"), None, OPERATOR)
    retire_model(database, "old", OPERATOR)
    scores = {pair: score for pair, score in published(database_url).items() if pair[0] == "new"}
    rename_model(database, "old", "new", OPERATOR)
    assert _pins(database_url) == []
    assert published(database_url) == scores


def test_a_pin_that_moves_to_a_retired_model_applies_when_it_is_reinstated(
    database: Database, database_url: str
) -> None:
    ingest(database, database_url, [e for m in ("old", "new") for e in outcomes(98, 2, selected_model=m)])
    Learner(database, THRESHOLD).learn(force=True)
    pin(database, ("old", "complex"), Decimal("1.5"), None, OPERATOR)
    retire_model(database, "new", OPERATOR)
    rename_model(database, "old", "new", OPERATOR)
    assert set(published(database_url).values()) == {0.0}
    reinstate_model(database, "new", OPERATOR)
    assert _pins(database_url) == [("new", "1.500")]
    assert published(database_url) == {("new", "complex"): 1.5}
