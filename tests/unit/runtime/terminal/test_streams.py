"""Output to a stream that cannot encode every character."""

import io
import sys

import pytest
import typer

from centralcloud.runtime.terminal.output import print_json, print_table
from centralcloud.runtime.terminal.streams import escape_unencodable_output


@pytest.mark.parametrize(
    ("encoding", "errors", "expected"),
    [
        ("ascii", "strict", rb"caf\xe9 \u6a21 \udcff"),
        ("ascii", "surrogateescape", rb"caf\xe9 \u6a21 \udcff"),
        ("latin-1", "strict", b"caf\xe9 \\u6a21 \\udcff"),
        ("utf-8", "strict", "café 模 ".encode() + rb"\udcff"),
    ],
)
def test_a_character_that_cannot_be_encoded_is_escaped(
    encoding: str, errors: str, expected: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = {name: io.BytesIO() for name in ("stdout", "stderr")}
    for name, buffer in written.items():
        monkeypatch.setattr(sys, name, io.TextIOWrapper(buffer, encoding=encoding, errors=errors))
    escape_unencodable_output()
    text = "café 模 \udcff"
    sys.stdout.write(f"{text}\n")
    typer.echo(text)  # typer replaces a stream that calls itself ASCII
    print_table(("name", "score"), [(text, 1)], empty="")
    print_json({"name": text})
    sys.stderr.write(f"{text}\n")
    typer.echo(text, err=True)
    sys.stdout.flush()
    sys.stderr.flush()
    lines = written["stdout"].getvalue().splitlines()
    assert lines[:2] == [expected] * 2, "in the order of printing"
    assert lines[3] == expected + b"  1"
    assert lines[4] == rb'{"name": "caf\u00e9 \u6a21 \udcff"}'
    assert written["stderr"].getvalue().splitlines() == [expected] * 2
