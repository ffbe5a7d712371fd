"""The check for words that must not come back: it finds each in prose, leaves code alone, and names line and replacement."""

import subprocess
import sys
import tomllib
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from support.repository import REPOSITORY

_PROGRAM = REPOSITORY / "tools/check_words.py"
_ENTRIES = tomllib.loads((REPOSITORY / "tools/words.toml").read_text())
_EXAMPLES = [
    pytest.param(entry, text, expected, id=f"{entry['use'].split()[0]}-{text}")
    for entry in _ENTRIES["words"]
    for expected in ("finds", "ignores")
    for text in entry[expected]
]
#: A word of the list that is not written out here, or the check would find it in this file.
_WORD = "no" + "body"


@pytest.fixture(scope="module")
def check_words() -> ModuleType:
    spec = spec_from_file_location("check_words", _PROGRAM)
    assert spec
    assert spec.loader
    module = sys.modules["check_words"] = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def words(check_words: ModuleType) -> Any:
    return check_words.WordList.read(_PROGRAM.with_name("words.toml"))


@pytest.mark.parametrize(("entry", "text", "expected"), _EXAMPLES)
def test_each_entry_finds_its_examples_and_leaves_the_others_alone(
    words: Any, entry: dict[str, Any], text: str, expected: str
) -> None:
    written = text.replace("_", " ")
    found = [finding.use for finding in words.check("page.md", written)]
    assert (entry["use"] in found) == (expected == "finds"), f"{text!r}: found {found}"


@pytest.mark.parametrize(
    ("path", "text", "lines"),
    [
        ("page.md", f"# Title\n\nOne line,\n{_WORD} waits.\n", [4]),
        ("a.py", f"x = {_WORD}\ny = [{_WORD} for {_WORD} in x]\n", []),
        ("a.py", f'"""Module.\n\nHere {_WORD} waits.\n"""\n', [3]),
        ("a.py", f"x = 1\n\n# A comment\n# of which {_WORD} knows\n", [4]),
        ("a.py", f'x = f"{{y}} and {_WORD}"\n', [1]),
        ("a.py", f'x = f"""{{y}}\nand {{z:>{{w}}}} {_WORD}"""\n', [2]),
        ("a.py", f"def test_{_WORD}_waits(): ...\n", [1]),
        ("a.py", "x = 5 % 3\ny = '5' + ' ' + \"3 %s\" % x\n", []),
        ("a.py", 'x = f"{share:.1f}' + ' %"\n', [1]),
        ("a.sql", f"SELECT {_WORD}\n-- for {_WORD}\n;COMMENT ON TABLE t IS 'for {_WORD}';\n", [2, 3]),
        ("a.yaml", f"a: 1  # {_WORD}\n", [1]),
    ],
)
def test_prose_is_checked_and_code_is_not(words: Any, path: str, text: str, lines: list[int]) -> None:
    assert [finding.line for finding in words.check(path, text)] == lines


@pytest.mark.parametrize(("path", "mark"), [("a.py", "# "), ("a.sql", "-- "), ("a.md", ""), ("a.yml", "  # ")])
def test_a_phrase_is_found_across_a_line_break(words: Any, path: str, mark: str) -> None:
    (finding,) = words.check(path, f"{mark}events that are taken\n{mark}in by a worker\n")
    assert (finding.line, finding.found) == (1, "taken" + " in")


def test_a_phrase_is_not_found_across_paragraphs(words: Any) -> None:
    assert words.check("a.md", "what it has taken\n\nin the end\n") == []


def test_the_program_prints_path_line_and_replacement_and_fails(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"{_WORD} waits\n")
    result = subprocess.run([sys.executable, _PROGRAM, tmp_path], capture_output=True, text=True, check=False)
    use = next(entry["use"] for entry in _ENTRIES["words"] if "body" in entry["pattern"])
    assert (result.returncode, result.stdout) == (1, f'{page}:1: found "{_WORD}", use {use}\n')
    page.write_text("no worker waits\n")
    assert subprocess.run([sys.executable, _PROGRAM, page], check=False).returncode == 0


def test_a_path_that_does_not_exist_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    result = subprocess.run([sys.executable, _PROGRAM, missing], capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert str(missing) in result.stderr


def test_an_allowed_place_keeps_its_word(check_words: ModuleType) -> None:
    words = check_words.WordList(
        [check_words._word(_WORD, "no worker", exact=False)],
        [check_words.Allowed("pages/*.md", "quoted")],
    )
    assert words.check("pages/page.md", f"quoted: {_WORD}\n") == []
    assert words.check("pages/page.md", f"{_WORD}\n") != []
    assert words.check("README.md", f"quoted: {_WORD}\n") != []


def test_every_exception_has_a_reason_and_a_file() -> None:
    for entry in _ENTRIES["allow"]:
        assert entry["reason"]
        assert list(REPOSITORY.glob(entry["path"])), entry["path"]


@pytest.mark.parametrize("pattern", [r"PostgreSQL \w+", r"\S+ Alpha", r"[X-Z] OFF"])
def test_a_word_is_found_in_any_case_whatever_its_pattern_is_written_in(check_words: ModuleType, pattern: str) -> None:
    word = check_words._word(pattern, "another", exact=False)
    for text in ("PostgreSQL in Alpha X OFF", "postgresql in alpha x off", "POSTGRESQL IN ALPHA X OFF"):
        assert word.is_in(text, text.lower())
