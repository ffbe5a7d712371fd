"""A limit for a rate that allows short bursts: the token bucket."""

from typing import Final


class TokenBucket:
    """Limits how often something happens: `burst` times at once, and `per_second` times a second in the long run.

    Not thread-safe. The caller passes the time, and waits by itself.
    """

    def __init__(self, *, per_second: float, burst: int) -> None:
        """Create a full bucket.

        Args:
            per_second: tokens that are added each second, more than 0.
            burst: most tokens that the bucket holds, 1 or more.
        """
        self._per_second: Final = per_second
        self._burst: Final = burst
        self._tokens: float = burst
        self._counted_at: float | None = None

    def take(self, now: float) -> float:
        """Take one token; return the seconds to wait until it is there, 0.0 if it is there already.

        Args:
            now: seconds of a clock that never goes back (`time.monotonic`).
        """
        if self._counted_at is not None:
            self._tokens = min(self._burst, self._tokens + (now - self._counted_at) * self._per_second)
        self._counted_at = now
        self._tokens -= 1
        return max(0.0, -self._tokens / self._per_second)
