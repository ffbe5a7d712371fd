"""The result of a command that changes something: what standard output was given, in case that it cannot take it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

#: Characters of a result that are kept; a sentence or a short JSON document is the usual one.
_MOST_CHARACTERS: Final = 2000


@dataclass(slots=True)
class _Result:
    matters: bool = False
    failure: str | None = None
    texts: list[str] = field(default_factory=list)
    left: int = _MOST_CHARACTERS


_result = _Result()


def forget_result() -> None:
    """Begin a command: it changes nothing, as far as known."""
    _result.matters, _result.failure = False, None
    _result.texts, _result.left = [], _MOST_CHARACTERS


def result_matters() -> None:
    """Keep what is printed from now on: this command is about to change something."""
    _result.matters = True


@contextmanager
def printing(text: str = "") -> Iterator[None]:
    """Print within this block: notice when standard output fails. Keep `text`, if the result matters and there is room."""
    if text and _result.matters and _result.left > 0:
        _result.texts.append(text if len(text) <= _result.left else f"{text[: _result.left]}...")
        _result.left -= len(text)
    try:
        yield
    except OSError as error:
        _result.failure = error.strerror or str(error)
        raise


def unprinted_result() -> str | None:
    """Return one line with the result if standard output did not take it; None if it did, or if nothing was changed."""
    if _result.failure is None or not _result.texts:
        return None
    return f"standard output cannot take the result: {_result.failure}; the result: {'; '.join(_result.texts)}"
