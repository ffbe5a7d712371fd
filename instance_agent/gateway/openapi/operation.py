"""One operation of the gateway, as the OpenAPI document describes it."""

from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct

#: In the description of each operation that changes or exports what counts for the whole fleet.
OF_FLEET: Final = "A key of a workspace may not."
_NOTHING: Final[Mapping[str, str]] = {}


class Operation(Struct, frozen=True, kw_only=True):
    """One operation.

    Attributes:
        tag: its group.
        summary, text: what it does.
        role: that a key needs at least; None: no key is needed.
        body, answer: names of schemas; None: none, or text.
        created: whether it answers 201 in place of `status` for an entry that is new.
        errors: statuses of its own errors.
        streams: the answer may be a stream of events.
    """

    tag: str
    summary: str
    role: str | None
    text: str = ""
    body: str | None = None
    example: Any = None
    answer: str | None = None
    answer_text: str = "The answer."
    status: str = "200"
    created: bool = False
    media_type: str = "application/json"
    errors: tuple[str, ...] = ()
    query: Mapping[str, str] = _NOTHING
    headers: Mapping[str, str] = _NOTHING
    streams: bool = False
