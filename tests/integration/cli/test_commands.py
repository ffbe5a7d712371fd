"""The command line: exit codes, one line for a mistake, JSON that others rely on."""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
import typer
from support.commands import BIN, environment, run_command, summarize_error
from support.events import an_event, outcomes, send
from support.servers import embedded_folder, execute
from typer.testing import CliRunner

from centralcloud.cli.app import app as centralcloud
from instance_agent.cli.app import app as instance_agent


def test_a_command_of_the_other_program_is_named() -> None:
    refused = CliRunner().invoke(centralcloud, ["keys", "list"])
    assert refused.exit_code == 2
    assert "use `instance-agent keys`" in refused.output


@pytest.mark.parametrize(
    ("program", "arguments"),
    [
        ("centralcloud", ["frobnicate"]),
        ("centralcloud", ["drain", "--fast"]),
        ("centralcloud", ["publish"]),
        ("centralcloud", ["run", "--no-learn", "--no-ingest"]),
        ("centralcloud", ["learn", "now"]),
        ("centralcloud", ["demo", "--seconds", "soon"]),
        ("centralcloud", ["demo", "--instances", "0"]),
        ("instance-agent", ["route"]),
        ("instance-agent", ["route", "--complexity", "11"]),
        ("instance-agent", ["route", "--complexity", "simple", "--prefer", "fame"]),
        ("instance-agent", ["catalogue"]),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(program: str, arguments: list[str]) -> None:
    result = run_command(program, *arguments, env={"DATABASE_URL": "embedded:/nowhere"})
    assert result.returncode == 2
    assert summarize_error(result).startswith(f"{program}: ")
    assert result.stdout == ""


@pytest.mark.parametrize("command", ["migrate", "run", "drain", "learn", "scores", "metrics"])
def test_without_a_database_url_one_line_names_both_ways_to_set_it(command: str) -> None:
    result = run_command("centralcloud", command, env={})
    assert result.returncode == 2
    line = summarize_error(result)
    assert "postgresql://" in line
    assert "embedded:" in line


def test_wrong_settings_are_one_line_and_exit_code_2() -> None:
    for program, command, variable in (
        ("centralcloud", "drain", "CENTRALCLOUD_BATCH_SIZE"),
        ("instance-agent", "run", "INSTANCE_AGENT_EXPLORATION"),
    ):
        result = run_command(program, command, env={"DATABASE_URL": "embedded:", variable: "lots"})
        assert result.returncode == 2
        assert f"{variable} is 'lots'" in summarize_error(result)


def test_an_unreachable_database_is_one_line_and_exit_code_1() -> None:
    env = {"DATABASE_URL": "postgresql://u:s3cret@127.0.0.1:1/db"}
    for command in ("migrate", "drain", "scores"):
        result = run_command("centralcloud", command, env=env)
        assert result.returncode == 1, command
        assert "refused" in summarize_error(result)
        assert "s3cret" not in result.stderr


@pytest.mark.parametrize(
    ("program", "app", "some"),
    [
        ("centralcloud", centralcloud, {"migrate", "run", "drain", "publish", "learn", "scores", "metrics", "demo"}),
        ("instance-agent", instance_agent, {"run", "catalog", "route"}),
    ],
)
def test_every_command_has_a_help_text(program: str, app: typer.Typer, some: set[str]) -> None:
    overview = run_command(program, "--help", env={})
    assert overview.returncode == 0
    assert "DATABASE_URL" in overview.stdout
    commands: list[tuple[tuple[str, ...], Any]] = [((), typer.main.get_command(app))]
    assert some <= set(commands[0][1].commands)
    while commands:
        path, command = commands.pop()
        text = CliRunner().invoke(app, [*path, "--help"])
        assert text.exit_code == 0, path
        assert len(text.output.splitlines()) > 5, path
        commands += [((*path, name), each) for name, each in getattr(command, "commands", {}).items()]


def test_output_that_cannot_be_written_is_one_line(catalog: dict[str, str]) -> None:
    script = f"{BIN}/instance-agent catalog --json > /dev/full"
    result = subprocess.run(
        ["bash", "-c", script], env=environment(**catalog), capture_output=True, text=True, check=False
    )
    assert result.returncode == 1
    assert "No space left on device" in summarize_error(result)


@contextmanager
def _output_that_takes_nothing(kind: str) -> Iterator[int]:
    """A standard output: a full disk, or a pipe whose reader has ended."""
    if kind == "> /dev/full":
        output = os.open("/dev/full", os.O_WRONLY)
    else:
        reader, output = os.pipe()
        os.close(reader)
    try:
        yield output
    finally:
        os.close(output)


@pytest.mark.parametrize("output", ["> /dev/full", "| true"])
@pytest.mark.parametrize(
    ("options", "result"), [((), "sent 3 events to model_routing_decisions"), (("--json",), '"sent": 3')]
)
def test_a_result_that_cannot_be_printed_is_said_on_standard_error(
    options: tuple[str, ...], result: str, output: str, database_url: str, tmp_path: Path
) -> None:
    file = tmp_path / "events.jsonl"
    file.write_text("\n".join(json.dumps(an_event()) for _ in range(3)))
    with _output_that_takes_nothing(output) as stdout:
        ended = run_command(
            "centralcloud", "publish", str(file), *options, env={"DATABASE_URL": database_url}, stdout=stdout
        )
    assert ended.returncode == 1
    line = summarize_error(ended)
    assert line.startswith("centralcloud: standard output cannot take the result: ")
    assert result in line
    assert execute(database_url, "SELECT count(*) FROM pgmq.q_model_routing_decisions") == [(3,)]


def test_the_result_of_any_change_is_said_when_it_cannot_be_printed(database_url: str) -> None:
    with _output_that_takes_nothing("> /dev/full") as stdout:
        ended = run_command(
            "centralcloud", "freeze", "--reason", "an audit", env={"DATABASE_URL": database_url}, stdout=stdout
        )
    assert ended.returncode == 1
    assert "; the result: frozen: no learned score is published" in summarize_error(ended)


def test_without_arguments_the_help_is_shown() -> None:
    for program in ("centralcloud", "instance-agent"):
        result = run_command(program, env={})
        assert result.returncode == 2
        assert "Run and watch:\n" in result.stderr


def test_a_table_that_blocks_the_migration_is_one_line(empty_url: str) -> None:
    execute(empty_url, "CREATE TABLE routing_records (id int)")
    result = run_command("centralcloud", "migrate", env={"DATABASE_URL": empty_url})
    assert result.returncode == 1
    assert 'relation "routing_records" already exists' in summarize_error(result)


def test_a_role_without_rights_is_one_line(database_url: str) -> None:
    role = "cc_without_rights"
    execute(database_url, f"CREATE ROLE {role} LOGIN PASSWORD 'none'")
    try:
        url = psycopg.conninfo.make_conninfo(database_url, user=role, password="none")
        for command in ("scores", "metrics", "learn", "drain"):
            result = run_command("centralcloud", command, env={"DATABASE_URL": url})
            assert result.returncode == 1
            assert "permission denied" in summarize_error(result)
    finally:
        execute(database_url, f"DROP ROLE {role}")


def test_the_json_documents_keep_their_shape(database_url: str) -> None:
    env = {"DATABASE_URL": database_url}
    send(database_url, [*outcomes(98, 2, complexity_score=4.0), an_event(complexity="simple"), {"no": "event"}])
    drained = json.loads(run_command("centralcloud", "drain", "--json", env=env).stdout)
    assert list(drained) == ["events", "records", "duplicates", "dead_letters", "seconds", "events_per_second"]
    assert (drained["events"], drained["records"], drained["dead_letters"]) == (102, 101, 1)
    assert drained["events_per_second"] > 0
    run = json.loads(run_command("centralcloud", "learn", "--json", env=env).stdout)
    (change,) = run["changes"]
    assert {"model", "complexity", "old_score", "new_score", "reason", "based_on_samples"} <= set(change)
    assert run["without_outcomes"] == [{"model": "gpt-4o", "complexity": "simple"}]
    (score,) = json.loads(run_command("centralcloud", "scores", "--json", env=env).stdout)
    assert {"model", "complexity", "score", "version", "updated_at", "reason"} <= set(score)
    assert (score["score"], score["version"]) == (4.3, change["version"])
    rows = json.loads(run_command("centralcloud", "metrics", "--json", env=env).stdout)
    assert [(row["model"], row["complexity"], row["usage_count"]) for row in rows] == [
        ("gpt-4o", "simple", 1),
        ("gpt-4o", "complex", 100),
    ]
    assert {"routed_count", "success_count", "failure_count", "success_rate", "avg_response_time"} <= set(rows[0])
    for command in ("learn", "scores", "metrics"):
        table = run_command("centralcloud", command, env=env)
        assert table.returncode == 0
        assert "gpt-4o" in table.stdout


def test_a_reader_that_closes_the_pipe_causes_no_traceback(database_url: str, catalog: dict[str, str]) -> None:
    script = f"{BIN}/instance-agent catalog --json | true"
    result = subprocess.run(
        ["bash", "-c", script], env=environment(**catalog), capture_output=True, text=True, check=False
    )
    assert "Traceback" not in result.stderr


def test_the_embedded_server_works_with_every_command(tmp_path: Path, catalog: dict[str, str]) -> None:
    with embedded_folder() as folder:
        env = {"DATABASE_URL": "embedded:"}

        def run(*arguments: str, text: str | None = None):
            result = run_command("centralcloud", *arguments, env=env, cwd=folder, input_text=text)
            assert result.returncode == 0, result.stderr
            return result.stdout

        assert "went from empty" in run("migrate")
        assert (folder / ".centralcloud").is_dir()
        events = outcomes(100, 0, selected_model="llama", complexity_score=4.0)
        run("publish", "-", text="\n".join(map(json.dumps, events)))
        assert json.loads(run("drain", "--json"))["records"] == 100
        assert "llama" in run("learn")
        assert json.loads(run("scores", "--json"))[0]["score"] == 4.3
        assert json.loads(run("metrics", "--json"))[0]["success_rate"] == 1.0
        pid_file = folder / ".centralcloud" / "postgresql" / "postmaster.pid"
        assert not pid_file.exists(), "the last command to use the server stops it"
