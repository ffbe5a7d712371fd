"""The circuit breaker of one target: pure, with the time passed in.

Protocol. ``closed``: every call passes. Consecutive failures, or their share within a window, open it. ``open``: no call
passes until `reopens_at`. Then ``half_open``: exactly one call passes, as a probe. Its first token or its success closes the
breaker, its failure opens it for longer, and an outcome that says nothing about the target (an error of the caller, a client
that has gone) frees the place for the next probe. ``cooling``: the provider asked to wait (`retry-after`): as open, but not
counted as a failure, and no last resort. ``misconfigured``: key, account or name of the model is wrong: open until an
operator acts, or a probe, once in a long time, finds that one has.
"""

from random import Random
from typing import Final, Literal, TypeAlias

from msgspec import Struct

State: TypeAlias = Literal["closed", "open", "half_open", "cooling", "misconfigured"]

_BUCKETS: Final = 6
_NEVER: Final = float("inf")


class BreakerSettings(Struct, frozen=True, kw_only=True):
    """When a breaker opens, and for how long.

    Attributes:
        consecutive_failures: that open it.
        failure_share: of the calls within the window that opens it, 0 to 1.
        minimum_calls: within the window, before their share counts.
        window_seconds: length of the window.
        open_seconds: of the first opening; each further one doubles it.
        max_open_seconds: the longest opening.
        jitter: the largest part by which an opening is made longer or shorter, so that replicas do not probe together.
        recovery_seconds: closed for so long, the next opening is half as long again.
        rate_limit_seconds: wait after a 429 that names none; doubled by each in a row.
        max_retry_after_seconds: longer waits that a provider asks for are cut to this; then one probe asks again.
        suspected_failures: consecutive failures that open it while another replica has reported the target.
        last_resort_seconds: between two calls of an open target when a request has no other and the last call still runs.
        misconfigured_seconds: wait before a probe of a misconfigured target.
        recheck_seconds: wait between two tries of a misconfigured target when a request has no other.
    """

    consecutive_failures: int = 5
    failure_share: float = 0.5
    minimum_calls: int = 20
    window_seconds: float = 30.0
    open_seconds: float = 5.0
    max_open_seconds: float = 120.0
    jitter: float = 0.2
    recovery_seconds: float = 60.0
    rate_limit_seconds: float = 1.0
    max_retry_after_seconds: float = 600.0
    suspected_failures: int = 2
    last_resort_seconds: float = 1.0
    misconfigured_seconds: float = 600.0
    recheck_seconds: float = 15.0


class CircuitBreaker:
    """The state of one target. Times are seconds of one monotonic clock.

    Attributes:
        state: as of the last call of a method; an opening that has run out is seen by `state_at`.
        reopens_at: when a call may pass again.
        reason: the last failure in one line, None when closed.
        changes: counts changes of the state.
    """

    __slots__ = (
        "_closed_since",
        "_consecutive",
        "_failures",
        "_level",
        "_opened_at",
        "_probes",
        "_random",
        "_rate_limits",
        "_settings",
        "_succeeded_at",
        "_suspected_until",
        "_totals",
        "_tried_at",
        "_window_at",
        "changes",
        "reason",
        "reopens_at",
        "state",
    )

    def __init__(self, settings: BreakerSettings, random: Random) -> None:
        self._settings = settings
        self._random = random
        self.state: State = "closed"
        self.reopens_at = 0.0
        self.reason: str | None = None
        self.changes = 0
        self._consecutive = 0
        self._rate_limits = 0
        self._level = 0
        self._opened_at = -_NEVER
        self._closed_since = 0.0
        self._succeeded_at = -_NEVER
        self._suspected_until = 0.0
        self._tried_at = -_NEVER
        self._probes = 0
        self._totals = [0] * _BUCKETS
        self._failures = [0] * _BUCKETS
        self._window_at = 0

    def state_at(self, now: float) -> State:
        """Return the state now: an opening or a wait that has run out is half open."""
        return "half_open" if self.state in ("open", "cooling") and now >= self.reopens_at else self.state

    @property
    def in_flight(self) -> bool:
        """Whether a probe is under way."""
        return self._probes > 0

    def passes_at(self, now: float) -> bool:
        """Whether `admit` would let a call pass; changes nothing."""
        if self.state == "closed":
            return True
        return not self._probes and now >= self.reopens_at

    def admit(self, now: float) -> "Permit | None":
        """Return a permit for one call, None when none may pass. The call must report its outcome to the permit."""
        if self.state == "closed":
            return Permit(self, self.changes, probe=False)
        return self._probe(now) if self.passes_at(now) else None

    def admit_last_resort(self, now: float, *, forced: bool = False) -> "Permit | None":
        """Return a permit although the breaker is open: the request has no other target.

        Calls pass one after the other, and further ones `last_resort_seconds` apart. A wait that the provider asked for is
        kept; a misconfigured target is tried every `recheck_seconds`. `forced`: the client named the target, so that its
        calls pass without pauses between them, and it sees the provider's own error.
        """
        permit = self.admit(now)
        if permit is not None or self.state == "cooling":
            return permit
        if forced:
            return self._probe(now)
        waited = now - self._tried_at
        if self.state == "misconfigured":
            return self._probe(now) if waited >= self._settings.recheck_seconds else None
        return self._probe(now) if not self._probes or waited >= self._settings.last_resort_seconds else None

    def _probe(self, now: float) -> "Permit":
        self._tried_at = now
        self._probes += 1
        return Permit(self, self.changes, probe=True)

    def suspect(self, now: float, seconds: float, age: float = 0.0) -> bool:
        """Trust the target less for `seconds`, unless this replica knows better: another one saw it fail `age` seconds ago.

        It stays open to calls. Own evidence is a breaker that is not closed, or a success after the report, or within the
        window before it with no failure since.

        Returns:
            Whether the target is suspected now.
        """
        if self.state != "closed":
            return False
        if not self._consecutive and self._succeeded_at >= now - max(age, self._settings.window_seconds):
            return False
        self._suspected_until = max(self._suspected_until, now + seconds)
        return True

    def trust(self) -> None:
        """Take `suspect` back: the replica that saw it fail has seen it work again."""
        self._suspected_until = 0.0

    def suspected_at(self, now: float) -> bool:
        """Whether another replica's report counts, and this one has seen no success since."""
        return now < self._suspected_until and self.state == "closed"

    def clear(self, now: float, since: float) -> None:
        """Take that a check that costs nothing has found the service back, `since` when.

        An open breaker closes, unless it has opened later. A misconfigured one lets a probe pass: the check says nothing of
        the key and the model. A wait that the provider asked for stays.
        """
        if self.state == "open" and self._opened_at <= since:
            self._close(now)
        elif self.state == "misconfigured":
            self.reopens_at = min(self.reopens_at, now)

    # Called by permits. An outcome of a call from before the last change says nothing about the time after it.

    def on_first_token(self, permit: "Permit", now: float) -> None:
        """Close the breaker with the first token of a probe."""
        if permit.probe and self.state in ("open", "misconfigured"):
            self._close(now)

    def on_success(self, permit: "Permit", now: float) -> None:
        """Count a success."""
        self._ended(permit)
        if permit.probe and (self.state != "cooling" or now >= self.reopens_at) and self.state != "closed":
            self._close(now)
        if self.state == "closed":
            self._count(now, failed=False)
            self._succeeded_at = now
            self._suspected_until = 0.0
            self._consecutive = self._rate_limits = 0
            self._recover(now)

    def on_neutral(self, permit: "Permit") -> None:
        """Count nothing; the next probe may pass."""
        self._ended(permit)

    def on_failure(self, permit: "Permit", now: float, reason: str) -> None:
        """Count a failure, and open the breaker when it is one too many."""
        self._ended(permit)
        if permit.probe and self.state in ("open", "cooling"):
            self._open(now, reason)
        elif permit.probe and self.state == "misconfigured":
            self.reopens_at = max(self.reopens_at, now + self._settings.recheck_seconds)
        elif self.state == "closed" and (permit.probe or permit.generation == self.changes):
            self._count(now, failed=True)
            self._consecutive += 1
            needed = self._settings.consecutive_failures
            if now < self._suspected_until:
                needed = min(needed, self._settings.suspected_failures)
            if self._consecutive >= needed or self._share_is_high():
                self._open(now, reason)

    def on_wait(self, permit: "Permit", now: float, retry_after: float | None, reason: str) -> None:
        """Let no call pass before the provider's wait is over."""
        self._ended(permit)
        if self.state == "misconfigured":
            return
        if retry_after is None:
            retry_after = self._settings.rate_limit_seconds * 2 ** min(self._rate_limits, 16)
            retry_after = min(retry_after, self._settings.max_open_seconds)
        if self.state != "cooling" or now >= self.reopens_at:
            self._rate_limits += 1  # many answers of one moment are one
        until = now + min(retry_after, self._settings.max_retry_after_seconds)
        if now < self.reopens_at and self.state != "closed":
            until = max(until, self.reopens_at)
        self._change("cooling", reason, until)

    def on_misconfigured(self, permit: "Permit", now: float, reason: str) -> None:
        """Let no call pass until an operator acts, but for a probe once in a long time."""
        self._ended(permit)
        self._tried_at = now
        self._change("misconfigured", reason, now + self._settings.misconfigured_seconds)

    def _ended(self, permit: "Permit") -> None:
        if permit.probe:
            self._probes -= 1

    def _close(self, now: float) -> None:
        self._consecutive = self._rate_limits = 0
        self._totals = [0] * _BUCKETS
        self._failures = [0] * _BUCKETS
        self._closed_since = now
        self._change("closed", None, now)

    def _open(self, now: float, reason: str) -> None:
        self._recover(now)
        settings = self._settings
        seconds = min(settings.open_seconds * 2**self._level, settings.max_open_seconds)
        seconds *= 1 + settings.jitter * (2 * self._random.random() - 1)
        if settings.open_seconds * 2**self._level < settings.max_open_seconds:
            self._level += 1
        self._opened_at = now
        self._change("open", reason, now + seconds)

    def _recover(self, now: float) -> None:
        """Take back one doubling for each `recovery_seconds` that it was closed."""
        if self._level and self.state == "closed":
            healthy = int((now - self._closed_since) / self._settings.recovery_seconds)
            if healthy:
                self._level = max(0, self._level - healthy)
                self._closed_since = now

    def _change(self, state: State, reason: str | None, until: float) -> None:
        self.changes += 1
        self.state, self.reason, self.reopens_at = state, reason, until

    def _count(self, now: float, *, failed: bool) -> None:
        bucket = int(now * _BUCKETS / self._settings.window_seconds)
        behind = min(bucket - self._window_at, _BUCKETS)
        for step in range(1, behind + 1):
            index = (self._window_at + step) % _BUCKETS
            self._totals[index] = self._failures[index] = 0
        if behind > 0:
            # After a long pause only the last steps are cleared above, which are all buckets.
            self._window_at = bucket
        index = self._window_at % _BUCKETS
        self._totals[index] += 1
        self._failures[index] += failed

    def _share_is_high(self) -> bool:
        calls = sum(self._totals)
        settings = self._settings
        return calls >= settings.minimum_calls and sum(self._failures) >= settings.failure_share * calls


class Permit:
    """The right to make one call. Exactly one outcome counts; those after it are ignored."""

    __slots__ = ("_breaker", "generation", "probe", "reported")

    def __init__(self, breaker: CircuitBreaker, generation: int, *, probe: bool) -> None:
        self._breaker = breaker
        self.generation = generation
        self.probe = probe
        self.reported = False

    @property
    def rechecks(self) -> bool:
        """Whether the call finds out if a misconfigured target still is."""
        return self.probe and self._breaker.state == "misconfigured"

    def proved(self, now: float) -> None:
        """Report the first token: a probe closes the breaker with it. The outcome is still to come."""
        if not self.reported:
            self._breaker.on_first_token(self, now)

    def succeeded(self, now: float) -> None:
        """Report a success."""
        if self._first():
            self._breaker.on_success(self, now)

    def failed(self, now: float, reason: str) -> None:
        """Report a failure of the target."""
        if self._first():
            self._breaker.on_failure(self, now, reason)

    def cool(self, now: float, retry_after: float | None, reason: str) -> None:
        """Report that the provider asked to wait, for `retry_after` seconds when it said so."""
        if self._first():
            self._breaker.on_wait(self, now, retry_after, reason)

    def misconfigured(self, now: float, reason: str) -> None:
        """Report that the target cannot work until an operator changes its key, its account or the name of the model."""
        if self._first():
            self._breaker.on_misconfigured(self, now, reason)

    def said_nothing(self) -> None:
        """Report an outcome that says nothing about the target: an error of the caller, a client that has gone."""
        if self._first():
            self._breaker.on_neutral(self)

    def _first(self) -> bool:
        first, self.reported = not self.reported, True
        return first
