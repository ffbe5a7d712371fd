"""How a request came: its client, its origin, and names that do not belong to this server."""

import pytest
from multidict import CIMultiDict

from centralcloud.dashboard.security.front import Front, front_of, is_in, refusal_of_origin
from centralcloud.dashboard.security.headers import CONTENT_SECURITY_POLICY, security_headers
from centralcloud.dashboard.settings import DashboardSettings

LOCAL = DashboardSettings()
PROXIED = DashboardSettings(
    address="10.0.0.2", trusted_proxies="10.0.0.0/24, 10.9.9.9", public_url="https://cc.example"
)
HERE, PROXY, ELSEWHERE = "127.0.0.1", "10.0.0.1", "203.0.113.5"


def front(settings: DashboardSettings, peer: str | None, **headers: str) -> Front:
    sent = {name.replace("_", "-"): value for name, value in ({"Host": "localhost:8480"} | headers).items()}
    return front_of(CIMultiDict(sent), peer, settings)


@pytest.mark.parametrize(
    "host", ["localhost:8480", "127.0.0.1:8480", "[::1]:8480", "LOCALHOST", "localhost.", "127.0.0.9"]
)
def test_names_of_this_machine_are_its_own(host: str) -> None:
    seen = front(LOCAL, HERE, Host=host)
    assert seen.problem is None
    assert seen.local
    assert not seen.secure


@pytest.mark.parametrize(
    "host",
    [
        "", "evil.example", "localhost.evil.example", "127.0.0.1.evil.example:8480", "evil.example@localhost",
        "localhost@evil.example", "10.0.0.1", "localhost:99999", "localhost/evil.example", "localhost:0", "[::1",
        "localhost, evil.example", "cc.example", "local host", "localhost#",
    ],
)  # fmt: skip
def test_other_names_are_refused_on_this_machine(host: str) -> None:
    """A page of such a name that was made to resolve to 127.0.0.1 would be of the same origin as this server."""
    assert front(LOCAL, HERE, Host=host).problem is not None


def test_the_address_that_the_proxy_adds_in_a_header_of_its_own_counts() -> None:
    """HAProxy leaves the header of the client as it is, and adds another one behind it."""
    headers = CIMultiDict([("Host", "cc.example"), ("X-Forwarded-For", "1.2.3.4"), ("X-Forwarded-For", ELSEWHERE)])
    assert front_of(headers, PROXY, PROXIED).client == ELSEWHERE


def test_a_page_of_a_foreign_name_cannot_forward_another_one() -> None:
    """Pages may set X-Forwarded-Host on requests to their own origin, and a proxy on this machine is trusted."""
    settings = DashboardSettings(trusted_proxies="127.0.0.1", public_url="https://cc.example")
    seen = front(settings, HERE, Host="evil.example", X_Forwarded_Host="cc.example")
    assert seen.trusted
    assert seen.problem is not None
    assert front(settings, HERE, Host="cc.example").problem is None
    everywhere = settings.model_copy(update={"address": "0.0.0.0"})
    assert front(everywhere, HERE, Host="evil.example", X_Forwarded_Host="cc.example").problem is not None


def test_a_server_for_others_takes_addresses_its_own_name_and_the_public_one() -> None:
    settings = DashboardSettings(address="0.0.0.0", public_url="https://cc.example:8443")
    for host in ("10.0.0.2:8480", "[2001:db8::1]:8480", "cc.example:8443", "cc.example", "localhost:8480"):
        assert front(settings, ELSEWHERE, Host=host).problem is None, host
    assert front(settings, ELSEWHERE, Host="evil.example").problem is not None
    named = DashboardSettings(address="node-7.internal")
    assert front(named, ELSEWHERE, Host="node-7.internal:8480").problem is None
    assert front(named, ELSEWHERE, Host="evil.example").problem is not None
    assert front(named, HERE, Host="evil.example").problem is not None


@pytest.mark.parametrize(
    ("host", "origins"),
    [
        ("localhost:8480", {"http://localhost:8480"}),
        ("LocalHost:80", {"http://localhost"}),
        ("[::1]:8480", {"http://[::1]:8480"}),
        ("bad host", set()),
    ],
)
def test_an_origin_is_written_as_browsers_do(host: str, origins: set[str]) -> None:
    assert front(LOCAL, HERE, Host=host).origins == origins


def test_a_certificate_makes_it_https() -> None:
    settings = DashboardSettings(tls_certificate="a", tls_key="b")
    seen = front(settings, HERE, X_Forwarded_Proto="http")
    assert seen.secure
    assert seen.origins == {"https://localhost:8480"}


def test_only_a_trusted_proxy_says_how_the_browser_asked() -> None:
    forwarded = {"X_Forwarded_Proto": "https", "X_Forwarded_Host": "pages.example", "X_Forwarded_For": "198.51.100.7"}
    seen = front(PROXIED, PROXY, **forwarded)
    assert (seen.trusted, seen.secure, seen.client) == (True, True, "198.51.100.7")
    assert seen.origins == {"https://pages.example", "https://cc.example"}
    spoofed = front(PROXIED, ELSEWHERE, **forwarded)
    assert (spoofed.trusted, spoofed.secure, spoofed.client) == (False, False, ELSEWHERE)
    assert spoofed.origins == {"http://localhost:8480", "https://cc.example"}
    assert front(PROXIED, "::ffff:10.0.0.1", **forwarded).trusted, "IPv4 on a socket of IPv6"
    assert not front(PROXIED, None, **forwarded).trusted


def test_the_public_name_is_https_without_a_word_of_the_proxy() -> None:
    assert front(PROXIED, PROXY, Host="cc.example").secure
    assert not front(PROXIED, PROXY, Host="cc.example", X_Forwarded_Proto="http").secure
    assert not front(PROXIED, PROXY, Host="10.0.0.2:8480").secure


@pytest.mark.parametrize(
    ("forwarded", "client"),
    [
        ("198.51.100.7", "198.51.100.7"),
        ("1.1.1.1, 198.51.100.7", "198.51.100.7"),
        ("198.51.100.7, 10.9.9.9", "198.51.100.7"),
        ("1.1.1.1, 198.51.100.7, 10.9.9.9, 10.0.0.77", "198.51.100.7"),
        ("unknown", PROXY),
        ("", PROXY),
        ("1.1.1.1, unknown, 10.9.9.9", "10.9.9.9"),
        (", ".join(["10.9.9.9"] * 1000), "10.9.9.9"),
        ("2001:db8::1", "2001:db8::1"),
    ],
)
def test_the_client_is_the_last_address_that_no_trusted_proxy_has(forwarded: str, client: str) -> None:
    assert front(PROXIED, PROXY, X_Forwarded_For=forwarded).client == client


OWN = front(LOCAL, HERE)


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://localhost:8480"},
        {"Origin": "http://localhost:8480", "Sec-Fetch-Site": "same-origin"},
        {"Origin": "http://localhost:8480", "Sec-Fetch-Site": "none"},
    ],
)
def test_a_request_of_its_own_page_may_change_something(headers: dict[str, str]) -> None:
    assert refusal_of_origin(CIMultiDict(headers), OWN) is None


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "null"},
        {"Origin": ""},
        {"Origin": "https://localhost:8480"},
        {"Origin": "http://localhost"},
        {"Origin": "http://localhost:8481"},
        {"Origin": "http://localhost:8480/"},
        {"Origin": "http://localhost:8480.evil.example"},
        {"Origin": "http://evil.example", "Sec-Fetch-Site": "same-origin"},
        {"Origin": "http://localhost:8480", "Sec-Fetch-Site": "cross-site"},
        {"Origin": "http://localhost:8480", "Sec-Fetch-Site": "same-site"},
        {"Origin": "http://localhost:8480", "Sec-Fetch-Site": "new-word"},
    ],
)
def test_a_request_of_another_page_may_not(headers: dict[str, str]) -> None:
    refusal = refusal_of_origin(CIMultiDict(headers), OWN)
    assert refusal is not None
    assert refusal.startswith("found ")
    assert "\n" not in refusal


def test_a_host_without_a_name_has_no_page_of_its_own() -> None:
    for origin in ("", "http://", "null"):
        assert refusal_of_origin(CIMultiDict(Origin=origin), front(LOCAL, HERE, Host="")) is not None


def test_an_address_is_in_a_network_of_its_kind() -> None:
    networks = PROXIED.proxy_networks
    assert is_in("10.0.0.255", networks)
    assert not is_in("10.0.1.0", networks)
    assert not is_in("fe80::1%eth0", networks)
    assert not is_in("proxy", networks)
    assert not is_in(None, networks)


def test_pages_are_not_kept_by_browsers_and_files_may_be() -> None:
    assert security_headers()["Cache-Control"] == "no-store"
    assert "Cache-Control" not in security_headers(cached=True)
    assert security_headers(cached=True).items() < security_headers().items()
    assert security_headers()["Referrer-Policy"] == "same-origin"
    for directive in ("default-src 'none'", "form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'"):
        assert directive in CONTENT_SECURITY_POLICY
    assert "unsafe" not in CONTENT_SECURITY_POLICY
    security_headers().clear()
    assert security_headers(), "each caller has its own"
