"""`centralcloud publish`: lines that are refused, inputs that end, and what was sent."""

import codecs
import gzip
import json
import os
import signal
import subprocess
from pathlib import Path

import pytest
from support.commands import BIN, environment, run_command, start_command, summarize_error
from support.events import an_event
from support.servers import execute
from support.waiting import eventually


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
        # The signal may come between the commit of the second batch, which is seen here, and its count there.
        assert log.read() in {
            f"stopped after line {sent}: {sent} events sent; the next 100 lines may or may not have been sent\n"
            for sent in (100, 200)
        }


def test_publish_reads_standard_input(database_url: str) -> None:
    text = "\n".join(json.dumps(an_event()) for _ in range(2500))
    result = run_command("centralcloud", "publish", "-", env={"DATABASE_URL": database_url}, input_text=text)
    assert (result.returncode, result.stdout, result.stderr) == (
        0,
        "sent 2,500 events to model_routing_decisions\n",
        "",
    )


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
