"""Usage as OpenAI's operations report it: Responses and Chat Completions have other names for the same numbers. Pure."""

from typing import Any

from msgspec import Struct, field

from instance_agent.chat.answers import Usage
from instance_agent.providers.numbers import known_usage, nano_usd, token_count


class _Details(Struct):
    cached_tokens: Any = None
    cache_write_tokens: Any = None
    reasoning_tokens: Any = None


class ResponsesUsage(Struct):
    """Usage in the names of Responses."""

    input_tokens: Any = None
    output_tokens: Any = None
    input_tokens_details: _Details | None = None
    output_tokens_details: _Details | None = None
    cost: Any = None


class ChatUsage(ResponsesUsage):
    """Usage in the names of Chat Completions."""

    input_tokens: Any = field(default=None, name="prompt_tokens")
    output_tokens: Any = field(default=None, name="completion_tokens")
    input_tokens_details: _Details | None = field(default=None, name="prompt_tokens_details")
    output_tokens_details: _Details | None = field(default=None, name="completion_tokens_details")


def read_usage(wire: ResponsesUsage | None) -> Usage | None:
    """Return the usage that was reported, or None."""
    if wire is None:
        return None
    read, written = wire.input_tokens_details, wire.output_tokens_details
    return known_usage(
        Usage(
            input_tokens=token_count(wire.input_tokens),
            output_tokens=token_count(wire.output_tokens),
            cached_tokens=token_count(read.cached_tokens) if read else None,
            cache_write_tokens=token_count(read.cache_write_tokens) if read else None,
            reasoning_tokens=token_count(written.reasoning_tokens) if written else None,
            cost_nano_usd=nano_usd(wire.cost),
        )
    )
