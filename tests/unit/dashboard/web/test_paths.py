"""Paths of pages with parameters."""

import pytest

from centralcloud.dashboard.web.handlers import address_of, view_key
from centralcloud.dashboard.web.page import Models, Page, PageContext
from centralcloud.dashboard.web.paths import Paths, before_parameters, fill_path, parameters_of


async def nothing(_context: PageContext) -> Models:
    return {}


def a_page(path: str, *parameters: str) -> Page:
    return Page(path=path, name="page", title="Page", sources=(), build=nothing, parameters=parameters)


HOME, REQUEST = a_page("/"), a_page("/request/{request_id}", "zoom")
PATHS = Paths((HOME, REQUEST))


@pytest.mark.parametrize(
    ("path", "page", "values"),
    [
        ("/", HOME, {}),
        ("/request/a-1", REQUEST, {"request_id": "a-1"}),
        ("/request/a%2Fb%20c", REQUEST, {"request_id": "a/b c"}),
    ],
)
def test_a_path_finds_its_page_and_the_values_of_its_parameters(path: str, page: Page, values: dict[str, str]) -> None:
    assert PATHS.find(path) == (page, values)


@pytest.mark.parametrize("path", ["", "/request", "/request/", "/request/a/b", "/other/a", "/request/{request_id}/"])
def test_another_path_finds_none(path: str) -> None:
    assert PATHS.find(path) is None


@pytest.mark.parametrize("value", ["a-1", "a/b", "?x=1#y", "../..", "ü {}"])
def test_a_filled_path_finds_its_value_again(value: str) -> None:
    path = fill_path(REQUEST.path, {"request_id": value})
    assert path.count("/") == 2
    assert PATHS.find(path) == (REQUEST, {"request_id": value})


def test_the_address_of_a_view_has_the_parameters_of_the_path_in_the_path() -> None:
    key = view_key(REQUEST, {"request_id": "a b", "zoom": "2", "other": "x"}, {})
    assert key.query == (("request_id", "a b"), ("zoom", "2"))
    assert address_of(key) == "/request/a%20b?zoom=2&zone=UTC"


def test_the_names_and_the_beginning_of_a_path() -> None:
    assert parameters_of(REQUEST.path) == ("request_id",)
    assert parameters_of("/") == ()
    assert before_parameters(REQUEST.path) == "/request"
