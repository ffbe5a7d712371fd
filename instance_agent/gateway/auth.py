"""The principal of a request: which key sent it, with which role, for which workspace."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final
from urllib.parse import urlsplit

from msgspec import Struct

from centralcloud.contracts.fleet_configuration import ApiKey, Role, find_key
from centralcloud.runtime.http.addresses import is_loopback
from instance_agent.gateway.errors import GatewayError

#: The order of the roles; a role may do everything that those before it may.
_RANK: Final[Mapping[Role, int]] = {"viewer": 0, "user": 1, "operator": 2, "admin": 3}
#: Headers that proxies, balancers and content delivery networks add: behind one, every client looks like this machine.
_OF_A_PROXY: Final = frozenset(
    {
        "cdn-loop", "client-ip", "forwarded", "true-client-ip", "via", "x-client-ip", "x-cloud-trace-context",
        "x-cluster-client-ip", "x-proxyuser-ip", "x-real-ip", "x-remote-ip", "x-request-start",
    }
)  # fmt: skip
_OF_A_PROXY_BEGIN: Final = (
    "akamai-", "cf-", "fastly-", "fly-", "x-akamai-", "x-amz-cf-", "x-amzn-", "x-appengine-", "x-arr-", "x-azure-",
    "x-envoy-", "x-forwarded", "x-original-", "x-proxy-", "x-real-", "x-vercel-",
)  # fmt: skip


#: Pairs of headers that are remembered: a client may add any text to a valid key.
_MOST_SENDERS: Final = 1000


class Principal(Struct, frozen=True, kw_only=True):
    """The sender of a request.

    Attributes:
        key_id: public prefix of the key, or an id of a token's subject or of a certificate's name; None for a client of this
            machine while no key was ever created.
        role: its rights; None: none at all.
        workspace: the tenant; None: none.
        user_id: the user of a verified token; None: the request says for itself which user it is for.
    """

    key_id: str | None
    role: Role | None
    workspace: str | None = None
    user_id: str | None = None

    @property
    def tenant(self) -> str:
        """The owner of cached answers and of the ids of requests: the workspace, else the key."""
        return f"workspace {self.workspace}" if self.workspace is not None else f"key {self.key_id or ''}"

    def may(self, role: Role) -> bool:
        """Whether the principal has at least the rights of `role`."""
        return self.role is not None and _RANK[self.role] >= _RANK[role]

    def require(self, role: Role) -> None:
        """Raise 403 without the rights of `role`."""
        if not self.may(role):
            found = "the request has no key" if self.role is None else f"the key has the role {self.role}"
            expected = role if role == "admin" else f"{role} or a role above it"
            raise GatewayError(f"{found}, expected {expected}", status=403, code="forbidden")


#: A request whose sender is not known yet, or need not be.
ANONYMOUS: Final = Principal(key_id=None, role=None)
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
    raise no_valid_key()


def no_valid_key() -> GatewayError:
    """Return the error for every key, token and certificate that is not valid, and for none: always with the same words."""
    return GatewayError(
        "found no valid key, expected one in the header Authorization (Bearer KEY) or x-api-key",
        status=401,
        code="invalid_api_key",
    )


class KnownSenders:
    """Remembers which headers had a valid key, by the fleet's keys as they stand: hashing a key again costs 8 microseconds.

    It holds the keys of clients in memory, as the connections of these clients do. A wrong key is never remembered.
    """

    def __init__(self) -> None:
        self._keys: Mapping[str, ApiKey] = {}
        self._found: dict[tuple[str | None, str | None], Principal] = {}

    def principal_of(self, headers: Mapping[str, str], keys: Mapping[str, ApiKey], now: datetime) -> Principal:
        """Return the principal of a request while there are keys; raise as `principal_of`."""
        if keys is not self._keys:
            self._keys, self._found = keys, {}
        sent = headers.get("authorization"), headers.get("x-api-key")
        known = self._found.get(sent)
        if known is not None and known.key_id is not None and keys[known.key_id].is_valid(now):
            return known
        found = principal_of(headers, keys, now, peer=None)
        if len(self._found) >= _MOST_SENDERS:
            self._found.clear()
        self._found[sent] = found
        return found


def is_local(headers: Mapping[str, str], peer: str | None, origins: frozenset[str] = frozenset()) -> bool:
    """Whether a request comes from this machine, from no proxy on it, and from no web page of another host."""
    return _came_directly(headers, peer) and _is_for_this_machine(headers, origins)


def _came_directly(headers: Mapping[str, str], peer: str | None) -> bool:
    return is_loopback(peer) and not any(
        name in _OF_A_PROXY or name.startswith(_OF_A_PROXY_BEGIN) for name in map(str.lower, headers)
    )


def _is_for_this_machine(headers: Mapping[str, str], origins: frozenset[str]) -> bool:
    """Whether the request names this machine as its host, and no foreign page sent it: a name may resolve to any address."""
    origin = headers.get("origin")
    foreign = origin is not None and origin not in origins and not is_loopback(_host_name(origin))
    return not foreign and is_loopback(_host_name(f"//{headers.get('host', '')}"))


def _require_local(headers: Mapping[str, str], peer: str | None, origins: frozenset[str]) -> None:
    """Refuse what only seems to come from this machine: a client behind a proxy, or a web page in its browser."""
    if not _came_directly(headers, peer):
        raise GatewayError(
            "no key was created yet, so only clients of this machine are served, and none behind a proxy; "
            "`instance-agent keys create` makes one",
            status=401,
            code="invalid_api_key",
        )
    if not _is_for_this_machine(headers, origins):
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
