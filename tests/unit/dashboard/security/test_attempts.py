"""Tries to log in: five a minute for each user and each address, in bounded memory."""

from centralcloud.dashboard.security.attempts import MOST_TRIES, WINDOW_SECONDS, Attempts


def test_the_sixth_try_of_a_user_waits_until_the_first_is_a_minute_old() -> None:
    attempts = Attempts()
    for number in range(MOST_TRIES):
        assert attempts.begin("ada", f"192.0.2.{number}", 10.0 * number) == 0
    assert attempts.begin("ada", "192.0.2.99", 45.0) == 15.0
    assert attempts.begin("ada", "192.0.2.99", 60.0) == 0
    assert attempts.begin("ada", "192.0.2.99", 60.0) == 10.0


def test_the_sixth_try_of_an_address_waits_whatever_the_names() -> None:
    attempts = Attempts()
    for number in range(MOST_TRIES):
        assert attempts.begin(f"user{number}", "192.0.2.1", 0.0) == 0
    assert attempts.begin("another", "192.0.2.1", 1.0) == WINDOW_SECONDS - 1
    assert attempts.begin("another", "192.0.2.2", 1.0) == 0


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
    for number in range(MOST_TRIES):
        assert attempts.begin(f"user{number}", f"2001:db8::{number}", 0.0) == 0
    assert attempts.begin("another", "2001:db8::ffff:1%eth0", 0.0) > 0
    assert attempts.begin("another", "2001:db8:0:1::1", 0.0) == 0


def test_an_address_of_ipv4_is_the_same_on_a_socket_of_ipv6() -> None:
    attempts = Attempts()
    for number in range(MOST_TRIES):
        attempts.begin(f"user{number}", "::ffff:192.0.2.1", 0.0)
    assert attempts.begin("another", "192.0.2.1", 0.0) > 0


def test_a_million_names_from_one_address_cost_no_memory() -> None:
    attempts = Attempts()
    for number in range(10_000):
        attempts.begin("x" * 1000 + str(number), "192.0.2.1", 0.0)
    assert len(attempts) == 1 + MOST_TRIES


def test_many_names_from_many_addresses_stay_within_the_bound_and_give_no_known_one_new_tries() -> None:
    attempts = Attempts(most_keys=100)
    for _ in range(MOST_TRIES):
        attempts.begin("ada", "192.0.2.1", 0.0)
    for number in range(1000):
        attempts.begin(f"user{number}", f"2001:db8:0:{number:x}::1", 1.0)
    assert len(attempts) == 200
    assert attempts.begin("ada", "192.0.2.1", 2.0) == WINDOW_SECONDS - 2
    assert attempts.begin("new", "192.0.2.9", 2.0) == WINDOW_SECONDS - 2, "no place until the oldest is forgotten"
    assert attempts.begin("new", "192.0.2.9", 1.0 + WINDOW_SECONDS) == 0
    assert len(attempts) == 2


def test_a_name_of_half_a_character_is_counted_as_any_other() -> None:
    attempts = Attempts()
    for _ in range(MOST_TRIES):
        assert attempts.begin("\ud800\x00", "", 0.0) == 0
    assert attempts.begin("\ud800\x00", "", 0.0) > 0


def test_a_user_who_tries_for_hours_is_remembered_by_five_times() -> None:
    attempts = Attempts()
    for number in range(1000):
        attempts.begin("ada", "192.0.2.1", 20.0 * number)
    assert [len(tries) for limit in attempts._limits for tries in limit._tries.values()] == [MOST_TRIES, MOST_TRIES]
