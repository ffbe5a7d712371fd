"""The viewer's time zone."""

import pytest

from centralcloud.dashboard.web.preferences import scheme_of, zone_of


@pytest.mark.parametrize(
    ("query", "cookie", "zone"),
    [
        ("", "", "UTC"), ("", "Europe/Berlin", "Europe/Berlin"), ("", "Europe%2FBerlin", "Europe/Berlin"),
        ("Asia/Tokyo", "Europe/Berlin", "Asia/Tokyo"), ("Mars/Base", "Europe/Berlin", "Europe/Berlin"),
        ("../../etc/passwd", "", "UTC"), ("", "\x00", "UTC"), ("", "/etc/localtime", "UTC"),
    ],
)  # fmt: skip
def test_the_address_comes_before_the_cookie_and_what_is_unknown_counts_as_none(
    query: str, cookie: str, zone: str
) -> None:
    assert zone_of({"zone": query}, {"zone": cookie}) == zone


@pytest.mark.parametrize(
    ("cookie", "scheme"), [("dark", "dark"), ("light", "light"), ("", None), ('dark" onload="x', None), ("Dark", None)]
)
def test_the_scheme_is_one_of_two_or_that_of_the_browser(cookie: str, scheme: str | None) -> None:
    assert scheme_of({"scheme": cookie}) == scheme
    assert scheme_of({}) is None
