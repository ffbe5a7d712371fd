"""Tries to log in: five a minute for each user from each address and for each known browser, in bounded memory."""

from centralcloud.dashboard.security.attempts import MOST_TRIES, MOST_TRIES_TOGETHER, WINDOW_SECONDS, Attempts


def test_the_sixth_try_of_a_user_from_an_address_waits_until_the_first_is_a_minute_old() -> None:
    attempts = Attempts()
    for number in range(MOST_TRIES):
        assert attempts.begin("ada", "192.0.2.1", 10.0 * number) == 0
    assert attempts.begin("ada", "192.0.2.1", 45.0) == 15.0
    assert attempts.begin("ada", "192.0.2.1", 60.0) == 0
    assert attempts.begin("ada", "192.0.2.1", 60.0) == 10.0


def test_wrong_tries_elsewhere_or_of_other_names_leave_a_user_their_tries() -> None:
    attempts = Attempts()
    for number in range(MOST_TRIES):
        for _ in range(2):
            attempts.begin("ada", f"192.0.2.{number}", 0.0)
            attempts.begin(f"user{number}", "192.0.2.77", 0.0)
    assert attempts.begin("ada", "192.0.2.77", 1.0) == 0


def test_guessing_with_many_names_or_from_many_addresses_is_limited_too() -> None:
    attempts = Attempts()
    for number in range(MOST_TRIES_TOGETHER):
        assert attempts.begin("ada", f"192.0.2.{number}", 0.0) == 0
        assert attempts.begin(f"user{number}", "198.51.100.1", 0.0) == 0
    assert attempts.begin("ada", "192.0.2.99", 1.0) == WINDOW_SECONDS - 1
    assert attempts.begin("another", "198.51.100.1", 1.0) == WINDOW_SECONDS - 1
    assert attempts.begin("another", "192.0.2.99", 1.0) == 0


def test_a_known_browser_has_tries_of_its_own_whatever_others_try() -> None:
    attempts = Attempts()
    for _ in range(100):
        attempts.begin("ada", "192.0.2.1", 0.0)
    assert attempts.begin("ada", "192.0.2.1", 1.0) > 0
    for _ in range(MOST_TRIES):
        assert attempts.begin("ada", "192.0.2.1", 1.0, "b") == 0
    assert attempts.begin("ada", "192.0.2.1", 1.0, "b") == WINDOW_SECONDS
    assert attempts.begin("ada", "192.0.2.1", 1.0, "c") == 0


def test_a_refused_try_is_not_counted() -> None:
    attempts = Attempts()
    for _ in range(MOST_TRIES):
        attempts.begin("ada", "192.0.2.1", 0.0)
    for second in range(1, 60):
        assert attempts.begin("ada", "192.0.2.1", float(second)) > 0
    assert attempts.begin("ada", "192.0.2.1", 60.0) == 0


def test_a_login_that_succeeds_is_not_counted() -> None:
    attempts = Attempts()
    for _ in range(20):
        assert attempts.begin("ada", "192.0.2.1", 0.0) == 0
        attempts.succeeded("ada", "192.0.2.1")
    assert len(attempts) == 0


def test_an_address_of_ipv6_counts_with_its_network() -> None:
    attempts = Attempts()
    for number in range(MOST_TRIES_TOGETHER):
        assert attempts.begin(f"user{number}", f"2001:db8::{number}", 0.0) == 0
    assert attempts.begin("another", "2001:db8::ffff:1%eth0", 0.0) > 0
    assert attempts.begin("another", "2001:db8:0:1::1", 0.0) == 0


def test_an_address_of_ipv4_is_the_same_on_a_socket_of_ipv6() -> None:
    attempts = Attempts()
    for number in range(MOST_TRIES_TOGETHER):
        attempts.begin(f"user{number}", "::ffff:192.0.2.1", 0.0)
    assert attempts.begin("another", "192.0.2.1", 0.0) > 0


def test_a_million_names_from_one_address_cost_no_memory() -> None:
    attempts = Attempts()
    for number in range(10_000):
        attempts.begin("x" * 1000 + str(number), "192.0.2.1", 0.0)
    assert len(attempts) == 1 + 2 * MOST_TRIES_TOGETHER


def test_many_names_from_many_addresses_stay_within_the_bound_and_give_no_known_one_new_tries() -> None:
    attempts = Attempts(most_keys=100)
    for _ in range(MOST_TRIES):
        attempts.begin("ada", "192.0.2.1", 0.0)
    for number in range(1000):
        attempts.begin(f"user{number}", f"2001:db8:0:{number:x}::1", 1.0)
    assert len(attempts) == 300
    assert attempts.begin("ada", "192.0.2.1", 2.0) == WINDOW_SECONDS - 2
    assert attempts.begin("new", "192.0.2.9", 2.0) == WINDOW_SECONDS - 2, "no place until the oldest is forgotten"
    assert attempts.begin("new", "192.0.2.9", 1.0 + WINDOW_SECONDS) == 0
    assert len(attempts) == 3


def test_a_name_of_half_a_character_is_counted_as_any_other() -> None:
    attempts = Attempts()
    for _ in range(MOST_TRIES):
        assert attempts.begin("\ud800\x00", "", 0.0) == 0
    assert attempts.begin("\ud800\x00", "", 0.0) > 0


def test_a_user_who_tries_for_hours_is_remembered_by_so_many_times_as_may_be() -> None:
    attempts = Attempts()
    for number in range(1000):
        attempts.begin("ada", "192.0.2.1", 20.0 * number)
    limits = (attempts._pairs, attempts._users, attempts._addresses)
    assert [len(tries) for limit in limits for tries in limit._tries.values()] == [5, 30, 30]
