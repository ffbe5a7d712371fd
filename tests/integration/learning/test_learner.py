"""The learner over a real database: fresh evidence only, published with reasons, by any number of replicas."""

import threading
from decimal import Decimal

import psycopg
import pytest
from support.events import an_event, outcomes, send
from support.ingest import ingest
from support.servers import execute
from support.waiting import eventually

from centralcloud.ingest.drain import drain
from centralcloud.learning.learner import Learner
from centralcloud.learning.rules import AdaptiveRule, ThresholdRule, ThresholdSettings
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.errors import is_contention


@pytest.fixture
def learner(database: Database) -> Learner:
    return Learner(database, [ThresholdRule()])


def scores(url: str) -> dict[tuple[str, str], tuple]:
    rows = execute(url, "SELECT model_name, complexity_level, score, version FROM model_scores")
    return {(row[0], row[1]): (str(row[2]), row[3]) for row in rows}


def messages(url: str) -> list[dict]:
    return [row[0] for row in execute(url, "SELECT message FROM pgmq.q_model_score_updates ORDER BY msg_id")]


def test_a_change_is_written_with_its_history_and_published(
    learner: Learner, database: Database, database_url: str
) -> None:
    ingest(database, database_url, outcomes(98, 2, complexity_score=4.0))
    run = learner.learn()
    (change,) = run.changes
    assert (change.model, change.complexity, change.old_score, change.new_score) == ("gpt-4o", "complex", 4.0, 4.3)
    assert scores(database_url) == {("gpt-4o", "complex"): ("4.300", change.version)}
    (message,) = messages(database_url)
    assert message == {
        "timestamp": message["timestamp"],
        "event_type": "model_score_update",
        "model": "gpt-4o",
        "complexity": "complex",
        "old_score": 4.0,
        "new_score": 4.3,
        "reason": (
            "98 of 100 outcomes succeeded (98%, more than 95%): +0.2; "
            "average response time 500 ms (not more than 2,000 ms): +0.1; 4.000 -> 4.300"
        ),
        "version": change.version,
        "confidence": change.confidence,
        "based_on_samples": 100,
        "rule": "threshold",
        "run_id": run.run_id,
    }
    history = execute(
        database_url,
        "SELECT old_score, new_score, version, run_id, success_rate, avg_response_time, after_slice, through_slice"
        " FROM model_score_history",
    )
    assert history == [(Decimal("4.000"), Decimal("4.300"), change.version, run.run_id, 0.98, 500.0, 0, 1)]


def test_the_same_evidence_learned_twice_changes_nothing(
    learner: Learner, database: Database, database_url: str
) -> None:
    ingest(database, database_url, outcomes(98, 2, complexity_score=4.0))
    learner.learn()
    before = scores(database_url)
    for _ in range(3):
        run = learner.learn()
        assert (run.changes, run.evaluated, run.waiting) == ([], 0, 0)
    assert scores(database_url) == before
    assert len(messages(database_url)) == 1


def test_evidence_accumulates_over_runs_until_there_is_enough(
    learner: Learner, database: Database, database_url: str
) -> None:
    ingest(database, database_url, outcomes(60, 0))
    first = learner.learn()
    assert (first.changes, first.waiting) == ([], 1)
    ingest(database, database_url, outcomes(39, 0))
    assert learner.learn().changes == []
    ingest(database, database_url, outcomes(1, 0))
    (change,) = learner.learn().changes
    assert change.based_on_samples == 100


def test_an_evaluation_uses_up_its_evidence_even_if_the_score_stays(database: Database, database_url: str) -> None:
    dead_band = ThresholdSettings(low_success_rate=Decimal("0.85"), fast_response_ms=Decimal(100))
    learner = Learner(database, [ThresholdRule(dead_band)])
    ingest(database, database_url, outcomes(90, 10, complexity_score=3.0))
    run = learner.learn()
    assert (run.evaluated, run.changes) == (1, [])
    assert messages(database_url) == []
    assert scores(database_url)["gpt-4o", "complex"][0] == "3.000"
    ingest(database, database_url, outcomes(99, 0))
    assert learner.learn().evaluated == 0


def test_the_old_score_is_the_reported_one_only_until_the_first_evaluation(
    learner: Learner, database: Database, database_url: str
) -> None:
    ingest(database, database_url, outcomes(100, 0, complexity_score=1.0))
    assert learner.learn().changes[0].new_score == 1.3
    ingest(database, database_url, outcomes(100, 0, complexity_score=4.9))
    assert learner.learn().changes[0].new_score == 1.6


def test_the_score_of_a_pair_without_outcomes_stays_and_is_listed(
    learner: Learner, database: Database, database_url: str
) -> None:
    ingest(database, database_url, [an_event() for _ in range(300)])
    run = learner.learn()
    assert (run.evaluated, run.changes) == (0, [])
    assert run.without_outcomes == [("gpt-4o", "complex")]


def test_blameless_failures_do_not_change_a_score(learner: Learner, database: Database, database_url: str) -> None:
    ingest(database, database_url, outcomes(0, 200, error_kind="policy"))
    assert learner.learn().evaluated == 0


def test_a_dry_run_shows_the_same_changes_and_writes_nothing(
    learner: Learner, database: Database, database_url: str
) -> None:
    ingest(database, database_url, outcomes(98, 2, complexity_score=4.0))
    preview = learner.preview()
    assert preview.run_id is None
    assert scores(database_url) == {}
    assert execute(database_url, "SELECT max(slice_no) FROM evidence_slices") == [(1,)]
    assert execute(database_url, "SELECT count(*) FROM learning_runs") == [(0,)]
    run = learner.learn()
    assert [change._replace(version=None) for change in run.changes] == preview.changes


def test_evidence_behind_a_published_score_can_be_recounted(
    learner: Learner, database: Database, database_url: str
) -> None:
    for successes in (97, 12, 130):
        ingest(database, database_url, outcomes(successes, 3, complexity_score=2.0))
        learner.learn()
    rows = execute(
        database_url,
        """
        SELECT h.based_on_samples, count(*) FILTER (WHERE r.outcome <> 'routed')
        FROM model_score_history h
        JOIN routing_records r ON r.model = h.model_name AND r.complexity = h.complexity_level
             AND r.slice_no > h.after_slice AND r.slice_no <= h.through_slice
        GROUP BY h.version, h.based_on_samples ORDER BY h.version
        """,
    )
    assert rows == [(100, 100), (148, 148)]


def test_an_idle_learner_opens_no_slices(learner: Learner, database_url: str) -> None:
    for _ in range(3):
        learner.learn()
    assert execute(database_url, "SELECT count(*) FROM evidence_slices") == [(1,)]


def test_a_slice_is_not_closed_under_an_open_ingest(learner: Learner, database: Database, database_url: str) -> None:
    ingest(database, database_url, outcomes(100, 0))
    with psycopg.connect(database_url) as other:
        other.execute("SELECT pg_advisory_xact_lock_shared(hashtext('centralcloud.slice'))")
        with pytest.raises(psycopg.errors.LockNotAvailable) as waited:
            learner.learn()
        assert is_contention(waited.value), "the loop tries again"
        assert execute(database_url, "SELECT count(*) FROM evidence_slices") == [(1,)]
        other.rollback()
    assert len(learner.learn().changes) == 1


def test_a_run_is_repeated_if_scores_were_written_meanwhile(database: Database, database_url: str) -> None:
    ingest(database, database_url, outcomes(100, 0, complexity_score=2.0))

    class Interrupted(ThresholdRule):
        calls = 0

        def evaluate(self, evidence, states):
            Interrupted.calls += 1
            if Interrupted.calls == 1:  # another replica is faster
                Learner(database, [ThresholdRule()]).learn()
            return super().evaluate(evidence, states)

    run = Learner(database, [Interrupted()]).learn()
    assert run.changes == []
    assert scores(database_url)["gpt-4o", "complex"][0] == "2.300"
    assert len(messages(database_url)) == 1


def test_concurrent_learners_use_evidence_once(database: Database, database_url: str) -> None:
    for model in "abcdefgh":
        send(database_url, outcomes(100, 0, selected_model=model, complexity_score=2.0))
    drain(database, batch_size=1000)
    learners = [Learner(database, [ThresholdRule()]) for _ in range(4)]
    threads = [threading.Thread(target=learner.learn) for learner in learners]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {score for score, _ in scores(database_url).values()} == {"2.300"}
    assert [message["version"] for message in messages(database_url)] == sorted(
        version for _, version in scores(database_url).values()
    ), "messages are in order of version"


def test_a_learner_runs_when_it_is_woken_and_exits_when_it_is_stopped(
    learner: Learner, database: Database, database_url: str
) -> None:
    learner.start()
    try:
        eventually(lambda: execute(database_url, "SELECT count(*) FROM learning_runs")[0][0] == 1, what="the first run")
        ingest(database, database_url, outcomes(100, 0))
        learner.wake()
        eventually(lambda: scores(database_url), what="the second run")
    finally:
        learner.stop()
    assert learner.join(5)


def test_a_fall_stays_an_open_finding_until_the_recovery(database: Database, database_url: str) -> None:
    learner = Learner(database, [AdaptiveRule(), ThresholdRule()])

    def learn(successes: int, failures: int) -> list[str]:
        ingest(database, database_url, outcomes(successes, failures))
        learner.learn()
        open_ones = "SELECT message FROM findings WHERE kind = 'change_alarm' AND closed_at IS NULL"
        return [message for (message,) in execute(database_url, open_ones)]

    for _ in range(4):
        assert learn(98, 2) == []
    (message,) = learn(40, 60)
    assert message == (
        "the success rate of gpt-4o for complex tasks fell from 0.98 to 0.40 (log-likelihood ratio 92; chance "
        "explains up to 13); it is 0.40 now"
    )
    (message,) = learn(5, 95)
    assert message.startswith("the success rate of gpt-4o for complex tasks fell from 0.98 to 0.05 (log-"), (
        "noticed in two steps: reported from where it began"
    )
    (message,) = learn(30, 0)
    assert message.startswith("the success rate of gpt-4o for complex tasks rose from 0.05 to 1.00 (log-")
    assert learn(69, 1) == [], "a hundred outcomes since the rise"
    assert execute(database_url, "SELECT count(*) FROM findings") == [(1,)], "one from its fall to its recovery"
