"""The dialects that are installed: the built-in ones, and those of other packages by entry point."""

from functools import cache
from importlib.metadata import entry_points
from typing import Final

from instance_agent.providers.anthropic.dialect import AnthropicDialect
from instance_agent.providers.dialect import Dialect
from instance_agent.providers.gemini.dialect import GeminiDialect
from instance_agent.providers.openai.dialect import OpenAIDialect

ENTRY_POINT_GROUP: Final = "instance_agent.dialects"
BUILT_IN: Final[dict[str, Dialect]] = {
    each.name: each for each in (OpenAIDialect(), AnthropicDialect(), GeminiDialect())
}


class UnknownDialectError(Exception):
    """A dialect that is not installed, or that cannot be loaded."""


@cache
def dialect(name: str) -> Dialect:
    """Return a dialect by name; raise UnknownDialectError where it is not installed. Built-in names cannot be replaced."""
    built_in = BUILT_IN.get(name)
    if built_in is not None:
        return built_in
    found = entry_points(group=ENTRY_POINT_GROUP)
    if name not in found.names:
        known = ", ".join(sorted({*BUILT_IN, *found.names}))
        raise UnknownDialectError(f"found the dialect {name!r}, expected one of {known}")
    try:
        loaded = found[name].load()
    except Exception as error:
        raise UnknownDialectError(f"the dialect {name!r} cannot be loaded: {error}") from error
    missing = [
        each for each in ("name", "client_protocol", "chat", "read_answer", "read_error") if not hasattr(loaded, each)
    ]
    if missing:
        raise UnknownDialectError(f"the dialect {name!r} has no {', '.join(missing)}, expected an instance of Dialect")
    return loaded  # type: ignore[no-any-return]
