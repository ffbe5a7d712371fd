"""Recognize, by its first bytes, a file that does not hold one JSON object a line. Pure."""

import codecs
import json
import re
import shlex
from typing import Final, NamedTuple

_QUOTED: Final = 40


class _Packed(NamedTuple):
    """A format that another program unpacks."""

    magic: bytes
    name: str
    unpack: str


_PACKED: Final = (
    _Packed(b"\x1f\x8b", "a gzip file", "gunzip -c"),
    _Packed(b"\x28\xb5\x2f\xfd", "a zstd file", "zstd -dc"),
    _Packed(b"\xfd7zXZ\x00", "an xz file", "xz -dc"),
    _Packed(b"BZh", "a bzip2 file", "bunzip2 -c"),
    _Packed(b"PK\x03\x04", "a zip file", "unzip -p"),
)
_UTF_16: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, b"{\0", b"\0{", b"[\0", b"\0[")
#: The first bytes of {"data": [{...: a document whose list holds the events.
_WRAPPED: Final = re.compile(r'\{\s*"(\w+)"\s*:\s*\[\s*\{')


def wrong_format(head: bytes, file: str) -> str | None:
    """Return what is wrong with an input as a whole, and the command that corrects it; None for JSON lines.

    A single wrong line does not count: the publisher refuses it by its number.

    Args:
        head: the first bytes, some thousands of them if the input is so long.
        file: its name; ``-`` is standard input.
    """
    name = "standard input" if file == "-" else file
    found, command = _find_format(head)
    if found is None:
        return None
    if command is None:
        advice = "docs/reference/messages.md describes the events"
    elif file == "-":
        advice = f"try: ... | {command} | centralcloud publish -"
    else:
        source = shlex.quote(f"./{file}" if file.startswith("-") else file)
        advice = f"try: {command} {source} | centralcloud publish -"
    return f"{name}: this is {found}, expected one JSON object a line; {advice}"


def _find_format(head: bytes) -> tuple[str | None, str | None]:
    """Return the name of the format and the command that makes JSON lines of it."""
    for packed in _PACKED:
        if head.startswith(packed.magic):
            return packed.name, packed.unpack
    if head.startswith(_UTF_16):
        return "text in UTF-16", "iconv -f UTF-16 -t UTF-8"
    text = head.decode("utf-8-sig", errors="replace").lstrip()
    if text.startswith("["):
        return "a JSON array", "jq -c '.[]'"
    if text.startswith("{"):
        if wrapped := _WRAPPED.match(text):
            return f"one JSON document with a list in {wrapped[1]!r}", f"jq -c '.{wrapped[1]}[]'"
        return ("a JSON document on several lines", "jq -c .") if _is_pretty_printed(text) else (None, None)
    if b"\0" in head:
        return "a binary file", None
    if _is_csv(text):
        return f"a table (its first line is {_quote(text)})", None
    return None, None


def _is_pretty_printed(text: str) -> bool:
    """Whether the first line is the unfinished beginning of an object that the second line continues."""
    first, _, rest = text.partition("\n")
    second = rest.lstrip().partition("\n")[0].rstrip()
    return bool(second) and not second.startswith("{") and _is_unfinished(first.rstrip())


def _is_unfinished(line: str) -> bool:
    try:
        json.loads(line)
    except json.JSONDecodeError as error:
        return error.pos >= len(line)
    except RecursionError:
        return False
    return False


def _is_csv(text: str) -> bool:
    """Whether the first two lines have the same number of commas, semicolons or tabs."""
    lines = text.splitlines()[:2]
    return len(lines) == 2 and any(lines[0].count(mark) == lines[1].count(mark) > 0 for mark in ",;\t")


def _quote(text: str) -> str:
    line = text.splitlines()[0]
    return repr(line if len(line) <= _QUOTED else f"{line[:_QUOTED]}...")
