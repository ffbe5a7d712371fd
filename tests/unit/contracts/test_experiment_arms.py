import pytest

from centralcloud.contracts.experiment_arms import Assignment, Split, assign, position_of

#: First 8 bytes of `printf 'exp-1\nsalt\nsession-N' | sha256sum`, and the arm at a share of one quarter.
_GOLDEN = (
    ("session-0", "c9694072758a973f", False),
    ("session-1", "7fcbcf2c1ee5f7d1", False),
    ("session-2", "20ba68ae96195df1", True),
    ("session-3", "d9eaea9f3a411b80", False),
    ("session-4", "ee47c8092a5d913b", False),
    ("session-5", "8ff42060da5e9c39", False),
    ("session-6", "1b7e7d959247aeb9", True),
    ("session-7", "84b99762747e1fb1", False),
    ("session-8", "fec15eab98ef5218", False),
    ("session-9", "03cd291d7147233c", True),
    ("session-10", "3def21e114f63764", True),
    ("session-11", "b6cf676028f8f9bb", False),
    ("session-12", "edf90f160acad7de", False),
    ("session-13", "a43e9292c0330c83", False),
    ("session-14", "2a50a8a481f48b64", True),
    ("session-15", "9260318be3d3c009", False),
    ("session-16", "b2c29d226f5b9103", False),
    ("session-17", "8ac7b1c998e33cc0", False),
    ("session-18", "ff0a8755585033ed", False),
    ("session-19", "9e5d70c491e5f970", False),
)


@pytest.mark.parametrize(("session", "first_bytes", "treated"), _GOLDEN)
def test_the_arms_of_twenty_sessions_are_fixed_for_all_languages(session: str, first_bytes: str, treated: bool) -> None:
    position = position_of("exp-1", "salt", session)
    assert position == (int(first_bytes, 16) >> 11) / 2**53
    assert (assign(position, Split(1, 0.25)).treatment == 0) is treated


def test_shares_are_those_of_the_split_and_two_experiments_split_independently() -> None:
    sessions = [f"s-{number}" for number in range(20_000)]
    split = Split(2, 0.2)
    first = [assign(position_of("a", "1", each), split).treatment for each in sessions]
    second = [assign(position_of("b", "2", each), split).treatment for each in sessions]
    for found in (first, second):
        assert found.count(0) / 20_000 == pytest.approx(0.2, abs=0.01)
        assert found.count(1) / 20_000 == pytest.approx(0.2, abs=0.01)
    both = sum(a == b == 0 for a, b in zip(first, second, strict=True))
    assert both / 20_000 == pytest.approx(0.04, abs=0.006)


def test_the_weight_is_the_odds_against_control() -> None:
    assert assign(0.1, Split(1, 0.25)) == Assignment(0, 0.25)
    assert assign(0.9, Split(1, 0.25)) == Assignment(None, 0.25)
    assert assign(0.5, Split(2, 0.2)) == Assignment(1, pytest.approx(0.25))  # 0.2 beside 0.6 of control
    assert assign(0.75, Split(2, 0.2)) == Assignment(None, pytest.approx(0.25))


def test_a_step_moves_no_session_that_is_compared() -> None:
    """During a step those between the old and the new share stay with control, uncompared; the others keep their arm."""
    before, step, after = Split(1, 0.05), Split(1, 0.25, before=0.05), Split(1, 0.25)
    for number in range(1000):
        position = number / 1000
        old, now, new = assign(position, before), assign(position, step), assign(position, after)
        if now.share is not None:
            assert now.treatment == old.treatment == new.treatment
            assert now.share == pytest.approx(0.05 / (0.05 + 0.75))
        else:
            assert 0.05 <= position < 0.25
            assert (old.treatment, now.treatment, new.treatment) == (None, None, 0)


@pytest.mark.parametrize("split", [Split(1, 0.0), Split(1, 0.01, before=0.0), Split(1, 1.0)])
def test_nothing_is_compared_where_one_arm_gets_nothing(split: Split) -> None:
    assert {assign(number / 100, split).share for number in range(100)} == {None}


def test_names_of_any_script_have_a_position() -> None:
    assert 0 <= position_of("実験", "salt", "séance") < 1
