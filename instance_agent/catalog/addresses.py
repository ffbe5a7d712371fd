"""Upstream addresses that a catalog may name. Pure: a host name is not resolved here.

A gateway calls the URLs of its catalog with its own rights. The metadata service of a cloud hands out credentials to any
caller on the machine, so its addresses are refused wherever a URL enters (server-side request forgery). A host name may
still resolve to such an address: the code that connects asks `is_forbidden_address` again.
"""

import ipaddress
from typing import Final
from urllib.parse import urlsplit

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

_MAX_URL_LENGTH: Final = 2048
#: Metadata services outside of the link-local ranges: Alibaba, Oracle, AWS (IPv6), Azure's wire server.
_METADATA_ADDRESSES: Final = frozenset(
    ipaddress.ip_address(each) for each in ("100.100.100.200", "192.0.0.192", "fd00:ec2::254", "168.63.129.16")
)
_METADATA_HOSTS: Final = frozenset(
    {"metadata", "metadata.google.internal", "metadata.goog", "instance-data", "instance-data.ec2.internal"}
)
#: Paths of the operations themselves: a URL may name one, the dialect adds its own.
_OPERATIONS: Final = ("/chat/completions", "/completions", "/embeddings", "/responses", "/messages")
_PORTS: Final = range(1, 65536)


def is_forbidden_address(address: IPAddress) -> bool:
    """Whether a gateway must not connect to an address: link-local, a metadata service, multicast, unspecified.

    Loopback and private addresses are allowed: local models answer there.
    """
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if inner is None and address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_forbidden_address(inner)
    return address.is_link_local or address.is_multicast or address.is_unspecified or address in _METADATA_ADDRESSES


def check_url(url: str) -> str:
    """Return an upstream's URL without a slash at its end.

    Raises:
        ValueError: it is not an http or https URL with a host, has a user or a fragment, or names a forbidden address.
    """
    if len(url) > _MAX_URL_LENGTH or any(ord(character) <= 32 or ord(character) == 127 for character in url):
        raise ValueError(f"expected a URL of at most {_MAX_URL_LENGTH} characters without spaces")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ValueError(f"expected a URL: {error}") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("expected a URL that begins with http:// or https:// and has a host")
    if port is not None and port not in _PORTS:
        raise ValueError("expected a port from 1 to 65535")
    if "@" in parts.netloc or parts.fragment:
        raise ValueError("expected a URL without user, password or fragment: keys belong in api_key")
    host = parts.hostname.rstrip(".").lower()
    address = _address(host)
    if host in _METADATA_HOSTS or (address is not None and is_forbidden_address(address)):
        raise ValueError("expected no link-local address and no metadata service")
    return url.rstrip("/")


def base_of(url: str) -> str:
    """Return a URL without the path of an operation at its end, such as /chat/completions."""
    for operation in _OPERATIONS:
        if url.endswith(operation):
            return url[: -len(operation)]
    return url


def host_of(url: str) -> str:
    """Return the host of a URL that was checked, in lower case."""
    return (urlsplit(url).hostname or "").rstrip(".")


_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")


def _address(host: str) -> IPAddress | None:
    """Return the address that a host stands for; None for a name.

    The C library also reads one to four parts in decimal, octal or hexadecimal as an IPv4 address: 0xA9FEA9FE, 169.16689662.
    """
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        pass
    parts = host.split(".")
    if len(parts) > 4:
        return None
    try:
        numbers = [_number(part) for part in parts]
    except ValueError:
        return None
    *leading, last = numbers
    if any(number > 255 for number in leading) or last >= 256 ** (4 - len(leading)):
        return None
    value = last
    for position, number in enumerate(leading):
        value += number << (8 * (3 - position))
    return ipaddress.IPv4Address(value)


def _number(text: str) -> int:
    if not text.isascii() or not text.isalnum():
        raise ValueError(text)
    if text.startswith("0x"):
        return int(text, 16)
    return int(text, 8) if text.startswith("0") and len(text) > 1 else int(text)
