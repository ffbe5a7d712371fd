"""The expected time and cost of an attempt: from its target's prices, and from the last answers of the same target."""

import math
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from typing import Final

from msgspec import Struct

from instance_agent.chat.answers import Usage
from instance_agent.execution.attempts import Attempt
from instance_agent.execution.cost import NANO, cost_of
from instance_agent.execution.targets import CallTarget
from instance_agent.gateway.context import RequestContext

#: Targets that are remembered; those that answered longest ago are dropped.
_MOST_TARGETS: Final = 1000
#: Weight of the newest answer in the moving averages: about the last 20 answers count.
_WEIGHT: Final = 0.1
#: Answers of a target that its quantiles are made of, and the fewest.
_ANSWERS: Final = 100
_FEWEST: Final = 20
#: Answers of all targets together, for limits that do not depend on the target.
_ANSWERS_OF_ALL: Final = 1000
#: Without an answer for so long, nothing is known of a target any more: one that was too slow is tried again.
_FORGOTTEN_SECONDS: Final = 600.0
_QUANTILE: Final = 0.95


class Expected(Struct, frozen=True):
    """The expectation for one attempt; None where nothing is known.

    Attributes:
        milliseconds: to the end of the answer.
        cost_usd: of the estimated tokens of the prompt, and of as many tokens of an answer as the target writes on average.
    """

    milliseconds: int | None = None
    cost_usd: float | None = None


class Measured(Struct, frozen=True):
    """The answers of late. Targets without an answer within ten minutes are left out.

    Attributes:
        latency_ms: time of a whole answer in milliseconds, by the key of the target: at most this in 95% of the last 100;
            with fewer than 20 answers their mean.
        output_tokens: tokens of an answer, likewise, rounded up to two digits; only with 20 answers.
        all_output_tokens: of the answers of all targets together, likewise; None: there are fewer than 20.
    """

    latency_ms: dict[str, float]
    output_tokens: dict[str, int]
    all_output_tokens: int | None = None


class _Average:
    """Moving averages of the answers of one target, and the last ones."""

    __slots__ = ("answered_at", "milliseconds", "output_tokens", "times", "tokens")

    def __init__(self) -> None:
        self.milliseconds: float | None = None
        self.output_tokens: float | None = None
        self.answered_at = 0.0
        self.times: deque[int] = deque(maxlen=_ANSWERS)
        self.tokens: deque[int] = deque(maxlen=_ANSWERS)


class Expectations:
    """Remembers how long the targets of this replica took, and how much they wrote. For the event loop."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Create it; `clock` returns seconds that only grow."""
        self._clock = clock
        self._averages: OrderedDict[str, _Average] = OrderedDict()
        self._all_tokens: deque[int] = deque(maxlen=_ANSWERS_OF_ALL)

    def of(self, target: CallTarget, context: RequestContext) -> Expected:
        """Return the expectation for a call of `target`, before its outcome is learned."""
        routing, average = context.routing, self._averages.get(target.key)
        milliseconds = average.milliseconds if average is not None else None
        return Expected(
            None if milliseconds is None else round(milliseconds),
            None if routing is None else _cost(target, routing.input_tokens, self._output_tokens(average, context)),
        )

    def learn(self, attempt: Attempt) -> None:
        """Learn from an answer; failures say nothing about the next one."""
        if attempt.outcome != "success":
            return
        key, now = attempt.call.target.key, self._clock()
        average = self._averages.get(key)
        if average is not None and now - average.answered_at > _FORGOTTEN_SECONDS:
            del self._averages[key]
            average = None
        if average is None:
            average = self._averages[key] = _Average()
            if len(self._averages) > _MOST_TARGETS:
                self._averages.popitem(last=False)
        else:
            self._averages.move_to_end(key)
        average.answered_at = now
        average.milliseconds = _moved(average.milliseconds, attempt.response_time_ms)
        if attempt.response_time_ms is not None:
            average.times.append(attempt.response_time_ms)
        if attempt.usage is not None and not attempt.usage_estimated:
            tokens = attempt.usage.output_tokens
            average.output_tokens = _moved(average.output_tokens, tokens)
            if tokens:  # embeddings have none
                average.tokens.append(tokens)
                self._all_tokens.append(tokens)

    def measured(self) -> Measured:
        """Return what the answers of late say about the next ones."""
        since = self._clock() - _FORGOTTEN_SECONDS
        late = {key: average for key, average in self._averages.items() if average.answered_at >= since}
        latency = {
            key: average.milliseconds if (most := _quantile(average.times)) is None else float(most)
            for key, average in late.items()
            if average.milliseconds is not None
        }
        tokens = {key: _rounded(most) for key, each in late.items() if (most := _quantile(each.tokens)) is not None}
        most = _quantile(self._all_tokens)
        return Measured(latency, tokens, None if most is None else _rounded(most))

    @staticmethod
    def _output_tokens(average: _Average | None, context: RequestContext) -> int | None:
        routing = context.routing
        if routing is not None and routing.model_type == "embedding":
            return 0
        if average is None or average.output_tokens is None:
            return None
        most = context.head.max_output_tokens if context.head is not None else None
        tokens = round(average.output_tokens)
        return tokens if most is None else min(tokens, most)


def _moved(before: float | None, newest: int | None) -> float | None:
    if newest is None:
        return before
    return float(newest) if before is None else before + _WEIGHT * (newest - before)


def _quantile(values: Sequence[int]) -> int | None:
    """Return the number that 95% of the values do not pass; None: there are too few."""
    if len(values) < _FEWEST:
        return None
    return sorted(values)[math.ceil(_QUANTILE * len(values)) - 1]


def _rounded(number: int) -> int:
    """Round a number up to two digits: plans are made anew where it changes."""
    unit: int = 10 ** max(0, len(str(number)) - 2)
    return -(-number // unit) * unit


def _cost(target: CallTarget, input_tokens: int, output_tokens: int | None) -> float | None:
    if input_tokens <= 0:  # not known
        return None
    nano = cost_of(Usage(input_tokens=input_tokens, output_tokens=output_tokens), target.prices).nano_usd
    return None if nano is None else nano / NANO
