"""Changes that are refused once the state is not the one that the operator has seen, also when two come at once."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from support.events import outcomes, send
from support.ingest import ingest, ingest_all
from support.operators import OPERATOR
from support.servers import execute

from centralcloud.administration import dead_letters, score_overrides
from centralcloud.administration.conflict import ChangedMeanwhileError
from centralcloud.administration.dead_letters import Filter, OpenLetters
from centralcloud.administration.score_overrides import SeenScores
from centralcloud.learning.publication import Publication, manual_score, publish, score_transaction
from centralcloud.learning.rules import ThresholdRule
from centralcloud.runtime.postgres.database import Database
from centralcloud.store.slices import References

PAIR = ("gpt-4o", "complex")


def refused(works: list[Callable[[], object]]) -> int:
    """Do all at the same moment; return how many were refused."""
    barrier = threading.Barrier(len(works))

    def work(one: Callable[[], object]) -> bool:
        barrier.wait()
        try:
            one()
        except ChangedMeanwhileError:
            return True
        return False

    with ThreadPoolExecutor(len(works)) as threads:
        return sum(threads.map(work, works))


def actions(database_url: str) -> int:
    return int(execute(database_url, "SELECT count(*) FROM operator_actions")[0][0])


def scores_seen(database: Database) -> SeenScores:
    with database.transaction() as connection:
        return score_overrides.read_scores_seen(connection)


def learned(database: Database, score: str) -> int:
    """Publish a score as the learner does, and return its version."""
    with score_transaction(database) as (connection, now):
        current = score_overrides.find_pair(connection, PAIR)
        new = manual_score(current, Decimal(score), "step", "a test")
        (change,) = publish(connection, [Publication(current, new)], rule="threshold", run_id=None, now=now)
    assert change.version is not None
    return change.version


def test_the_learner_may_publish_meanwhile_as_long_as_it_moves_no_score_far(
    database: Database, database_url: str
) -> None:
    """A busy fleet has a new version each second: an operator in an incident must get through."""
    ingest(database, database_url, outcomes(20, 0, complexity_score=3.0))
    first = learned(database, "4.0")
    at = learned(database, "3.0")

    def roll_back(seen: SeenScores) -> score_overrides.Rollback:
        return score_overrides.roll_back(database, [ThresholdRule()], first, References(), OPERATOR, expected=seen)

    seen = scores_seen(database)
    learned(database, "2.5")
    with pytest.raises(ChangedMeanwhileError, match=r"the score of .* moved from 3.00 to 2.50"):
        roll_back(seen)
    with pytest.raises(ChangedMeanwhileError, match=r"moved from 3.00 to 2.50"):
        score_overrides.pin(database, PAIR, Decimal(2), None, OPERATOR, expected_version=at)
    for never in (-1, 10**9):
        with pytest.raises(ChangedMeanwhileError):
            score_overrides.pin(database, PAIR, Decimal(2), None, OPERATOR, expected_version=never)
        with pytest.raises(ChangedMeanwhileError):
            roll_back(seen._replace(version=never))
    seen = scores_seen(database)
    newest = learned(database, "2.6")
    done = roll_back(seen)
    assert (done.from_version, [each.new_score for each in done.undone]) == (newest, [4.0])
    at = learned(database, "4.1")
    learned(database, "4.2")
    assert score_overrides.pin(database, PAIR, Decimal(2), None, OPERATOR, expected_version=at).new_score == 2


def test_a_roll_back_does_not_take_a_pair_that_another_operator_has_unpinned_meanwhile(
    database: Database, database_url: str
) -> None:
    ingest(database, database_url, outcomes(20, 0, complexity_score=3.0))
    first = learned(database, "4.0")
    score_overrides.pin(database, PAIR, Decimal(2), None, OPERATOR)
    seen = scores_seen(database)
    score_overrides.unpin(database, PAIR, OPERATOR)
    with pytest.raises(ChangedMeanwhileError, match="pins or retirements changed"):
        score_overrides.roll_back(database, [ThresholdRule()], first, References(), OPERATOR, expected=seen)


def test_of_changes_of_one_state_the_first_one_is_made(database: Database, database_url: str) -> None:
    ingest(database, database_url, outcomes(20, 0, complexity_score=3.0))
    score_overrides.pin(database, PAIR, Decimal(4), None, OPERATOR, expected_version=0)
    score_overrides.pin(database, PAIR, Decimal(3), None, OPERATOR, expected_version=1)
    before = actions(database_url)
    seen = scores_seen(database)

    def pin() -> object:
        return score_overrides.pin(database, PAIR, Decimal(2), None, OPERATOR, expected_version=2)

    def roll_back() -> object:
        return score_overrides.roll_back(database, [ThresholdRule()], 1, References(), OPERATOR, expected=seen)

    assert refused([pin] * 4) == 3
    score_overrides.unpin(database, PAIR, OPERATOR, expected_version=3)
    with pytest.raises(ChangedMeanwhileError, match="an operator has set a score in version 3"):
        roll_back()
    with pytest.raises(ChangedMeanwhileError, match="the score changed to version 3"):
        score_overrides.unpin(database, PAIR, OPERATOR, expected_version=2)
    assert actions(database_url) == before + 2
    with database.transaction() as connection:
        (move,) = score_overrides.preview_rollback(connection, 1)
    assert (move.old_score, move.new_score) == (2.0, 4.0)


def test_of_two_who_freeze_at_once_one_learns_of_the_other(database: Database, database_url: str) -> None:
    def freeze() -> object:
        return score_overrides.freeze(database, "r", OPERATOR, expected=None)

    assert refused([freeze] * 3) == 2
    with pytest.raises(ChangedMeanwhileError, match="scores were frozen"):
        score_overrides.unfreeze(database, OPERATOR, expected=datetime(2020, 1, 1, tzinfo=UTC))
    with database.transaction() as connection:
        found = score_overrides.read_freeze(connection)
    assert found is not None
    assert score_overrides.unfreeze(database, OPERATOR, expected=found.frozen_at)
    with pytest.raises(ChangedMeanwhileError, match="scores were published again"):
        score_overrides.unfreeze(database, OPERATOR, expected=found.frozen_at)
    assert actions(database_url) == 2


def test_dead_letters_are_those_that_were_seen(database: Database, database_url: str) -> None:
    send(database_url, [{"no": "event"}] * 3)
    ingest_all(database)
    which = Filter()
    with database.transaction() as connection:
        seen = dead_letters.read_open_letters(connection, which)
    assert seen == OpenLetters(3, 3)

    def discard() -> object:
        return dead_letters.discard(database, which, OPERATOR, expected=OpenLetters(3, 3))

    for wrong in (OpenLetters(2, 3), OpenLetters(3, 2)):
        with pytest.raises(ChangedMeanwhileError, match="dead letters of those are open now"):
            dead_letters.replay(database, which, [], OPERATOR, expected=wrong)
    refused([discard] * 3)
    assert actions(database_url) == 1
    with pytest.raises(ChangedMeanwhileError, match="no dead letter of those is open now"):
        discard()
    assert execute(database_url, "SELECT resolution FROM dead_letters") == [("discarded",)] * 3
