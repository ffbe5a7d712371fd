"""Sessions: new ids, two ends, bounds."""

import pytest

from centralcloud.dashboard.security.sessions import MOST_OF_A_USER, Sessions

HOUR = 3600.0


@pytest.fixture
def sessions() -> Sessions:
    return Sessions(lifetime_seconds=8 * HOUR, idle_seconds=HOUR / 2, most=100)


def test_a_session_ends_half_an_hour_after_its_newest_request(sessions: Sessions) -> None:
    session_id, session = sessions.create("ada", "hash", 0.0)
    assert sessions.find(session_id, HOUR / 2 - 1) is session
    assert sessions.find(session_id, HOUR - 2) is session
    assert sessions.find(session_id, 3 * HOUR / 2 - 2) is None
    assert len(sessions) == 0


def test_a_look_is_not_a_request(sessions: Sessions) -> None:
    session_id, session = sessions.create("ada", "hash", 0.0)
    assert sessions.find(session_id, HOUR / 2 - 1, used=False) is session
    assert sessions.find(session_id, HOUR / 2) is None


def test_a_session_ends_after_eight_hours_whatever_its_requests(sessions: Sessions) -> None:
    session_id, _ = sessions.create("ada", "hash", 0.0)
    for minute in range(8 * 60):
        assert sessions.find(session_id, minute * 60.0) is not None
    assert sessions.find(session_id, 8 * HOUR) is None


def test_ids_are_random_and_only_their_hashes_are_kept(sessions: Sessions) -> None:
    made = {sessions.create(f"user{number}", "hash", 0.0)[0] for number in range(50)}
    assert len(made) == 50
    assert min(map(len, made)) == 43, "256 bits in base64"
    assert not any(session_id in repr(vars(sessions)) for session_id in made)


@pytest.mark.parametrize("wrong", ["", "x", "x" * 100_000, "\ud800", "é"])
def test_an_unknown_id_finds_no_session(sessions: Sessions, wrong: str) -> None:
    sessions.create("ada", "hash", 0.0)
    assert sessions.find(wrong, 0.0) is None
    assert sessions.remove(wrong) is None
    assert len(sessions) == 1


def test_a_removed_session_is_gone(sessions: Sessions) -> None:
    session_id, session = sessions.create("ada", "hash", 0.0)
    other_id, _ = sessions.create("ada", "hash", 0.0)
    assert sessions.remove(session_id) is session
    assert sessions.find(session_id, 0.0) is None
    assert sessions.find(other_id, 0.0) is not None


def test_the_session_that_was_used_longest_ago_makes_room(sessions: Sessions) -> None:
    made = [sessions.create("ada", "hash", float(second))[0] for second in range(MOST_OF_A_USER)]
    sessions.find(made[0], 100.0)
    sessions.create("ada", "hash", 101.0)
    assert sessions.find(made[0], 102.0) is not None
    assert sessions.find(made[1], 102.0) is None
    bob, _ = sessions.create("bob", "hash", 103.0)
    for second in range(200):
        sessions.create(f"user{second}", "hash", 200.0 + second)
    assert len(sessions) == 100
    assert sessions.find(bob, 400.0) is None


def test_sessions_that_have_ended_take_no_room(sessions: Sessions) -> None:
    for number in range(100):
        sessions.create(f"user{number}", "hash", 0.0)
    sessions.create("ada", "hash", HOUR)
    assert len(sessions) == 1
