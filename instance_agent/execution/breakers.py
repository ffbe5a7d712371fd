"""The breakers of all targets: found by key, bounded in number, with the decision for a group of targets.

Two breakers guard a call: one of the target (a model at an endpoint, with a key) and one of the service behind it (the
address, with the key). A failure of the connection or of the key counts for the service, so that 20 models behind one dead
host need not fail one after the other; an answer of 500 for one model says nothing about the others.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from random import Random
from typing import Final, Protocol

from msgspec import Struct

from instance_agent.execution.circuit_breaker import BreakerSettings, CircuitBreaker, Permit, State
from instance_agent.providers.errors import ProviderError, Retry

#: Breakers in memory (about 700 bytes each); a client may name any model of a provider.
MOST_BREAKERS: Final = 4096
#: Wrong requests that are further apart say nothing about a model that few clients use.
_DOUBT_SECONDS: Final = 600.0


class Guarded(Protocol):
    """A target as breakers know it; both keys are different for another API key."""

    @property
    def breaker_key(self) -> str:
        """Identify the model at the endpoint with the API key."""

    @property
    def service_key(self) -> str:
        """Identify the endpoint with the API key."""


class BreakerChange(Struct, frozen=True, kw_only=True):
    """A change of a breaker's state, as a hint for other replicas.

    Attributes:
        key: `breaker_key` or `service_key`; it holds no secret.
        seconds: until a call may pass again; None when misconfigured.
        reason: one line without keys; None when closed.
    """

    key: str
    state: State
    seconds: float | None
    reason: str | None


class Unavailable(Struct, frozen=True):
    """Why no call may pass, and in how many seconds one may; None: not before an operator acts, as far as it is known.

    `returns_in`: seconds until the state should be looked at again.

    `half_open`: the wait is over, and a probe is under way. `in_flight`: that, or a call of last resort.
    """

    state: State
    seconds: float | None
    reason: str
    returns_in: float = 0.0
    half_open: bool = False
    in_flight: bool = False


class CallPermit:
    """The permits of one call, of its target and of its service. Exactly one outcome counts.

    Attributes:
        rechecks: the call finds out whether a misconfigured target, or its service, still is.
    """

    __slots__ = ("_breakers", "_service", "_service_key", "_target", "_target_key", "rechecks")

    def __init__(
        self, breakers: "Breakers", keys: tuple[str, str], target: Permit, service: Permit, *, rechecks: bool = False
    ) -> None:
        self.rechecks = rechecks
        self._breakers = breakers
        self._target_key, self._service_key = keys
        self._target = target
        self._service = service

    @property
    def probe(self) -> bool:
        """Whether the call is a probe of a breaker that is not closed."""
        return self._target.probe or self._service.probe

    def first_token(self, now: float) -> None:
        """Report the first token of the answer."""
        self._breakers.trust(self._target_key)
        if self.probe:
            with self._breakers.watching(self._target_key, self._service_key, now):
                self._target.proved(now)
                self._service.proved(now)

    def succeeded(self, now: float) -> None:
        """Report a success."""
        self._breakers.trust(self._target_key)
        if not self.probe:
            self._target.succeeded(now)
            self._service.succeeded(now)
            return
        with self._breakers.watching(self._target_key, self._service_key, now):
            self._target.succeeded(now)
            self._service.succeeded(now)

    def said_nothing(self) -> None:
        """Report an outcome without meaning for the target."""
        self._target.said_nothing()
        self._service.said_nothing()

    def failed(self, error: ProviderError, now: float, caller: str | None = None) -> None:
        """Report a failed call; errors of the caller and of a content filter are neutral.

        Args:
            caller: whose request may be at fault where the setup seems wrong; None: no request like this one can be.
        """
        if error.error_kind in ("caller", "policy") and not self._is_wrong_setup(error, caller, now):
            self.said_nothing()
            return
        with self._breakers.watching(self._target_key, self._service_key, now):
            if error.retry is Retry.SETUP:
                self._target.misconfigured(now, error.summary)
                if error.upstream_status in (401, 402):  # the key or the account; 403 and 404 may be of one model
                    # For a name that a client made up, it may be about that name: it takes the service from no other client.
                    if self._breakers.is_of_catalog(self._target_key):
                        self._service.misconfigured(now, error.summary)
                    else:
                        self._service.said_nothing()
                else:
                    self._service.succeeded(now)
            elif error.upstream_status == 429 or (error.retry_after_seconds and error.upstream_status == 503):
                self._target.cool(now, error.retry_after_seconds, error.summary)
                self._service.succeeded(now)
            else:
                self._target.failed(now, error.summary)
                if error.upstream_status is not None:
                    self._service.succeeded(now)
                elif error.retry is Retry.REFUSED:  # not reached
                    self._service.failed(now, error.summary)
                else:
                    self._service.said_nothing()

    def _is_wrong_setup(self, error: ProviderError, caller: str | None, now: float) -> bool:
        """Whether an error that may be the request's fault is the target's: a single caller cannot make it so."""
        if error.retry is not Retry.SETUP:
            return False
        return self._target.rechecks or self._breakers.doubt(self._target_key, caller, now)


class Breakers:
    """The breakers of one replica. Not thread-safe: one event loop uses it.

    Attributes:
        changes: counts changes of states; a wait that runs out is not one.
    """

    def __init__(
        self,
        settings: BreakerSettings | None = None,
        *,
        on_change: Callable[[BreakerChange], None] | None = None,
        may_probe: Callable[[str], bool] | None = None,
        seed: int | None = None,
        most: int = MOST_BREAKERS,
    ) -> None:
        """Create breakers, all closed.

        Args:
            on_change: called with each change of a state; it must not block.
            may_probe: called with the key before a probe of a half-open breaker; False leaves the probe to another replica.
            seed: of the jitter; None: random.
            most: the largest number of breakers; the oldest are dropped, closed ones first.
        """
        self._settings = settings or BreakerSettings()
        self._on_change = on_change
        self._may_probe = may_probe
        self._random = Random(seed)
        self._most = most
        self._breakers: OrderedDict[str, CircuitBreaker] = OrderedDict()
        self._suspects_until = float("-inf")
        self._of_catalog: frozenset[str] | None = None
        self._doubts: dict[str, tuple[str | None, float]] = {}
        self.changes = 0

    @property
    def count(self) -> int:
        """Breakers in memory."""
        return len(self._breakers)

    def admit(
        self, target: Guarded, now: float, *, last_resort: bool = False, forced: bool = False
    ) -> CallPermit | None:
        """Return the permit for one call of `target`; None when no call may pass.

        `last_resort` and `forced` as in `CircuitBreaker.admit_last_resort`.
        """
        own, service = self._get(target.breaker_key), self._get(target.service_key)
        if own.state == "closed" and service.state == "closed":
            return CallPermit(self, (target.breaker_key, target.service_key), own.admit(now), service.admit(now))  # type: ignore[arg-type]
        if not last_resort and not self._probe_allowed(target, own, service, now):
            return None
        rechecks = "misconfigured" in (own.state, service.state)
        permit = own.admit_last_resort(now, forced=forced) if last_resort else own.admit(now)
        if permit is None:
            return None
        service_permit = service.admit_last_resort(now, forced=forced) if last_resort else service.admit(now)
        if service_permit is None:
            permit.said_nothing()
            return None
        keys = target.breaker_key, target.service_key
        return CallPermit(self, keys, permit, service_permit, rechecks=rechecks)

    def _probe_allowed(self, target: Guarded, own: CircuitBreaker, service: CircuitBreaker, now: float) -> bool:
        if not (own.passes_at(now) and service.passes_at(now)):
            return False
        key = target.breaker_key if own.state != "closed" else target.service_key
        return self._may_probe is None or self._may_probe(key)

    def unavailable(self, target: Guarded, now: float) -> Unavailable | None:
        """Return why no call of `target` may pass now, None when one may. Two look-ups; creates nothing."""
        worst: CircuitBreaker | None = None
        for key in (target.breaker_key, target.service_key):
            breaker = self._breakers.get(key)
            if breaker is None or breaker.state == "closed" or breaker.passes_at(now):
                continue
            if worst is None or breaker.reopens_at > worst.reopens_at:
                worst = breaker
        if worst is None:
            return None
        returns_in = max(0.0, worst.reopens_at - now)
        return Unavailable(
            worst.state,
            None if worst.state == "misconfigured" else returns_in,
            worst.reason or "",
            returns_in,
            half_open=now >= worst.reopens_at,
            in_flight=worst.in_flight and worst.state != "cooling",
        )

    def soonest(self, targets: Sequence[Guarded], now: float) -> float | None:
        """Return in how many seconds the first of `targets` may be called, 0 for now; None when none ever may."""
        waits = []
        for target in targets:
            found = self.unavailable(target, now)
            if found is None:
                return 0.0
            if found.seconds is not None:
                waits.append(found.seconds)
        return min(waits, default=None)

    def hint(self, key: str, now: float, seconds: float, age: float = 0.0) -> None:
        """Take a hint: another replica saw `key` fail `age` seconds ago, and leaves it alone for `seconds` more.

        Its targets are tried after the others, and fewer failures open its breaker. See `CircuitBreaker.suspect`.
        """
        if self._get(key).suspect(now, seconds, age):
            self._suspects_until = max(self._suspects_until, now + seconds)

    def unhint(self, key: str) -> None:
        """Take a hint back."""
        breaker = self._breakers.get(key)
        if breaker is not None:
            breaker.trust()

    def has_suspects(self, now: float) -> bool:
        """Whether any hint may count: one comparison, for every request."""
        return now < self._suspects_until

    def suspected(self, target: Guarded, now: float) -> bool:
        """Whether a hint about a target, or about its service, counts."""
        return self.suspects_key(target.breaker_key, now) or self.suspects_key(target.service_key, now)

    def suspects_key(self, key: str, now: float) -> bool:
        """Whether a hint about one breaker counts."""
        breaker = self._breakers.get(key)
        return breaker is not None and breaker.suspected_at(now)

    def suspected_count(self, now: float) -> int:
        """Return how many breakers have a hint that counts."""
        return sum(each.suspected_at(now) for each in self._breakers.values()) if self.has_suspects(now) else 0

    def clear(self, key: str, now: float, since: float) -> None:
        """Take that a check has found a target or service back, `since` when; see `CircuitBreaker.clear`."""
        breaker = self._breakers.get(key)
        if breaker is not None:
            with self.watching(key, key, now):
                breaker.clear(now, since)
            self.changes += 1

    def keep(self, keys: Iterable[str]) -> None:
        """Drop the breakers of other targets than the catalog's: they have gone, or have another key.

        `keys` are those of the catalog; a target whose key is not among them from now on is one that a client named.
        """
        kept = self._of_catalog = frozenset(keys)
        for key in [each for each in self._breakers if each not in kept]:
            del self._breakers[key]
        self._doubts = {key: doubt for key, doubt in self._doubts.items() if key in kept}
        self.changes += 1

    def is_of_catalog(self, key: str) -> bool:
        """Whether a target is of the catalog; True before the first call of `keep`."""
        return self._of_catalog is None or key in self._of_catalog

    def doubt(self, key: str, caller: str | None, now: float) -> bool:
        """Note an error of a target's setup; return whether it is the second one since a call worked, within 10 minutes.

        Those of one caller are one: it may send the same wrong request again and again. `caller` is None where the request
        cannot be at fault.
        """
        first, until = self._doubts.get(key, (None, now))
        if now < until:
            return caller is None or caller != first
        if len(self._doubts) >= self._most:
            self._doubts.clear()
        self._doubts[key] = caller, now + _DOUBT_SECONDS
        return False

    def trust(self, key: str) -> None:
        """Note that a call of a target works."""
        if self._doubts:
            self._doubts.pop(key, None)

    def states(self, now: float) -> dict[str, State]:
        """Return the states that are not closed, for reports."""
        return {key: each.state_at(now) for key, each in self._breakers.items() if each.state != "closed"}

    def describe(self, keys: Iterable[str], now: float) -> dict[str, object]:
        """Return why no call may pass, and in how many seconds one may, of the first of `keys` that is not closed."""
        for breaker in (self._breakers.get(key) for key in keys):
            if breaker is not None and breaker.state != "closed":
                return {"reason": breaker.reason, "secondsLeft": round(max(0.0, breaker.reopens_at - now), 1)}
        return {}

    def watching(self, target_key: str, service_key: str, now: float) -> "_Watch":
        """Report changes within a block."""
        keys = (target_key,) if target_key == service_key else (target_key, service_key)
        return _Watch(self, [(key, self._get(key)) for key in keys], now)

    def changed(self, key: str, breaker: CircuitBreaker, now: float) -> None:
        """Count and report a change of a breaker."""
        self.changes += 1
        if self._on_change is not None:
            seconds = None if breaker.state == "misconfigured" else max(0.0, breaker.reopens_at - now)
            self._on_change(BreakerChange(key=key, state=breaker.state, seconds=seconds, reason=breaker.reason))

    def _get(self, key: str) -> CircuitBreaker:
        breaker = self._breakers.get(key)
        if breaker is None:
            if len(self._breakers) >= self._most:
                self._drop_one()
            breaker = self._breakers[key] = CircuitBreaker(self._settings, self._random)
        return breaker

    def _drop_one(self) -> None:
        for _ in range(min(16, len(self._breakers))):
            key, breaker = next(iter(self._breakers.items()))
            if breaker.state == "closed":
                break
            self._breakers.move_to_end(key)
        del self._breakers[next(iter(self._breakers))]


class _Watch:
    __slots__ = ("_before", "_breakers", "_now")

    def __init__(self, breakers: Breakers, watched: list[tuple[str, CircuitBreaker]], now: float) -> None:
        self._breakers = breakers
        self._before = [(key, breaker, breaker.changes) for key, breaker in watched]
        self._now = now

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        for key, breaker, changes in self._before:
            if breaker.changes != changes:
                self._breakers.changed(key, breaker, self._now)
