"""Certificates of clients: shaken hands for real, mapped to principals, and read again while the gateway runs."""

import ipaddress
import ssl
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from support.certificates import Authority

from centralcloud.contracts import CentralCloudError, SettingsError
from centralcloud.runtime.postgres.database import Database
from instance_agent.gateway.auth import Principal
from instance_agent.gateway.certificate import CertificateReloader, make_reloader
from instance_agent.gateway.principals.certificates import ClientCertificates, Demand, read_principals

DATABASE = Database("postgresql://nowhere.invalid/none", application_name="tests")
PRINCIPALS = """
principals:
  - {uri: "spiffe://example/ns/prod/sa/batch", role: user, workspace: acme}
  - {dns: Jobs.Example.org, role: operator}
  - {email: ada@example.org, role: viewer}
  - {common_name: ops, role: admin}
"""


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def reloader(authority: Authority, folder: Path, demand: Demand = "optional") -> CertificateReloader:
    (folder / "principals.yaml").write_text(PRINCIPALS)
    localhost = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    certificate, key = authority.sign("server", x509.DNSName("localhost"), localhost, server=True)
    clients = ClientCertificates(authority.path, folder / "principals.yaml", demand)
    made = make_reloader(DATABASE, certificate, key, clients)
    assert made is not None
    return made


def principal_of(server: CertificateReloader, client: ssl.SSLContext) -> Principal | None:
    """Shake hands, and return the principal of the client; raise ssl.SSLError where a side refuses."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    here = client.wrap_bio(to_client, to_server, server_hostname="localhost")
    there = server.context.wrap_bio(to_server, to_client, server_side=True)
    done = [False, False]
    for _ in range(20):
        for number, side in enumerate((here, there)):
            if not done[number]:
                try:
                    side.do_handshake()
                    done[number] = True
                except ssl.SSLWantReadError:
                    continue
    assert done == [True, True]
    assert server.clients is not None
    return server.clients.principal_of(there.getpeercert())


@pytest.mark.parametrize(
    ("names", "common_name", "expected"),
    [
        ([x509.UniformResourceIdentifier("spiffe://example/ns/prod/sa/batch")], "ops", ("user", "acme")),
        ([x509.DNSName("other.example.org"), x509.DNSName("jobs.example.org")], "x", ("operator", None)),
        ([x509.RFC822Name("ada@example.org")], "x", ("viewer", None)),
        ([], "ops", ("admin", None)),
        ([x509.DNSName("ops"), x509.UniformResourceIdentifier("spiffe://example/ns/prod/sa/other")], "x", None),
        ([x509.DNSName("ada@example.org"), x509.RFC822Name("jobs@example.org")], "Ops", None),
    ],
)
def test_a_certificate_is_the_principal_of_its_name(
    authority: Authority,
    tmp_path: Path,
    names: list[x509.GeneralName],
    common_name: str,
    expected: tuple[str, str] | None,
) -> None:
    client = authority.client(authority.sign("client", *names, common_name=common_name))
    found = principal_of(reloader(authority, tmp_path), client)
    assert (None if found is None else (found.role, found.workspace)) == expected
    assert found is None or (found.key_id or "").startswith("mtls:")


def test_a_certificate_of_another_authority_or_an_old_one_ends_the_handshake(
    authority: Authority, tmp_path: Path
) -> None:
    server = reloader(authority, tmp_path)
    others = Authority(tmp_path, "others").sign("foreign", common_name="ops")
    old = authority.sign("old", common_name="ops", valid_for=timedelta(hours=-1))
    of_server = authority.sign("of-server", common_name="ops", server=True)
    for refused in (others, old, of_server):
        with pytest.raises(ssl.SSLError):
            principal_of(server, authority.client(refused))


def test_a_certificate_that_expires_while_its_connection_is_open_is_not_a_principal(
    authority: Authority, tmp_path: Path
) -> None:
    clients = reloader(authority, tmp_path).clients
    assert clients is not None
    found = {"subject": ((("commonName", "ops"),),), "notAfter": "Jan  5 09:34:43 2099 GMT"}
    assert clients.principal_of(found) is not None
    assert clients.principal_of({**found, "notAfter": "Jan  5 09:34:43 2018 GMT"}) is None


def test_a_certificate_is_optional_or_required(authority: Authority, tmp_path: Path) -> None:
    assert principal_of(reloader(authority, tmp_path), authority.client()) is None
    with pytest.raises(ssl.SSLError):
        principal_of(reloader(authority, tmp_path, "required"), authority.client())


def test_principals_and_authority_are_read_again_with_the_certificate(
    authority: Authority, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server, file = reloader(authority, tmp_path), tmp_path / "principals.yaml"
    client = authority.client(authority.sign("client", common_name="ops"))
    file.write_text("principals: [{common_name: ops, role: viewer}]")
    server.run_once()
    server.run_once()
    found = principal_of(server, client)
    assert found is not None
    assert found.role == "viewer"

    file.write_text("principals: [{common_name: ops, role: root}]")
    server.run_once()
    server.run_once()
    assert caplog.text.count("certificate_refused") == 1
    assert str(file) in str(server.problem)
    found = principal_of(server, client)
    assert found is not None
    assert found.role == "viewer", "the last valid file counts"

    file.write_text("principals: []")
    authority.path.write_bytes(Authority(tmp_path, "next").path.read_bytes())
    server.run_once()
    server.run_once()
    with pytest.raises(ssl.SSLError):
        principal_of(server, client)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("principals: [{role: user}]", r"principals\[0\]: found 0 names, expected one of uri, dns"),
        ("principals: [{dns: a, uri: b, role: user}]", "found 2 names"),
        ("principals: [{dns: a, role: root}]", r"\$\.principals\[0\]\.role"),
        ("principals: [{dns: a, role: user, wokspace: x}]", "wokspace"),
        ("principals: [{dns: a, role: user}, {dns: A., role: admin}]", "a second time"),
        ("principals: [{dns: a, role: user, workspace: ''}]", "workspace: found"),
        ("principals: [{dns: '', role: user}]", "dns: found"),
        ("[", "not valid YAML"),
        ("", "principals"),
    ],
)
def test_a_wrong_file_of_principals_is_one_line(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "principals.yaml"
    file.write_text(text)
    with pytest.raises(CentralCloudError, match=words) as refused:
        read_principals(file)
    assert str(file) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_files_that_cannot_be_used_are_one_line(authority: Authority, tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("")
    with pytest.raises(CentralCloudError, match="cannot read the principals"):
        ClientCertificates(authority.path, tmp_path / "nowhere.yaml", "optional")
    server = reloader(authority, tmp_path)
    assert server.clients is not None
    with pytest.raises(SettingsError, match="CLIENT_CA_FILE: found no certificate of the gateway"):
        make_reloader(DATABASE, None, None, server.clients)
    for wrong in ("empty.pem", "nowhere.pem"):
        clients = ClientCertificates(tmp_path / wrong, tmp_path / "principals.yaml", "optional")
        with pytest.raises(CentralCloudError, match="cannot use the authority of clients"):
            clients.add_to(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
