"""Pages of long lists."""

import pytest

from centralcloud.dashboard.pages.listing import address, page_of, whole


@pytest.mark.parametrize(
    ("asked", "rows", "newer", "older"),
    [
        (None, [0, 1], None, "/x?show=a&page=2"),
        ("2", [2, 3], "/x?show=a", "/x?show=a&page=3"),
        ("3", [4], "/x?show=a&page=2", None),
        ("99", [4], "/x?show=a&page=2", None),
        ("-1", [0, 1], None, "/x?show=a&page=2"),
        ("nonsense", [0, 1], None, "/x?show=a&page=2"),
    ],
)
def test_a_page_that_does_not_exist_is_the_nearest(
    asked: str | None, rows: list[int], newer: str | None, older: str | None
) -> None:
    query = {"show": "a", **({"page": asked} if asked else {})}
    shown, pager = page_of(range(5), query, "/x", 2)
    assert (list(shown), pager.newer, pager.older) == (rows, newer, older)
    assert (pager.first, pager.last, pager.total) == (rows[0] + 1, rows[-1] + 1, 5)


def test_an_empty_list_has_one_empty_page() -> None:
    shown, pager = page_of([], {}, "/x", 2)
    assert (list(shown), tuple(pager)) == ([], (0, 0, 0, None, None))


def test_addresses_quote_hostile_names() -> None:
    assert address("/x", {"a": "<&\u202e"}, "#y", page=None) == "/x?a=%3C%26%E2%80%AE#y"


def test_a_number_that_no_id_can_have_is_none() -> None:
    assert [whole(text) for text in ("12", "٣", "9" * 19, "1e3", "", None)] == [12, None, None, None, None, None]
