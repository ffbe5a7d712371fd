"""Names of logins, and scripts that no name can break out of."""

import pytest

from centralcloud.administration.grants import Login, login_name, login_script, password_statement, revoke_login_script


@pytest.mark.parametrize(
    ("instance_id", "expected"),
    [
        ("node-1", "instance_node-1"),
        ("x" * 54, "instance_" + "x" * 54),
        ("x" * 55, "instance_" + "x" * 41 + "_" + "c73a192493b5"),
    ],
)
def test_a_login_is_named_after_the_id(instance_id: str, expected: str) -> None:
    assert login_name("instance", instance_id) == expected


def test_long_ids_that_begin_alike_have_logins_of_their_own() -> None:
    names = {login_name("instance", "ü" * 100 + str(number)) for number in range(100)}
    assert len(names) == 100
    assert all(len(name.encode()) <= 63 for name in names)


def test_a_name_cannot_end_the_block_around_it() -> None:
    for script, blocks in ((login_script, 2), (revoke_login_script, 1)):
        text = script(Login("a$do$b$do_$c", "i", "instances"))
        assert text.count("$do__$") == 2 * blocks


def test_a_statement_to_complete() -> None:
    assert password_statement('a"b') == """ALTER ROLE "a""b" PASSWORD '...';"""
