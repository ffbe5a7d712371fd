"""Keys of values that travel with a request."""

from typing import Any

from aiohttp import web


def request_key(name: str, kind: type[Any]) -> Any:
    """Return a key for a value of a request. aiohttp 3.14 warns of keys that are text, on standard error."""
    key = getattr(web, "RequestKey", None)
    return name if key is None else key(name, kind)
