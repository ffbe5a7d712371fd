"""The walk over a plan: which target is called next, and when no further attempt is safe. Pure, with the time passed in.

After a failed attempt:

| class of the error | next |
|---|---|
| refused | the next target that was not tried yet, at once; else a refused target again after a pause, unless cooling |
| uncertain | one more target that was not tried yet, once in the whole walk; never the same |
| begun, caller, policy, setup | nothing; after setup of a target that was known as misconfigured, the next target |

The first attempt of a treatment is at its model, also when its breaker is open or other replicas suspect it: a model that is
down has to fail in its arm, and would look healthy if others answered for it. A wait that the provider asked for is kept.

At most `max_attempts` attempts for the whole request, all within one deadline.
"""

from collections.abc import Sequence
from random import Random
from typing import Final

from msgspec import Struct

from instance_agent.chat.errors import ChatError, UnsupportedFeatureError
from instance_agent.execution.breakers import Breakers, CallPermit
from instance_agent.execution.errors import no_target, with_attempts
from instance_agent.execution.planned import PlannedCall, Skipped
from instance_agent.providers.errors import ProviderError, Retry

#: The reason of the call of a treatment's model.
TREATMENT: Final = "experiment"
#: A timer may end so much too early.
_ROUNDING_SECONDS: Final = 0.01
#: Wait for the probe of another request.
_BUSY_SECONDS: Final = 1.0


class WalkSettings(Struct, frozen=True, kw_only=True):
    """Bounds of a walk.

    Attributes:
        max_attempts: for the whole request, whatever the plan's length.
        deadline_seconds: for the whole request: of a whole answer until its end, of a stream until its first token.
        backoff_seconds: mean pause before the second call of one target; doubled by each further one.
        max_wait_seconds: the longest pause, also for a target that is cooling.
    """

    max_attempts: int = 3
    deadline_seconds: float = 900.0
    backoff_seconds: float = 0.25
    max_wait_seconds: float = 2.0


class Go(Struct, frozen=True):
    """Call this target now; its permit takes the outcome.

    `skipped`: of the first attempt: why it is not at the first model of the plan; None: it is.
    """

    call: PlannedCall
    permit: CallPermit
    number: int
    skipped: Skipped | None = None


class Wait(Struct, frozen=True):
    """Wait so many seconds, then ask again."""

    seconds: float


class GiveUp(Struct, frozen=True):
    """End with this error."""

    error: ChatError


Step = Go | Wait | GiveUp


class Walk:
    """The state of one request's walk."""

    def __init__(
        self, calls: Sequence[PlannedCall], breakers: Breakers, settings: WalkSettings, started: float, random: Random
    ) -> None:
        self.deadline = started + settings.deadline_seconds
        self.attempts = 0
        self._calls = calls
        first = next(iter(calls), None)
        self._treated = first is not None and first.reason == TREATMENT
        self._breakers = breakers
        self._settings = settings
        self._random = random
        self._tried: set[int] = set()
        self._refused: list[int] = []
        self._uncertain = 0
        self._untranslatable = False
        self._current = 0
        self._ended = False
        self._rechecks = False
        self._error: ChatError | None = None
        self._unsupported: UnsupportedFeatureError | None = None
        self._unpaid: ChatError | None = None
        self._paused = False

    def next(self, now: float) -> Step:
        """Return the next step."""
        too_late = now >= self.deadline - _ROUNDING_SECONDS
        if self._ended or too_late or self.attempts >= self._settings.max_attempts:
            return self._give_up(now)
        if self._treated and not self.attempts and (step := self._treatment(now)) is not None:
            return step
        for index, call in self._suspects_last(now) if self._breakers.has_suspects(now) else enumerate(self._calls):
            if index not in self._tried:
                permit = self._breakers.admit(call.target, now)
                if permit is not None:
                    return self._go(index, call, permit, self._skipped(call, now) if not self.attempts else None)
        if self._uncertain:
            return self._give_up(now)
        if self._refused:
            return self._again(now)
        return self._give_up(now) if self.attempts else self._last_resort(now)

    def failed(self, error: ChatError) -> None:
        """Note that the current attempt failed."""
        self._error = error
        retry = error.retry if isinstance(error, ProviderError) else Retry.CALLER
        if retry is Retry.REFUSED:
            self._refused.append(self._current)
        elif retry is Retry.UNCERTAIN and not self._uncertain:
            self._uncertain = 1
        elif retry is not Retry.SETUP or not self._rechecks:
            self._ended = True

    def leave(self) -> None:
        """Note that the current attempt gave an answer that should be better: one more target is tried, as if uncertain."""
        self._uncertain = 1

    def unsupported(self, error: UnsupportedFeatureError) -> None:
        """Note that the request cannot be translated for the current target: no attempt was made."""
        self._unsupported = self._unsupported or error
        self._untranslatable = self._untranslatable or not self._current
        self.attempts -= 1

    def unpaid(self, error: ChatError) -> None:
        """Note that the current target may not be called for what it may cost: no attempt was made.

        Before the first attempt that ends the walk: another plan knows what may be paid.
        """
        self._unpaid = self._unpaid or error
        self.attempts -= 1
        self._ended = not self.attempts or self._current in self._refused

    def passed_over(self, error: UnsupportedFeatureError) -> None:
        """Note that the current target has answered that it does not have the operation: an attempt, and not its failure."""
        self._unsupported = error

    def _treatment(self, now: float) -> Go | None:
        """Call the model of a treatment, at the first of its targets that is admitted; None: it has to wait."""
        model = self._calls[0].target.model.name
        for index, call in enumerate(self._calls):
            if call.target.model.name != model:
                break
            if index not in self._tried and (permit := self._breakers.admit(call.target, now)) is not None:
                return self._go(index, call, permit)
        if 0 in self._tried:
            return None
        permit = self._breakers.admit(self._calls[0].target, now, last_resort=True, forced=True)
        return None if permit is None else self._go(0, self._calls[0], permit)

    def _suspects_last(self, now: float) -> list[tuple[int, PlannedCall]]:
        """Return the calls with their positions, those last whose targets other replicas have seen fail."""
        return sorted(enumerate(self._calls), key=lambda each: self._breakers.suspected(each[1].target, now))

    def _skipped(self, call: PlannedCall, now: float) -> Skipped | None:
        """Return why the first attempt is at `call`, where that is another model than the first one."""
        first = self._calls[0].target
        if call.target.model.name == first.model.name:
            return None
        if self._untranslatable:
            return "untranslatable"
        found = self._breakers.unavailable(first, now)
        return "waits" if found is not None and found.state == "cooling" else "unavailable"

    def _go(self, index: int, call: PlannedCall, permit: CallPermit, skipped: Skipped | None = None) -> Go:
        self.attempts += 1
        self._tried.add(index)
        self._current = index
        self._rechecks = permit.rechecks
        self._paused = False
        return Go(call, permit, self.attempts, skipped)

    def _again(self, now: float) -> Step:
        """Call a refused target again, after a pause: the first one that is not cooling, or comes back soon."""
        waits = [(self._breakers.soonest([self._calls[i].target], now), i) for i in dict.fromkeys(self._refused)]
        known = [(wait, index) for wait, index in waits if wait is not None]
        if not known:
            return self._give_up(now)
        wait, index = min(known, key=lambda each: each[0])
        if self._paused and wait > _ROUNDING_SECONDS:
            return self._give_up(now)  # others have made it wait again
        if not self._paused:
            mean = self._settings.backoff_seconds * 2 ** (len(self._refused) - 1)
            wait = max(wait, mean * (0.5 + self._random.random()))
        if wait > 0:
            return self._pause(wait, now)
        # There is no other target: the call needs no leave of other replicas.
        call = self._calls[index]
        permit = self._breakers.admit(call.target, now, last_resort=True)
        return self._give_up(now) if permit is None else self._go(index, call, permit)

    def _last_resort(self, now: float) -> Step:
        """Call a target although its breaker is open: there is no other, and the request has had no attempt yet.

        Where a call of another request is under way as the last resort, its result is waited for, once.
        """
        order = []
        wait = float("inf")
        for index, call in enumerate(self._calls):
            if index not in self._tried:
                found = self._breakers.unavailable(call.target, now)
                seconds = 0.0 if found is None else float("inf") if found.seconds is None else found.seconds
                order.append((seconds, index))
                wait = min(wait, _BUSY_SECONDS if found is None or found.in_flight else seconds)
        for _, index in sorted(order):
            call = self._calls[index]
            permit = self._breakers.admit(call.target, now, last_resort=True, forced=call.reason == "forced")
            if permit is not None:
                return self._go(index, call, permit, self._skipped(call, now))
        return self._give_up(now) if self._paused else self._pause(wait, now)

    def _pause(self, seconds: float, now: float) -> Step:
        if seconds > self._settings.max_wait_seconds or now + seconds >= self.deadline:
            return self._give_up(now)
        self._paused = True
        return Wait(seconds)

    def _give_up(self, now: float) -> GiveUp:
        if self._error is not None:
            soonest = self._breakers.soonest([call.target for call in self._calls], now)
            return GiveUp(with_attempts(self._error, self.attempts, soonest))
        if self._unpaid is not None:
            return GiveUp(self._unpaid)
        left = [call.target for index, call in enumerate(self._calls) if index not in self._tried]
        if self._unsupported is not None and (not left or self.attempts):
            return GiveUp(self._unsupported)
        reasons = [(target.key, self._breakers.unavailable(target, now)) for target in left]
        return GiveUp(no_target(reasons, self._breakers.soonest(left, now)))
