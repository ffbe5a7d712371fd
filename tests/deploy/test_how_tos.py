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


def test_commands_for_root_that_the_page_of_systemd_names_are_installed() -> None:
    text = (REPOSITORY / "docs/how-to/deploy-with-systemd.md").read_text()
    scripts = {file.name for file in (REPOSITORY / "deploy/systemd/bin").iterdir()}
    assert "install -m 0755 deploy/systemd/bin/* /usr/local/sbin/" in text
    blocks = "\n".join(re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE))
    assert set(re.findall(r"^(centralcloud\S*|instance-agent\S*) ", blocks, re.MULTILINE)) == scripts
    assert all((REPOSITORY / "deploy/systemd/bin" / name).stat().st_mode & 0o111 for name in scripts)


@pytest.mark.parametrize("page", [*_PAGES, REPOSITORY / "docs/how-to/upgrade.md"], ids=lambda page: page.stem)
def test_no_page_installs_the_sources_or_runs_the_daemon_as_the_owner(page: Path) -> None:
    text = page.read_text()
    assert "--editable" not in text
    assert not re.search(r"pip install [^\n]* \.$", text, re.MULTILINE)
    assert not re.search(r"centralcloud_owner:[^\n]* centralcloud run", text)
