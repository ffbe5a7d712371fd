"""Errors of a chat: the caller's, and those that a stream carries."""

from typing import Literal, TypeAlias

ErrorKind: TypeAlias = Literal["provider", "timeout", "policy", "caller"]
"""Whose failure it is, as `error_kind` of routing events; ``policy`` and ``caller`` do not count against the model."""


class ChatError(Exception):
    """An error with a message for the client, free of keys.

    Attributes:
        error_kind: as in routing events.
        message: one line.
        status: the HTTP status that fits, 400 to 599.
        code: a word for programs, such as ``context_length_exceeded``; None when there is none.
    """

    def __init__(self, message: str, *, error_kind: ErrorKind, status: int, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.error_kind: ErrorKind = error_kind
        self.status = status
        self.code = code


class InvalidRequestError(ChatError):
    """The client's request breaks its protocol: what was found, where, what was expected. `param` is the field."""

    def __init__(self, message: str, *, param: str | None = None) -> None:
        super().__init__(message, error_kind="caller", status=400, code="invalid_request")
        self.param = param


class UnsupportedFeatureError(ChatError):
    """The request needs a feature without an equivalent where it would go; another target may have it.

    Attributes:
        feature: the field or value, such as ``n`` or ``input_audio``.
        target: the protocol that lacks it, such as ``gemini``, or ``a translated chat`` for the neutral form.
    """

    def __init__(self, feature: str, target: str) -> None:
        super().__init__(
            f"found {feature}, which has no equivalent in {target}", error_kind="caller", status=400, code="unsupported"
        )
        self.feature = feature
        self.target = target
