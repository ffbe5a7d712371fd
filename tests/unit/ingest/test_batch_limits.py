"""The size of the next batch: it follows the size of the messages, and does not grow at once after a failure."""

from centralcloud.contracts.limits import MAX_MESSAGE_BYTES
from centralcloud.ingest.batch_limits import BatchLimits, BatchSize


def after_full_batches(size: BatchSize, count: int, *, message_bytes: int = 400) -> int:
    for _ in range(count):
        messages = size.next.messages
        size.ingested(found=messages, messages=messages, size_bytes=messages * message_bytes)
    return size.next.messages


def test_a_batch_that_failed_is_repeated_with_half_of_it_and_grows_after_eight_full_ones() -> None:
    size = BatchSize(BatchLimits(1000, 10**7))
    size.failed()
    assert size.next.messages == 500
    assert after_full_batches(size, 8) == 500
    assert after_full_batches(size, 1) == 1000
    assert after_full_batches(size, 9) == 1000


def test_batches_that_are_not_full_prove_nothing() -> None:
    size = BatchSize(BatchLimits(1000, 10**7))
    size.failed()
    for _ in range(20):
        size.ingested(found=1, messages=1, size_bytes=400)
    assert after_full_batches(size, 8) == 500


def test_the_number_never_falls_below_one() -> None:
    size = BatchSize(BatchLimits(2, MAX_MESSAGE_BYTES))
    for _ in range(3):
        size.failed()
    assert size.next.messages == 1
    size.ingested(found=1, messages=0, size_bytes=0)  # another transaction changed the row meanwhile
    assert size.next.messages == 1


def test_large_messages_make_the_batch_small_and_small_ones_make_it_large_again() -> None:
    size = BatchSize(BatchLimits(5000, 8_000_000))
    size.ingested(found=5000, messages=17, size_bytes=17 * 240_000)
    assert size.next.messages == 33, "as many of them as fit, and hides no more from other consumers"
    assert after_full_batches(size, 3, message_bytes=240_000) == 33
    assert after_full_batches(size, 8) == 5000


def test_a_batch_with_too_many_bytes_is_repeated_with_as_many_as_fit() -> None:
    size = BatchSize(BatchLimits(5000, 8_000_000))
    size.exceeded(messages=1000, size_bytes=80_000_000)
    assert size.next.messages == 100
    assert after_full_batches(size, 8) == 100


def test_the_bytes_are_those_of_a_process_and_every_share_has_room_for_the_largest_message() -> None:
    assert BatchLimits(1000, 16_000_000).share(2) == BatchLimits(1000, 8_000_000)
    assert BatchLimits(1000, 1_000_000).share(32) == BatchLimits(1000, MAX_MESSAGE_BYTES)
