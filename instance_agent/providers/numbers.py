"""Numbers of usage as providers send them: some send texts, fractions or nonsense.

An implausible number is unknown: it never becomes money, and never an exception.
"""

from typing import Any, Final

from msgspec import structs

from instance_agent.chat.answers import Usage

#: Ten times the longest context of a model (10 million tokens, Llama 4 Scout).
MOST_TOKENS: Final = 100_000_000
#: The price of one call, in USD: several times the longest prompt at the highest price of a provider.
MOST_USD: Final = 10_000


def token_count(value: Any) -> int | None:
    """Return a count of tokens, None unless it is a whole number of 0 to `MOST_TOKENS`."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MOST_TOKENS:
        return None
    return int(value) if value == int(value) else None


def nano_usd(value: Any) -> int | None:
    """Return a price in USD as nano-USD, None unless it is a number of 0 to `MOST_USD`."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MOST_USD:
        return None
    return round(value * 1_000_000_000)


def known_usage(usage: Usage) -> Usage | None:
    """Return `usage`, or None where it says nothing.

    A prompt has at least one token, so 0 means that the service did not count, and is unknown here.
    """
    if usage.input_tokens == 0:
        usage = structs.replace(usage, input_tokens=None)
    if usage.input_tokens is None and not usage.output_tokens and not usage.cost_nano_usd:
        return None
    return usage
