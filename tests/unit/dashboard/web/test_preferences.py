"""The viewer's time zone."""

import pytest

from centralcloud.dashboard.web.preferences import zone_of


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
