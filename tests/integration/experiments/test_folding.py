"""Records of an experiment become evidence exactly once, by the rules of outcomes."""

import random
import threading
from dataclasses import replace
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from support.experiment_events import BEGAN, Asked, an_experiment, events_of, request_id_of
from support.ingest import ingest
from support.servers import execute
from support.waiting import eventually

from centralcloud.contracts.canary import advance, start
from centralcloud.contracts.experiment_conditions import canary_plan
from centralcloud.contracts.fleet_configuration import Experiment, ExperimentPlan
from centralcloud.experiments.comparison_state import COMPARISON, read_comparison
from centralcloud.experiments.e_process import EProcess, Metric, Sessions
from centralcloud.experiments.folding import Folded, fold
from centralcloud.experiments.results import read_results
from centralcloud.runtime.arrays import np
from centralcloud.runtime.postgres.database import Database

#: Seconds from the beginning of the experiment at which all sessions of the tests are over.
OVER = 4 * 3600.0


def after(seconds: float) -> Any:
    return BEGAN + timedelta(seconds=seconds)


def fold_until(database: Database, experiment: Experiment, *seconds: float, **options: Any) -> Folded:
    """Fold, each time in a transaction of its own, as if everything were ingested until so many seconds."""
    for each in seconds:
        folded = None
        while folded is None or folded.is_behind:
            with database.transaction() as connection:
                folded = fold(connection, experiment, after(each), **options)
    return folded


def result_of(database: Database, metric: str, treatment: int = 0) -> dict[str, Any]:
    with database.transaction() as connection:
        (found,) = [r for r in read_results(connection) if (r.metric, r.treatment) == (metric, treatment)]
    return found.facts


def outcomes_of(database: Database, metric: str) -> tuple[tuple[int, float], tuple[int, float]]:
    """The number and the sum of the outcomes of control and treatment."""
    facts = result_of(database, metric)
    return tuple((facts[arm]["outcomes"], facts[arm]["sum"]) for arm in ("control", "treatment"))  # type: ignore[return-value]


def states_of(database: Database) -> list[tuple[Any, ...]]:
    with database.transaction() as connection:
        comparisons = connection.execute("SELECT treatment, state FROM experiment_comparisons ORDER BY 1").fetchall()
        sessions = connection.execute(
            "SELECT session_key, first_at, last_at, share, treatment, is_folded, outcomes "
            "FROM experiment_sessions ORDER BY 1"
        ).fetchall()
    return [*comparisons, *sessions]


def some_traffic(count: int = 600, seed: int = 1) -> list[Asked]:
    """Two hours of sessions and single requests, some slow, some without an outcome, some in an arm of their own."""
    rng = random.Random(seed)
    found = []
    for at in sorted(rng.uniform(0, 7200) for _ in range(count)):
        session = rng.randrange(60) if rng.random() < 0.7 else None
        arm = "control" if (session if session is not None else rng.randrange(2)) % 2 else "new"
        found.append(
            Asked(
                at=at,
                arm=arm if rng.random() < 0.97 else "control",
                session=session,
                success=None if rng.random() < 0.03 else rng.random() < (0.9 if arm == "new" else 0.8),
                share=0.5 if rng.random() < 0.97 else None,
                complexity=rng.choice(["simple", "medium", "complex"]),
                ms=round(rng.lognormvariate(7, 1)),
                cost=round(rng.random() / 20, 6),
                kind="caller" if rng.random() < 0.02 else None,
                fallback=True if rng.random() < 0.03 else None,
            )
        )
    return found


def test_the_same_records_give_the_same_bits_however_they_are_folded(database: Database, database_url: str) -> None:
    ingest(database, database_url, events_of(*some_traffic(300)))
    experiment = an_experiment(plan=ExperimentPlan(idle_seconds=1800.0))
    found = []
    for ends, most in (
        ([OVER], 100_000),
        ([1000.0, 1060.0, OVER], 30),
        ([3000.0, 3059.0, 5000.0, OVER], 100_000),
    ):
        with database.transaction() as connection:
            connection.execute("DELETE FROM experiment_progress")
        folded = fold_until(database, experiment, *ends, most_records=most)
        found.append((states_of(database), folded.facts))
    assert found[0][1][0].outcomes > 200
    assert all(each == found[0] for each in found[1:])


def test_a_fold_that_is_cut_off_has_folded_nothing(database: Database, database_url: str) -> None:
    ingest(database, database_url, events_of(*some_traffic()))
    experiment = an_experiment()
    fold_until(database, experiment, 3000)
    before = states_of(database)
    connection = psycopg.connect(database_url)
    assert fold(connection, experiment, after(5000)).decisions > 0
    execute(database_url, "SELECT pg_terminate_backend(%s)", (connection.info.backend_pid,))
    with pytest.raises(psycopg.OperationalError):
        connection.commit()
    connection.close()
    assert states_of(database) == before
    folded = fold_until(database, experiment, 5000, 5000, 5000)
    assert folded.decisions == 0, "a second fold finds nothing new"
    at_once = states_of(database)
    with database.transaction() as connection:
        connection.execute("DELETE FROM experiment_progress")
    fold_until(database, experiment, 5000)
    assert states_of(database) == at_once


def test_two_folders_fold_after_each_other(database: Database, database_url: str) -> None:
    ingest(database, database_url, events_of(*some_traffic(200)))
    experiment = an_experiment()
    fold_until(database, experiment, 0)
    decisions = []

    def fold_too() -> None:
        decisions.append(fold_until(database, experiment, OVER).decisions)

    other = threading.Thread(target=fold_too)
    with database.transaction() as connection:
        first = fold(connection, experiment, after(OVER))
        other.start()
        waiting = (
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
        eventually(lambda: execute(database_url, waiting) == [(1,)])
    other.join()
    assert first.decisions == 200
    assert decisions == [0]


def test_the_golden_values_come_out_of_the_store(database: Database, database_url: str) -> None:
    """The stream of the statistics' golden values, a minute for each session: 50 requests give the values of 20 sessions."""
    asked, sessions = [], []
    for i in range(20):
        arm, size = ("control", "new")[i % 2], 1 + (i // 2) % 4
        won = [(7 * i + 3 * j) % 100 < (90 if i % 2 else 80) for j in range(size)]
        sessions.append((i % 2, won))
        asked += [Asked(at=60 * i + j + 1, arm=arm, session=i, success=each) for j, each in enumerate(won)]
    ingest(database, database_url, events_of(*asked))
    fold_until(database, an_experiment(), OVER)
    pure = EProcess([Metric()], strata=1)
    for number, (treated, won) in enumerate(sessions):
        if number == 10:
            assert pure.log_above()[0, 20] == pytest.approx(-0.158775, abs=1e-6)
        n, x = np.array([[[len(won)]]], dtype=float), np.array([[[sum(won)]]], dtype=float)
        pure.fold(Sessions(np.array([[treated == 1]]), np.array([[0.5]]), n, x, x[..., 0]))
    facts = result_of(database, "success")
    assert facts["log_above"] == pytest.approx(pure.log_above()[0, 20], abs=1e-9)
    assert facts["log_below"] == pytest.approx(pure.log_below()[0, 20], abs=1e-9)
    with database.transaction() as connection:
        (state,) = connection.execute("SELECT state FROM experiment_comparisons").fetchone()  # type: ignore[misc]
    stored = read_comparison(canary_plan(an_experiment()), state)
    assert stored.intervals.above[0] == pytest.approx(pure.above[0], abs=1e-9)


def test_each_rule_of_outcomes(database: Database, database_url: str) -> None:
    asked = [
        Asked(1, "new"),
        Asked(
            2, "new", success=False, fallback=True, ms=300, cost=0.01
        ),  # the first attempt counts; the request succeeded
        Asked(3, "new", success=None, cost=0.05),  # no outcome: a failure without time and cost
        Asked(4, "new", outcome_after=1000, ms=1_000_000),  # after 960 s: as if there were none
        Asked(5, "new", success=False, kind="caller", ms=50),  # left out of all but `arrived`
        Asked(6, "new", success=False, kind="policy"),
        Asked(7, "control", ms=20_000, cost=0.5),  # beyond the caps of 10 s and 0.1 USD
        Asked(8, "control", share=None),  # not compared
        Asked(9, "other"),  # an arm that the experiment does not have
    ]
    ingest(database, database_url, events_of(*asked))
    folded = fold_until(database, an_experiment(plan=ExperimentPlan(slo_ms=1000.0)), OVER)
    assert folded.decisions == len(asked)
    assert outcomes_of(database, "success") == ((1, 1.0), (4, 1.0))
    assert outcomes_of(database, "request_success") == ((1, 1.0), (4, 2.0))
    assert outcomes_of(database, "arrived") == ((1, 1.0), (6, 4.0))
    assert outcomes_of(database, "slo") == ((1, 1.0), (2, 0.0))
    (control, treatment) = outcomes_of(database, "latency")
    assert control == (1, 1.0)
    assert treatment == (2, pytest.approx(0.01 + 0.06)), "the times of both attempts"
    (control, treatment) = outcomes_of(database, "cost")
    assert (control, treatment) == ((1, 1.0), (1, pytest.approx(0.2)))
    facts = result_of(database, COMPARISON)
    counted = {name: facts["treatment"][name] for name in ("requests", "sessions", "aborts", "missing")}
    assert counted == {"requests": 6, "sessions": 6, "aborts": 1, "missing": 2}
    assert facts["control"]["requests"] == 1


def test_a_reward_counts_in_place_of_the_success(database: Database, database_url: str) -> None:
    ingest(database, database_url, events_of(Asked(1, "new", reward=0.25), Asked(2, "new"), Asked(3, reward=1.0)))
    fold_until(database, an_experiment(), OVER)
    assert outcomes_of(database, "success") == ((1, 1.0), (2, 1.25))


def test_feedback_is_the_outcome_where_a_policy_learns_from_it(database: Database, database_url: str) -> None:
    def waits(*asked: Asked) -> list[dict[str, Any]]:
        events = events_of(*asked)
        for each in events:
            each["routing_decision"]["feedback_until"] = after(300).isoformat()
        return events

    asked = [Asked(at, "new", success=None) for at in (1, 2, 3)]
    events = waits(*asked)
    ingest(database, database_url, events)
    report = "SELECT centralcloud.report_feedback(%s::uuid, %s)"
    requests = [each["routing_decision"]["request_id"] for each in events]
    with psycopg.connect(database_url) as connection:
        moved = "UPDATE routing_records SET feedback_until = now() + interval '5 minutes', timestamp = now()"
        connection.execute(moved)
        for request, good in zip(requests[:2], (True, False), strict=True):
            connection.execute(report, (request, good))
    ingest(database, database_url, [])
    fold_until(database, an_experiment(), 12 * 3600)
    assert outcomes_of(database, "success")[1] == (3, 1.0)
    assert outcomes_of(database, "arrived")[1] == (3, 2.0)


def test_a_step_moves_no_folded_session(database: Database, database_url: str) -> None:
    """A session that began before the step keeps its arm and its share; a new one has the new share."""
    asked = [
        Asked(10, "new", session=1, share=0.1),
        Asked(20, "control", session=2, share=0.1),
        Asked(70, "new", session=1, share=0.5),  # another share: not the one that it was drawn with
        Asked(80, "new", session=2, share=0.5, drawn="control"),  # a gateway has moved it
        Asked(90, "new", session=3, share=0.5),
    ]
    plan = ExperimentPlan(steps=(0.1, 0.5), idle_seconds=1800.0)
    experiment = an_experiment(share=0.5, before=0.1, since=after(60), plan=plan)
    assert fold_until(database, experiment, 0).has_older_sessions, "its watermark is not beyond the step"
    ingest(database, database_url, events_of(*asked))
    fold_until(database, experiment, 60 + 960)
    folded = fold_until(database, experiment, 1800)
    assert folded.has_older_sessions
    folded = fold_until(database, experiment, 80 + 1800 + 960)
    assert folded.has_older_sessions, "sessions 1 and 2 are idle for less than half an hour"
    folded = fold_until(database, experiment, 80 + 1800 + 1020)
    assert not folded.has_older_sessions
    fold_until(database, experiment, OVER)
    assert outcomes_of(database, "success") == ((1, 1.0), (2, 2.0))


def test_evidence_for_a_roll_back_begins_anew_with_a_step(database: Database, database_url: str) -> None:
    bad = [Asked(float(n), ("control", "new")[n % 2], success=n % 2 == 0) for n in range(100)]
    ingest(database, database_url, events_of(*bad))
    experiment = an_experiment()
    worse = fold_until(database, experiment, 1100).facts[0]
    assert worse.worse > 5
    assert worse.worse_promptly > 5
    again = an_experiment(retries=1)
    assert fold_until(database, again, 1100).facts[0].worse == pytest.approx(0.0)
    assert fold_until(database, again, 1100).facts[0].worse_promptly == pytest.approx(0.0)


def test_the_prompt_guard_does_not_wait(database: Database, database_url: str) -> None:
    """The first outcome of each session counts as soon as it has arrived, and once."""
    asked = [Asked(float(n), ("control", "new")[n % 2], session=n % 40, success=n % 2 == 0) for n in range(80)]
    experiment = an_experiment()
    fold_until(database, experiment, 0)
    ingest(database, database_url, events_of(*asked[:50]))
    first = fold_until(database, experiment, 0).facts[0]
    assert first.worse_promptly > 3
    assert (first.worse, first.outcomes) == (0.0, 0.0)
    ingest(database, database_url, events_of(*(replace(each, number=100 + n) for n, each in enumerate(asked[50:]))))
    assert fold_until(database, experiment, 0).facts[0].worse_promptly == first.worse_promptly
    fold_until(database, experiment, OVER)
    assert outcomes_of(database, "success") == ((40, 40.0), (40, 0.0))


def test_records_that_come_too_late_are_counted_and_never_folded(database: Database, database_url: str) -> None:
    experiment = an_experiment()
    ingest(database, database_url, events_of(Asked(10), Asked(20)))
    fold_until(database, experiment, 2000)
    ingest(database, database_url, events_of(Asked(30, number=10), Asked(1900, number=11)))
    assert fold_until(database, experiment, OVER).decisions == 1
    assert outcomes_of(database, "success")[0] == (3, 3.0)
    assert result_of(database, COMPARISON)["late_dropped"] == 1


def test_an_experiment_that_begins_anew_under_the_same_id_has_no_evidence(
    database: Database, database_url: str
) -> None:
    ingest(database, database_url, events_of(Asked(10), Asked(20)))
    fold_until(database, an_experiment(), OVER)
    fold_until(database, an_experiment(began=after(15)), OVER)
    assert outcomes_of(database, "success")[0] == (2, 2.0)
    fold_until(database, an_experiment(began=after(65)), OVER)
    assert outcomes_of(database, "success")[0] == (0, 0.0)


def test_each_treatment_is_compared_with_control_alone(database: Database, database_url: str) -> None:
    asked = [Asked(1, "a"), Asked(2, "b", success=False), Asked(3), Asked(4, "b"), Asked(5, session=9)]
    ingest(database, database_url, events_of(*asked))
    fold_until(database, an_experiment("a", "b"), OVER)
    for number, expected in enumerate([(1, 1.0), (2, 1.0)]):
        facts = result_of(database, "success", number)
        assert (facts["treatment"]["outcomes"], facts["treatment"]["sum"]) == expected
        assert facts["control"]["outcomes"] == 2
        assert facts["alpha"] == 0.025


def test_a_session_that_a_step_has_moved_begins_for_no_guard(database: Database, database_url: str) -> None:
    """It began between two shares: only treatment would have such sessions."""
    moved = [Asked(float(n), session=n, share=None) for n in range(40)]
    moved = [replace(each, drawn="new") for each in moved]
    moved += [Asked(200.0 + n, "new", session=n, success=False, number=100 + n) for n in range(40)]
    experiment = an_experiment()
    fold_until(database, experiment, 0)
    ingest(database, database_url, events_of(*moved))
    folded = fold_until(database, experiment, 0, OVER)
    assert folded.facts[0].worse_promptly == 0.0
    assert folded.facts[0].outcomes == 0.0
    assert result_of(database, COMPARISON)["treatment"]["folded_sessions"] == 0


def test_a_session_that_never_ends_does_not_hold_a_step_for_ever(database: Database, database_url: str) -> None:
    plan = ExperimentPlan(idle_seconds=60.0)
    experiment = an_experiment(plan=plan, share=0.5, before=0.1, since=after(100))
    ingest(database, database_url, events_of(*(Asked(50.0 * n, session=1, share=0.5) for n in range(60))))
    assert fold_until(database, experiment, 1200 + 960).has_older_sessions
    assert not fold_until(database, experiment, 1320 + 960).has_older_sessions, "21 times as long as it may be idle"


def test_sessions_from_before_a_pause_do_not_count_after_it_where_an_operator_resumes_at_once(
    database: Database, database_url: str
) -> None:
    experiment = an_experiment()
    fold_until(database, experiment, 0)
    bad = [Asked(float(n), ("control", "new")[n % 2], success=n % 2 == 0) for n in range(100)]
    ingest(database, database_url, events_of(*bad))
    assert fold_until(database, experiment, 0).facts[0].worse_promptly > 5
    resumed = an_experiment(retries=1, before=0.0, since=after(200))
    found = fold_until(database, resumed, 200, 1100).facts[0]
    assert (found.worse, found.worse_promptly) == (pytest.approx(0.0), pytest.approx(0.0))
    settled = an_experiment(retries=1, since=after(1200))
    assert fold_until(database, settled, 1200).facts[0].worse == pytest.approx(0.0)
    worse = [Asked(1300.0 + n, ("control", "new")[n % 2], success=n % 2 == 0, number=200 + n) for n in range(100)]
    ingest(database, database_url, events_of(*worse))
    assert fold_until(database, settled, 2400).facts[0].worse > 5, "its own evidence counts"


def test_more_minutes_than_the_counts_of_late_records_have_room_for_are_folded(
    database: Database, database_url: str
) -> None:
    """After a long absence of the daemon, with a record in each minute."""
    ingest(database, database_url, events_of(*(Asked(n + 0.5, success=None) for n in range(5600))))
    folded = fold_until(database, an_experiment(plan=ExperimentPlan(window_seconds=10.0)), OVER)
    assert not folded.is_behind
    assert result_of(database, COMPARISON)["control"]["requests"] == 5600


def test_a_session_of_an_arm_that_the_experiment_does_not_have_is_not_one_of_control(
    database: Database, database_url: str
) -> None:
    ingest(
        database,
        database_url,
        events_of(Asked(1, "other", session=1, drawn="control"), Asked(100, session=1), Asked(101)),
    )
    experiment = an_experiment()
    fold_until(database, experiment, 1030, OVER)
    assert outcomes_of(database, "success") == ((1, 1.0), (0, 0.0))


def test_a_request_that_took_as_long_as_a_gateway_allows_is_folded(database: Database, database_url: str) -> None:
    """A gateway sends the decision and its outcome at the end: earlier folds would drop it in the slower arm alone."""
    experiment = an_experiment()
    fold_until(database, experiment, 900)
    ingest(database, database_url, events_of(Asked(1, "new", success=False, kind="timeout", outcome_after=900)))
    fold_until(database, experiment, OVER)
    assert outcomes_of(database, "success") == ((0, 0.0), (1, 0.0))


def test_a_request_that_is_named_again_and_again_is_not_read_as_often(database: Database, database_url: str) -> None:
    """An instance that does so must not keep the guards from what the others do."""
    events = events_of(*(Asked(1 + n / 10, success=None) for n in range(400)))
    for each in events:
        each["routing_decision"]["request_id"] = request_id_of(Asked(1), 1)
    ingest(database, database_url, events)
    read = "SELECT sum(idx_tup_fetch) FROM pg_stat_xact_all_tables WHERE relname LIKE 'routing_records%'"
    with database.transaction() as connection:
        assert fold(connection, an_experiment(), after(OVER)).decisions == 400
        (rows,) = connection.execute(read).fetchone()  # type: ignore[misc]
    assert rows < 2.5 * 400 * 100


def test_a_name_that_returns_after_its_session_has_ended_counts_once(database: Database, database_url: str) -> None:
    """Neither the fold nor the prompt guard draws it again, and it is not in the test of the split."""
    arms = {n: ("control", "new")[n % 2] for n in range(10)}
    visits = [Asked(4000.0 * visit + n, arms[n], session=n) for visit in range(3) for n in range(10)]
    experiment = an_experiment()
    fold_until(database, experiment, 0)
    ingest(database, database_url, events_of(*visits[:10]))
    first = fold_until(database, experiment, 3900).facts[0]
    assert (first.outcomes, result_of(database, COMPARISON)["treatment"]["folded_sessions"]) == (10.0, 5)
    split = result_of(database, COMPARISON)["sample_ratio"]
    ingest(database, database_url, events_of(*(replace(each, number=50 + n) for n, each in enumerate(visits[10:]))))
    last = fold_until(database, experiment, 6000, OVER).facts[0]
    assert last == first
    facts = result_of(database, COMPARISON)
    assert (facts["treatment"]["sessions"], facts["treatment"]["requests"], facts["treatment"]["returned"]) == (
        5,
        5,
        10,
    )
    assert facts["sample_ratio"] == split
    kept = execute(
        database_url, "SELECT has_ended, share, outcomes = '', count(*) FROM experiment_sessions GROUP BY 1, 2, 3"
    )
    assert kept == [(True, None, True, 10)]


def test_a_name_that_returns_counts_once_whatever_has_arrived_when_its_first_session_is_folded(
    database: Database, database_url: str
) -> None:
    """The prompt guard, which has seen the later session alone, must not join it to the first one."""
    visits = [
        Asked(at=0, arm="new", session=1, success=None),
        Asked(at=1800, arm="new", session=1),
        Asked(at=1860, session=2),
    ]
    first, *later = events_of(*visits)
    ingest(database, database_url, [first])
    fold_until(database, an_experiment(), 1700)
    ingest(database, database_url, later)
    fold_until(database, an_experiment(), OVER)
    in_time = outcomes_of(database, "success")
    with database.transaction() as connection:
        connection.execute("DELETE FROM experiment_progress")
    fold_until(database, an_experiment(), OVER)
    assert outcomes_of(database, "success") == in_time == ((1, 1.0), (1, 0.0))


def test_sessions_that_have_ended_are_not_read_again(database: Database, database_url: str) -> None:
    """Ten million of them must not make a fold slower."""
    experiment = an_experiment()
    fold_until(database, experiment, 0)
    execute(
        database_url,
        "INSERT INTO experiment_sessions SELECT 'greeting', n, %s, %s, NULL, NULL, true, true, '' "
        "FROM generate_series(1, 20000) AS n",
        (BEGAN, BEGAN),
    )
    execute(database_url, "ANALYZE experiment_sessions")
    ingest(database, database_url, events_of(*(Asked(float(n), session=n) for n in range(20))))
    read = (
        "SELECT sum(seq_tup_read + idx_tup_fetch) FROM pg_stat_xact_user_tables WHERE relname = 'experiment_sessions'"
    )
    with database.transaction() as connection:
        assert fold(connection, experiment, after(OVER)).decisions == 20
        (rows,) = connection.execute(read).fetchone()  # type: ignore[misc]
    assert rows < 200


def test_an_outcome_that_comes_before_its_decision_counts_once_for_the_prompt_guard(
    database: Database, database_url: str
) -> None:
    """Events of one request are separate messages, which two daemons may ingest in another order."""
    experiment = an_experiment()
    fold_until(database, experiment, 0)
    events = events_of(*(Asked(float(n), ("control", "new")[n % 2], success=n % 2 == 0) for n in range(20)))
    decisions, outcomes = events[::2], events[1::2]
    for each, decision in zip(outcomes, decisions, strict=True):
        of_arm = {name: decision["routing_decision"][name] for name in ("experiment", "arm", "arm_share")}
        each["routing_decision"].update(of_arm)
    ingest(database, database_url, outcomes)
    first = fold_until(database, experiment, 0).facts[0].worse_promptly
    assert first > 0.5
    ingest(database, database_url, decisions)
    assert fold_until(database, experiment, 0).facts[0].worse_promptly == first
    assert fold_until(database, experiment, OVER).facts[0].outcomes == 20.0


def test_records_of_a_session_that_came_too_late_count_once_for_the_prompt_guard(
    database: Database, database_url: str
) -> None:
    experiment = an_experiment()
    fold_until(database, experiment, OVER)
    late = [Asked(float(n), ("control", "new")[n % 2], session=n, success=n % 2 == 0) for n in range(20)]
    ingest(database, database_url, events_of(*late))
    first = fold_until(database, experiment, OVER, OVER + 60).facts[0].worse_promptly
    assert first > 0.5
    again = [replace(each, at=each.at + 1, number=50 + n) for n, each in enumerate(late)]
    ingest(database, database_url, events_of(*again))
    assert fold_until(database, experiment, OVER + 120).facts[0].worse_promptly == first


def test_events_in_an_arm_or_at_a_share_that_their_session_cannot_have_are_left_out_and_counted(
    database: Database, database_url: str
) -> None:
    """Eight forged sessions would stop an experiment: the split of so small a share would look wrong."""
    forged = [Asked(float(n), "new", session=n, share=0.01, drawn="control") for n in range(8)]
    forged += [Asked(10.0 + n, "new", share=0.01, drawn="control") for n in range(8)]
    forged += [Asked(20.0 + n, "new", session=100 + n, share=0.3) for n in range(3)]
    honest = [Asked(30.0 + n, ("control", "new")[n % 2], session=200 + n) for n in range(4)]
    experiment = an_experiment()
    fold_until(database, experiment, 0)
    ingest(database, database_url, events_of(*forged, *honest))
    folded = fold_until(database, experiment, 0, OVER)
    assert not folded.sample_ratio_alarm
    assert folded.facts[0].outcomes == 4.0
    assert outcomes_of(database, "success") == ((2, 2.0), (2, 2.0))
    facts = result_of(database, COMPARISON)
    assert (facts["treatment"]["mismatched"], facts["control"]["mismatched"]) == (19, 0)
    assert execute(database_url, "SELECT count(*) FROM experiment_sessions") == [(4,)], "they begin no session"


def test_less_feedback_of_treatment_is_a_reason_for_a_roll_back(database: Database, database_url: str) -> None:
    """Only where requests of both arms wait for feedback."""
    asked = [
        Asked(n * 2.0, ("control", "new")[n % 2], success=None if n % 2 or n % 6 == 0 else n % 4 == 0)
        for n in range(240)
    ]
    experiment = an_experiment()
    for waits, expected in ((False, False), (True, True)):
        events = events_of(*asked)
        for each in events if waits else ():
            each["routing_decision"]["feedback_until"] = after(500).isoformat()
        if waits:
            execute(database_url, "TRUNCATE routing_records, decision_ids")
            execute(database_url, "DELETE FROM experiment_progress")
        ingest(database, database_url, events)
        facts = fold_until(database, experiment, OVER).facts[0]
        assert facts.outcomes == 240.0
        assert (facts.less_feedback > 5.3) == expected
        assert advance(canary_plan(experiment), start(0), facts._replace(worse=0, worse_promptly=0), 1).status == (
            "paused" if expected else "ramping"
        )


def test_a_watermark_from_before_the_clock_was_set_back_does_not_stop_folding(
    database: Database, database_url: str
) -> None:
    """The clock was hours ahead: what came then is folded or was too late; what comes from now on counts, once."""
    experiment = an_experiment()
    ingest(database, database_url, events_of(Asked(10, session=1), Asked(20, "new"), Asked(3000, session=2)))
    fold_until(database, experiment, OVER)
    ingest(database, database_url, events_of(Asked(2900, number=20)))
    assert fold_until(database, experiment, OVER, now=after(OVER)).facts[0].outcomes == 3.0
    ended = execute(database_url, "SELECT count(*) FROM experiment_sessions WHERE has_ended")
    fold_until(database, experiment, 3600, now=after(3600))
    assert execute(database_url, "SELECT folded_until, repeated_until FROM experiment_progress") == [
        (after(3600 - 960), after(OVER - 960))
    ]
    new = [Asked(3500, "new", number=30), Asked(3700, session=2, number=31), Asked(3800, "new", session=9, number=32)]
    ingest(database, database_url, events_of(*new))
    fold_until(database, experiment, 5000, now=after(5000))
    folded = fold_until(database, experiment, OVER + 7200, now=after(OVER + 7200))
    assert ended == [(2,)]
    assert folded.facts[0].outcomes == 5.0, "two more; the session 2 has ended"
    facts = result_of(database, COMPARISON)
    assert (facts["control"]["returned"], facts["treatment"]["requests"]) == (1, 3)
