"""Files that do not hold one JSON object a line, recognized by their first bytes."""

import bz2
import codecs
import gzip
import json
import lzma

import pytest

from centralcloud.ingest.input_format import wrong_format

EVENTS = [{"timestamp": "2026-11-01T12:00:00Z", "routing_decision": {"capabilities_required": []}}] * 3
LINES = "\n".join(map(json.dumps, EVENTS)).encode()


@pytest.mark.parametrize(
    ("content", "found", "command"),
    [
        (gzip.compress(LINES), "a gzip file", "gunzip -c"),
        (b"\x28\xb5\x2f\xfd\x04\x00", "a zstd file", "zstd -dc"),
        (lzma.compress(LINES), "an xz file", "xz -dc"),
        (bz2.compress(LINES), "a bzip2 file", "bunzip2 -c"),
        (b"PK\x03\x04\x14\x00", "a zip file", "unzip -p"),
        (json.dumps(EVENTS).encode(), "a JSON array", "jq -c '.[]'"),
        (json.dumps(EVENTS, indent=2).encode(), "a JSON array", "jq -c '.[]'"),
        (b"\n [", "a JSON array", "jq -c '.[]'"),
        (json.dumps({"data": EVENTS}).encode(), "one JSON document with a list in 'data'", "jq -c '.data[]'"),
        (json.dumps({"data": EVENTS}, indent=4).encode(), "one JSON document with a list in 'data'", "jq -c '.data[]'"),
        (json.dumps(EVENTS[0], indent=2).encode(), "a JSON document on several lines", "jq -c ."),
        (b'{"timestamp":\n"2026"}', "a JSON document on several lines", "jq -c ."),
        (LINES.decode().encode("utf-16"), "text in UTF-16", "iconv -f UTF-16 -t UTF-8"),
        (LINES.decode().encode("utf-16-le"), "text in UTF-16", "iconv -f UTF-16 -t UTF-8"),
    ],
)
def test_the_answer_names_the_format_and_the_command(content: bytes, found: str, command: str) -> None:
    assert wrong_format(content, "e.x") == (
        f"e.x: this is {found}, expected one JSON object a line; try: {command} e.x | centralcloud publish -"
    )
    answer = wrong_format(content, "-") or ""
    assert answer.startswith(f"standard input: this is {found}, ")
    assert answer.endswith(f"try: ... | {command} | centralcloud publish -")


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"\x7fELF\x02\x01\x01\x00\x00", "a binary file"),
        (b"PAR1\x15\x04\x15\x00", "a binary file"),
        (b"model,complexity\ngpt-4o,simple\n", "a table (its first line is 'model,complexity')"),
        (b"model\tcomplexity\ngpt-4o\tsimple\n", r"a table (its first line is 'model\tcomplexity')"),
    ],
)
def test_what_no_command_converts_names_the_page(content: bytes, found: str) -> None:
    answer = wrong_format(content, "e.x")
    assert (
        answer
        == f"e.x: this is {found}, expected one JSON object a line; docs/reference/messages.md describes the events"
    )


@pytest.mark.parametrize(
    "content",
    [
        b"",
        LINES,
        codecs.BOM_UTF8 + LINES,
        b"\n\n" + LINES,
        LINES[:100],
        b'{"capabilities": ["a"], "x": 1}\n',
        b'{"unfinished": \n' + LINES,
        b'{"unfinished": ',
        b"not json\n" + LINES,
        b'{"nul": "\0"}\n' + LINES,
        b'{"deep": ' + b"[" * 200_000,
        b"\xff\xfa\n" + LINES,
    ],
)
def test_json_lines_with_single_mistakes_are_left_to_the_publisher(content: bytes) -> None:
    assert wrong_format(content, "e.x") is None


def test_the_name_in_the_command_is_quoted() -> None:
    content = gzip.compress(LINES)
    assert "gunzip -c 'my events.gz' |" in (wrong_format(content, "my events.gz") or "")
    assert "gunzip -c ./-x.gz |" in (wrong_format(content, "-x.gz") or "")
