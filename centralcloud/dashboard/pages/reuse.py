"""Results that are used again: each second a page is built anew, and most of what it shows is as it was."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

_P = ParamSpec("_P")
_T = TypeVar("_T")


def reused(function: Callable[_P, _T]) -> Callable[_P, _T]:
    """Decorate a pure function: it returns its last result again while its arguments are the same.

    Tuples, which are long, must be the same object: the reader keeps a value that it has read again unchanged. Other
    arguments must be equal. For functions that return immutable values.
    """
    last: tuple[tuple[object, ...], _T] | None = None

    @wraps(function)
    def wrapper(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        nonlocal last
        given = (*args, *kwargs.values())
        kept = last  # another dashboard of this process, which has a thread of its own, may replace it meanwhile
        if kept is None or len(given) != len(kept[0]) or not all(map(_is_same, given, kept[0])):
            kept = last = (given, function(*args, **kwargs))
        return kept[1]

    return wrapper


def _is_same(given: object, before: object) -> bool:
    return given is before or (not isinstance(given, tuple) and given == before)
