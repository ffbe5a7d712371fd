"""Tokens, certificates and hooks at running gateways: who may do what, and what their records say."""

import http.client
import ipaddress
import json
import re
import signal
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from support.certificates import Authority
from support.commands import run_command
from support.gateways import Gateway, a_catalog, a_key, start_gateway
from support.issuer import AUDIENCE, ISSUER, Issuer, SigningKey, serving
from support.programs import Program
from support.repository import REPOSITORY
from support.servers import execute
from support.upstream.process import FakeUpstream
from support.waiting import eventually

from centralcloud.contracts.fleet_configuration import ROLES
from instance_agent.gateway.openapi.document import document
from instance_agent.gateway.openapi.operation import OF_FLEET

StartProgram = Callable[..., Program]

RSA, EC = SigningKey("r", "RS256"), SigningKey("e", "ES256")
RANK = ("viewer", "user", "operator", "admin")
PROXIED = {"x-forwarded-for": "203.0.113.7"}


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with serving(RSA, EC) as found:
        yield found


def for_tokens(issuer: Issuer) -> dict[str, str]:
    return {
        "INSTANCE_AGENT_GATEWAY_JWT_JWKS": issuer.url,
        "INSTANCE_AGENT_GATEWAY_JWT_ISSUER": ISSUER,
        "INSTANCE_AGENT_GATEWAY_JWT_AUDIENCE": AUDIENCE,
        "INSTANCE_AGENT_GATEWAY_JWT_WORKSPACE_CLAIM": "tenant",
    }


def with_hook(folder: Path) -> str:
    """Install the example of the repository as a package does it, and return the path of Python for it."""
    info = folder / "site" / "redact-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: redact\nVersion: 1\n")
    (info / "entry_points.txt").write_text(
        "[instance_agent.hooks]\nredact = redact_mail_addresses:RedactMailAddresses\n"
    )
    return f"{info.parent}:{REPOSITORY / 'examples/hooks'}"


def allowed(gateway: Gateway, tokens: dict[str, str], bound: str) -> None:
    """Call each route with the token of each role, and with that of an admin of one workspace."""
    for path, operations in document()["paths"].items():
        url = re.sub(r"\{\w+\}", "none", path)
        for method, operation in operations.items():
            needs = next((role for role in RANK if f"the role {role}" in operation["description"]), None)
            body = b"[" if method in ("post", "patch", "put") else None
            for number, role in enumerate(RANK):
                reply = gateway.call(method.upper(), url, body, key=tokens[role], headers=PROXIED)
                expected = needs is None or number >= RANK.index(needs)
                assert (reply.status != 403) == expected, (method, path, role, reply.status)
                assert reply.status not in (401, 405), (method, path, role)
            if operation["tags"][0] in ("registry", "configuration"):
                reply = gateway.call(method.upper(), url, body, key=bound, headers=PROXIED)
                assert (reply.status == 403) == (OF_FLEET in operation["description"]), (method, path, reply.status)


def test_tokens_are_principals_of_a_gateway_and_hooks_see_their_requests(
    start: StartProgram, tmp_path: Path, fake_upstream: FakeUpstream, database_url: str, issuer: Issuer
) -> None:
    gateway = start_gateway(
        start, tmp_path, fake_upstream, database_url, PYTHONPATH=with_hook(tmp_path),
        INSTANCE_AGENT_GATEWAY_CACHE_BYTES="1000000", **for_tokens(issuer),
    )  # fmt: skip
    assert set(RANK) == set(ROLES)
    log = gateway.program.log()
    assert next(each for each in log if each["event"] == "gateway_started")["keys"] == "required"
    assert next(each for each in log if each["event"] == "hooks_loaded")["hooks"] == ["redact"]

    # No key was ever created, and still a client of this machine is not an admin.
    wrong = {
        "none": None,
        "expired": RSA.token(tenant="acme", exp=1.0),
        "another audience": RSA.token(tenant="acme", aud="x"),
        "without a workspace": RSA.token(),
        "a secret": "a.b.c",
        "huge": f"{'a' * 3000}.{'b' * 3000}.{'c' * 1500}",
        "an unknown key": EC.token(tenant="acme", headers={"kid": "unheard-of"}),
        "no key": f"cck_{'0' * 12}_{'x' * 43}",
    }
    replies = {name: gateway.call("POST", "/v1/chat/completions", {}, key=key) for name, key in wrong.items()}
    assert {name: reply.status for name, reply in replies.items()} == dict.fromkeys(wrong, 401)
    assert len({reply.error["message"] for reply in replies.values()}) == 1
    assert "token_refused" in gateway.program.events()

    allowed(gateway, {role: EC.token(tenant="*", role=role) for role in RANK}, EC.token(tenant="acme", role="admin"))

    gateway.key = RSA.token(tenant="acme", sub="ada@login.example")
    text = "write to ada@example.org please"
    for _ in range(2):
        reply = gateway.chat(text=text, user="eve", temperature=0)
        assert (reply.status, reply.text) == (200, "You said: write to (address) please")
    assert reply.headers["x-centralcloud-reason"] == "cache"
    refused = gateway.chat(text="this is TOP SECRET")
    assert (refused.status, refused.error["code"]) == (403, "refused_by_hook")
    assert gateway.chat(text=text, stream=True).status == 200
    routed = gateway.call("POST", "/api/route", {"prompt": text, "userId": "eve"})
    assert routed.json()["response"] == "You said: write to (address) please"

    eventually(lambda: execute(database_url, "SELECT count(*) FROM pgmq.q_model_routing_decisions") == [(6,)])
    assert run_command("centralcloud", "drain", env={"DATABASE_URL": database_url}).returncode == 0
    rows = execute(
        database_url,
        "SELECT user_id, workspace, key_id, extra -> 'hooks' ->> 'redacted' FROM routing_records WHERE outcome = 'routed'",
    )
    assert len(rows) == 3
    ((user_id, workspace, key_id, redacted),) = set(rows)
    assert (user_id, workspace, redacted) == ("ada@login.example", "acme", "1")
    assert re.fullmatch("jwt:[0-9a-f]{16}", key_id)

    same = {"idempotency-key": "one"}
    body = {"model": "auto", "messages": [{"role": "user", "content": "hi"}]}
    for tenant, status in (("acme", 200), ("acme", 200), ("beta", 400)):
        reply = gateway.call("POST", "/v1/chat/completions", body, key=RSA.token(tenant=tenant), headers=same)
        assert reply.status == status, "a subject gets no answer of another workspace"

    # Keys and tokens side by side, and a rotation of the issuer's keys.
    key = a_key(database_url, "user")
    eventually(lambda: gateway.call("GET", "/v1/models", key=key).status == 200)
    assert gateway.call("GET", "/v1/models").status == 200
    new = SigningKey("new", "EdDSA")
    issuer.keys = [new.jwk()]
    gateway.program.process.send_signal(signal.SIGHUP)
    after = new.token(tenant="acme")
    eventually(lambda: gateway.call("GET", "/v1/models", key=after).status == 200, within_seconds=15)
    assert gateway.call("GET", "/v1/models").status == 401, "its key is gone"
    secrets = [after, gateway.key, key]
    assert not [each for each in secrets if str(each) in gateway.program.output()]


def test_certificates_of_clients_are_principals_of_a_gateway(
    start: StartProgram,
    tmp_path: Path,
    fake_upstream: FakeUpstream,
    database_url: str,
) -> None:
    authority = Authority(tmp_path)
    localhost = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    server = authority.sign("server", localhost, server=True)
    principals = tmp_path / "principals.yaml"
    entries = [{"dns": f"{role}.example", "role": role} for role in RANK]
    entries.append({"uri": "spiffe://example/acme", "role": "user", "workspace": "acme"})
    principals.write_text(json.dumps({"principals": entries}))
    program = start(
        "instance-agent", "serve", "--port", "0", "--tls-certificate", str(server[0]), "--tls-key", str(server[1]),
        DATABASE_URL=database_url, INSTANCE_AGENT_STATE_DIR=str(tmp_path / "state"), INSTANCE_AGENT_LOG_FORMAT="json",
        INSTANCE_AGENT_CATALOG=str(a_catalog(tmp_path, fake_upstream)), INSTANCE_AGENT_GATEWAY_DISCOVERY_SECONDS="0",
        INSTANCE_AGENT_GATEWAY_CLIENT_CA_FILE=str(authority.path), INSTANCE_AGENT_GATEWAY_ADDRESS="0.0.0.0",
        INSTANCE_AGENT_GATEWAY_CLIENT_PRINCIPALS=str(principals),
    )  # fmt: skip
    gateway = Gateway(program, None, scheme="https")

    def call(
        context: ssl.SSLContext, method: str = "GET", path: str = "/v1/models", body: Any = None, **headers: str
    ) -> Any:
        connection = http.client.HTTPSConnection("127.0.0.1", gateway.port, timeout=10, context=context)
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        with connection.getresponse() as answer:
            found = answer.status, json.loads(answer.read())
        connection.close()
        return found

    contexts = {
        role: authority.client(authority.sign(role, x509.DNSName(f"{role}.example"), common_name="x")) for role in RANK
    }
    acme = authority.client(authority.sign("acme", x509.UniformResourceIdentifier("spiffe://example/acme")))
    unknown = authority.client(authority.sign("unknown", x509.DNSName("unknown.example")))
    without = authority.client()
    eventually(lambda: call(without, path="/health/ready")[0] == 200, what="readiness")

    chat = {"model": "auto", "messages": [{"role": "user", "content": "hi"}]}
    statuses = {
        role: (
            call(context)[0],
            call(context, "POST", "/v1/chat/completions", chat)[0],
            call(context, "PATCH", "/api/models/none/status", {"status": "active"})[0],
            call(context, "DELETE", "/api/models/none")[0],
        )
        for role, context in contexts.items()
    }
    assert statuses == {
        "viewer": (200, 403, 403, 403),
        "user": (200, 200, 403, 403),
        "operator": (200, 200, 404, 403),
        "admin": (200, 200, 404, 404),
    }
    refused = [call(unknown), call(without), call(contexts["admin"], authorization="Bearer wrong")]
    assert [status for status, _ in refused] == [401, 401, 401]
    assert len({body["error"]["message"] for _, body in refused}) == 1
    assert call(contexts["admin"], authorization="Bearer certificate")[0] == 200, "clients that always send a key"
    assert call(contexts["user"], **{"x-api-key": "certificate"})[0] == 200
    with pytest.raises((ssl.SSLError, ConnectionError)):
        call(authority.client(Authority(tmp_path, "others").sign("foreign", x509.DNSName("admin.example"))))

    assert call(acme, "POST", "/api/route", {"prompt": "hi", "workspaceId": "other"})[0] == 403
    assert call(acme, "POST", "/api/route", {"prompt": "hi"})[0] == 200
    eventually(lambda: execute(database_url, "SELECT count(*) FROM pgmq.q_model_routing_decisions") == [(8,)])
    assert run_command("centralcloud", "drain", env={"DATABASE_URL": database_url}).returncode == 0
    rows = execute(database_url, "SELECT workspace, key_id FROM routing_records WHERE outcome = 'routed' ORDER BY id")
    assert [workspace for workspace, _ in rows] == [None, None, None, "acme"]
    assert all(re.fullmatch("mtls:[0-9a-f]{16}", key_id) for _, key_id in rows)
    assert len({key_id for _, key_id in rows}) == 4

    # A principal that is removed is refused once the file is read, also on a connection that is open.
    connection = http.client.HTTPSConnection("127.0.0.1", gateway.port, timeout=10, context=contexts["viewer"])

    def status() -> int:
        connection.request("GET", "/v1/models")
        with connection.getresponse() as answer:
            answer.read()
            return answer.status

    assert status() == 200
    principals.write_text(json.dumps({"principals": entries[1:]}))
    program.process.send_signal(signal.SIGHUP)
    eventually(lambda: status() == 401, within_seconds=20, what="the new file of principals")
    assert call(contexts["user"])[0] == 200
    connection.close()
