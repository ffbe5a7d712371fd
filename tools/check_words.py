#!/usr/bin/env python3
"""Find words that must not come back. The list with the replacements is words.toml, beside this file.

    tools/check_words.py            # the whole repository
    tools/check_words.py PATH...    # these files and folders

Checks comments, strings and the names of functions and classes in Python, comments and quoted text in SQL, and the whole
text of other files. Prints one line for each word; the exit code is 1 when there is one, 2 for a path that does not exist.
"""

import io
import os
import re
import sys
import tokenize
import tomllib
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

_REPOSITORY = Path(__file__).resolve().parents[1]
_SUFFIXES = {".conf", ".env", ".ex", ".exs", ".md", ".py", ".service", ".sh", ".sql", ".yaml", ".yml"}
_SKIPPED_FOLDERS = {"__pycache__", "build", "dist"}
#: Other hidden folders hold environments and caches.
_HIDDEN_FOLDERS = {".ci", ".github"}
_LINE_START = re.compile(r"^[ \t]*(?:#+:?|--)?[ \t]*", re.MULTILINE)
_SQL_TEXT = re.compile(r"(?:^[ \t]*--.*\n?)+|--.*|'(?:[^']|'')*'", re.MULTILINE)
_DEFINITION = re.compile(r"\b(?:def|class) +(\w+)")
#: From Python 3.12 on an f-string is several tokens.
_FSTRING_START = getattr(tokenize, "FSTRING_START", None)
_FSTRING_END = getattr(tokenize, "FSTRING_END", None)


@dataclass(frozen=True)
class Word:
    """An entry of the list: whatever `pattern` finds must be replaced by `use`.

    `hint` is a search that is several times faster. It finds something in the text, or in the text in lower case if
    `pattern` ignores case, wherever `pattern` does.
    """

    pattern: re.Pattern[str]
    hint: re.Pattern[str]
    use: str

    def is_in(self, text: str, lowered: str) -> bool:
        """Return whether the word is in a text, which is `lowered` in lower case."""
        hinted = self.hint.search(lowered if self.pattern.flags & re.IGNORECASE else text)
        return hinted is not None and self.pattern.search(text) is not None


@dataclass(frozen=True)
class Allowed:
    """A place that keeps its word: in files whose path matches `path`, the lines that hold `text`."""

    path: str
    text: str

    def covers(self, path: str, line: str) -> bool:
        """Return whether `line` of the file `path` keeps its word."""
        return fnmatch(path, self.path) and self.text in line


@dataclass(frozen=True)
class Finding:
    """A word that was found."""

    path: str
    line: int
    found: str
    use: str

    def __str__(self) -> str:
        return f'{self.path}:{self.line}: found "{self.found}", use {self.use}'


@dataclass(frozen=True)
class Piece:
    """Text that people read, and the number of its first line."""

    line: int
    text: str


class WordList:
    """The words to look for, and the places that keep them."""

    def __init__(self, entries: Iterable[Word], allowed: Iterable[Allowed] = ()) -> None:
        self._words = tuple(entries)
        self._allowed = tuple(allowed)

    @classmethod
    def read(cls, file: Path) -> "WordList":
        """Read a list from its TOML file."""
        content = tomllib.loads(file.read_text())
        return cls(
            [_word(each["pattern"], each["use"], exact=each.get("exact", False)) for each in content["words"]],
            [Allowed(each["path"], each.get("text", "")) for each in content.get("allow", ())],
        )

    def check(self, path: str, text: str) -> list[Finding]:
        """Return the words in `text` in the order of its lines. The end of `path` says how to read it."""
        joined = _join_lines(text)
        if path.endswith(".py"):
            joined += joined.replace("_", " ")
        # Few files hold a word at all, and taking Python apart is slow.
        lowered = joined.lower()
        suspects = [word for word in self._words if word.is_in(joined, lowered)]
        if not suspects:
            return []
        lines = text.split("\n")
        found = set()
        for piece in _pieces(path, text):
            for word in suspects:
                for line, match in _matches(word, piece):
                    if not any(each.covers(path, lines[line - 1]) for each in self._allowed):
                        found.add(Finding(path, line, match, word.use))
        return sorted(found, key=lambda each: (each.line, each.found))


def _word(pattern: str, use: str, *, exact: bool) -> Word:
    whole = re.compile(f"(?<![A-Za-z])(?:{pattern})(?![A-Za-z])", 0 if exact else re.IGNORECASE)
    # Without a condition before it, and in one case, a text is searched for the first letters, not tried at each of its own.
    return Word(whole, re.compile(pattern if exact else _in_lower_case(pattern)), use)


def _in_lower_case(pattern: str) -> str:
    """Write the letters of a pattern in lower case, but for those after a backslash."""
    return re.sub(r"\\.|[A-Z]", lambda match: match[0] if len(match[0]) > 1 else match[0].lower(), pattern)


def _join_lines(text: str) -> str:
    """Join the lines of each paragraph by a space, without indentation and comment marks."""
    return re.sub(r"(?<!\n)\n(?!\n)", " ", _LINE_START.sub("", text))


def _matches(word: Word, piece: Piece) -> Iterator[tuple[int, str]]:
    """Yield the number of the line on which each match begins, and what was found."""
    starts, position = [], 0
    for line in _LINE_START.sub("", piece.text).split("\n"):
        starts.append(position)
        position += len(line) + 1
    for match in word.pattern.finditer(_join_lines(piece.text)):
        yield piece.line + bisect_right(starts, match.start()) - 1, match[0]


def _pieces(path: str, text: str) -> Iterator[Piece]:
    if path.endswith(".py"):
        yield from _python_comments_and_strings(text)
        for match in _DEFINITION.finditer(text):
            yield Piece(1 + text.count("\n", 0, match.start()), match[1].replace("_", " "))
    elif path.endswith(".sql"):
        for match in _SQL_TEXT.finditer(text):
            yield Piece(1 + text.count("\n", 0, match.start()), match[0])
    else:
        yield Piece(1, text)


def _python_comments_and_strings(text: str) -> Iterator[Piece]:
    """Yield strings as they are written, and comments on adjacent lines as one piece."""
    lines = text.split("\n")
    comment: list[str] = []
    last_line = depth = 0
    fstring_start = (0, 0)
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        line = token.start[0]
        if token.type == tokenize.COMMENT:
            if comment and line != last_line + 1:
                yield Piece(last_line + 1 - len(comment), "\n".join(comment))
                comment = []
            comment.append(token.string)
            last_line = line
        elif token.type == _FSTRING_START:
            fstring_start = token.start if depth == 0 else fstring_start
            depth += 1
        elif token.type == _FSTRING_END:
            depth -= 1
            if depth == 0:
                yield Piece(fstring_start[0], _cut(lines, fstring_start, token.end))
        elif token.type == tokenize.STRING and depth == 0:
            yield Piece(line, token.string)
    if comment:
        yield Piece(last_line + 1 - len(comment), "\n".join(comment))


def _cut(lines: list[str], start: tuple[int, int], end: tuple[int, int]) -> str:
    cut = lines[start[0] - 1 : end[0]]
    cut[-1] = cut[-1][: end[1]]
    cut[0] = cut[0][start[1] :]
    return "\n".join(cut)


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_file():
            yield path
        for folder, names, files in os.walk(path):
            names[:] = sorted(
                name
                for name in names
                if name in _HIDDEN_FOLDERS or not (name.startswith(".") or name in _SKIPPED_FOLDERS)
            )
            yield from (Path(folder, name) for name in sorted(files) if Path(name).suffix in _SUFFIXES)


def main(arguments: list[str]) -> int:
    """Check the files and folders in `arguments`, the whole repository without any, and return the exit code."""
    words = WordList.read(Path(__file__).with_name("words.toml"))
    paths = [Path(argument).resolve() for argument in arguments] or [_REPOSITORY]
    missing = [str(path) for path in paths if not path.exists()]
    if missing:
        sys.stderr.write(f"check_words: found no file or folder {missing[0]}, expected paths of the repository\n")
        return 2
    count = 0
    for file in _files(paths):
        path = str(file.relative_to(_REPOSITORY)) if file.is_relative_to(_REPOSITORY) else str(file)
        for finding in words.check(path, file.read_text()):
            sys.stdout.write(f"{finding}\n")
            count += 1
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
