"""Check that the statements of both programs name the schema of every table and view; `--fix` writes it where it is missing.

A role may have any search_path. So a name without its schema may mean nothing, or the table of another application.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

REPOSITORY: Final = Path(__file__).parents[1]
_PACKAGES: Final = ("centralcloud", "instance_agent")
_SCHEMA: Final = "public"
_RELATION: Final = re.compile(
    r"CREATE\s+(?:OR\s+REPLACE\s+)?(?:TABLE|VIEW|MATERIALIZED\s+VIEW|SEQUENCE)\s+(?:IF\s+NOT\s+EXISTS\s+)?(?:public\.)?(\w+)\b(?!\.)"
)
_WITH: Final = re.compile(
    r"(?:\bWITH(?:\s+RECURSIVE)?|,)\s+(\w+)\s*(?:\([^()]*\)\s*)?AS\s+(?:NOT\s+MATERIALIZED\s+|MATERIALIZED\s+)?\("
)
#: Comments and literals, which hold no names; then the words, and what separates them.
_TOKEN: Final = re.compile(r"--[^\n]*|'(?:[^']|'')*'|\w+|[^\w\s]")
_BEFORE_A_RELATION: Final = {"FROM", "JOIN", "INTO", "UPDATE", "TABLE", "ONLY", "USING"}
_ENDS_A_LIST: Final = {
    "SELECT",
    "WHERE",
    "SET",
    "ON",
    "GROUP",
    "ORDER",
    "LIMIT",
    "VALUES",
    "RETURNING",
    "UNION",
    "HAVING",
    "(",
    ";",
}
#: The sequence of an identity column.
_SEQUENCE: Final = re.compile(r"\b\w+_seq\b")
#: A literal that is read as the name of a relation.
_NAMED_BY_TEXT: Final = re.compile(
    r"(?:to_regclass|nextval|setval|pg_get_serial_sequence|pg_relation_size|pg_total_relation_size)\('(\w+)'"
    r"|'(\w+)'::regclass"
)


class Unqualified(NamedTuple):
    """A name without its schema: where it begins in the text, and the name."""

    start: int
    name: str


def relations(migrations: Path = REPOSITORY / "migrations" / "sql") -> set[str]:
    """Return the tables, views and sequences that the migrations create in the schema public."""
    texts = [file.read_text("utf-8") for file in sorted(migrations.rglob("*.sql"))]
    return {name for text in texts for name in _RELATION.findall(text)}


def unqualified(text: str, names: set[str]) -> list[Unqualified]:
    """Return every name of `names` in a statement that stands where a relation is expected, and has no schema."""
    local = set(_WITH.findall(text))
    names = names | {word for word in _SEQUENCE.findall(text) if any(word.startswith(f"{name}_") for name in names)}
    return sorted(set(_by_word(text, names - local)) | set(_by_text(text, names)))


def _by_word(text: str, names: set[str]) -> Iterator[Unqualified]:
    before, in_list = "", False
    for match in _TOKEN.finditer(text):
        word = match[0]
        if word.startswith("--"):
            continue
        upper = word.upper()
        if word in names and (before in _BEFORE_A_RELATION or (before == "," and in_list)):
            yield Unqualified(match.start(), word)
        if upper in _BEFORE_A_RELATION:
            in_list = upper in {"FROM", "USING"}
        elif upper in _ENDS_A_LIST:
            in_list = False
        before = upper


def _by_text(text: str, names: set[str]) -> Iterator[Unqualified]:
    for match in _NAMED_BY_TEXT.finditer(text):
        group = 1 if match[1] else 2
        if match[group] in names:
            yield Unqualified(match.start(group), match[group])


def qualify(text: str, names: set[str]) -> str:
    """Return the statement with the schema before every name that lacks it."""
    for found in reversed(unqualified(text, names)):
        text = f"{text[: found.start]}{_SCHEMA}.{text[found.start :]}"
    return text


def statements() -> list[Path]:
    """Return the files with the statements of both programs."""
    return sorted(file for package in _PACKAGES for file in (REPOSITORY / package).rglob("sql/*.sql"))


def main() -> int:
    """Check every file, or change it; 1 when a name lacks its schema."""
    names, fix, failed = relations(), sys.argv[1:] == ["--fix"], 0
    for file in statements():
        text = file.read_text("utf-8")
        for found in unqualified(text, names):
            line = text.count("\n", 0, found.start) + 1
            sys.stdout.write(
                f"{file.relative_to(REPOSITORY)}:{line}: found {found.name}, expected {_SCHEMA}.{found.name}\n"
            )
            failed = 0 if fix else 1
        if fix:
            file.write_text(qualify(text, names), "utf-8")
    return failed


if __name__ == "__main__":
    sys.exit(main())
