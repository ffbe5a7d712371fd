"""Graded rewards move the scores as a calculation by hand says; outcomes without a reward count as 0 or 1, to the bit."""

from decimal import Decimal

import numpy as np
import pytest
from support.adaptive_by_hand import dispersion, of
from support.events import an_event, outcomes, send
from support.history import pretend_all_came
from support.ingest import ingest_all
from support.maintenance import arrive_now, maintain
from support.operators import OPERATOR
from support.requests import a_request_id, an_attempt, report_feedback, waiting
from support.servers import execute

from centralcloud.administration.score_audit import audit_scores
from centralcloud.administration.verification import repair, verify
from centralcloud.learning.evidence import Evidence
from centralcloud.learning.evidence_reader import EvidenceReader
from centralcloud.learning.learner import Learner
from centralcloud.learning.rules import AdaptiveRule, ThresholdRule
from centralcloud.learning.rules.adaptive import AdaptiveSettings
from centralcloud.learning.rules.shrinkage import prior_worth, shrink
from centralcloud.runtime.postgres.database import Database
from centralcloud.store.slices import close_slice

PAIR = ("gpt-4o", "complex")
GRADED = [("success", 1.0), ("success", 0.5), ("success", 0.75), ("failure", 0.25), ("failure", 0.0)] * 10


def graded(outcome: str, reward: float | None, **decision) -> dict:
    return an_event(outcome=outcome, response_time_ms=500, reward=reward, **decision)


def read_evidence(database: Database) -> Evidence:
    with database.transaction() as connection:
        return EvidenceReader().evidence(
            connection, None, history="h", generation=0, pairs=[PAIR], excluded=[], reported={}
        )


def sums(database: Database) -> dict[str, float]:
    evidence = read_evidence(database)
    column = evidence.column_of(PAIR)
    return {
        name: float(evidence.total(name)[column])
        for name in ("outcomes", "successes", "reward", "reward_squares", "timed")
    }


def test_evidence_has_the_reward_and_its_square_and_0_or_1_where_there_is_none(
    database: Database, database_url: str
) -> None:
    plain = [graded("success", None)] * 3 + [graded("failure", None)] * 2
    blameless = graded("failure", 0.9, error_kind="caller")
    send(database_url, [graded(*each) for each in GRADED] + plain + [blameless, an_event(reward=0.5)])
    ingest_all(database)
    close_slice(database)
    rewards = [reward for _, reward in GRADED] + [1.0, 1.0, 1.0, 0.0, 0.0]
    assert sums(database) == {
        "outcomes": 55,
        "successes": 33,
        "reward": pytest.approx(sum(rewards)),
        "reward_squares": pytest.approx(sum(reward**2 for reward in rewards)),
        "timed": 55,
    }
    assert verify(database).differences == []


def test_the_adaptive_score_of_graded_outcomes_is_that_of_a_hand_calculation(
    database: Database, database_url: str
) -> None:
    send(database_url, [graded(*each) for each in GRADED])
    ingest_all(database)
    rule = AdaptiveRule(AdaptiveSettings(latency_weight=0))
    Learner(database, [rule, ThresholdRule()]).learn()
    # 50 outcomes: rewards 25.0, squares 10 x (1 + 0.25 + 0.5625 + 0.0625) = 18.75.
    mean = 0.5  # as predicted
    phi = (18.75 - 25.0**2 / 50) / (25.0 * (1 - 25.0 / 50))
    assert phi == pytest.approx(dispersion([{PAIR: of(50, 25.0, 18.75)}], PAIR))
    worth = prior_worth(np.array([0.5]), np.array([25.0]), np.array([50.0]), np.array([phi]))
    stored = "SELECT rule, score, mean, n_eff, success_rate FROM rule_scores ORDER BY rule"
    (adaptive,) = [row for row in execute(database_url, stored) if row[0] == "adaptive"]
    assert adaptive == ("adaptive", Decimal("2.500"), mean, pytest.approx(50 / phi + worth, abs=0.001), 0.5)
    assert phi < 0.6, "graded rewards scatter less, so the estimate is narrower"


def test_the_threshold_rule_takes_the_outcome_and_not_the_reward(database: Database, database_url: str) -> None:
    send(database_url, [graded("success", 0.6, complexity_score=3.0) for _ in range(100)])
    ingest_all(database)
    (change,) = Learner(database, [ThresholdRule()]).learn().changes
    assert change.new_score == 3.3, "100% succeeded, and fast"
    assert "100 of 100 outcomes succeeded" in change.reason


def test_without_a_reward_the_evidence_is_the_same_to_the_bit(database: Database, database_url: str) -> None:
    """The sums are whole numbers, and phi is exactly 1, as they were before rewards existed."""
    send(database_url, [*outcomes(61, 39), *outcomes(7, 5, selected_model="other", reward=0.3)])
    ingest_all(database)
    close_slice(database)
    assert sums(database) == {
        "outcomes": 100.0,
        "successes": 61.0,
        "reward": 61.0,
        "reward_squares": 61.0,
        "timed": 100.0,
    }
    stored = "SELECT graded_successes, graded_reward, graded_reward_squares FROM evidence WHERE model_name = 'gpt-4o'"
    assert execute(database_url, stored) == [(0, 0.0, 0.0)]


def test_rewards_survive_the_merge_of_slices_and_the_drop_of_records(database: Database, database_url: str) -> None:
    for _ in range(3):
        send(database_url, [graded(*each) for each in GRADED])
        ingest_all(database)
        close_slice(database)
    before = sums(database)
    pretend_all_came(database_url, 100)
    arrive_now(database, database_url)
    maintain(database, records_days=90)
    assert execute(database_url, "SELECT count(*) FROM routing_records") == [(1,)]
    after = sums(database)
    assert after == pytest.approx(before)
    assert execute(database_url, "SELECT sum(graded_successes)::int, sum(graded_reward) FROM dropped_evidence") == [
        (90, 75.0)
    ]
    assert verify(database).differences == []


def test_verify_finds_and_repairs_a_wrong_sum_of_rewards(database: Database, database_url: str) -> None:
    """As an older worker leaves it: it gathers graded outcomes as 0 or 1."""
    send(database_url, [graded(*each) for each in GRADED])
    ingest_all(database)
    close_slice(database)
    execute(database_url, "UPDATE evidence SET graded_successes = 0, graded_reward = 0, graded_reward_squares = 0")
    (difference,) = repair(database, OPERATOR).differences
    assert difference.recounted == {
        "graded_successes": 30, "graded_reward": 25.0, "graded_reward_squares": pytest.approx(18.75),
    }  # fmt: skip
    assert verify(database).differences == []


def test_the_reward_of_feedback_is_learned(database: Database, database_url: str) -> None:
    requests = [a_request_id() for _ in range(20)]
    send(database_url, [waiting(request_id) for request_id in requests])
    send(database_url, [an_attempt(a_request_id(), 1, "success") for _ in range(20)])
    ingest_all(database)
    for request_id in requests:
        assert report_feedback(database_url, request_id, reward=0.25) == ("learned", True)
    ingest_all(database)
    rules = [AdaptiveRule(AdaptiveSettings(latency_weight=0)), ThresholdRule()]
    Learner(database, rules).learn()
    (found,) = execute(database_url, "SELECT mean, based_on_samples FROM rule_scores WHERE rule = 'adaptive'")
    squares = 20 + 20 * 0.25**2
    phi = (squares - 25.0**2 / 40) / (25.0 * (1 - 25.0 / 40))
    n, s = np.array([40.0]), np.array([25.0])
    expected = shrink(0.5, prior_worth(np.array([0.5]), s, n, np.array([phi])), s, n).mean[0]
    assert found == (pytest.approx(expected, abs=1e-6), 40)
    with database.transaction() as connection:
        assert connection.execute("SELECT sum(failures)::int FROM evidence").fetchone() == (20,)
    assert audit_scores(database, rules).differences == []


def test_graded_outcomes_of_another_model_do_not_change_how_a_pair_of_0_and_1_scatters(
    database: Database, database_url: str
) -> None:
    rules = [AdaptiveRule(AdaptiveSettings(latency_weight=0)), ThresholdRule()]
    stored = "SELECT success_rate, based_on_samples, low, high FROM rule_scores WHERE rule = 'adaptive'"
    stored += " AND model_name = 'gpt-4o'"
    send(database_url, outcomes(61, 39))
    ingest_all(database)
    Learner(database, rules).learn()
    before = execute(database_url, stored)
    send(database_url, [graded(*each, selected_model="other") for each in GRADED])
    ingest_all(database)
    Learner(database, rules).learn()
    assert execute(database_url, stored) == before
    ((n_eff,),) = execute(
        database_url, "SELECT n_eff FROM rule_scores WHERE rule = 'adaptive' AND model_name = 'other'"
    )
    assert n_eff > 52, "the graded ones scatter less"
