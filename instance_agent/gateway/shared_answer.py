"""A whole answer as its client gets it, and so does every request that was sent again with the same id."""

from collections.abc import Mapping

from msgspec import Struct


class SharedAnswer(Struct, frozen=True, kw_only=True):
    """An answer with its headers.

    Attributes:
        model, provider: that answered.
        request_id: of the request that was executed: its records have it.
    """

    body: bytes
    headers: Mapping[str, str]
    model: str | None
    provider: str | None
    request_id: str
