"""Paths of pages, which may have parameters: ``/request/{request_id}``. Pure.

A parameter of the path reaches a page as one of its query does, so that a view has one set of parameters, and its live
updates name it by its address.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple
from urllib.parse import quote, unquote

from centralcloud.dashboard.web.page import Page

_PARAMETER: Final = re.compile(r"\{([a-z_]+)\}")


class Found(NamedTuple):
    """The page at a path, and the values of the parameters in the path."""

    page: Page
    values: Mapping[str, str]


def parameters_of(path: str) -> tuple[str, ...]:
    """Return the names of the parameters of a page's path."""
    return tuple(_PARAMETER.findall(path))


def fill_path(path: str, values: Mapping[str, str]) -> str:
    """Return a page's path with the values of its parameters; raises KeyError without one of them."""
    return _PARAMETER.sub(lambda match: quote(values[match[1]], safe=""), path)


def before_parameters(path: str) -> str:
    """Return the beginning of a page's path without parameters: ``/request``, to which a form sends them."""
    return path.split("/{", 1)[0]


class Paths:
    """The pages by their paths."""

    def __init__(self, pages: Sequence[Page]) -> None:
        self._fixed = {page.path: page for page in pages if not parameters_of(page.path)}
        self._patterns = [(_pattern(page.path), page) for page in pages if parameters_of(page.path)]

    def find(self, path: str) -> Found | None:
        """Return the page at the path of an address; None: there is none."""
        if (page := self._fixed.get(path)) is not None:
            return Found(page, {})
        for pattern, page in self._patterns:
            if (match := pattern.fullmatch(path)) is not None:
                return Found(page, {name: unquote(value) for name, value in match.groupdict().items()})
        return None


def _pattern(path: str) -> re.Pattern[str]:
    parts = _PARAMETER.split(path)
    texts = [f"(?P<{part}>[^/]+)" if number % 2 else re.escape(part) for number, part in enumerate(parts)]
    return re.compile("".join(texts))
