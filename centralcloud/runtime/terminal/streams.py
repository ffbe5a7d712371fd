"""Standard output and standard error that print every text, whatever their encoding."""

import codecs
import io
import sys
from typing import TextIO


class _AsciiStream(io.TextIOWrapper):
    """A stream in ASCII that escapes every other character.

    It calls itself Latin-1: typer replaces a stream that calls itself ASCII by one in UTF-8.
    """

    def write(self, text: str) -> int:
        super().write(_escaped(text, "ascii"))
        return len(text)


def escape_unencodable_output() -> None:
    """Make both streams escape the characters that they cannot encode, as ``\\xe9`` or ``\\u5b57``."""
    sys.stdout = _escaping(sys.stdout)
    sys.stderr = _escaping(sys.stderr)


def as_printed(text: str) -> str:
    """Return `text` with the escapes that standard output prints, so that its width is known."""
    stream = sys.stdout
    return _escaped(text, "ascii" if isinstance(stream, _AsciiStream) else getattr(stream, "encoding", None) or "utf-8")


def _escaping(stream: TextIO) -> TextIO:
    if not isinstance(stream, io.TextIOWrapper):
        return stream
    if codecs.lookup(stream.encoding).name != "ascii":
        stream.reconfigure(errors="backslashreplace")
        return stream
    line_buffering = stream.line_buffering
    return _AsciiStream(stream.detach(), "latin-1", "backslashreplace", line_buffering=line_buffering)


def _escaped(text: str, encoding: str) -> str:
    return text.encode(encoding, "backslashreplace").decode(encoding)
