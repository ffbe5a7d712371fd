"""Hooks: code of other packages that sees each request of a model before its call, and each answer after it.

A package names a hook by an entry point of the group ``instance_agent.hooks``: a class or function that is called once, at
the start of the gateway, without arguments, and returns the hook. A hook has one of the two methods of `Hook`, or both.
"""

from collections.abc import Mapping
from typing import Any, Final, Protocol, TypeAlias

from msgspec import Struct

#: Group of the entry points.
ENTRY_POINT_GROUP: Final = "instance_agent.hooks"

#: A value of a label: a text of at most 200 characters, a number or a boolean.
LabelValue: TypeAlias = str | int | float | bool


class HookRequest(Struct, frozen=True, kw_only=True):
    """A request, as hooks see it. Immutable.

    Attributes:
        request_id: of this request, as in headers and events.
        path: such as ``/v1/chat/completions``.
        model: as the client wrote it; None: its body does not say.
        stream: whether the answer is a stream.
        headers: of the client, with names in lower case, and without keys, tokens and cookies.
        body: the JSON that the client sent, as the hooks before this one have changed it.
        key_id, role, workspace, user_id: of the principal; None: none.
    """

    request_id: str
    path: str
    model: str | None
    stream: bool
    headers: Mapping[str, str]
    body: bytes
    key_id: str | None = None
    role: str | None = None
    workspace: str | None = None
    user_id: str | None = None

    def __repr__(self) -> str:
        """Return a text without the body and the headers: it may be logged."""
        return f"HookRequest({self.request_id!r}, {self.path!r}, model={self.model!r}, {len(self.body)} bytes)"


class HookAnswer(Struct, frozen=True, kw_only=True):
    """The answer to a request, as hooks see it. Immutable. An error is not one.

    Attributes:
        status: of HTTP.
        model, provider: that answered; None: not known.
        body: of a whole answer; None: it was a stream, and its client has it already.
        seconds: from the begin of the request.
    """

    status: int
    model: str | None
    provider: str | None
    body: bytes | None
    seconds: float

    def __repr__(self) -> str:
        """Return a text without the body: it may be logged."""
        return f"HookAnswer({self.status}, model={self.model!r}, provider={self.provider!r})"


class Change(Struct, frozen=True, kw_only=True):
    """A change of a request or an answer.

    Attributes:
        body: in place of the one before; None: it stays.
        labels: for the events of the request, at most 20 of all hooks; `before` alone may give any.
    """

    body: bytes | None = None
    labels: Mapping[str, LabelValue] = {}


class Refusal(Struct, frozen=True, kw_only=True):
    """The end of a request: its client gets an error.

    Attributes:
        message: for the client, at most 500 characters.
        status: of HTTP, 400 to 499.
    """

    message: str
    status: int = 403


#: None: nothing.
HookResult: TypeAlias = Change | Refusal | None


class Hook(Protocol):
    """A hook. Its methods run in the event loop of the gateway: they must not block it."""

    async def before(self, request: HookRequest) -> HookResult:
        """Look at a request before its model is chosen."""

    async def after(self, request: HookRequest, answer: HookAnswer) -> HookResult:
        """Look at an answer before its client gets it; at a stream after its end, which nothing can change any more."""


#: For annotations of code that has any hook, whichever methods it has.
AnyHook: TypeAlias = Any
