"""The keys of providers, read from where the catalog says that they are kept. Values stay out of errors, logs and reprs."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from centralcloud.runtime.bounded_file import Fingerprint, fingerprint_of, read_bounded

_MAX_BYTES: Final = 16_384


class Key(NamedTuple):
    """A key, or why there is none: one of the two is None.

    Attributes:
        value: the key itself. `repr` does not show it.
        problem: the reason in words, which names the reference and never the value.
    """

    value: str | None
    problem: str | None = None

    def __repr__(self) -> str:
        return f"Key(problem={self.problem!r})" if self.value is None else "Key((hidden))"


class KeyReader:
    """Reads keys by reference. A file is read again when it has changed, so that a key can be rotated in place."""

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        """`environ` is that of the process, if None."""
        self._environ = os.environ if environ is None else environ
        self._seen: dict[str, tuple[Fingerprint | str | None, Key]] = {}

    def read(self, reference: str) -> Key:
        """Return the key at a reference, ``env:NAME`` or ``file:/PATH``. Never raises: a missing key is a reason."""
        kind, _, place = reference.partition(":")
        state = self._state(reference)
        seen = self._seen.get(reference)
        if seen is not None and seen[0] == state:
            return seen[1]
        key = _checked(self._environ.get(place), place) if kind == "env" else _from_file(Path(place))
        self._seen[reference] = state, key
        return key

    def changed(self) -> bool:
        """Whether a key that was read has changed since. Costs one stat for each file."""
        return any(self._state(reference) != state for reference, (state, _) in self._seen.items())

    def _state(self, reference: str) -> Fingerprint | str | None:
        kind, _, place = reference.partition(":")
        return self._environ.get(place) if kind == "env" else fingerprint_of(Path(place))


def _from_file(path: Path) -> Key:
    try:
        return _checked(read_bounded(path, _MAX_BYTES).decode(), str(path))
    except FileNotFoundError:
        return Key(None, f"{path} does not exist")
    except UnicodeDecodeError:
        return Key(None, f"{path} is not UTF-8")
    except OSError as error:
        return Key(None, f"cannot read {path}: {error.strerror or error}")


def _checked(text: str | None, place: str) -> Key:
    if text is None:
        return Key(None, f"{place} is not set")
    value = text.strip()
    if not value:
        return Key(None, f"{place} is empty")
    if not value.isascii() or not value.isprintable() or " " in value:
        return Key(None, f"{place} has characters that a key cannot have: expected one line of printable ASCII")
    return Key(value)
