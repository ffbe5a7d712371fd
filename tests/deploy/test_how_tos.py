"""The deployment how-tos: the files and units that their commands name exist."""

import re
from pathlib import Path

import pytest
from support.repository import REPOSITORY

_PAGES = sorted((REPOSITORY / "docs/how-to").glob("deploy-with-*.md"))


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: page.stem)
def test_the_files_that_its_commands_name_exist(page: Path) -> None:
    commands = "\n".join(re.findall(r"^```sh\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE))
    made_by_the_reader = ("deploy/docker/.env", "deploy/kubernetes/overlays/mine")
    named = set(re.findall(r"(?<![\w/])(?:deploy|examples)/[\w./*@-]+", commands))
    assert named
    for path in named:
        assert path.startswith(made_by_the_reader) or list(REPOSITORY.glob(path)), path


def test_each_is_linked_from_both_indexes() -> None:
    assert len(_PAGES) == 3
    for listed_in, prefix in (("README.md", "docs/how-to/"), ("docs/README.md", "how-to/")):
        text = (REPOSITORY / listed_in).read_text()
        assert all(f"({prefix}{page.name})" in text for page in _PAGES)


def test_commands_of_systemd_name_units_that_exist() -> None:
    text = (REPOSITORY / "docs/how-to/deploy-with-systemd.md").read_text()
    named = set(re.findall(r"systemctl (?:start|restart|status|enable --now) ([\w@-]+)", text))
    units = {file.stem for file in (REPOSITORY / "deploy/systemd").glob("*.service")}
    assert {f"{name.split('@')[0]}@" if "@" in name else name for name in named} == units
