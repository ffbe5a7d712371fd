"""Leases on probes: of all gateways, one probes a target in a second. Pure, with the time passed in.

A half-open breaker lets one call pass as a probe. Where several gateways find it half-open at once, each asks the database
for the lease, in the background, and its request goes to the next target meanwhile. The request after the answer is the
probe. Where the database does not answer in time, each gateway probes by itself.
"""

from collections.abc import Callable
from typing import Final, Literal

#: How long a lease is held for the next request of this gateway.
HOLD_SECONDS: Final = 10.0
#: Between two probes of a target in the fleet.
PROBE_SECONDS: Final = 1.0
#: How long an answer is waited for, while requests go to other targets.
ANSWER_SECONDS: Final = 0.25

Asks = Callable[[str, float], object]


class _Lease:
    __slots__ = ("phase", "until")

    def __init__(self, until: float) -> None:
        #: asked: no answer yet; held; rests: held by another gateway, or used a moment ago.
        self.phase: Literal["asked", "held", "rests"] = "asked"
        self.until = until


class ProbeLeases:
    """The leases of one gateway. For one thread.

    Attributes:
        held, refused, unanswered: leases that were asked for since the start, by their answer.
    """

    def __init__(self, ask: Asks, *, available: Callable[[], bool]) -> None:
        """Create it.

        Args:
            ask: called with a key and seconds, to acquire or shorten the lease; the answer comes by `answered`.
            available: whether an answer can be expected at all.
        """
        self._ask = ask
        self._available = available
        self._leases: dict[str, _Lease] = {}
        self.held = self.refused = self.unanswered = 0

    def may_probe(self, key: str, now: float) -> bool:
        """Whether the next call may be the probe of `key`; asks for the lease where none is held."""
        lease = self._leases.get(key)
        if lease is not None and now < lease.until:
            if lease.phase == "held":
                self._use(key, lease, now)
                self._ask(key, PROBE_SECONDS)
                return True
            return False
        if lease is not None and lease.phase != "rests":
            # No answer in time; or it was held, and no request came: another one may not come for as long.
            self.unanswered += lease.phase == "asked"
            self._use(key, lease, now)
            return True
        if not self._available():
            self._use(key, self._leases.setdefault(key, _Lease(now)), now)
            return True
        self._leases[key] = _Lease(now + ANSWER_SECONDS)
        self._ask(key, HOLD_SECONDS)
        return False

    def answered(self, key: str, now: float, held: bool | None) -> None:
        """Take the answer; None: there is none, so that this gateway goes by itself."""
        lease = self._leases.get(key)
        if lease is None or lease.phase != "asked":
            return  # it was shortened, or came too late
        if held is None:
            lease.until = now
        elif held:
            self.held += 1
            lease.phase, lease.until = "held", now + HOLD_SECONDS
        else:
            self.refused += 1
            lease.phase, lease.until = "rests", now + PROBE_SECONDS

    def keep(self, keys: frozenset[str]) -> None:
        """Drop the leases of targets that have gone."""
        for key in self._leases.keys() - keys:
            del self._leases[key]

    @staticmethod
    def _use(_key: str, lease: _Lease, now: float) -> None:
        lease.phase, lease.until = "rests", now + PROBE_SECONDS
