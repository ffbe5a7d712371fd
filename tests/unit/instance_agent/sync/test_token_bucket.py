"""A burst, then a steady rate."""

from instance_agent.sync.token_bucket import TokenBucket


def test_a_burst_is_free_and_then_the_rate_counts() -> None:
    bucket = TokenBucket(per_second=2, burst=3)
    for _ in range(3):
        assert bucket.seconds_until_token(100.0) == 0
        bucket.take(100.0)
    assert bucket.seconds_until_token(100.0) == 0.5
    assert bucket.seconds_until_token(100.25) == 0.25
    assert bucket.seconds_until_token(100.5) == 0


def test_tokens_gather_up_to_the_burst_only() -> None:
    bucket = TokenBucket(per_second=2, burst=2)
    bucket.take(0.0)
    for _ in range(2):
        assert bucket.seconds_until_token(1000.0) == 0
        bucket.take(1000.0)
    assert bucket.seconds_until_token(1000.0) == 0.5


def test_a_take_without_a_token_adds_no_debt() -> None:
    bucket = TokenBucket(per_second=1, burst=1)
    for _ in range(10):
        bucket.take(5.0)
    assert bucket.seconds_until_token(5.0) == 1
    assert bucket.seconds_until_token(4.0) == 1, "a clock that goes back"
