"""Addresses of upstreams that a catalog may name. Pure: a host name is not resolved here.

A gateway calls the URLs of its catalog with its own rights. The rules are those of registered endpoints, of
`contracts.fleet_configuration.addresses`; a catalog may also name this machine and private networks, where local models
answer.
"""

from typing import Final
from urllib.parse import urlsplit

from centralcloud.contracts import ContractError
from centralcloud.contracts.fleet_configuration import PRIVATE_ALLOWED, refusal_of_host
from centralcloud.contracts.fleet_configuration import check_url as check_contract

#: Paths of the operations themselves: a URL may name one, the dialect adds its own.
_OPERATIONS: Final = ("/chat/completions", "/completions", "/embeddings", "/responses", "/messages")


def check_url(url: str) -> str:
    """Return an upstream's URL without a slash at its end.

    Raises:
        ValueError: it is not an http or https URL with a host, has a user or a fragment, or names a forbidden address.
    """
    try:
        check_contract(url, "url", PRIVATE_ALLOWED)
    except ContractError as error:
        # The error of the catalog names the value where it may be shown: a URL may have a key.
        refusal = _refusal(url)
        found = f"another host: this one is {refusal.removeprefix('which is ')}" if refusal else error.expected
        raise ValueError(f"expected {found}") from None
    return url.rstrip("/")


def _refusal(url: str) -> str | None:
    try:
        host = urlsplit(url).hostname
    except ValueError:
        return None
    return refusal_of_host(host, PRIVATE_ALLOWED) if host else None


def base_of(url: str) -> str:
    """Return a URL without the path of an operation at its end, such as /chat/completions."""
    for operation in _OPERATIONS:
        if url.endswith(operation):
            return url[: -len(operation)]
    return url


def host_of(url: str) -> str:
    """Return the host of a URL that was checked, in lower case."""
    return (urlsplit(url).hostname or "").rstrip(".")


def port_of(url: str) -> int:
    """Return the port of a URL that was checked, which its scheme gives where it has none."""
    parts = urlsplit(url)
    return parts.port or (80 if parts.scheme == "http" else 443)


def with_port(host: str, port: int | str) -> str:
    """Return ``host:port``; an IPv6 address is put in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
