"""Principals: keys in either header, one error for all that is wrong, and clients of this machine while there is no key."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from centralcloud.contracts.fleet_configuration import ApiKey, hash_key, key_prefix, new_key_text
from instance_agent.gateway.auth import (
    ANONYMOUS,
    LOCAL,
    KnownSenders,
    Principal,
    is_local,
    is_loopback,
    principal_of,
)
from instance_agent.gateway.errors import GatewayError

NOW = datetime(2026, 11, 29, tzinfo=UTC)
LOCALHOST = {"host": "localhost:3003"}


def a_key(**options) -> tuple[str, dict[str, ApiKey]]:
    text = new_key_text()
    prefix = key_prefix(text)
    assert prefix is not None
    fields = {"role": "user", "label": "l", "created_at": NOW - timedelta(days=1), **options}
    return text, {prefix: ApiKey(id=prefix, hash=hash_key(text), **fields)}


@pytest.mark.parametrize("header", ["Bearer {}", "bearer {}", "BEARER  {} "])
def test_a_key_is_found_in_either_header(header: str) -> None:
    text, keys = a_key(workspace="acme")

    for headers in ({"authorization": header.format(text)}, {"x-api-key": text}):
        found = principal_of(headers, keys, NOW, peer="203.0.113.7")
        assert (found.key_id, found.role, found.workspace) == (text[:16], "user", "acme")


@pytest.mark.parametrize(
    "options",
    [{"expires_at": NOW}, {"revoked_at": NOW - timedelta(hours=1)}],
    ids=["expired", "revoked"],
)
def test_a_key_that_is_no_longer_valid_gets_the_words_of_an_unknown_one(options: dict) -> None:
    text, keys = a_key(**options)
    words = set()
    for headers in (
        {"x-api-key": text},
        {"x-api-key": new_key_text()},
        {"x-api-key": "x"},
        {"authorization": text},
        {},
    ):
        with pytest.raises(GatewayError) as refused:
            principal_of(headers, keys, NOW, peer="127.0.0.1")
        assert refused.value.status == 401
        words.add(refused.value.message)
    assert len(words) == 1


def test_a_remembered_key_ends_when_it_expires_and_when_it_is_revoked() -> None:
    text, keys = a_key(expires_at=NOW + timedelta(hours=1), workspace="acme")
    headers, senders = {"authorization": f"Bearer {text}"}, KnownSenders()
    first = senders.principal_of(headers, keys, NOW)
    assert (first.key_id, first.workspace) == (text[:16], "acme")
    assert senders.principal_of(headers, keys, NOW) is first

    with pytest.raises(GatewayError):
        senders.principal_of(headers, keys, NOW + timedelta(hours=1))
    revoked = {text[:16]: replace(keys[text[:16]], revoked_at=NOW)}
    with pytest.raises(GatewayError):
        senders.principal_of(headers, revoked, NOW)
    assert senders.principal_of(headers, keys, NOW).role == "user"


def test_no_header_is_taken_for_that_of_a_remembered_key() -> None:
    text, keys = a_key()
    senders = KnownSenders()
    for known in ({"x-api-key": text}, {"authorization": f"Bearer {text}"}):
        assert senders.principal_of(known, keys, NOW).key_id == text[:16]
    wrong = text[:-1] + ("A" if text[-1] != "A" else "B")
    for headers in ({"x-api-key": wrong}, {"authorization": f"Bearer {wrong}"}, {"authorization": text}, {}):
        for _ in range(2):
            with pytest.raises(GatewayError):
                senders.principal_of(headers, keys, NOW)


def test_a_key_that_was_revoked_still_means_that_keys_are_needed() -> None:
    _, keys = a_key(revoked_at=NOW - timedelta(hours=1))

    with pytest.raises(GatewayError):
        principal_of(LOCALHOST, keys, NOW, peer="127.0.0.1")


@pytest.mark.parametrize("peer", ["127.0.0.1", "::1", "::ffff:127.0.0.1", "127.9.9.9"])
def test_without_any_key_a_client_of_this_machine_is_served(peer: str) -> None:
    assert principal_of(LOCALHOST, {}, NOW, peer=peer) is LOCAL


@pytest.mark.parametrize(
    ("headers", "peer", "status"),
    [
        (LOCALHOST, "10.0.0.9", 401),
        (LOCALHOST, None, 401),
        ({**LOCALHOST, "x-forwarded-for": "10.0.0.9"}, "127.0.0.1", 401),
        ({**LOCALHOST, "forwarded": "for=10.0.0.9"}, "127.0.0.1", 401),
        ({**LOCALHOST, "Via": "1.1 proxy"}, "127.0.0.1", 401),
        ({**LOCALHOST, "X-Forwarded-Host": "gateway.example"}, "127.0.0.1", 401),
        ({**LOCALHOST, "CF-Connecting-IP": "10.0.0.9"}, "127.0.0.1", 401),
        ({**LOCALHOST, "x-amzn-trace-id": "Root=1"}, "127.0.0.1", 401),
        ({"host": "evil.example"}, "127.0.0.1", 403),
        ({"host": "localhost.evil.example"}, "127.0.0.1", 403),
        ({"host": "[::1"}, "127.0.0.1", 403),
        ({}, "127.0.0.1", 403),
        ({**LOCALHOST, "origin": "https://evil.example"}, "127.0.0.1", 403),
        ({**LOCALHOST, "origin": "null"}, "127.0.0.1", 403),
    ],
)
def test_without_any_key_nothing_else_is_served(headers: dict, peer: str | None, status: int) -> None:
    with pytest.raises(GatewayError) as refused:
        principal_of(headers, {}, NOW, peer=peer, origins=frozenset({"*"}))
    assert refused.value.status == status
    assert not is_local(headers, peer, frozenset({"*"}))


def test_a_page_of_this_machine_and_one_that_a_setting_names_are_served_without_any_key() -> None:
    for origin in ("http://localhost:5173", "http://127.0.0.1", "https://app.example"):
        headers = {**LOCALHOST, "origin": origin}
        found = principal_of(headers, {}, NOW, peer="127.0.0.1", origins=frozenset({"https://app.example"}))
        assert found is LOCAL


@pytest.mark.parametrize(
    ("role", "rights"),
    [
        ("viewer", "viewer"),
        ("user", "viewer user"),
        ("operator", "viewer user operator"),
        ("admin", "viewer user operator admin"),
    ],
)
def test_roles_include_those_below_them(role: Any, rights: str) -> None:
    principal = Principal(key_id=None, role=role)
    names: tuple[Any, ...] = ("viewer", "user", "operator", "admin")
    assert [each for each in names if principal.may(each)] == rights.split()


def test_localhost_is_recognized_and_its_likes_are_not() -> None:
    assert all(map(is_loopback, ["localhost", "LOCALHOST.", "127.0.0.1", "::1"]))
    assert not any(map(is_loopback, [None, "", "localhost.example", "0.0.0.0", "::", "10.0.0.1", "2130706433"]))


def test_a_request_whose_sender_is_not_known_may_do_nothing() -> None:
    assert not any(map(ANONYMOUS.may, ("viewer", "user", "operator", "admin")))
    with pytest.raises(GatewayError, match="the request has no key"):
        ANONYMOUS.require("viewer")
