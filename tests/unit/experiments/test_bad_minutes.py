from centralcloud.experiments.bad_minutes import ArmMinute, BadMinutes, judge

_USUAL = BadMinutes(sessions=1000, failed=10)
_HEALTHY = ArmMinute(75, 1)


def test_an_outage_is_seen_in_the_arm_that_has_it() -> None:
    assert judge(_USUAL, ArmMinute(75, 70), _HEALTHY)[0] == (True, False)
    assert judge(_USUAL, _HEALTHY, ArmMinute(75, 70))[0] == (False, True)
    assert judge(_USUAL, ArmMinute(75, 70), ArmMinute(75, 70))[0] == (True, True)


def test_few_failed_sessions_and_usual_ones_are_not_an_outage() -> None:
    assert judge(_USUAL, ArmMinute(3, 3), _HEALTHY)[0] == (False, False), "three of three"
    assert judge(_USUAL, ArmMinute(400, 10), _HEALTHY)[0] == (False, False), "no chance of less than one in a million"
    often = BadMinutes(sessions=1000, failed=400)
    assert judge(often, ArmMinute(75, 40), ArmMinute(75, 35))[0] == (False, False)


def test_nothing_is_judged_before_it_is_known_what_is_usual() -> None:
    usual = BadMinutes()
    for _ in range(2):
        found, usual = judge(usual, ArmMinute(75, 70), _HEALTHY)
        assert found == (False, False)
    assert usual == BadMinutes(150, 140)


def test_a_bad_minute_teaches_nothing_about_what_is_usual() -> None:
    _, after = judge(_USUAL, ArmMinute(75, 70), _HEALTHY)
    assert after == _USUAL._replace(in_a_row=1)
    _, after = judge(after, _HEALTHY, _HEALTHY)
    assert after == BadMinutes(1075, 11)


def test_after_fifteen_bad_minutes_in_a_row_the_new_state_is_the_usual_one() -> None:
    usual = _USUAL
    for _ in range(15):
        found, usual = judge(usual, ArmMinute(75, 70), _HEALTHY)
        assert found.control
    assert usual == BadMinutes()
