"""Counting the tokens of a request: an operation that costs nothing, and is not worth a long wait."""

import asyncio
from collections.abc import Sequence
from typing import Final

from instance_agent.chat.errors import UnsupportedFeatureError
from instance_agent.execution.breakers import Breakers
from instance_agent.execution.planned import PlannedCall
from instance_agent.execution.request import ExecutionRequest
from instance_agent.providers.calls import ProviderCalls
from instance_agent.providers.errors import ProviderError

#: For all targets together; clients count before they send, and an estimate is at hand.
COUNT_SECONDS: Final = 10.0


async def count_tokens(
    calls: ProviderCalls,
    breakers: Breakers,
    plan: Sequence[PlannedCall],
    request: ExecutionRequest,
    *,
    most: int,
    seconds: float = COUNT_SECONDS,
) -> tuple[PlannedCall, int] | None:
    """Return the first target that counts, and its count; None when none does in time.

    Targets that no call may reach now are passed over, and so are those whose protocol does not count.

    Args:
        most: targets that are asked.
        seconds: for all of them together.

    Raises:
        InvalidRequestError: the request breaks its protocol.
    """
    now = asyncio.get_running_loop().time()
    asked = 0
    try:
        chat = request.chat()
        async with asyncio.timeout_at(now + seconds):
            for call in plan:
                target = call.target
                if asked >= most:
                    break
                if breakers.unavailable(target, now) is not None:
                    continue
                try:
                    asked += 1
                    return call, await calls.count_tokens(target.upstream, chat, target.sent_as)
                except UnsupportedFeatureError:
                    asked -= 1
                except ProviderError:
                    continue
    except (TimeoutError, UnsupportedFeatureError):
        return None
    return None
