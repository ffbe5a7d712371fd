"""The commands that root runs beside the units of systemd: with the user, the URL and the settings of a unit."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.commands import environment
from support.repository import REPOSITORY

_SYSTEMD = REPOSITORY / "deploy/systemd"


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A root folder with the settings, and programs that print the user and the environment in which they run."""
    settings = tmp_path / "etc/centralcloud"
    settings.mkdir(parents=True)
    for name in ("centralcloud.env", "gateway.env", "instance-agent.env"):
        (settings / name).write_text((_SYSTEMD / name).read_text())
    (settings / "instance-agent-eu-1.env").write_text("INSTANCE_AGENT_HTTP_PORT=8099\n")
    (settings / "provider-keys.env").write_text("OPENAI_API_KEY=sk-provider\n")
    for name in ("owner", "worker", "gateway", "configurator", "instance-agent-eu-1"):
        (settings / f"{name}-database-url").write_text(f"postgresql://{name}\n")
    commands = tmp_path / "commands"
    commands.mkdir()
    for script in (_SYSTEMD / "bin").iterdir():
        moved = script.read_text().replace("/etc/", f"{tmp_path}/etc/").replace("/opt/centralcloud/bin/", "")
        (commands / script.name).write_text(moved)
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "runuser").write_text('#!/bin/sh\nexec env RUN_AS="$2" RAN="$4 $5 $6" env\n')
    (programs / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    for program in programs.iterdir():
        program.chmod(0o755)
    return tmp_path


def _run_on(machine: Path, command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    path = f"{machine / 'programs'}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["sh", machine / "commands" / command, *arguments],
        env=environment() | {"PATH": path},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(
    ("command", "user", "url", "port"),
    [
        (["centralcloud", "doctor"], "centralcloud", "postgresql://worker", "CENTRALCLOUD_HTTP_PORT=8080"),
        (["centralcloud-owner", "grants"], "centralcloud-owner", "postgresql://owner", "CENTRALCLOUD_HTTP_PORT=8080"),
        (
            ["instance-agent-for", "eu-1", "doctor"],
            "instance-agent",
            "postgresql://instance-agent-eu-1",
            "INSTANCE_AGENT_HTTP_PORT=8099",
        ),
        (
            ["instance-agent-gateway-for", "eu-1", "doctor"],
            "instance-agent",
            "postgresql://gateway",
            "INSTANCE_AGENT_HTTP_PORT=8082",
        ),
        (
            ["instance-agent-gateway-for", "eu-1", "keys"],
            "instance-agent",
            "postgresql://configurator",
            "INSTANCE_AGENT_HTTP_PORT=8082",
        ),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else None,
)
def test_a_command_for_root_runs_with_the_user_the_url_and_the_settings_of_its_unit(
    machine: Path, command: list[str], user: str, url: str, port: str
) -> None:
    result = _run_on(machine, *command)
    assert result.returncode == 0, result.stderr
    printed = result.stdout.splitlines()
    program = "instance-agent" if user == "instance-agent" else "centralcloud"
    assert f"RUN_AS={user}" in printed
    assert f"RAN={program} {command[-1]}" in [line.rstrip() for line in printed]
    assert [line for line in printed if "_URL=" in line] == [f"DATABASE_URL={url}"]
    assert port in printed
    assert ("INSTANCE_ID=eu-1" in printed) == (user == "instance-agent")
    assert ("OPENAI_API_KEY=sk-provider" in printed) == (url == "postgresql://gateway")


@pytest.mark.parametrize(
    ("command", "file"),
    [
        (["centralcloud", "doctor"], "centralcloud.env"),
        (["centralcloud-owner", "grants"], "centralcloud.env"),
        (["instance-agent-for", "eu-1", "doctor"], "instance-agent.env"),
        (["instance-agent-for", "eu-1", "doctor"], "instance-agent-eu-1.env"),
        (["instance-agent-gateway-for", "eu-1", "doctor"], "gateway.env"),
        (["instance-agent-gateway-for", "eu-1", "doctor"], "provider-keys.env"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else value,
)
def test_a_command_for_root_runs_no_part_of_a_file_with_settings(machine: Path, command: list[str], file: str) -> None:
    """As root, a shell would run what is in a value, or fail at it. systemd does neither."""
    values = {
        "SCHEDULE": "30 2 * * 1-5",
        "SUBSTITUTED": f"$(touch {machine}/touched) `touch {machine}/touched`",
        "ENDED": f"a; touch {machine}/touched",
        "NAMED": "$HOME it's",
    }
    written = [f"{name}={value}" for name, value in values.items()]
    written += ['QUOTED="two words" # kept', "CONTINUED=one \\", "two"]
    with (machine / "etc/centralcloud" / file).open("a") as settings:
        settings.write("\n".join(["# $(touch touched) it's a comment", *written, ""]))
    result = _run_on(machine, *command)
    assert (result.returncode, result.stderr) == (0, "")
    assert not list(machine.rglob("touched"))
    printed = result.stdout.splitlines()
    assert {*written[:4], "QUOTED=two words# kept", "CONTINUED=one two"} <= set(printed)


def test_a_command_for_root_has_the_defaults_of_its_unit(machine: Path) -> None:
    (machine / "etc/centralcloud/centralcloud.env").write_text("CENTRALCLOUD_HTTP_PORT=8090\n")
    printed = _run_on(machine, "centralcloud", "doctor").stdout.splitlines()
    assert {"CENTRALCLOUD_HTTP_ADDRESS=127.0.0.1", "CENTRALCLOUD_HTTP_PORT=8090"} <= set(printed)


def test_a_command_for_root_says_in_one_line_what_is_missing(machine: Path) -> None:
    for command, name in (("instance-agent-for", "an instance"), ("instance-agent-gateway-for", "a gateway")):
        without_command = _run_on(machine, command, "eu-1")
        assert without_command.returncode == 2
        assert without_command.stderr.count("\n") == 1
        assert f"expected the name of {name} and a command" in without_command.stderr
    unknown = _run_on(machine, "instance-agent-for", "eu-2", "doctor")
    assert unknown.returncode != 0
    assert "instance-agent-eu-2-database-url" in unknown.stderr
    assert "RUN_AS" not in unknown.stdout
    (machine / "etc/centralcloud/centralcloud.env").unlink()
    without_settings = _run_on(machine, "centralcloud", "doctor")
    assert (without_settings.returncode, without_settings.stderr.count("\n")) == (2, 1)
    assert "centralcloud.env: cannot be read: No such file" in without_settings.stderr
