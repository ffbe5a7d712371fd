"""The command line: exit codes, one line for a mistake, JSON that others rely on."""

import codecs
import gzip
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
import typer
from support.commands import BIN, environment, run_command, start_command
from support.events import an_event, outcomes, send
from support.repository import REPOSITORY
from support.servers import embedded_folder, execute
from support.waiting import eventually
from typer.testing import CliRunner

from centralcloud.cli.app import app as centralcloud
from centralcloud.contracts import Estimate
from instance_agent.catalog.catalog_file import built_in_entries, read_entries
from instance_agent.catalog.learned_scores import LearnedScore, LearnedScores
from instance_agent.catalog.learned_scores_file import LearnedScoresFile
from instance_agent.cli import app as instance_agent

CATALOG = """
models:
  - name: gpt-4o
    provider: openai
    capabilities: [vision]
    max_output_tokens: 10000
    pricing: {input: 2, output: 6}
    complexity_scores: {simple: 4.0, medium: 4.0, complex: 4.0}
  - name: llama
    provider: local
    max_output_tokens: 1000
    pricing: {input: 0, output: 0}
    complexity_scores: {simple: 3.9, medium: 3.0}
"""


@pytest.fixture
def catalog(tmp_path: Path) -> dict[str, str]:
    """Return the settings of an instance with a small catalog."""
    path = tmp_path / "catalog.yaml"
    path.write_text(CATALOG)
    return {"INSTANCE_AGENT_CATALOG": str(path), "INSTANCE_AGENT_STATE_DIR": str(tmp_path / "state")}


def summarize_error(result) -> str:
    (line,) = result.stderr.strip().splitlines()
    assert "Traceback" not in line
    return line


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


def test_publish_reports_bad_lines_by_number_and_sends_the_rest(database_url: str, tmp_path: Path) -> None:
    good = json.dumps(an_event())
    lines = [
        good, "", "not json", "[1, 2]", good, '{"unfinished": ', '{"nul": "\\u0000"}', '{"lone": "\\ud800"}',
        '{"not a number": NaN}', "   ", good, '{"deep": ' + "[" * 200_000 + "]" * 200_000 + "}", '{"unusual": 1}',
    ]  # fmt: skip
    file = tmp_path / "events.jsonl"
    file.write_bytes("\n".join(lines).encode() + b'\n{"byte": "\xff"}\n')
    result = run_command("centralcloud", "publish", str(file), env={"DATABASE_URL": database_url})
    assert result.returncode == 1
    assert result.stdout == "sent 4 events to model_routing_decisions, 8 lines refused\n"
    refused = [line.removeprefix(f"{file}: line ") for line in result.stderr.splitlines()]
    assert [int(line.split(":")[0]) for line in refused] == [3, 4, 6, 7, 8, 9, 12, 14]
    assert "expected a JSON object" in refused[0]
    assert "PostgreSQL refuses it" in refused[2]
    assert execute(database_url, "SELECT count(*) FROM pgmq.q_model_routing_decisions") == [(4,)]


def test_publish_lists_the_first_refused_lines_and_counts_the_others(database_url: str, tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    file.write_bytes(codecs.BOM_UTF8 + b"\n".join([json.dumps(an_event()).encode(), *[b"bad"] * 1030]))
    result = run_command("centralcloud", "publish", str(file), env={"DATABASE_URL": database_url})
    assert result.returncode == 1
    assert result.stdout == "sent 1 event to model_routing_decisions, 1,030 lines refused\n"
    *listed, last = result.stderr.splitlines()
    assert [line.split(": ")[1] for line in listed] == [f"line {number}" for number in range(2, 22)]
    assert last == f"{file}: 1,010 more lines refused, not listed"
    packed = tmp_path / "events.jsonl.gz"
    packed.write_bytes(gzip.compress(file.read_bytes()))
    result = run_command("centralcloud", "publish", str(packed), env={"DATABASE_URL": database_url})
    assert result.returncode == 2
    assert summarize_error(result).endswith(f"try: gunzip -c {packed} | centralcloud publish -")
    assert execute(database_url, "SELECT count(*) FROM pgmq.q_model_routing_decisions") == [(1,)]


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_an_interrupted_publish_prints_how_many_events_were_sent(
    number: signal.Signals, exit_code: int, database_url: str, tmp_path: Path
) -> None:
    fifo = tmp_path / "events"
    os.mkfifo(fifo)
    env = {"DATABASE_URL": database_url, "CENTRALCLOUD_BATCH_SIZE": "100"}
    with (tmp_path / "log").open("w+") as log:
        process = start_command("centralcloud", "publish", str(fifo), env=env, log=log)
        with fifo.open("w") as stream:
            stream.write("\n".join(json.dumps(an_event()) for _ in range(250)) + "\n")
            stream.flush()
            queued = "SELECT count(*) FROM pgmq.q_model_routing_decisions"
            eventually(lambda: execute(database_url, queued) == [(200,)])
            process.send_signal(number)
            assert process.wait(timeout=30) == exit_code
        log.seek(0)
        assert log.read() == (
            "stopped after line 200: 200 events sent; the next 100 lines may or may not have been sent\n"
        )


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


def test_publish_reads_standard_input(database_url: str) -> None:
    text = "\n".join(json.dumps(an_event()) for _ in range(2500))
    result = run_command("centralcloud", "publish", "-", env={"DATABASE_URL": database_url}, input_text=text)
    assert (result.returncode, result.stdout, result.stderr) == (
        0,
        "sent 2,500 events to model_routing_decisions\n",
        "",
    )


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


def test_publish_from_a_closed_input_is_one_line(database_url: str) -> None:
    command = f"{BIN}/centralcloud publish - <&-"
    env = environment(DATABASE_URL=database_url)
    result = subprocess.run(["bash", "-c", command], env=env, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert "closed" in summarize_error(result)


def test_publish_of_a_missing_file_is_one_line() -> None:
    result = run_command("centralcloud", "publish", "/nowhere/events.jsonl", env={"DATABASE_URL": "embedded:"})
    assert result.returncode == 2
    assert "/nowhere/events.jsonl: No such file" in summarize_error(result)


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


def test_the_catalog_and_a_route_need_no_database(catalog: dict[str, str]) -> None:
    effective = json.loads(run_command("instance-agent", "catalog", "--json", env=catalog).stdout)
    assert effective["version"] == 0
    assert [(model["name"], model["provider"]) for model in effective["models"]] == [
        ("gpt-4o", "openai"),
        ("llama", "local"),
    ]
    assert effective["models"][0]["complexity_scores"] == {"simple": 4.0, "medium": 4.0, "complex": 4.0}
    assert effective["models"][1]["learned"] == {}

    def route(*arguments: str) -> dict:
        result = run_command("instance-agent", "route", "--json", *arguments, env=catalog)
        assert result.returncode == 0, result.stderr
        return json.loads(result.stdout)

    assert route("--complexity", "simple")["model"] == "gpt-4o"
    assert route("--complexity", "simple", "--prefer", "speed")["model"] == "llama"
    assert route("--complexity", "simple", "--prefer", "cost")["model"] == "llama"
    seeing = route("--complexity", "simple", "--capability", "vision", "--prefer", "cost")
    assert (seeing["model"], [ranked["model"] for ranked in seeing["ranking"]]) == ("gpt-4o", ["gpt-4o"])
    blind = route("--complexity", "simple", "--capability", "vision", "--capability", "telepathy")
    assert (blind["model"], blind["fallback"]) == ("gpt-4o", "capabilities")
    assert route("--complexity", "complex", "--model", "llama")["model"] == "llama"
    table = run_command("instance-agent", "route", "--complexity", "simple", env=catalog)
    assert "best score for simple tasks" in table.stdout


def test_a_route_is_explained_model_by_model(catalog: dict[str, str]) -> None:
    learned = LearnedScores(epoch="e")
    for version, (mean, n_eff, probe_share) in enumerate(((0.9, 100.0, 0.0), (0.85, 20.0, 0.01)), start=1):
        score = LearnedScore(
            score=5 * (mean - 0.02),
            version=version,
            at=datetime(2026, 11, 20, tzinfo=UTC),
            estimate=Estimate(mean=mean, n_eff=n_eff, probe_share=probe_share),
        )
        learned = learned.with_score((("gpt-4o", "llama")[version - 1], "simple"), score)
    LearnedScoresFile(Path(catalog["INSTANCE_AGENT_STATE_DIR"])).write(learned)

    def route(*arguments: str, **env: str) -> str:
        result = run_command("instance-agent", "route", "--complexity", "simple", *arguments, env=catalog | env)
        assert result.returncode == 0, result.stderr
        return result.stdout

    drawn = json.loads(route("--json", "--explain", "--seed", "4"))
    assert drawn == json.loads(route("--json", "--explain", "--seed", "4"))
    assert (drawn["method"], drawn["kind"]) == ("thompson", "best")
    gpt, llama = drawn["ranking"]
    assert (gpt["mean"], gpt["n_eff"], gpt["penalty"], gpt["probe_share"]) == (0.9, 100, 0.02, 0)
    assert llama["propensity"] == pytest.approx(0.01 + 0.99 * llama["win_probability"])
    assert gpt["propensity"] + llama["propensity"] == pytest.approx(1)
    exploring = json.loads(route("--json", "--explain", INSTANCE_AGENT_EXPLORATION="0.5"))["ranking"][1]
    assert exploring["propensity"] == pytest.approx(0.25 + 0.5 * llama["propensity"])
    choice = json.loads(route("--json"))
    assert (choice["selection"], choice["probe"]) == ("thompson", False)
    assert "comes with an estimate" in choice["selection_reason"]
    greedy = json.loads(route("--json", INSTANCE_AGENT_SELECTION="greedy"))
    assert (greedy["selection"], greedy["ranking"][0]["propensity"]) == ("greedy", 0.99)
    assert greedy["selection_reason"] == "set by INSTANCE_AGENT_SELECTION"
    table = route("--explain")
    for words in ("(thompson)", "1. ", "2. ", "n_eff", "win_probability", "1.00%"):
        assert words in table
    assert "win_probability" not in route()


def test_a_plan_is_explained_for_a_prompt_and_hints_without_a_key(tmp_path: Path) -> None:
    """The keys of providers are those of the gateway, not of the shell; --available asks for them here."""
    catalog = REPOSITORY / "examples/catalog.yaml"
    env = environment(INSTANCE_AGENT_STATE_DIR=str(tmp_path), OPENAI_API_KEY="sk-test")

    def route(*arguments: str, prompt: str | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [f"{BIN}/instance-agent", "route", "--explain", f"--catalog={catalog}", *arguments],
            env=env, input=prompt, capture_output=True, text=True, check=False,
        )  # fmt: skip

    plan = json.loads(
        route("-", "--json", "--task-type", "coding", "--capability", "vision", prompt="Sort a list.\n").stdout
    )
    assert plan["task"] | {"reasons": []} == {
        "type": "coding", "typeFrom": "header", "level": "simple", "complexity": plan["task"]["complexity"],
        "levelFrom": "classifier", "agentType": None, "reasons": [],
    }  # fmt: skip
    assert [each["modelId"] for each in plan["targets"]] == ["gpt-4o-mini", "gpt-4o", "claude-sonnet"]
    assert [(each["target"], each["code"]) for each in plan["leftOut"]] == [("qwen3-30b@lm_studio", "capability_asked")]
    named = route("--model", "auto:complex", "Sort a list.").stdout
    assert "complex (from model)" in named
    assert named.startswith(
        "(a gateway with this environment could not call 1 of these 4 targets: anthropic (ANTHROPIC_API_KEY is not set); "
    )
    here = route("--complexity", "9", "--available").stdout
    assert "complex (9 of 10) (from header)" in here
    assert "left out: claude-sonnet@anthropic: ANTHROPIC_API_KEY is not set" in here
    assert "left out: qwen3-30b@lm_studio: it does not answer at " in here
    for arguments, prompt, words in (
        (["--task-type", "x" * 201, "hello"], None, "--task-type: found "),
        (["-"], " ", "the prompt on standard input is empty: expected a text"),
    ):
        refused = route(*arguments, prompt=prompt)
        assert (refused.returncode, refused.stdout) == (2, "")
        assert words in refused.stderr


def test_an_empty_catalog_is_one_line(tmp_path: Path) -> None:
    catalog = tmp_path / "catalog.yaml"
    catalog.write_text("models: []\n")
    env = {"INSTANCE_AGENT_STATE_DIR": str(tmp_path), "INSTANCE_AGENT_CATALOG": str(catalog)}
    result = run_command("instance-agent", "route", "--complexity", "simple", env=env)
    assert result.returncode == 1
    assert "the catalog is empty" in summarize_error(result)


def test_the_built_in_catalog_can_be_printed_as_a_file_to_start_from(tmp_path: Path) -> None:
    catalog = tmp_path / "catalog.yaml"
    catalog.write_text(CliRunner().invoke(instance_agent, ["catalog", "--built-in"]).output)
    assert read_entries(catalog) == built_in_entries()


def test_a_wrong_catalog_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "catalog.yaml"
    path.write_text("models:\n  - {name: m, provider: p, complexity_scores: {simple: 9}}\n")
    for command in (["catalog"], ["route", "--complexity", "simple"], ["run"]):
        env = {"INSTANCE_AGENT_CATALOG": str(path), "DATABASE_URL": "embedded:/nowhere"}
        result = run_command("instance-agent", *command, env=env)
        assert result.returncode == 2
        assert "models[0].complexity_scores.simple: found 9" in summarize_error(result)


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
