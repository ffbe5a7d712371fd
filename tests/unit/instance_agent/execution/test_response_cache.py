"""The cache of whole answers."""

from hypothesis import given
from hypothesis import strategies as st

from instance_agent.execution.response_cache import CachedAnswer, CacheSettings, ResponseCache

BODY = b'{"model":"auto","temperature":0,"messages":[{"role":"user","content":"Hi"}]}'


def filled(settings: CacheSettings | None = None) -> tuple[ResponseCache, bytes]:
    cache = ResponseCache(settings)
    key = cache.key("key-1", "openai", BODY)
    assert key is not None
    cache.put(key, CachedAnswer(b"answer", "m@p", "r"), now=0.0)
    return cache, key


def test_the_same_request_of_the_same_tenant_is_found() -> None:
    cache, key = filled()
    assert cache.get(key, 1.0) == CachedAnswer(b"answer", "m@p", "r")
    assert (cache.hits, cache.misses) == (1, 0)


def test_another_tenant_protocol_or_byte_is_another_request() -> None:
    cache, _ = filled()
    others = (
        cache.key("key-2", "openai", BODY),
        cache.key("key-1", "anthropic", BODY),
        cache.key("key-1", "openai", BODY + b" "),
    )
    for other in others:
        assert other is not None
        assert cache.get(other, 1.0) is None


def test_no_tenant_can_end_where_a_body_begins() -> None:
    cache = ResponseCache(CacheSettings(any_temperature=True))
    assert cache.key("a", "openai", b'{"n":1}') != cache.key("ao", "penai", b'{"n":1}')


def test_only_plain_requests_that_ask_for_determinism_are_kept() -> None:
    cache = ResponseCache()
    for body in (b'{"temperature":1}', b"{}", b'{"temperature":0,"stream":true}', b'{"temperature":0,"n":2}', b"no"):
        assert cache.key("t", "openai", body) is None
    assert ResponseCache(CacheSettings(any_temperature=True)).key("t", "openai", b"{}") is not None


def test_an_answer_expires() -> None:
    cache, key = filled(CacheSettings(seconds=10))
    assert cache.get(key, 9.9) is not None
    assert cache.get(key, 10.0) is None
    assert cache.size == 0


def test_an_answer_may_be_kept_for_another_time_and_a_shorter_one_counts_at_once() -> None:
    cache = ResponseCache(CacheSettings(seconds=300))
    cache.put(b"k", CachedAnswer(b"answer", "m@p", "r"), 0.0, seconds=1000)

    assert cache.get(b"k", 999.0) is not None
    assert cache.get(b"k", 10.0, seconds=20) is not None
    assert cache.get(b"k", 20.0, seconds=20) is None
    assert cache.get(b"k", 20.0, seconds=1000) is not None, "it is there for those that accept older ones"
    assert cache.get(b"k", 1000.0, seconds=2000) is None


def test_an_answer_that_is_too_long_is_not_kept() -> None:
    cache, key = filled(CacheSettings(max_answer_bytes=3))
    assert cache.get(key, 1.0) is None


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 3_000)), max_size=60))
def test_the_bytes_in_memory_are_bounded_and_counted(puts: list[tuple[int, int]]) -> None:
    cache = ResponseCache(CacheSettings(max_bytes=8_000))
    for number, (which, length) in enumerate(puts):
        cache.put(bytes([which]), CachedAnswer(b"x" * length, "m", "r"), float(number))
        assert 0 <= cache.size <= 8_000
    kept = [found for which in range(10) if (found := cache.get(bytes([which]), float(len(puts))))]
    assert sum(len(each.body) + 400 for each in kept) == cache.size
