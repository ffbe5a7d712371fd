"""The size of the next batch: bounded in messages and in bytes, and adapted to the messages and to failures. Pure."""

from typing import Final, NamedTuple

from centralcloud.contracts.limits import MAX_MESSAGE_BYTES

#: Most bytes of all messages that one process holds at a time, as text. An ordinary event has 350 to 500 bytes, so batches
#: of them have their full number of messages. In all their forms (text, objects, rows), these bytes take about 90 MB.
DEFAULT_BATCH_BYTES: Final = 16 * 2**20
#: Batches of full size, after a failure, before the size grows again: growing at once would fail again, for ever.
_BATCHES_BEFORE_GROWTH: Final = 8


class BatchLimits(NamedTuple):
    """Most messages of one batch, and most bytes of their texts in UTF-8."""

    messages: int
    bytes: int = DEFAULT_BATCH_BYTES

    def share(self, consumers: int) -> "BatchLimits":
        """Return the limits of each of several consumers of one process. Every share has room for the largest message."""
        return self._replace(bytes=max(self.bytes // consumers, MAX_MESSAGE_BYTES))


class BatchSize:
    """The limits of a consumer's next batch.

    Full batches double the number of messages, up to the most. A batch that failed (its time was over, or the memory) halves
    it, and it stays there for a while. The number never exceeds what fits into the bytes if the next messages are as long as
    the last ones: messages beyond the bytes would be locked, and hidden from other consumers, for nothing.
    """

    def __init__(self, most: BatchLimits) -> None:
        self._most = most
        self._messages = most.messages
        self._full_batches_to_wait = 0

    @property
    def most(self) -> BatchLimits:
        """The largest batch."""
        return self._most

    @property
    def next(self) -> BatchLimits:
        """The limits of the next batch."""
        return BatchLimits(self._messages, self._most.bytes)

    def ingested(self, *, found: int, messages: int, size_bytes: int) -> None:
        """Adapt to a batch that was ingested.

        Args:
            found: how many messages were visible, at most those of `next`.
            messages: how many of them the batch had; fewer if the others had too many bytes.
            size_bytes: the size of those messages.
        """
        if messages < found:
            self._messages = min(max(1, 2 * messages), self._messages)
        elif found >= self._messages:
            if self._full_batches_to_wait:
                self._full_batches_to_wait -= 1
            else:
                self._messages = min(2 * self._messages, self._most.messages)
        if size_bytes:
            self._messages = min(self._messages, max(1, self._most.bytes * messages // size_bytes))

    def exceeded(self, *, messages: int, size_bytes: int) -> None:
        """Adapt to a batch that had too many bytes: it was rolled back."""
        self.failed(most_messages=messages * self._most.bytes // size_bytes)

    def failed(self, *, most_messages: int | None = None) -> None:
        """Adapt to a batch that failed: halve the number of messages, or reduce it to `most_messages`."""
        self._messages = max(1, min(self._messages, self._messages // 2 if most_messages is None else most_messages))
        self._full_batches_to_wait = _BATCHES_BEFORE_GROWTH
