"""Lists of models: the call and the answer are the same in every dialect, but for a few words."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Protocol, TypeVar
from urllib.parse import quote, urlencode

import msgspec

from instance_agent.providers.classification import unreadable
from instance_agent.providers.dialect import HttpCall, ModelEntry, ModelPage
from instance_agent.providers.errors import ProviderError
from instance_agent.providers.upstream import Upstream

#: Models of a page: as many as providers allow.
PAGE_SIZE: Final = 1000


class WireModels(Protocol):
    """The body of a list of models, or of an error."""

    error: Any


_Wire = TypeVar("_Wire", bound=WireModels)


def list_call(
    upstream: Upstream, headers: Mapping[str, str], size_field: str | None = None, **page: str | None
) -> HttpCall:
    """Return the call that lists a page of the models.

    Args:
        size_field: the parameter for the size of a page; None: there are no pages.
        page: the parameter for the page, and its value; None: the first page.
    """
    query: dict[str, str | int] = {size_field: PAGE_SIZE} if size_field else {}
    query |= {name: value for name, value in page.items() if value is not None}
    address = upstream.url("/models")
    if query:
        address += ("&" if "?" in address else "?") + urlencode(query, quote_via=quote, safe="")
    return HttpCall(method="GET", url=address, headers=headers)


def read_page(
    upstream: Upstream,
    body: bytes,
    decoder: msgspec.json.Decoder[_Wire],
    error_in_answer: Callable[[Upstream, Any], ProviderError],
    entries: Callable[[_Wire], Iterable[ModelEntry]],
    next_page: Callable[[_Wire], str | None] = lambda _: None,
) -> ModelPage:
    """Read a 200 answer; raise ProviderError for an error in it, or for a body that is not a list of models."""
    try:
        wire = decoder.decode(body)
    except (ValueError, RecursionError):
        raise unreadable(upstream, "a body that is not a list of models") from None
    if wire.error:
        raise error_in_answer(upstream, wire.error)
    return ModelPage(tuple(entries(wire)), next_page(wire))
