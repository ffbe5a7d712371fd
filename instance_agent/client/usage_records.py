"""Sums of attempts and requests, and those of this process: what `RouterAnalytics` reports without a database.

Memory is bounded: sums by day, model and task type, of `_MOST_DAYS` days, and the newest response times of each model.
"""

import threading
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Final, NamedTuple

from centralcloud.contracts.limits import BLAMELESS_ERROR_KINDS
from centralcloud.runtime.process.lifecycle import watch_forks
from instance_agent.execution.attempts import Attempt

_MOST_DAYS: Final = 62
#: Callers may name any model of a provider.
_MOST_KEYS: Final = 4096
_NEWEST_TIMES: Final = 500
_OTHER: Final = "(other)"
_NUMBERS: Final = (
    "attempts", "successes", "blameless", "pending", "input_tokens", "output_tokens", "cost_nano_usd", "estimated",
    "unpriced", "timed", "milliseconds", "success_tokens", "generation_ms",
)  # fmt: skip


class UsageKey(NamedTuple):
    """The group of a sum; the day is one of UTC."""

    day: date
    model: str
    provider: str
    task_type: str


@dataclass(slots=True)
class UsageSum:
    """Sums of attempts.

    Attributes:
        attempts: all of them.
        successes: those with a good answer.
        blameless: failures that say nothing about the model: of the caller, or of a content filter.
        pending: those whose outcome has not arrived.
        input_tokens, output_tokens: those that are known, or estimated.
        cost_nano_usd: exact sum, in 1e-9 USD, of the attempts whose cost is known.
        estimated: attempts whose tokens were estimated.
        unpriced: attempts that reached the provider and whose cost is not known.
        timed: attempts that `milliseconds` are the sum of.
        milliseconds: of the successes; from a database also of the failures that say something about the model.
        success_tokens: of the output of the successes, generated in `generation_ms`.
        generation_ms: of the successes.
        local: whether the provider is local.
        errors: failures by kind.
    """

    attempts: int = 0
    successes: int = 0
    blameless: int = 0
    pending: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_nano_usd: int = 0
    estimated: int = 0
    unpriced: int = 0
    timed: int = 0
    milliseconds: int = 0
    success_tokens: int = 0
    generation_ms: int = 0
    local: bool = False
    errors: Counter[str] = field(default_factory=Counter)

    @property
    def judged(self) -> int:
        """Attempts that say something about the model."""
        return self.attempts - self.blameless - self.pending

    def add(self, other: "UsageSum") -> None:
        """Add another sum."""
        for name in _NUMBERS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.local = self.local or other.local
        self.errors.update(other.errors)


@dataclass(slots=True)
class RequestSum:
    """Sums of requests.

    Attributes:
        requests: all of them.
        failures: those without an answer.
        escalated: answered by a paid provider after a local model had failed, or because local models had failed before.
        simple_paid: simple tasks that a provider answered that is not local.
    """

    requests: int = 0
    failures: int = 0
    escalated: int = 0
    simple_paid: int = 0


class UsageRecords:
    """The sums of one process. Thread-safe."""

    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._sums: OrderedDict[UsageKey, UsageSum] = OrderedDict()
        self._times: OrderedDict[str, deque[int]] = OrderedDict()
        self._days: set[date] = set()
        self._requests = RequestSum()
        watch_forks(self, before=lambda _: None, in_child=UsageRecords._after_fork)

    def add_attempt(self, attempt: Attempt, task_type: str | None, *, local: bool) -> None:
        """Add one attempt."""
        model = attempt.call.target.model
        sum_ = UsageSum(attempts=1, local=local)
        if attempt.outcome == "success":
            sum_.successes = sum_.timed = 1
            sum_.milliseconds = sum_.generation_ms = attempt.response_time_ms or 0
        else:
            sum_.errors[attempt.error_kind or "provider"] = 1
            sum_.blameless = int(attempt.error_kind in BLAMELESS_ERROR_KINDS)
        if (usage := attempt.usage) is not None:
            sum_.input_tokens, sum_.output_tokens = usage.input_tokens or 0, usage.output_tokens or 0
            sum_.estimated = int(attempt.usage_estimated)
            sum_.success_tokens = sum_.successes * sum_.output_tokens
            sum_.unpriced = int(attempt.cost.nano_usd is None)
        sum_.cost_nano_usd = attempt.cost.nano_usd or 0
        with self._lock:
            key = UsageKey(self.today(), model.name, model.provider, task_type or "unknown")
            self._add(key, sum_)
            if attempt.outcome == "success" and attempt.response_time_ms is not None:
                times = self._times.setdefault(model.name, deque(maxlen=_NEWEST_TIMES))
                times.append(attempt.response_time_ms)
                if len(self._times) > _MOST_KEYS:
                    self._times.popitem(last=False)

    def add_request(self, *, success: bool, escalated: bool, simple_paid: bool) -> None:
        """Add one request that has ended."""
        with self._lock:
            sum_ = self._requests
            sum_.requests += 1
            sum_.failures += not success
            sum_.escalated += escalated
            sum_.simple_paid += simple_paid

    def sums(self) -> dict[UsageKey, UsageSum]:
        """Return a copy of the sums."""
        with self._lock:
            copied: dict[UsageKey, UsageSum] = {}
            for key, sum_ in self._sums.items():
                copied[key] = UsageSum()
                copied[key].add(sum_)
            return copied

    def requests(self) -> RequestSum:
        """Return a copy of the sums of requests."""
        with self._lock:
            own = self._requests
            return RequestSum(own.requests, own.failures, own.escalated, own.simple_paid)

    def times(self, model: str) -> list[int]:
        """Return the newest response times of a model, in milliseconds."""
        with self._lock:
            return list(self._times.get(model, ()))

    def today(self) -> date:
        """Return the current day in UTC."""
        return self._now().date()

    def _after_fork(self) -> None:
        """Begin with empty sums in the child of a fork: its parent reports those before it."""
        self._lock = threading.Lock()
        self._sums, self._times, self._days, self._requests = OrderedDict(), OrderedDict(), set(), RequestSum()

    def _add(self, key: UsageKey, sum_: UsageSum) -> None:
        """Add to a group. With too many groups, those of one day become one, so that no cost is lost."""
        if key not in self._sums and len(self._sums) >= _MOST_KEYS:
            key = UsageKey(key.day, _OTHER, _OTHER, _OTHER)
        known = self._sums.get(key)
        if known is None:
            self._sums[key] = sum_
            if key.day not in self._days:
                self._days.add(key.day)
                self._forget_old_days()
        else:
            known.add(sum_)

    def _forget_old_days(self) -> None:
        while len(self._days) > _MOST_DAYS:
            oldest = min(self._days)
            self._days.remove(oldest)
            for key in [each for each in self._sums if each.day == oldest]:
                del self._sums[key]


#: The sums of every client of this process that has none of its own.
PROCESS_RECORDS: Final = UsageRecords()
