"""The server as a request's browser sees it: behind a trusted proxy, or directly. Pure.

A request may come from a foreign page in the browser of an operator (cross-site request forgery), or for a foreign name
that was made to resolve to this server (DNS rebinding). Both are seen by what browsers say about their requests: Host,
Origin and Sec-Fetch-Site, which pages cannot set.
"""

import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from multidict import MultiMapping

from centralcloud.contracts.errors import quote
from centralcloud.dashboard.settings import DashboardSettings, Network
from centralcloud.runtime.http.addresses import is_loopback

_DEFAULT_PORTS: Final = {"https": 443, "http": 80}
#: A Host header in lower case, of a name or an address, with a port or without one.
_HOST: Final = re.compile(r"(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")
#: Proxies of a chain that are looked at.
_MOST_PROXIES: Final = 20


@dataclass(frozen=True, slots=True)
class Front:
    """How one request came.

    Attributes:
        client: address of the client, as far as trusted proxies know it.
        trusted: whether a trusted proxy sent it.
        secure: whether the browser uses HTTPS.
        origins: of this server's pages, as the browser names them.
        local: whether the browser is on this machine and names it so.
        problem: why no page is shown for it; None: they are.
    """

    client: str
    trusted: bool
    secure: bool
    origins: frozenset[str]
    local: bool
    problem: str | None = None


def front_of(headers: MultiMapping[str], peer: str | None, settings: DashboardSettings) -> Front:
    """Return how a request came.

    Args:
        headers: finds names in any case.
        peer: address at the other end of the connection; None: unknown, which is trusted by nothing.
        settings: of the dashboard.
    """
    networks = settings.proxy_networks
    trusted = is_in(peer, networks)
    host = headers.get("Host", "").strip().lower()
    forwarded = headers.get("X-Forwarded-Host", "").strip().lower() if trusted else ""
    seen = forwarded or host
    secure = _is_secure(headers, seen, settings, trusted=trusted)
    own = _origin("https" if secure else "http", seen)
    return Front(
        client=_client(headers, peer, networks) if trusted else peer or "",
        trusted=trusted,
        secure=secure,
        origins=frozenset(each for each in (own, settings.public_url) if each),
        local=is_loopback(_name_of(seen)),
        problem=_problem_of_host(host, peer, settings, trusted=trusted),
    )


def refusal_of_origin(headers: Mapping[str, str], front: Front) -> str | None:
    """Return why a request that changes something, or a WebSocket, may not come from its page; None: it may."""
    site = headers.get("Sec-Fetch-Site", "").strip().lower()
    if site not in ("", "same-origin", "none"):
        return f"found a request of another site (Sec-Fetch-Site: {quote(site)}), expected one of a page of this server"
    origin = headers.get("Origin")
    if origin is None:
        return "found no header Origin, expected that of a page of this server"
    if origin not in front.origins:
        expected = " or ".join(sorted(front.origins)) or "that of a page of this server"
        setting = "; behind a proxy CENTRALCLOUD_DASHBOARD_PUBLIC_URL names it"
        return f"found the Origin {quote(origin)}, expected {expected}{setting}"
    return None


def is_in(address: str | None, networks: Iterable[Network]) -> bool:
    """Whether an address is in one of the networks."""
    try:
        parsed = ipaddress.ip_address((address or "").partition("%")[0])
    except ValueError:
        return False
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return any((mapped or parsed) in network for network in networks)


def _is_secure(headers: Mapping[str, str], host: str, settings: DashboardSettings, *, trusted: bool) -> bool:
    if settings.tls_certificate is not None:
        return True
    if trusted and (scheme := headers.get("X-Forwarded-Proto", "").strip().lower()) in ("http", "https"):
        return scheme == "https"
    return settings.public_url == _origin("https", host)


def _problem_of_host(host: str, peer: str | None, settings: DashboardSettings, *, trusted: bool) -> str | None:
    """Refuse names that nothing gave to this server: a page of any name can be made to resolve to its address.

    The names that a proxy on another machine forwards are the proxy's to choose.
    """
    name = _name_of(host)
    public = urlsplit(settings.public_url).hostname
    if is_loopback(name) or (name is not None and name == public):
        return None
    here = is_loopback(settings.address) or is_loopback(peer)
    if not here and (trusted or _is_address(name) or name == settings.address.lower()):
        return None
    return (
        f"found the host {quote(host)}, expected localhost"
        f"{'' if here else ', an address'} or the name in CENTRALCLOUD_DASHBOARD_PUBLIC_URL"
    )


def _client(headers: MultiMapping[str], peer: str | None, networks: Sequence[Network]) -> str:
    """Return the address nearest to the client that a trusted proxy has seen. Anyone can write the ones before it."""
    client = peer or ""
    # Some proxies, such as HAProxy, add a header of their own behind the one that the client has sent.
    chain = ",".join(headers.getall("X-Forwarded-For", []))
    for address in reversed(chain.split(",")[-_MOST_PROXIES:]):
        if not is_in(client, networks) or not _is_address(address.strip()):
            break
        client = address.strip()
    return client


def _origin(scheme: str, host: str) -> str | None:
    """Return an origin from a Host header, as browsers write it; None: it has none."""
    name = _name_of(host)
    if name is None:
        return None
    port = urlsplit(f"//{host}").port
    shown = f"[{name}]" if ":" in name else name
    return f"{scheme}://{shown}" if port in (None, _DEFAULT_PORTS[scheme]) else f"{scheme}://{shown}:{port}"


def _name_of(host: str) -> str | None:
    """Return the name, or the address, of a Host header; None: it is none."""
    if not _HOST.fullmatch(host):
        return None
    try:
        parts = urlsplit(f"//{host}")
        return None if parts.port == 0 else parts.hostname  # the port raises, too
    except ValueError:
        return None


def _is_address(name: str | None) -> bool:
    try:
        ipaddress.ip_address(name or "")
    except ValueError:
        return False
    return True
