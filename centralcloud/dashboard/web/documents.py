"""The documentation that travels with the program, as pages: it can be read without a network."""

import re
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Final, NamedTuple

_NAME: Final = re.compile(r"(?:explanation|how-to|reference|tutorial)/[a-z0-9-]+\.md")
_HEADING: Final = re.compile(r"(#{1,6}) (.*)")
_LINK: Final = re.compile(r"\[([^\]]*)\]\([^)]*\)")
_FENCE: Final = "```"


class Section(NamedTuple):
    """A heading with the text under it, as Markdown. `anchor`: of the heading, as links to it name it."""

    level: int
    title: str
    anchor: str
    text: str


class Document(NamedTuple):
    """A page of the documentation. `path`: of its file in the repository."""

    path: str
    title: str
    sections: tuple[Section, ...]


def find_document(name: str) -> Document | None:
    """Return a page by its path below ``docs/``; None where there is none."""
    return _read(name) if _NAME.fullmatch(name) else None


def anchor_of(title: str) -> str:
    """Return the anchor of a heading, as GitHub makes it."""
    return re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")


@cache
def _read(name: str) -> Document | None:
    file = _folder() / name
    if not file.is_file():
        return None
    sections = tuple(_sections(file.read_text(encoding="utf-8")))
    return Document(f"docs/{name}", sections[0].title if sections else name, sections)


def _folder() -> Path:
    """Find the documentation: inside the installed package, or at the top of a source tree."""
    package = Path(str(files("centralcloud")))
    inside = package / "docs"
    return inside if inside.exists() else package.parent / "docs"


def _sections(text: str) -> Iterator[Section]:
    title, level, lines, in_code = "", 1, list[str](), False
    for line in text.splitlines():
        in_code ^= line.lstrip().startswith(_FENCE)
        heading = None if in_code else _HEADING.fullmatch(line)
        if heading is None:
            lines.append(line)
            continue
        if title or any(lines):
            yield _section(level, title, lines)
        level, title, lines = len(heading[1]), _LINK.sub(r"\1", heading[2]).replace("`", ""), []
    yield _section(level, title, lines)


def _section(level: int, title: str, lines: list[str]) -> Section:
    return Section(level, title, anchor_of(title), "\n".join(lines).strip())
