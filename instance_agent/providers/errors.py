"""Errors of providers, and whether a request may be tried again after one."""

from enum import StrEnum

from instance_agent.chat.errors import ChatError, ErrorKind


class Retry(StrEnum):
    """May the request be tried again? The classes of docs/reference/provider-errors.md."""

    REFUSED = "refused"
    """The provider did not run the request: it may be tried again, here or elsewhere."""
    UNCERTAIN = "uncertain"
    """The provider may have run it, and may bill it: once at another target, never at this one."""
    BEGUN = "begun"
    """Part of the answer was already read: never."""
    CALLER = "caller"
    """The request is at fault: never, and nowhere."""
    POLICY = "policy"
    """A content filter refused it: never."""
    SETUP = "setup"
    """The key, the account or the name of the model is wrong at this provider: never here until an operator has fixed it."""


class ProviderError(ChatError):
    """A failed call of a provider.

    Attributes:
        message: one line, without keys. It may hold the provider's own words, which may quote the prompt: it is for the
            client of this request and for nothing else.
        summary: the same without the provider's own words, for logs, breakers and everything that others may read.
        status: for the client: 429 and 4xx of the caller's making as they are, 504 for a time limit, else 502.
        provider: name of the upstream.
        retry: whether the request may be tried again.
        upstream_status: the provider's HTTP status; None without an answer.
        retry_after_seconds: how long the provider asks to wait, 0 or more; None when it does not say.
        code: the provider's own word, such as ``rate_limit_exceeded``.
        phase: the time limit that ended the call: connect, first_byte, idle or total.
    """

    def __init__(
        self,
        message: str,
        *,
        provider: str,
        error_kind: ErrorKind,
        retry: Retry,
        status: int = 502,
        upstream_status: int | None = None,
        retry_after_seconds: float | None = None,
        code: str | None = None,
        phase: str | None = None,
        summary: str | None = None,
    ) -> None:
        """Create it; without a `summary`, that is the provider and its status alone."""
        super().__init__(message, error_kind=error_kind, status=status, code=code)
        answer = "no answer" if upstream_status is None else f"HTTP {upstream_status}"
        self.summary = summary or f"{provider}: {answer}"
        self.provider = provider
        self.retry = retry
        self.upstream_status = upstream_status
        self.retry_after_seconds = retry_after_seconds
        self.phase = phase

    def after_first_byte(self) -> "ProviderError":
        """Return this error as one in the midst of an answer: never tried again."""
        return ProviderError(
            self.message,
            provider=self.provider,
            error_kind=self.error_kind,
            retry=self.retry if self.retry in (Retry.CALLER, Retry.POLICY) else Retry.BEGUN,
            status=self.status,
            upstream_status=self.upstream_status,
            retry_after_seconds=self.retry_after_seconds,
            code=self.code,
            phase=self.phase,
            summary=self.summary,
        )
