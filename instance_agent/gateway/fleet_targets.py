"""The targets of one configuration as the fleet knows them: their keys in what gateways report, and their checks."""

import hashlib
import socket
from collections.abc import Mapping
from functools import lru_cache
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from centralcloud.runtime.http.addresses import is_loopback
from instance_agent.catalog.configuration import CatalogConfiguration
from instance_agent.execution.targets import CallTarget, CallTargets
from instance_agent.providers.errors import ProviderError
from instance_agent.providers.upstream import Upstream

_HOST: Final = socket.gethostname()


class Check(NamedTuple):
    """A health check that costs nothing: of one address, with one key.

    Attributes:
        key: of its results, in the fleet.
        url: to get.
        upstream: of the targets behind it.
        service_key: of the breaker of that upstream.
        breaker_keys: of the breakers of the targets that name this address.
    """

    key: str
    url: str
    upstream: Upstream
    service_key: str
    breaker_keys: tuple[str, ...]

    @property
    def sends_key(self) -> bool:
        """Whether the address is one of the service itself, which gets its key anyway."""
        own, other = urlsplit(self.upstream.base_url), urlsplit(self.url)
        return (own.scheme, own.netloc) == (other.scheme, other.netloc)


class FleetTargets:
    """Immutable; empty where there is no configuration.

    Attributes:
        shared: the fleet's key of each breaker of a target of the catalog.
        own: this gateway's key for each key of the fleet.
        checks: by key.
        check_of: the key of the check of each target, by the target's key.
    """

    def __init__(self, configuration: CatalogConfiguration | None = None, targets: CallTargets | None = None) -> None:
        self.shared: dict[str, str] = {}
        self.checks: dict[str, Check] = {}
        self.check_of: dict[str, str] = {}
        if configuration is not None and targets is not None:
            for group in configuration.targets.values():
                for target in group:
                    if target.problem is None and target.provider is not None:
                        try:
                            ready = targets.ready(target)
                        except ProviderError:
                            continue
                        self._add(ready, target.endpoint.health_check_url)
        self.own: Mapping[str, str] = {shared: own for own, shared in self.shared.items()}

    @property
    def keys(self) -> frozenset[str]:
        """The keys of all breakers."""
        return frozenset(self.shared)

    def _add(self, target: CallTarget, url: str | None) -> None:
        place = _place(target.upstream.base_url)
        self.shared[target.service_key] = target.service_key + place
        self.shared[target.breaker_key] = target.breaker_key + place
        if url is None:
            return
        digest = hashlib.sha256(url.encode("utf-8", "surrogatepass")).hexdigest()[:8]
        key = f"{target.service_key}|{digest}{_place(url)}"
        known = self.checks.get(key)
        breaker_keys = (*(known.breaker_keys if known else ()), target.breaker_key)
        self.checks[key] = Check(key, url, target.upstream, target.service_key, breaker_keys)
        self.check_of[target.key] = key


@lru_cache(256)
def _place(url: str) -> str:
    """Return the end of a key for the fleet: an address of this machine is another service on each machine."""
    return f"|{_HOST}" if is_loopback(urlsplit(url).hostname) else ""
