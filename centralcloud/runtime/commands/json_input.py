"""A JSON document from a file or from standard input, for commands of both programs."""

import sys
from pathlib import Path
from typing import Any, Final

import msgspec

from centralcloud.contracts import SettingsError

#: Most bytes that are read: more than a whole configuration may have.
_MOST_BYTES: Final = 100_000_000


def read_json_input(file: str, option: str = "FILE") -> Any:
    """Return the JSON value of a file; ``-`` reads standard input.

    Raises:
        SettingsError: it cannot be read, is too large, or is not JSON.
    """
    try:
        if file == "-":
            text = sys.stdin.buffer.read(_MOST_BYTES + 1)
        else:
            with Path(file).open("rb") as opened:
                text = opened.read(_MOST_BYTES + 1)
    except OSError as error:
        raise SettingsError(f"{option}: cannot read {file}: {error.strerror}") from None
    if len(text) > _MOST_BYTES:
        raise SettingsError(f"{option}: found more than {_MOST_BYTES:,} bytes in {file}, expected fewer")
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SettingsError(f"{option}: found a text that is not JSON in {file} ({error}), expected JSON") from None
