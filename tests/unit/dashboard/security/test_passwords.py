"""Hashes of passwords: as RFC 7914 says, with bounds for those of a file."""

import pytest

from centralcloud.dashboard.security.passwords import (
    DEFAULT_COST,
    Cost,
    PasswordHash,
    hash_password,
    parse_hash,
    unknown_hash,
)

CHEAP = Cost(2, 1, 1)
SALT, DIGEST = "c2FsdHNhbHRzYWx0c2FsdA==", "aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGhhc2g="


def test_a_hash_matches_its_password_and_no_other() -> None:
    hashed = hash_password("correct horse battery", CHEAP)
    assert hashed.matches("correct horse battery")
    assert not hashed.matches("correct horse batterY")
    assert not hashed.matches("")
    assert "horse" not in str(hashed)


def test_the_same_password_has_another_hash_each_time() -> None:
    assert hash_password("correct horse battery", CHEAP) != hash_password("correct horse battery", CHEAP)


def test_the_digest_is_that_of_the_rfc() -> None:
    """RFC 7914, section 12, the third vector, of which the first 32 bytes are the same."""
    expected = bytes.fromhex("7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2")
    assert PasswordHash(Cost(16384, 8, 1), b"SodiumChloride", expected).matches("pleaseletmein")


def test_the_default_needs_32_mib_and_its_text_can_be_read_again() -> None:
    hashed = hash_password("correct horse battery")
    assert DEFAULT_COST.bytes_needed // 2**20 == 32
    assert parse_hash(str(hashed)) == hashed
    assert hashed.matches("correct horse battery")


def test_an_accent_typed_in_two_ways_is_the_same_password() -> None:
    assert hash_password("caf\u00e9 caf\u00e9 caf\u00e9", CHEAP).matches("cafe\u0301 cafe\u0301 cafe\u0301")


def test_no_password_has_the_hash_of_the_unknown() -> None:
    assert not unknown_hash(CHEAP).matches("")
    assert not unknown_hash(CHEAP).matches("\ud800")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "a hash like scrypt$n$r$p$salt$hash"),
        ("plain password", "a hash like scrypt"),
        (f"bcrypt$2$1$1${SALT}${DIGEST}", "a hash like scrypt"),
        (f"scrypt$2$1${SALT}${DIGEST}", "a hash like scrypt"),
        (f"scrypt$-2$1$1${SALT}${DIGEST}", "whole numbers"),
        (f"scrypt$٢$1$1${SALT}${DIGEST}", "whole numbers"),
        (f"scrypt$1$1$1${SALT}${DIGEST}", "a power of 2"),
        (f"scrypt$3$1$1${SALT}${DIGEST}", "a power of 2"),
        (f"scrypt$2$0$1${SALT}${DIGEST}", "a power of 2"),
        (f"scrypt$2$1$0${SALT}${DIGEST}", "a power of 2"),
        (f"scrypt$1073741824$8$1${SALT}${DIGEST}", "whole numbers"),
        (f"scrypt$1048576$8$1${SALT}${DIGEST}", "at most 256 MiB"),
        (f"scrypt$2$1$999999999${SALT}${DIGEST}", "at most 256 MiB"),
        (f"scrypt$32768$8$100${SALT}${DIGEST}", "n*r*p"),
        (f"scrypt$2$1$1$salt!${DIGEST}", "base64"),
        (f"scrypt$2$1$1$c2FsdA==${DIGEST}", "a salt of at least 16 bytes"),
        (f"scrypt$2$1$1${SALT}$aGFzaA==", "a hash of 32"),
        (f"scrypt$2$1$1${SALT}$", "a hash of 32"),
    ],
)
def test_a_damaged_hash_says_what_is_expected_and_shows_nothing(text: str, expected: str) -> None:
    with pytest.raises(ValueError, match=r"^expected ") as refused:
        parse_hash(text)
    assert expected in str(refused.value)
    assert DIGEST not in str(refused.value)
