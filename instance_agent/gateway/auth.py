"""The principal of a request: which key sent it, with which role, for which workspace."""

import ipaddress
from collections.abc import Mapping
from datetime import datetime
from typing import Final
from urllib.parse import urlsplit

from msgspec import Struct

from centralcloud.contracts.fleet_configuration import ApiKey, Role, find_key
from instance_agent.gateway.errors import GatewayError

#: The order of the roles; a role may do everything that those before it may.
_RANK: Final[Mapping[Role, int]] = {"viewer": 0, "user": 1, "operator": 2, "admin": 3}
#: A proxy in front makes every client look like this machine.
_OF_A_PROXY: Final = ("x-forwarded-for", "forwarded", "x-real-ip")


class Principal(Struct, frozen=True, kw_only=True):
    """The sender of a request.

    Attributes:
        key_id: public prefix of the key; None for a client of this machine while no key was ever created.
        role: its rights.
        workspace: the tenant; None: none.
    """

    key_id: str | None
    role: Role
    workspace: str | None = None

    @property
    def tenant(self) -> str:
        """The owner of cached answers and of the ids of requests: the workspace, else the key."""
        return f"workspace {self.workspace}" if self.workspace is not None else f"key {self.key_id or ''}"

    def may(self, role: Role) -> bool:
        """Whether the principal has at least the rights of `role`."""
        return _RANK[self.role] >= _RANK[role]

    def require(self, role: Role) -> None:
        """Raise 403 without the rights of `role`."""
        if not self.may(role):
            raise GatewayError(
                f"the key has the role {self.role}, expected {role} or a role above it", status=403, code="forbidden"
            )


#: A client of this machine while no key was ever created.
LOCAL: Final = Principal(key_id=None, role="admin")


def principal_of(
    headers: Mapping[str, str],
    keys: Mapping[str, ApiKey],
    now: datetime,
    *,
    peer: str | None,
    origins: frozenset[str] = frozenset(),
) -> Principal:
    """Return the principal of a request.

    Args:
        headers: finds lower-case names.
        keys: of the fleet's configuration, by prefix, those that are no longer valid included; empty: none was ever created.
        peer: address of the client; None when unknown.
        origins: web pages that may call.

    Raises:
        GatewayError: 401 without a valid key, always with the same words; 403 for a request that only looks local.
    """
    if not keys:
        _require_local(headers, peer, origins)
        return LOCAL
    scheme, _, bearer = headers.get("authorization", "").partition(" ")
    for text in (bearer.strip() if scheme.lower() == "bearer" else "", headers.get("x-api-key", "").strip()):
        if text and (key := find_key(keys, text, now)) is not None:
            return Principal(key_id=key.id, role=key.role, workspace=key.workspace)
    raise GatewayError(
        "found no valid key, expected one in the header Authorization (Bearer KEY) or x-api-key",
        status=401,
        code="invalid_api_key",
    )


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


def looks_local(headers: Mapping[str, str], peer: str | None) -> bool:
    """Whether a request comes from this machine, and from no proxy on it."""
    return is_loopback(peer) and not any(name in headers for name in _OF_A_PROXY)


def _require_local(headers: Mapping[str, str], peer: str | None, origins: frozenset[str]) -> None:
    """Refuse what only seems to come from this machine: a client behind a proxy, or a web page in its browser."""
    if not looks_local(headers, peer):
        raise GatewayError(
            "no key was created yet, so only clients of this machine are served; `instance-agent keys create` makes one",
            status=401,
            code="invalid_api_key",
        )
    host = _host_name(f"//{headers.get('host', '')}")
    origin = headers.get("origin")
    foreign = origin is not None and origin not in origins and not is_loopback(_host_name(origin))
    if foreign or not is_loopback(host):
        raise GatewayError(
            "found a request of a web page or for another host, expected one for localhost: no key was created yet",
            status=403,
            code="forbidden",
        )


def _host_name(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None
