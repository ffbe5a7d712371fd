"""Commands on a real terminal: questions, the width of tables, streams of another encoding."""

import re
from pathlib import Path

from support.commands import run_command
from support.events import an_event, outcomes, send
from support.servers import execute
from support.terminals import TerminalProgram

from centralcloud.ingest.drain import drain
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.terminal.table_layout import text_width

QUESTION = b"[y/N]: "


def test_a_question_that_is_not_answered_with_yes_ends_in_one_line(database_url: str) -> None:
    send(database_url, [an_event()])
    arguments = ("queue", "purge", "--older-than", "0s")
    answers = {
        b"n\n": (1, "nothing was purged"),
        b"\x04": (1, "nothing was purged"),
        b"\x03": (130, "interrupted: nothing was purged"),
    }
    programs = {
        keys: TerminalProgram("centralcloud", *arguments, env={"DATABASE_URL": database_url}) for keys in answers
    }
    for keys, (code, line) in answers.items():
        programs[keys].type(keys, after=QUESTION)
        ended = programs[keys].end()
        assert ended.code == code, ended.screen
        question, last = ended.screen.splitlines()
        assert re.match(
            r"Remove 1 message sent before \d{4}-\d\d-\d\d \d\d:\d\d:\d\d[+-]\d\d:\d\d, without ingesting it\? ",
            question,
        )
        assert last == f"centralcloud: {line}"
    assert execute(database_url, "SELECT count(*) FROM pgmq.q_model_routing_decisions") == [(1,)]


def test_a_table_fits_the_terminal(database: Database, database_url: str) -> None:
    names = ("café-模型", "m" * 200)
    for name in names:
        for complexity in ("simple", "medium", "complex"):
            send(database_url, outcomes(10, 3, selected_model=name, complexity=complexity, time_ms=12_345))
    drain(database, batch_size=1000)
    code, screen = TerminalProgram("centralcloud", "metrics", env={"DATABASE_URL": database_url}, columns=80).end()
    lines = re.sub("\x1b\\[[01]m", "", screen).splitlines()
    assert code == 0, screen
    assert max(map(text_width, lines)) <= 80
    assert sum(line.count("12,345 ms") for line in lines) == 6
    assert re.findall("simple|medium|complex(?!i)", "\n".join(lines)) == ["simple", "medium", "complex"] * 2
    assert all(name in "".join(line.strip() for line in lines) for name in names)


def test_a_stream_in_ascii_gets_escapes(tmp_path: Path) -> None:
    catalog = tmp_path / "catalog.yaml"
    catalog.write_text("models: [{name: 模, provider: p, complexity_scores: {complex: 1, simple: 2}}]", "utf-8")
    env = {
        "PYTHONIOENCODING": "ascii",
        "INSTANCE_AGENT_CATALOG": str(catalog),
        "INSTANCE_AGENT_STATE_DIR": str(tmp_path),
    }
    result = run_command("instance-agent", "catalog", env=env)
    assert (result.returncode, result.stderr) == (0, "")
    assert [line.split()[:4] for line in result.stdout.splitlines()[1:]] == [
        ["\\u6a21", "p", "simple", "2.000"],
        ["\\u6a21", "p", "complex", "1.000"],
    ]
