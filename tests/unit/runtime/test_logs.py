"""The log of a program: a text of others in an event forges no line of it, and moves no cursor."""

import json
import unicodedata

import pytest

from centralcloud.runtime.logs import configure_logs, get_logger

HOSTILE = "gpt\x1b[2J\nforged\r\u202e\x9b\x7f\u2028"


def _control_characters(text: str) -> set[str]:
    return {each for each in text if each != "\n" and unicodedata.category(each) in ("Cc", "Cf", "Zl", "Zp")}


def test_a_text_of_others_is_escaped_on_the_console(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("info", "console")
    get_logger("centralcloud.test").warning("event", model=HOSTILE, models=[HOSTILE], details={HOSTILE: HOSTILE})
    printed = capsys.readouterr().err
    assert printed.count("forged") == 4
    assert printed.count("\n") == 1
    assert not _control_characters(printed)


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
    assert not _control_characters(printed)


def test_a_text_of_others_stays_itself_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("info", "json")
    get_logger("centralcloud.test").warning("event", model=HOSTILE)
    printed = capsys.readouterr().err
    assert json.loads(printed)["model"] == HOSTILE
    assert printed.count("\n") == 1
    assert not _control_characters(printed)
