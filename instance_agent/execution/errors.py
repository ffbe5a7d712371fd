"""Errors of a whole request, after its last attempt."""

from collections.abc import Sequence
from typing import Any

from instance_agent.chat.errors import ChatError
from instance_agent.execution.breakers import Unavailable
from instance_agent.providers.errors import ProviderError, Retry


class ExecutionError(ChatError):
    """A request that failed.

    Attributes:
        attempts: that were made.
        retry_after_seconds: when the first target of the plan may be called again; None when not known.
        retry_is_safe: whether a client's own retry can help, and cannot pay twice: `x-should-retry` for its library.
        cause: the error of the last attempt, None when none was made.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int,
        attempts: int,
        retry_after_seconds: float | None,
        retry_is_safe: bool,
        code: str | None = None,
        cause: ChatError | None = None,
    ) -> None:
        kind = cause.error_kind if cause else "provider"
        super().__init__(message, error_kind=kind, status=status, code=code)
        self.attempts = attempts
        self.retry_after_seconds = retry_after_seconds
        self.retry_is_safe = retry_is_safe
        self.cause = cause


class PaymentRefusedError(ChatError):
    """A call that was not made: a limit of its caller does not allow what it may cost.

    Attributes:
        retry_after_seconds: when the limit may allow it; None when not known.
        remedy: of the payer, for another plan; None: no plan helps.
    """

    def __init__(
        self, message: str, *, status: int, code: str, retry_after_seconds: float | None = None, remedy: Any = None
    ) -> None:
        super().__init__(message, error_kind="caller", status=status, code=code)
        self.retry_after_seconds = retry_after_seconds
        self.remedy = remedy


def with_attempts(error: ChatError, attempts: int, soonest: float | None) -> ExecutionError:
    """Return the error of a request whose last attempt failed with `error`."""
    retry = error.retry if isinstance(error, ProviderError) else None
    retry_after = None
    if retry is Retry.REFUSED:
        own = error.retry_after_seconds if isinstance(error, ProviderError) else None
        # 0 means that another target may be called at once; the client then decides itself.
        retry_after = own if soonest is None else soonest if soonest > 0 else None
    return ExecutionError(
        error.message if attempts == 1 else f"{error.message} (attempt {attempts} of this request)",
        status=error.status,
        attempts=attempts,
        retry_after_seconds=retry_after,
        retry_is_safe=retry is Retry.REFUSED,
        code=error.code,
        cause=error,
    )


def no_target(reasons: Sequence[tuple[str, Unavailable | None]], soonest: float | None) -> ExecutionError:
    """Return the error of a request none of whose targets may be called now.

    429 when every one of them waits because its provider asked for it, else 503.
    """
    cooling = bool(reasons) and all(found is not None and found.state == "cooling" for _, found in reasons)
    named = "; ".join(f"{key}: {found.reason if found else 'busy'}" for key, found in reasons[:3])
    more = f"; and {len(reasons) - 3} more" if len(reasons) > 3 else ""
    return ExecutionError(
        f"no target is available ({named}{more})" if reasons else "the plan has no target",
        status=429 if cooling else 503,
        attempts=0,
        retry_after_seconds=None if soonest is None else max(soonest, 1.0),
        retry_is_safe=soonest is not None,
        code="no_target_available",
    )
