"""The token bucket that bounds the polls of an instance."""

from instance_agent.sync.token_bucket import TokenBucket


def test_a_full_bucket_allows_a_burst_then_its_rate() -> None:
    bucket = TokenBucket(per_second=2, burst=3)
    assert [bucket.take(100.0) for _ in range(5)] == [0.0, 0.0, 0.0, 0.5, 1.0]


def test_tokens_come_back_with_time_up_to_the_burst() -> None:
    bucket = TokenBucket(per_second=2, burst=3)
    for _ in range(3):
        bucket.take(100.0)
    assert [bucket.take(101.0) for _ in range(3)] == [0.0, 0.0, 0.5]
    assert [bucket.take(1000.0) for _ in range(4)] == [0.0, 0.0, 0.0, 0.5]
