"""Addresses of clients and servers. Pure, without aiohttp."""

import ipaddress


def is_loopback(host: str | None) -> bool:
    """Whether an address, or the name localhost, is this machine."""
    if host is None:
        return False
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback
