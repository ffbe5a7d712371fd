"""Limits of tries to log in, so many a minute. Pure: the time is passed in.

Five for each user from each address: who tries wrong passwords elsewhere takes none of them. More for all names from an
address, and for a user from all addresses, against guessing with many names or from many addresses. A browser in which the
user has logged in before has five of its own, which the tries of others do not use up.
"""

import hashlib
import ipaddress
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

#: Tries of one user from one address, and of one known browser, in a window.
MOST_TRIES: Final = 5
#: Tries of one user from all addresses, and of all names from one address, in a window.
MOST_TRIES_TOGETHER: Final = 30
WINDOW_SECONDS: Final = 60.0
#: Users, and addresses, that are remembered: some 200 bytes each. Hashing takes so long that a server never has as many
#: tries in a window.
_MOST_KEYS: Final = 10_000
#: A customer of a provider may use any address with the same first bits (RFC 6177).
_IPV6_CUSTOMER_BITS: Final = 64


class Attempts:
    """Counts tries. Times are seconds of one clock that never goes back."""

    def __init__(self, *, most_keys: int = _MOST_KEYS) -> None:
        self._pairs = _Limit(MOST_TRIES, most_keys)
        self._users = _Limit(MOST_TRIES_TOGETHER, most_keys)
        self._addresses = _Limit(MOST_TRIES_TOGETHER, most_keys)
        self._browsers = _Limit(MOST_TRIES, most_keys)

    def begin(self, user: str, address: str, now: float, browser: str | None = None) -> float:
        """Count a try; return 0, or the seconds after which it may be repeated: then it was not counted.

        Args:
            user: name, of any length and with any characters, known or not.
            address: of the client.
            now: seconds.
            browser: in which this user has logged in before; None: in none that is known.
        """
        counted = self._counted(user, address, browser)
        wait = max(limit.wait(key, now) for limit, key in counted)
        if wait <= 0:
            for limit, key in counted:
                limit.add(key, now)
        return wait

    def succeeded(self, user: str, address: str, browser: str | None = None) -> None:
        """Take the newest try back: its password was right."""
        for limit, key in self._counted(user, address, browser):
            limit.take_back(key)

    def __len__(self) -> int:
        return sum(map(len, (self._pairs, self._users, self._addresses, self._browsers)))

    def _counted(self, user: str, address: str, browser: str | None) -> Sequence[tuple["_Limit", bytes]]:
        """Return the limits that a try counts for, with its key in each."""
        if browser is not None:
            return ((self._browsers, _digest(browser)),)
        of_user, of_address = _digest(user), _digest(_customer(address))
        return (self._pairs, of_user + of_address), (self._users, of_user), (self._addresses, of_address)


class _Limit:
    """Tries by key, the key with the newest try last."""

    def __init__(self, most: int, most_keys: int) -> None:
        self._most = most
        self._most_keys = most_keys
        self._tries: OrderedDict[bytes, list[float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._tries)

    def wait(self, key: bytes, now: float) -> float:
        since = now - WINDOW_SECONDS
        while self._tries and next(iter(self._tries.values()))[-1] <= since:
            self._tries.popitem(last=False)
        tries = [each for each in self._tries.get(key, ()) if each > since]
        if len(tries) >= self._most:
            return tries[-self._most] - since
        if not tries and len(self._tries) >= self._most_keys:
            # Forgetting a key would give it new tries.
            return next(iter(self._tries.values()))[-1] - since
        return 0.0

    def add(self, key: bytes, now: float) -> None:
        self._tries[key] = [*self._tries.pop(key, ())[-(self._most - 1) :], now]

    def take_back(self, key: bytes) -> None:
        if tries := self._tries.get(key):
            tries.pop()
            if not tries:
                del self._tries[key]


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
