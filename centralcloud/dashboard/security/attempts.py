"""Limits of tries to log in: so many a minute for each user, and for each address. Pure: the time is passed in."""

import hashlib
import ipaddress
from collections import OrderedDict
from typing import Final

#: Tries of one user, and of one address, in a window.
MOST_TRIES: Final = 5
WINDOW_SECONDS: Final = 60.0
#: Users, and addresses, that are remembered: some 200 bytes each. Hashing takes so long that a server never has as many
#: tries in a window.
_MOST_KEYS: Final = 10_000
#: A customer of a provider may use any address with the same first bits (RFC 6177).
_IPV6_CUSTOMER_BITS: Final = 64


class Attempts:
    """Counts tries. Times are seconds of one clock that never goes back."""

    def __init__(self, *, most_keys: int = _MOST_KEYS) -> None:
        self._limits = (_Limit(most_keys), _Limit(most_keys))

    def begin(self, user: str, address: str, now: float) -> float:
        """Count a try; return 0, or the seconds after which it may be repeated: then it was not counted.

        Args:
            user: name, of any length and with any characters, known or not.
            address: of the client.
            now: seconds.
        """
        keys = _keys(user, address)
        wait = max(limit.wait(key, now) for limit, key in zip(self._limits, keys, strict=True))
        if wait <= 0:
            for limit, key in zip(self._limits, keys, strict=True):
                limit.add(key, now)
        return wait

    def succeeded(self, user: str, address: str) -> None:
        """Take the newest try back: its password was right."""
        for limit, key in zip(self._limits, _keys(user, address), strict=True):
            limit.take_back(key)

    def __len__(self) -> int:
        return sum(map(len, self._limits))


class _Limit:
    """Tries by key, the key with the newest try last."""

    def __init__(self, most_keys: int) -> None:
        self._most_keys = most_keys
        self._tries: OrderedDict[bytes, list[float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._tries)

    def wait(self, key: bytes, now: float) -> float:
        since = now - WINDOW_SECONDS
        while self._tries and next(iter(self._tries.values()))[-1] <= since:
            self._tries.popitem(last=False)
        tries = [each for each in self._tries.get(key, ()) if each > since]
        if len(tries) >= MOST_TRIES:
            return tries[-MOST_TRIES] - since
        if not tries and len(self._tries) >= self._most_keys:
            # Forgetting a key would give it new tries.
            return next(iter(self._tries.values()))[-1] - since
        return 0.0

    def add(self, key: bytes, now: float) -> None:
        self._tries[key] = [*self._tries.pop(key, ())[-(MOST_TRIES - 1) :], now]

    def take_back(self, key: bytes) -> None:
        if tries := self._tries.get(key):
            tries.pop()
            if not tries:
                del self._tries[key]


def _keys(user: str, address: str) -> tuple[bytes, bytes]:
    return _digest(user), _digest(_customer(address))


def _digest(text: str) -> bytes:
    """A key of few bytes, however long the text is."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _customer(address: str) -> str:
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, _IPV6_CUSTOMER_BITS), strict=False))
    return str(parsed)
