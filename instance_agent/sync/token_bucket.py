"""A token bucket: limits how often something happens, and allows a short burst. Pure arithmetic."""


class TokenBucket:
    """Holds up to `burst` tokens, and gains `per_second` of them in a second. For one thread."""

    def __init__(self, *, per_second: float, burst: int) -> None:
        """Create a full bucket; both numbers are above 0."""
        self._per_second = per_second
        self._burst = burst
        self._tokens = float(burst)
        self._at: float | None = None

    def take(self, now: float) -> None:
        """Take a token, if there is one, at `now` in seconds of `time.monotonic`."""
        self._tokens = max(0.0, self._available(now) - 1)
        self._at = now

    def seconds_until_token(self, now: float) -> float:
        """Return how long it takes until there is a token; 0 when there is one."""
        return max(0.0, 1 - self._available(now)) / self._per_second

    def _available(self, now: float) -> float:
        elapsed = 0.0 if self._at is None else max(0.0, now - self._at)
        return min(float(self._burst), self._tokens + elapsed * self._per_second)
