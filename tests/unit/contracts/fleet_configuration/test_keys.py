"""Keys: random, found by prefix, compared whole, valid until they expire or are revoked."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from centralcloud.contracts import ContractError
from centralcloud.contracts.fleet_configuration import (
    ApiKey,
    find_key,
    hash_key,
    key_prefix,
    new_key_text,
    parse_key,
    to_body,
)

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


def a_key(text: str, **fields: object) -> ApiKey:
    values = {"id": key_prefix(text), "hash": hash_key(text), "role": "user", "label": "app", "created_at": NOW}
    return ApiKey(**{**values, **fields})  # type: ignore[arg-type]


def test_a_key_has_256_random_bits_and_its_prefix_is_not_among_them() -> None:
    texts = {new_key_text() for _ in range(1000)}
    assert len(texts) == len({key_prefix(text) for text in texts}) == 1000
    for text in texts:
        secret = text.removeprefix(f"{key_prefix(text)}_")
        assert len(secret) == 43, "43 characters of 6 bits hold 256"


def test_a_key_is_found_by_its_whole_text_only() -> None:
    text, other = new_key_text(), new_key_text()
    keys = {key.id: key for key in (a_key(text), a_key(other, role="admin"))}
    assert find_key(keys, text, NOW) == keys[key_prefix(text) or ""]
    assert find_key(keys, other, NOW).role == "admin"  # type: ignore[union-attr]
    mixed = f"{key_prefix(other)}_{text.split('_', 2)[2]}"
    for wrong in ("", text[:-1], f"{text}x", mixed, key_prefix(text) or "", new_key_text(), f" {text}", "é" * 60):
        assert find_key(keys, wrong, NOW) is None


def test_an_expired_and_a_revoked_key_are_not_found() -> None:
    text = new_key_text()
    expires = a_key(text, expires_at=NOW + timedelta(hours=1))
    assert find_key({expires.id: expires}, text, NOW + timedelta(minutes=59)) == expires
    assert find_key({expires.id: expires}, text, NOW + timedelta(hours=1)) is None
    revoked = a_key(text, revoked_at=NOW)
    assert find_key({revoked.id: revoked}, text, NOW) is None


def test_the_stored_form_has_no_secret_and_is_read_again() -> None:
    text = new_key_text()
    key = a_key(text, workspace="ws-1", expires_at=NOW + timedelta(days=1))
    body = msgspec.json.decode(msgspec.json.encode(to_body(key)))
    assert text.split("_", 2)[2] not in str(body)
    assert parse_key(body) == key


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"role": "root"}, "key.role"),
        ({"hash": "0" * 63}, "key.hash"),
        ({"id": "cck_xyz"}, "key.id"),
        ({"label": "a\nb"}, "key.label"),
        ({"workspace": ""}, "key.workspace"),
        ({"createdAt": "2026-11-20T12:00:00"}, "key.createdAt"),
        ({"expiresAt": "2026-11-19T12:00:00Z"}, "key.expiresAt"),
        ({"scope": "all"}, "key.scope"),
    ],
)
def test_an_invalid_field_is_named(changed: dict[str, str], field: str) -> None:
    body = {**to_body(a_key(new_key_text())), **changed}
    with pytest.raises(ContractError) as refused:
        parse_key(body)
    assert refused.value.field == field
