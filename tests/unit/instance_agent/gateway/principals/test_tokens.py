"""Tokens: verified by keys that a real address serves, with each attack that is known, and through rotations."""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from support.issuer import AUDIENCE, ISSUER, Issuer, SigningKey, serving

from centralcloud.contracts import SettingsError
from centralcloud.runtime.postgres.database import Database
from instance_agent.gateway.principals import token_keys
from instance_agent.gateway.principals.token_keys import TokenKeys, read_keys
from instance_agent.gateway.principals.tokens import Tokens, TokenSettings, claim_of

RSA, EC, ED = SigningKey("r", "RS256"), SigningKey("e", "ES256"), SigningKey("d", "EdDSA")
OTHER = SigningKey("r", "RS256")
DATABASE = Database("postgresql://nowhere.invalid/none", application_name="tests")
SETTINGS = TokenSettings(issuer=ISSUER, audience=AUDIENCE)


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with serving(RSA, EC, ED) as found:
        yield found


@pytest.fixture
def keys(issuer: Issuer) -> TokenKeys:
    return TokenKeys(DATABASE, issuer.url, grace_seconds=60)


def tokens(keys: TokenKeys, **fields: Any) -> Tokens:
    return Tokens(keys, TokenSettings(issuer=ISSUER, audience=AUDIENCE, **fields))


@pytest.mark.parametrize("key", [RSA, EC, ED], ids=lambda key: key.algorithm)
def test_a_valid_token_is_a_principal_with_the_subject_as_its_user(keys: TokenKeys, key: SigningKey) -> None:
    found = tokens(keys).principal_of(key.token())
    assert found is not None
    assert (found.role, found.workspace, found.user_id) == ("user", None, "ada")
    assert found.key_id is not None
    assert found.key_id.startswith("jwt:")
    assert len(found.key_id) == 20
    again = tokens(keys).principal_of(key.token(aud=["else", AUDIENCE], role=["offline", "operator", "viewer"]))
    assert again is not None
    assert (again.key_id, again.role) == (found.key_id, "operator")
    other = tokens(keys).principal_of(key.token(sub="bob"))
    assert other is not None
    assert other.key_id != found.key_id


def signed_by_hand(header: dict[str, Any], secret: bytes) -> str:
    """Return a token of HS256, which the library refuses to make with a public key."""
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "eve", "role": "admin", "exp": time.time() + 60}
    parts = [base64.urlsafe_b64encode(json.dumps(each).encode()).rstrip(b"=") for each in (header, claims)]
    text = b".".join(parts)
    signature = hmac.new(secret, text, hashlib.sha256).digest()
    return (text + b"." + base64.urlsafe_b64encode(signature).rstrip(b"=")).decode()


def unsigned() -> str:
    return (
        RSA.token()
        .rpartition(".")[0]
        .replace(
            RSA.token().partition(".")[0], base64.urlsafe_b64encode(b'{"alg":"none","kid":"r"}').rstrip(b"=").decode()
        )
    )


NOW = time.time()
REFUSED = {
    "expired": lambda: RSA.token(exp=NOW - 31),
    "without an end": lambda: RSA.token(exp=None),
    "an end that is not a time": lambda: RSA.token(headers={}, exp=1e300),
    "not valid yet": lambda: RSA.token(nbf=time.time() + 60),
    "another audience": lambda: RSA.token(aud="other"),
    "without an audience": lambda: RSA.token(aud=None),
    "another issuer": lambda: RSA.token(iss="https://evil.example/"),
    "without an issuer": lambda: RSA.token(iss=None),
    "without a subject": lambda: RSA.token(sub=None),
    "an empty subject": lambda: RSA.token(sub=""),
    "a subject that is not a text": lambda: signed_claims(sub=7),
    "another key of the same id": lambda: OTHER.token(),
    "an unknown key": lambda: OTHER.token(headers={"kid": "unheard-of"}),
    "no id of a key, of several": lambda: RSA.token(headers={"kid": None}),
    "no algorithm": lambda: unsigned() + ".",
    "no algorithm, with a signature": lambda: unsigned() + ".AAAA",
    "the public key as a secret": lambda: signed_by_hand({"alg": "HS256", "kid": "r", "typ": "JWT"}, RSA.public_pem()),
    "the JSON of the public key as a secret": lambda: signed_by_hand(
        {"alg": "HS256", "kid": "r"}, json.dumps(RSA.jwk()).encode()
    ),
    "another algorithm of the same key": lambda: jwt.encode({"sub": "a"}, RSA.private, "PS256", {"kid": "r"}),
    "the id of a key of another algorithm": lambda: RSA.token(headers={"kid": "e"}),
    "a header that must be understood": lambda: RSA.token(headers={"crit": ["exp"]}),
    "no role": lambda: RSA.token(role=None),
    "an unknown role": lambda: RSA.token(role="root"),
    "a role that is not a text": lambda: RSA.token(role={"admin": True}),
    "a changed payload": lambda: changed(),
    "three words": lambda: "a.b.c",
    "huge": lambda: RSA.token(filler="x" * 9000),
    "huge and meaningless": lambda: f"{'a' * 4000}.{'b' * 2000}.{'c' * 1000}",
    "nested lists": lambda: f"{base64.urlsafe_b64encode(b'[' * 5000).decode().rstrip('=')}.e30.AAAA",
}


def signed_claims(**claims: Any) -> str:
    payload = {"iss": ISSUER, "aud": AUDIENCE, "role": "user", "exp": time.time() + 60, **claims}
    return jwt.api_jws.PyJWS().encode(json.dumps(payload).encode(), RSA.private, "RS256", {"kid": "r"})


def changed() -> str:
    head, payload, signature = RSA.token().split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "==")) | {"role": "admin"}
    return f"{head}.{base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip('=')}.{signature}"


@pytest.mark.parametrize("name", REFUSED)
def test_a_token_that_is_not_valid_is_not_a_principal(
    keys: TokenKeys, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    verifier, token = tokens(keys), REFUSED[name]()
    for _ in range(3):
        assert verifier.principal_of(token) is None
    assert caplog.text.count("token_refused") == 1, "one line in ten seconds, whatever is sent"
    assert token not in caplog.text
    assert verifier.principal_of(RSA.token()) is not None


def test_an_allowed_algorithm_is_one_of_the_settings(keys: TokenKeys) -> None:
    verifier = tokens(keys, algorithms=("ES256",))
    assert verifier.principal_of(EC.token()) is not None
    assert verifier.principal_of(RSA.token()) is None


def test_a_workspace_is_needed_once_its_claim_is_named(keys: TokenKeys) -> None:
    verifier = tokens(keys, workspace_claim="https://example.com/tenant", role_claim="realm_access.roles")
    roles = {"realm_access": {"roles": ["user"]}}
    tenant = {"https://example.com/tenant": "acme"}
    found = verifier.principal_of(RSA.token(**roles, **tenant))
    assert found is not None
    assert (found.workspace, found.tenant) == ("acme", "workspace acme")
    fleet = verifier.principal_of(RSA.token(**roles, **{"https://example.com/tenant": "*"}))
    assert fleet is not None
    assert fleet.workspace is None
    for wrong in ({}, {"https://example.com/tenant": ""}, {"https://example.com/tenant": ["acme"]}):
        assert verifier.principal_of(RSA.token(**roles, **wrong)) is None


def test_a_claim_is_a_name_or_a_path() -> None:
    assert claim_of({"a.b": 1, "a": {"b": 2}}, "a.b") == 1
    assert claim_of({"a": {"b": 2}}, "a.b") == 2
    assert claim_of({"a": 3}, "a.b") is None


def test_a_verified_token_is_known_until_it_ends(keys: TokenKeys, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    clock = [now]
    verifier = Tokens(keys, SETTINGS, clock=lambda: clock[0])
    token = RSA.token(exp=now + 20)
    first = verifier.principal_of(token)
    with monkeypatch.context() as patched:
        patched.setattr(verifier, "_verified", None)  # nothing is verified again
        clock[0] = now + 49
        assert verifier.principal_of(token) is first
    clock[0] = now + 51
    assert verifier.principal_of(token) is None
    for number in range(1010):
        verifier.principal_of(ED.token(sub=str(number)))
    assert len(verifier._known) <= 1000


def refreshed(keys: TokenKeys, verifier: Tokens, *sent: str) -> list[Any]:
    """Handle requests with tokens at once, as the gateway does it, while the keys' task runs."""
    keys.start()

    async def one(token: str) -> Any:
        await verifier.prepare(token)
        return verifier.principal_of(token)

    async def all_of_them() -> list[Any]:
        return await asyncio.gather(*(one(token) for token in sent))

    try:
        return asyncio.run(all_of_them())
    finally:
        keys.stop()
        assert keys.join(5.0)


def test_a_rotation_is_one_read_of_the_keys_for_many_requests(keys: TokenKeys, issuer: Issuer) -> None:
    new, verifier = SigningKey("new", "ES256"), tokens(keys)
    old_token = RSA.token()
    assert verifier.principal_of(old_token) is not None
    issuer.keys = [new.jwk()]
    keys._tried_at -= 60
    before = issuer.requests
    found = refreshed(keys, verifier, *(new.token(sub=str(number)) for number in range(20)))
    assert [each.user_id for each in found] == [str(number) for number in range(20)]
    assert issuer.requests - before <= 2, "one at the start of the task, one for the unknown key"
    assert verifier.principal_of(old_token) is None, "its key is no longer there, although the token was verified"


def test_unknown_keys_do_not_make_the_gateway_ask_again_and_again(keys: TokenKeys, issuer: Issuer) -> None:
    sent = [OTHER.token(headers={"kid": f"made-up-{number}"}) for number in range(20)]
    began = time.monotonic()
    assert refreshed(keys, tokens(keys), *sent) == [None] * 20
    assert issuer.requests <= 2
    assert time.monotonic() - began < 2


@pytest.mark.parametrize("failure", ["status", "redirect", "html", "empty", "large"])
def test_the_last_keys_count_while_the_address_does_not_answer_and_not_for_ever(
    keys: TokenKeys, issuer: Issuer, failure: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    verifier = tokens(keys)
    issuer.status = {"status": 503, "redirect": 302}.get(failure, 200)
    issuer.body = {"html": b"<html>", "empty": b'{"keys": []}', "large": b" " * 1_100_000}.get(failure)
    for _ in range(3):
        keys.run_once()
    assert caplog.text.count("token_keys_unreadable") == 1
    assert keys.problem is not None
    token = RSA.token()
    assert verifier.principal_of(token) is not None
    read_at = keys._read_at
    assert read_at is not None
    keys._read_at = read_at - 61
    assert verifier.principal_of(token) is None
    issuer.status, issuer.body = 200, None
    keys.run_once()
    assert keys.problem is None
    assert verifier.principal_of(token) is not None


def test_the_last_keys_do_not_count_for_ever_while_a_read_of_the_address_does_not_end(keys: TokenKeys) -> None:
    verifier, read_at = tokens(keys), keys._read_at
    assert read_at is not None
    keys._read_at = read_at - 300 - 59
    assert verifier.principal_of(RSA.token()) is not None, "the next read is due"
    keys._read_at = read_at - 300 - 76
    assert (keys.problem, verifier.principal_of(RSA.token())) == (None, None)


def test_an_address_that_is_not_there_at_the_start_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    with serving(RSA) as issuer:
        url = issuer.url
    keys = TokenKeys(DATABASE, url, grace_seconds=60)
    assert "no token is accepted until they can be read" in caplog.text
    assert keys.interval_seconds == 10
    assert tokens(keys).principal_of(RSA.token()) is None


def test_a_file_is_read_again_when_it_has_changed(tmp_path: Path) -> None:
    file = tmp_path / "jwks.json"
    file.write_text(json.dumps({"keys": [EC.jwk()]}))
    keys = TokenKeys(DATABASE, str(file), grace_seconds=60)
    verifier = tokens(keys)
    assert verifier.principal_of(EC.token()) is not None
    assert verifier.principal_of(EC.token(headers={"kid": None})) is not None, "there is only one key"
    file.write_text(json.dumps({"keys": [ED.jwk(), {"kty": "EC", "crv": "P-521"}]}))
    keys.run_once()
    assert verifier.principal_of(EC.token()) is None
    assert verifier.principal_of(ED.token()) is not None
    file.unlink()
    keys.run_once()
    assert verifier.principal_of(ED.token()) is not None, "the last keys count for a while"


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("http://login.example/jwks", "http:// is for this machine only"),
        ("ftp://login.example/jwks", "expected a file, or an address"),
        ("https://user@login.example/jwks", "without a user"),
        ("https://login.example:99999/jwks", "expected an address with https://"),
        ("/nowhere/jwks.json", "No such file or directory"),
    ],
)
def test_a_source_that_cannot_be_used_is_one_line(source: str, words: str, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(SettingsError, match="INSTANCE_AGENT_GATEWAY_JWT_JWKS: ") as refused:
        TokenKeys(DATABASE, source, grace_seconds=60)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)
    assert caplog.text == ""


def test_keys_that_no_allowed_algorithm_can_use_are_left_out() -> None:
    weak = {"kty": "RSA", "kid": "weak", "n": "0" * 100, "e": "AQAB"}
    secret = {"kty": "oct", "kid": "secret", "k": "c2VjcmV0"}
    found = read_keys(json.dumps({"keys": [weak, secret, RSA.jwk(kid="x", use="enc"), EC.jwk(), 7]}).encode())
    assert list(found) == ["e"]
    for content in (b"[]", b"{}", b"nonsense", json.dumps({"keys": [secret]}).encode()):
        with pytest.raises(ValueError, match="expected"):
            read_keys(content)
    assert token_keys.ALGORITHMS == ("RS256", "ES256", "EdDSA")
