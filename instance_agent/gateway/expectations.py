"""The expected time and cost of an attempt: from its target's prices, and from the last answers of the same target."""

from collections import OrderedDict
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


class Expected(Struct, frozen=True):
    """The expectation for one attempt; None where nothing is known.

    Attributes:
        milliseconds: to the end of the answer.
        cost_usd: of the estimated tokens of the prompt, and of as many tokens of an answer as the target writes on average.
    """

    milliseconds: int | None = None
    cost_usd: float | None = None


class _Average:
    """Moving averages of the answers of one target."""

    __slots__ = ("milliseconds", "output_tokens")

    def __init__(self) -> None:
        self.milliseconds: float | None = None
        self.output_tokens: float | None = None


class Expectations:
    """Remembers how long the targets of this replica took, and how much they wrote. For the event loop."""

    def __init__(self) -> None:
        self._averages: OrderedDict[str, _Average] = OrderedDict()

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
        key = attempt.call.target.key
        average = self._averages.get(key)
        if average is None:
            average = self._averages[key] = _Average()
            if len(self._averages) > _MOST_TARGETS:
                self._averages.popitem(last=False)
        else:
            self._averages.move_to_end(key)
        average.milliseconds = _moved(average.milliseconds, attempt.response_time_ms)
        if attempt.usage is not None and not attempt.usage_estimated:
            average.output_tokens = _moved(average.output_tokens, attempt.usage.output_tokens)

    def latencies(self) -> dict[str, float]:
        """Return the usual time of a whole answer in milliseconds, by the key of the target."""
        return {
            key: average.milliseconds for key, average in self._averages.items() if average.milliseconds is not None
        }

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


def _cost(target: CallTarget, input_tokens: int, output_tokens: int | None) -> float | None:
    if input_tokens <= 0:  # not known
        return None
    nano = cost_of(Usage(input_tokens=input_tokens, output_tokens=output_tokens), target.prices).nano_usd
    return None if nano is None else nano / NANO
