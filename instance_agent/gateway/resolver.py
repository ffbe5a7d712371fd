"""Addresses of upstreams: a name may resolve to an address that a gateway must not call, so each one is checked."""

import ipaddress
import socket
from typing import Final

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

from centralcloud.contracts.fleet_configuration import PRIVATE_ALLOWED, PUBLIC_ONLY, refusal_of

_FAMILY: Final = socket.AF_INET


class GuardedResolver(AbstractResolver):
    """Resolves names, and leaves out link-local addresses and the metadata services of clouds.

    Attributes:
        registered: hosts that the fleet's registry alone names: they may not resolve to this machine or a private network,
            unless that is allowed. Those of the catalog file are an operator's own.
    """

    def __init__(self, *, private: bool) -> None:
        """Create it in an event loop; `private`: whether registered hosts may be in private networks."""
        self._inner = ThreadedResolver()
        self._policy = PRIVATE_ALLOWED if private else PUBLIC_ONLY
        self.registered: frozenset[str] = frozenset()

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = _FAMILY) -> list[ResolveResult]:
        """Return the addresses of a host that may be called; raise OSError when there is none."""
        found = await self._inner.resolve(host, port, family)
        registered = host.rstrip(".").lower() in self.registered
        allowed = [each for each in found if self._may_call(each["host"], registered=registered)]
        if not allowed:
            raise OSError(None, "its host has no address that may be called")
        return allowed

    async def close(self) -> None:
        """Release what the resolver holds."""
        await self._inner.close()

    def _may_call(self, text: str, *, registered: bool) -> bool:
        address = ipaddress.ip_address(text.partition("%")[0])
        return refusal_of(address, self._policy if registered else PRIVATE_ALLOWED) is None
