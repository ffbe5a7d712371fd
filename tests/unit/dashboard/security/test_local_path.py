"""The address after a login is on this server, for every browser."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from centralcloud.dashboard.security.local_path import local_path, login_path


@pytest.mark.parametrize(
    "path", ["/", "/scores", "/pair?model=a%2Fb&complexity=complex", "/a//b", "/%2Fexample.org", "/logins"]
)
def test_a_path_of_this_server_is_kept(path: str) -> None:
    assert local_path(path) == path


@pytest.mark.parametrize(
    "text",
    [
        "", "scores", "https://example.org", "//example.org", "///example.org", "/\\example.org", "\\\\example.org",
        "/\t/example.org", "/\n/example.org", " //example.org", "/scores\r\nSet-Cookie: a=b", "javascript:alert(1)",
        "/a\x00", "/é", "/\u2028/x", "/login", "/login?next=/login", "/logout", "/%6cogin", "/" + "a" * 3000, "http:/a",
        "@example.org", ".example.org", "/a b",
    ],
)  # fmt: skip
def test_any_other_text_leads_to_the_first_page(text: str) -> None:
    assert local_path(text) == "/"


@given(st.text(alphabet="/\\.:@?#%\t\n\r ae2f5c", max_size=12))
def test_no_text_leads_to_another_server(text: str) -> None:
    target = URL("https://dashboard.example/login").join(URL(local_path(text), encoded=True))
    assert (target.scheme, target.host) == ("https", "dashboard.example")
    assert "\r" not in local_path(text)
    assert "\n" not in local_path(text)


def test_the_login_keeps_the_page_that_was_asked_for() -> None:
    assert login_path("/") == "/login"
    assert login_path("//example.org") == "/login"
    assert login_path("/pair?a=b&c=d") == "/login?next=/pair%3Fa%3Db%26c%3Dd"
    assert URL(login_path("/pair?a=b%26c&c=d")).query["next"] == "/pair?a=b%26c&c=d"
