"""The log of a program: a text of others in an event forges no line of it, and moves no cursor."""

import json
import subprocess
import sys
import threading
import traceback
from pathlib import Path

import pytest
import structlog
from support.terminals import control_characters

from centralcloud.runtime.logs import configure_logs, end_logs, get_logger

HOSTILE = "gpt\x1b[2J\nforged\r\u202e\x9b\x7f\u2028"


def test_a_text_of_others_is_escaped_on_the_console(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("info", "console")
    get_logger("centralcloud.test").warning("event", model=HOSTILE, models=[HOSTILE], details={HOSTILE: HOSTILE})
    printed = capsys.readouterr().err
    assert printed.count("forged") == 4
    assert printed.count("\n") == 1
    assert not control_characters(printed)


def test_a_traceback_on_the_console_keeps_its_lines_and_no_control_character(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logs("info", "console")
    try:
        raise ValueError(HOSTILE)
    except ValueError:
        get_logger("centralcloud.test").exception("failed")
    printed = capsys.readouterr().err
    assert "Traceback" in printed
    assert "forged" in printed
    assert not control_characters(printed)


@pytest.fixture
def unbound() -> None:
    """Without the fields that code of other tests has bound to this thread's events."""
    structlog.contextvars.clear_contextvars()


def _messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "centralcloud.test"]


@pytest.mark.usefixtures("unbound")
def test_a_program_with_logging_of_its_own_gets_a_readable_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("WARNING", logger="centralcloud")
    log = get_logger("centralcloud.test")
    log.warning(
        "events_dropped", count=6, reason="the program has ended", share=0.5, model="gpt-4o", since=None, at=HOSTILE
    )
    log.warning("models_named", names=["a b", "c"], details={"x": 1}, path=Path("/a b"))
    dropped, named = _messages(caplog)
    fields = 'count=6 reason="the program has ended" share=0.5 model=gpt-4o since=None'
    assert dropped.startswith(f'events_dropped {fields} at="gpt\\u001b[2J\\nforged')
    assert not control_characters(dropped)
    assert "\n" not in dropped
    assert named == 'models_named names=["a b", "c"] details={"x": 1} path="/a b"'


@pytest.mark.usefixtures("unbound")
def test_a_traceback_follows_the_line_for_logging_of_others(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("WARNING", logger="centralcloud")
    try:
        raise ValueError(HOSTILE)
    except ValueError as error:
        get_logger("centralcloud.test").exception("rule_failed", rule="r")
        get_logger("centralcloud.test").error("task_failed", traceback=traceback.format_exception(error))
    for message, first in zip(_messages(caplog), ("rule_failed rule=r", "task_failed"), strict=True):
        lines = message.split("\n")
        assert lines[:2] == [first, "Traceback (most recent call last):"]
        assert "ValueError: gpt" in message
        assert not control_characters(message)


def test_a_program_that_has_not_configured_logging_prints_a_readable_line() -> None:
    script = (
        "from centralcloud.runtime.logs import get_logger\n"
        "get_logger('centralcloud.test').warning('events_dropped', count=6, reason='it ended')\n"
        "get_logger('centralcloud.test').info('not shown')\n"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stderr == 'events_dropped count=6 reason="it ended"\n'


def test_a_text_of_others_stays_itself_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("info", "json")
    get_logger("centralcloud.test").warning("event", model=HOSTILE)
    printed = capsys.readouterr().err
    assert json.loads(printed)["model"] == HOSTILE
    assert printed.count("\n") == 1
    assert not control_characters(printed)


def test_no_other_thread_logs_after_the_last_line_of_a_program(capsys: pytest.CaptureFixture[str]) -> None:
    """A thread that did not stop in time may fail after it; the main thread may still have something to say."""
    configure_logs("info", "json")
    log = get_logger("centralcloud.test")

    def log_in_thread(event: str) -> None:
        thread = threading.Thread(target=log.error, args=[event])
        thread.start()
        thread.join()

    log_in_thread("before")
    end_logs()
    log_in_thread("after")
    log.error("at_exit")
    assert [json.loads(line)["event"] for line in capsys.readouterr().err.splitlines()] == ["before", "at_exit"]


def test_a_command_at_a_prompt_loads_structlog_for_the_first_line_that_is_logged() -> None:
    program = """
import sys
from centralcloud.runtime.logs import configure_logs, get_logger
configure_logs("warning", "json", at_prompt=True)
log = get_logger("centralcloud.tests")
log.info("not_logged")
print("structlog" in sys.modules)
log.warning("logged", number=1)
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout == "False\n"
    line = json.loads(result.stderr)
    assert (line["event"], line["number"], line["level"]) == ("logged", 1, "warning")


def test_a_program_that_runs_on_loads_no_rich_for_its_log_and_may_use_it_later() -> None:
    code = (
        "import sys; from centralcloud.runtime.logs import configure_logs; configure_logs('info', 'console');"
        "assert 'structlog' in sys.modules; assert not {'rich', 'pygments'} & set(sys.modules); import rich.text"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
