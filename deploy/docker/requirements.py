"""Print what the wheel requires, with the extras that are named:  requirements.py pyproject.toml [EXTRA...]

The image installs these in a layer of its own, which is reused until pyproject.toml or constraints.txt changes.
"""

import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path


def requirements(project: dict, extras: list[str]) -> Iterator[str]:
    """Yield the requirements; an extra may name other extras of the same project, as in ``centralcloud[daemon]``."""
    yield from project["dependencies"]
    for extra in extras:
        for requirement in project["optional-dependencies"][extra]:
            others = re.fullmatch(rf"{re.escape(project['name'])}\[(.+)\]", requirement)
            if others is None:
                yield requirement
            else:
                yield from requirements(project | {"dependencies": []}, re.split(r"\s*,\s*", others[1]))


if __name__ == "__main__":
    file, *extras = sys.argv[1:]
    for line in requirements(tomllib.loads(Path(file).read_text())["project"], extras):
        sys.stdout.write(f"{line}\n")
