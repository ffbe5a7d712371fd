"""Addresses of endpoints: the gateway calls a URL that was registered, so some targets are refused (SSRF). Pure.

Always refused: link-local addresses and the metadata services of clouds, which give credentials to any local caller;
multicast, unspecified and reserved addresses; addresses in another notation than the usual one. Refused unless allowed:
loopback and private networks. A name can resolve to any address, so the caller that connects checks `refusal_of` again.
"""

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, TypeAlias
from urllib.parse import SplitResult, urlsplit

from centralcloud.contracts.errors import ContractError, quote
from centralcloud.contracts.text import has_steering

Address: TypeAlias = IPv4Address | IPv6Address
_Network: TypeAlias = IPv4Network | IPv6Network

MAX_URL_LENGTH: Final = 2048
_SCHEMES: Final = ("http", "https")
#: Metadata services outside the link-local ranges: AWS (IPv6), Alibaba Cloud, Azure's wire server, Oracle Cloud.
_METADATA: Final[tuple[Address, ...]] = tuple(
    map(ip_address, ("fd00:ec2::254", "100.100.100.200", "168.63.129.16", "192.0.0.192"))
)
_METADATA_NAMES: Final = (
    "metadata",
    "metadata.google.internal",
    "metadata.goog",
    "instance-data",
    "instance-data.ec2.internal",
)
#: RFC 6598: shared by the customers of a carrier; some clouds use it for their own services.
_SHARED: Final[_Network] = ip_network("100.64.0.0/10")
#: RFC 6052 and RFC 3056: the IPv4 address that a translator connects to is inside the IPv6 address.
_NAT64: Final[_Network] = ip_network("64:ff9b::/96")
_LOCAL_NAME: Final = re.compile(r"(?:^|\.)localhost$")
#: A last label of digits or of hexadecimal digits after 0x: the resolver reads the host as an IPv4 address.
_NUMERIC: Final = re.compile(r"(?:^|\.)(?:[0-9]+|0x[0-9a-f]*)$")
_HOST_NAME: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?")


@dataclass(frozen=True, slots=True)
class AddressPolicy:
    """Targets that endpoints may have beyond public addresses.

    Attributes:
        private: loopback, private networks (RFC 1918, RFC 4193) and shared ones (RFC 6598), and the name ``localhost``.
    """

    private: bool = False


PUBLIC_ONLY: Final = AddressPolicy()
_NOT_ALLOWED: Final = "which is not allowed without INSTANCE_AGENT_GATEWAY_PRIVATE_ENDPOINTS=true"
PRIVATE_ALLOWED: Final = AddressPolicy(private=True)


def check_url(url: str, field: str, policy: AddressPolicy) -> SplitResult:
    """Check the URL of an endpoint.

    Raises:
        ContractError: it is not an http or https URL without credentials, or leads to a target that is refused.
    """
    if not 1 <= len(url) <= MAX_URL_LENGTH or has_steering(url) or not url.isascii() or any(map(str.isspace, url)):
        raise ContractError(field, quote(url), f"an ASCII URL of 1 to {MAX_URL_LENGTH} characters without spaces")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ContractError(field, quote(url), "a URL like https://host/path") from None
    if parts.scheme not in _SCHEMES or not host or port == 0 or "\\" in url:
        raise ContractError(field, quote(url), "a URL that begins with http:// or https:// and has a host")
    if parts.username is not None or parts.password is not None:
        raise ContractError(
            field, "a URL with credentials", "a URL without credentials: keys are in the settings of the provider"
        )
    if parts.fragment:
        raise ContractError(field, quote(url), "a URL without a fragment (#)")
    if (refusal := refusal_of_host(host, policy)) is not None:
        raise ContractError(field, f"{quote(host)}, {refusal}", "another host")
    return parts


def refusal_of_host(host: str, policy: AddressPolicy) -> str | None:
    """Return why endpoints may not have this host, in words; None for one that is allowed.

    Args:
        host: a name, or an address without brackets.
    """
    host = host.lower().rstrip(".")
    address = _address(host)
    if address is not None:
        return refusal_of(address, policy)
    if _NUMERIC.search(host):
        return "an IPv4 address in an unusual notation"
    if not _HOST_NAME.fullmatch(host):
        return "which is not a host name"
    if host in _METADATA_NAMES:
        return "the metadata service of a cloud"
    if _LOCAL_NAME.search(host) and not policy.private:
        return f"this machine, {_NOT_ALLOWED}"
    return None


def refusal_of(address: Address, policy: AddressPolicy) -> str | None:
    """Return why endpoints may not have this address, in words; None for one that is allowed."""
    address = _inner(address)
    if address in _METADATA:
        return "the metadata service of a cloud"
    if address.is_link_local:
        return "a link-local address, which metadata services use"
    if address.is_multicast or address.is_unspecified or (address.is_reserved and not address.is_loopback):
        return "an address that is not a single host"
    if not policy.private:
        if address.is_loopback:
            return f"this machine, {_NOT_ALLOWED}"
        if address.is_private or address in _SHARED:
            return f"an address in a private network, {_NOT_ALLOWED}"
    return None


def _address(host: str) -> Address | None:
    try:
        return ip_address(host.partition("%")[0])
    except ValueError:
        return None


def _inner(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 address stands for, if it does."""
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address in _NAT64 or (int(address) >> 32 == 0 and int(address) > 1):
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address
