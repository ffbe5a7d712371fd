"""`make setup` installs what the tests and the targets of the Makefile need."""

import re
import tomllib

from support.repository import REPOSITORY

_MAKEFILE = (REPOSITORY / "Makefile").read_text()
_EXTRAS = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["optional-dependencies"]


def test_setup_installs_every_extra_but_the_frameworks_and_the_browser() -> None:
    installed, *own = re.findall(r"--editable '\.\[([\w,]+)\]'", _MAKEFILE)
    assert own == ["frameworks", "browser"], "they are large, and few tests need them"
    assert sorted([*installed.split(","), *own]) == sorted(_EXTRAS)
    assert "pip install" not in (REPOSITORY / ".ci/run").read_text(), "CI has what `make setup` installs"


def test_no_extra_lists_a_requirement_of_another() -> None:
    names = [re.split(r"[>=<]", requirement)[0] for extra in _EXTRAS.values() for requirement in extra]
    assert len(names) == len(set(names))


def test_the_build_uses_the_programs_of_the_extra_release() -> None:
    (build,) = re.findall(r"^build:.*\n((?:\t.*\n)*)", _MAKEFILE, re.MULTILINE)
    programs = set(re.findall(r"\$\(BIN\)/(\w+)", build))
    assert "$(BIN)/python tools/sbom.py release" in build, "it writes the list of components with a library"
    libraries = {"cyclonedx-python-lib"}
    assert programs - {"python"} | libraries == {re.split(r">", requirement)[0] for requirement in _EXTRAS["release"]}
