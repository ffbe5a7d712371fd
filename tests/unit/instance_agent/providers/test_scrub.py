"""No text of a provider carries a key on."""

import base64
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instance_agent.providers.scrub import scrub
from instance_agent.providers.upstream import Secret, Upstream

KEY = "my/Own+key=0123456789-abc"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(KEY, id="plain"),
        pytest.param(quote(KEY, safe=""), id="percent-encoded"),
        pytest.param(base64.b64encode(KEY.encode()).decode(), id="base64"),
        pytest.param(base64.b64encode(f"u:{KEY}".encode()).decode(), id="base64 with a user"),
        pytest.param(base64.urlsafe_b64encode(f"user:{KEY}x".encode()).decode(), id="base64 for addresses"),
        pytest.param(KEY.encode().hex(), id="hexadecimal"),
        pytest.param(f"0x{KEY.encode().hex().upper()}", id="hexadecimal in capitals"),
        pytest.param(KEY.encode().hex()[8:30], id="a part in hexadecimal"),
        pytest.param(KEY[::-1], id="reversed"),
        pytest.param(f"{KEY[:10]}****", id="its beginning"),
        pytest.param(f"...{KEY[-9:]}", id="its end"),
    ],
)
def test_our_key_is_hidden_in_every_form(text: str) -> None:
    found = scrub(f"invalid key {text} given", [KEY])

    assert text not in found
    assert not any(part in found for part in ("0123", "3210", b"0123".hex()))
    assert "***" in found
    assert found.startswith("invalid key")


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("Authorization: Bearer abcdef123456", "abcdef123456"),
        ("'authorization': 'Bearer abcdef123456'", "abcdef123456"),
        ("the bearer abcdef123456 is wrong", "abcdef123456"),
        ("GET https://x/v1?key=abcdef&alt=sse", "abcdef"),
        ("GET https://x/v1?alt=sse&api_key=abcdef", "abcdef"),
        ("x-api-key: abcdef", "abcdef"),
        ('{"api_key": "abcdef"}', "abcdef"),
        ("Incorrect API key provided: sk-proj-abc***def", "sk-proj-abc"),
        ("sk-ant-api03-abcdef", "api03"),
        ("key AIzaSyAbcdef0123", "AIzaSyAbcdef0123"),
        ("token eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc-def", "eyJzdWIiOiIxIn0"),
    ],
)
def test_keys_that_are_not_ours_are_hidden_by_their_look(text: str, secret: str) -> None:
    assert secret not in scrub(text, [])


def test_words_without_keys_stay() -> None:
    text = "Rate limit reached for gpt-4o in organization on tokens per min: Limit 30000, Used 29000. Try again in 2s."

    assert scrub(text, [KEY]) == text


def test_the_text_is_one_line_of_at_most_500_characters() -> None:
    found = scrub("a\r\nb\x00" + "c" * 10_000, [])

    assert found.startswith("a b c")
    assert len(found) == 500


@settings(deadline=None)
@given(
    st.text(min_size=12, max_size=60).filter(lambda key: key.strip() == key and len(set(key)) > 8), st.text(), st.text()
)
def test_no_key_survives_in_any_text(key: str, before: str, after: str) -> None:
    assert key not in scrub(f"{before} {key} {after}", [key]) or key in "***"


def test_an_upstream_shows_no_secret_in_any_form() -> None:
    upstream = Upstream(
        provider="p",
        dialect="openai",
        base_url="https://user:pass-word@host/v1?token=in-the-query",
        api_key=Secret("the-key"),
        headers={"Authorization": "Basic by-header", "x-title": "shown"},
    )

    for shown in (
        repr(upstream),
        str(upstream),
        f"{[upstream]}",
        repr(upstream.__rich_repr__()),
        repr(upstream.api_key),
    ):
        assert not any(secret in shown for secret in ("the-key", "by-header", "pass-word", "in-the-query"))
    assert set(upstream.secrets()) >= {"the-key", "by-header", "pass-word", "token=in-the-query"}
