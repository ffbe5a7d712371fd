"""One login that sends any number of model names: they are counted, and cost neither the learner nor the fleet anything."""

import json
import threading
import time
from datetime import timedelta

import pytest
from support.commands import run_command
from support.events import an_event, outcomes, send
from support.ingest import ingest
from support.operators import OPERATOR
from support.servers import execute

from centralcloud.administration.forgetting import Criteria, find_models, forget_models
from centralcloud.administration.models import UnknownModelError
from centralcloud.administration.score_audit import audit_scores
from centralcloud.administration.verification import verify
from centralcloud.ingest.drain import drain
from centralcloud.learning import learner as learner_module
from centralcloud.learning import run_parts
from centralcloud.learning.evidence_reader import EvidenceReader
from centralcloud.learning.learner import Learner
from centralcloud.learning.rule import Rule
from centralcloud.learning.rules import AdaptiveRule, ThresholdRule
from centralcloud.monitoring.finding_detector import FindingDetector, list_findings
from centralcloud.runtime.postgres.database import Database

ADAPTIVE: list[Rule] = [AdaptiveRule(), ThresholdRule()]
THRESHOLD: list[Rule] = [ThresholdRule(), AdaptiveRule()]
PAIRS = [("good", "simple"), ("good", "complex"), ("poor", "simple"), ("poor", "complex")]


def honest(times: int = 1) -> list[dict]:
    return [
        event
        for model, complexity in PAIRS
        for event in outcomes(
            110 * times, 5 if model == "good" else 60, selected_model=model, complexity=complexity, complexity_score=2.5
        )
    ]


def bogus(count: int, instance_id: str = "bad", prefix: str = "bogus") -> list[dict]:
    return [an_event(instance_id, selected_model=f"{prefix}-{i:06}", outcome="success") for i in range(count)]


def without_limits(url: str) -> None:
    execute(url, "INSERT INTO fleet_settings VALUES ('names.new_per_instance', '0'), ('names.new_per_fleet', '0')")


def store_names(url: str, count: int) -> None:
    """Store pairs with one outcome each, and their evidence in the newest closed slice, as ingest without limits does."""
    execute(
        url,
        f"""
        INSERT INTO model_routing_metrics (model_name, complexity_level, success_count, unlinked_resolved_count)
        SELECT 'bogus-' || n, 'complex', 1, 1 FROM generate_series(1, {count}) AS n;
        INSERT INTO evidence (slice_no, instance_id, provider, model_name, complexity_level, successes)
        SELECT max(slice_no), 'bad', 'p', 'bogus-' || n, 'complex', 1
        FROM evidence_slices, generate_series(1, {count}) AS n WHERE closed_at IS NOT NULL GROUP BY n;
        ANALYZE model_routing_metrics; ANALYZE evidence
        """,
    )


def versions(url: str) -> dict[tuple[str, str], int]:
    return {
        (row[0], row[1]): row[2]
        for row in execute(url, "SELECT model_name, complexity_level, version FROM model_scores")
    }


def updates(url: str) -> list[tuple[str, str]]:
    rows = execute(
        url, "SELECT message ->> 'model', message ->> 'complexity' FROM pgmq.q_model_score_updates ORDER BY msg_id"
    )
    return [(row[0], row[1]) for row in rows]


def test_new_names_beyond_the_limit_are_recorded_under_another_model(database: Database, database_url: str) -> None:
    ingest(database, database_url, [*honest(), *bogus(450), *honest()])
    (names,) = execute(database_url, "SELECT count(DISTINCT model_name) FROM model_routing_metrics")[0]
    assert names == 2 + 200 + 1, "the honest models, those within the limit, and (other)"
    (count, reported, counted) = execute(
        database_url,
        """SELECT count(*), count(DISTINCT extra ->> 'reported_model'),
               (SELECT success_count FROM model_routing_metrics WHERE model_name = '(other)')
           FROM routing_records WHERE model = '(other)'""",
    )[0]
    assert (count, reported, counted) == (250, 250, 250), "every event is kept, counted, and has its name"
    assert verify(database).ok
    FindingDetector(database).run_once()
    with database.transaction() as connection:
        (finding,) = list_findings(connection, kind="new_names_refused")
    assert (finding["subject"], finding["details"]["names"], finding["details"]["events"]) == ("bad", 250, 250)
    assert finding["details"]["limits"] == ["names.new_per_instance"]
    ingest(database, database_url, [an_event("other", selected_model="new", outcome="success")])
    assert execute(database_url, "SELECT 1 FROM model_routing_metrics WHERE model_name = 'new'"), "others go on"
    execute(database_url, "UPDATE new_model_names SET hour = hour - interval '1 hour'")
    ingest(database, database_url, bogus(450))
    (names,) = execute(database_url, "SELECT count(DISTINCT model_name) FROM model_routing_metrics")[0]
    assert names == 2 + 400 + 1 + 1, "in the next hour as many are new again"
    assert verify(database).ok


def test_the_extra_of_an_event_beyond_the_limit_is_kept(database: Database, database_url: str) -> None:
    execute(database_url, "INSERT INTO fleet_settings VALUES ('names.new_per_instance', '1')")
    event = {**an_event(selected_model="b", outcome="success"), "tenant": "x"}
    ingest(database, database_url, [an_event(selected_model="a", outcome="success"), event])
    assert execute(database_url, "SELECT extra FROM routing_records WHERE model = '(other)'") == [
        ({"reported_model": "b", "tenant": "x"},)
    ]


def test_the_fleet_has_a_limit_for_names_of_any_number_of_instances(database: Database, database_url: str) -> None:
    execute(database_url, "INSERT INTO fleet_settings VALUES ('names.new_per_fleet', '30')")
    ingest(database, database_url, [event for i in range(20) for event in bogus(3, f"bad-{i:02}", f"bogus-{i:02}")])
    (names,) = execute(database_url, "SELECT count(DISTINCT model_name) FROM model_routing_metrics")[0]
    assert names == 30 + 1
    assert verify(database).ok
    FindingDetector(database).run_once()
    with database.transaction() as connection:
        found = list_findings(connection, kind="new_names_refused")
    assert [each["details"]["limits"] for each in found] == [["names.new_per_fleet"]] * 10


def test_consumers_side_by_side_keep_the_limit(database: Database, database_url: str) -> None:
    instances = [f"bad-{i}" for i in range(4)]
    execute(database_url, "INSERT INTO fleet_settings VALUES ('names.new_per_instance', '20')")
    names = [event for i in range(100) for each in instances for event in bogus(1, each, f"{each}-{i}")]
    send(database_url, names)
    results = []
    threads = [threading.Thread(target=lambda: results.append(drain(database, batch_size=10).result)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(result.records for result in results) == 400
    admitted = execute(
        database_url,
        """SELECT split_part(model_name, '-', 2), count(*) FROM model_routing_metrics
           WHERE model_name <> '(other)' GROUP BY 1""",
    )
    assert [count for _, count in admitted] == [20, 20, 20, 20]
    assert verify(database).ok


@pytest.mark.parametrize("rules", [ADAPTIVE, THRESHOLD], ids=["adaptive", "threshold"])
def test_honest_pairs_learn_on_beside_bogus_names(database: Database, database_url: str, rules: list[Rule]) -> None:
    learns_on(database, database_url, rules, names=10_000)


@pytest.mark.soak
@pytest.mark.parametrize("rules", [ADAPTIVE, THRESHOLD], ids=["adaptive", "threshold"])
def test_honest_pairs_learn_on_beside_a_hundred_thousand_names(
    database: Database, database_url: str, rules: list[Rule]
) -> None:
    learns_on(database, database_url, rules, names=100_000)


def learns_on(database: Database, url: str, rules: list[Rule], *, names: int) -> None:
    learner = Learner(database, rules)
    ingest(database, url, honest())
    learner.learn()
    before = versions(url)
    assert before.keys() == set(PAIRS)
    store_names(url, names)
    ingest(database, url, honest(2))
    began = time.monotonic()
    run = Learner(database, rules).learn()  # a new process: it has to read all evidence
    assert time.monotonic() - began < 10
    assert {(change.model, change.complexity) for change in run.changes} == set(PAIRS)
    assert versions(url).keys() == set(PAIRS), "no name with one outcome has a score"
    assert set(updates(url)) == set(PAIRS)
    assert not audit_scores(database, rules).differences
    FindingDetector(database).run_once()
    (kinds,) = execute(
        url, "SELECT max(number) FROM (SELECT count(*) AS number FROM findings GROUP BY kind) AS of_kind"
    )[0]
    assert kinds <= 51


def test_a_few_new_pairs_are_learned_from_their_first_outcome_on(database: Database, database_url: str) -> None:
    learner = Learner(database, ADAPTIVE)
    ingest(database, database_url, [*honest(), *bogus(90)])
    assert len(learner.learn().changes) == 4 + 90


def test_a_name_is_learned_with_all_its_evidence_once_it_has_enough(database: Database, database_url: str) -> None:
    without_limits(database_url)
    learner = Learner(database, ADAPTIVE)
    ingest(database, database_url, [*honest(), *bogus(150)])
    learner.learn()
    assert versions(database_url).keys() == set(PAIRS)
    late = [an_event("bad", selected_model="bogus-000007", outcome="failure")] * 9
    ingest(database, database_url, late)
    (change,) = (each for each in learner.learn().changes if each.model not in ("good", "poor"))
    assert (change.model, change.based_on_samples) == ("bogus-000007", 10), "the outcome of the first slice counts, too"
    assert not audit_scores(database, ADAPTIVE).differences
    newest = execute(database_url, "SELECT max(slice_no) FROM evidence_slices WHERE closed_at IS NOT NULL")[0][0]
    pairs = {*PAIRS, ("bogus-000007", "complex")}
    with database.transaction() as connection:
        arguments = {
            "history": learner._reader._history,
            "generation": learner._reader._generation,
            "excluded": (),
            "reported": {},
        }
        kept = learner._reader.evidence(connection, newest, pairs=pairs, **arguments)
        fresh = EvidenceReader().evidence(connection, newest, pairs=pairs, **arguments)
    assert (kept.pairs, kept.fleet) == (fresh.pairs, fresh.fleet), "as in a process that was started now"
    assert all((kept.total(name) == fresh.total(name)).all() for name in ("outcomes", "reward", "timed"))


def test_a_large_run_is_published_in_parts(
    database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_parts, "PAIRS_IN_A_PART", 2)
    ingest(database, database_url, [*honest(), *bogus(1)])
    run = Learner(database, ADAPTIVE).learn()
    assert [change.version for change in run.changes] == [1, 2, 3, 4, 5]
    rows = execute(
        database_url, "SELECT pairs_evaluated, pairs_changed, through_slice FROM learning_runs ORDER BY run_id"
    )
    assert [row[:2] for row in rows] == [(2, 2), (2, 2), (1, 1)]
    assert len({row[2] for row in rows}) == 1
    assert len(updates(database_url)) == 5
    assert not audit_scores(database, ADAPTIVE).differences


def test_a_run_that_ends_between_two_parts_is_completed_by_the_next(
    database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_parts, "PAIRS_IN_A_PART", 2)
    ingest(database, database_url, honest())
    publish, calls = learner_module._publish, []

    def fails_the_second_time(*arguments):  # type: ignore[no-untyped-def]
        calls.append(1)
        if len(calls) == 2:
            raise ZeroDivisionError
        return publish(*arguments)

    monkeypatch.setattr(learner_module, "_publish", fails_the_second_time)
    learner = Learner(database, ADAPTIVE)
    with pytest.raises(ZeroDivisionError):
        learner.learn()
    assert len(updates(database_url)) == 2, "the first part is committed, the second one rolled back"
    assert len(learner.learn().changes) == 2
    assert sorted(updates(database_url)) == sorted(PAIRS)
    assert not audit_scores(database, ADAPTIVE).differences


def test_models_are_forgotten_in_bulk_and_every_count_stays_right(database: Database, database_url: str) -> None:
    without_limits(database_url)
    ingest(database, database_url, [*honest(), *bogus(40), *bogus(40), *bogus(2, prefix="tmp")])
    Learner(database, ADAPTIVE).learn()
    ingest(database, database_url, bogus(3))  # not in a closed slice
    count = execute(database_url, "SELECT count(*) FROM routing_records")
    env = {"DATABASE_URL": database_url}
    refused = run_command("centralcloud", "models", "forget", "--matching", "bogus-*", env=env)
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1), "without a terminal it needs --yes"
    assert "... and 20 more" in refused.stdout
    done = run_command(
        "centralcloud", "models", "forget", "--matching", "bogus-*", "--fewer-than", "100", "--yes", "--json", env=env
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["models"], result["records"], result["scores"], len(result["names"])) == (40, 83, 40, 40)
    tables = ("model_routing_metrics", "evidence", "model_scores", "rule_scores")
    for table in tables:
        left = execute(database_url, f"SELECT count(*) FROM {table} WHERE model_name LIKE 'bogus%'")
        assert left == [(0,)], table
    assert execute(database_url, "SELECT count(*) FROM routing_records") == count, "no event is lost"
    kept = execute(
        database_url, "SELECT count(DISTINCT extra ->> 'reported_model') FROM routing_records WHERE model = '(other)'"
    )
    assert kept == [(40,)]
    assert verify(database).ok
    assert Learner(database, ADAPTIVE).learn().withheld == []
    assert verify(database).ok
    assert not audit_scores(database, ADAPTIVE).differences
    actions = execute(database_url, "SELECT action, subject, after FROM operator_actions")
    assert actions == [("forget_models", "models", {"models": 40, "records": 83, "scores": 40})]


def test_models_to_forget_meet_every_criterion(database: Database, database_url: str) -> None:
    ingest(database, database_url, [*honest(), *bogus(2), *bogus(1, prefix="tmp")])
    execute(
        database_url,
        "UPDATE model_routing_metrics SET updated_at = now() - interval '40 days' WHERE model_name LIKE '%1'",
    )
    with database.transaction() as connection:

        def names(**criteria: object) -> list[str]:
            return [row["model"] for row in find_models(connection, Criteria(**criteria))]  # type: ignore[arg-type]

        assert names(fewer_than=10) == ["bogus-000000", "bogus-000001", "tmp-000000"]
        assert names(matching="bogus-*", fewer_than=10) == ["bogus-000000", "bogus-000001"]
        assert names(unused_for=timedelta(days=30)) == ["bogus-000001"]
        with pytest.raises(UnknownModelError, match="found no model nothing"):
            names(names=["nothing"])
    assert forget_models(database, ["tmp-000000"], OPERATOR).records == 1
    assert execute(database_url, "SELECT subject FROM operator_actions") == [("tmp-000000",)]
