"""docs/how-to/publish-from-any-language.md: run its commands in order, and cause every SQLSTATE in its table."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from support.events import an_event
from support.pages import Terminal, missing_lines, shell_blocks
from support.repository import REPOSITORY
from support.servers import execute, programs_of, with_database

from centralcloud.contracts.limits import MAX_MESSAGE_BYTES

_PAGE = REPOSITORY / "docs/how-to/publish-from-any-language.md"
_SEND = "SELECT centralcloud.publish_decision(%s::text::jsonb)"


def test_the_commands_in_order(database_url: str, tmp_path: Path) -> None:
    lines = [json.dumps(an_event(decision_id=f"batch-{number}", task_type='"\\, and a "quote"')) for number in range(3)]
    (tmp_path / "events.jsonl").write_text("\n".join(lines) + "\n")
    terminal = Terminal(tmp_path, {"DATABASE_URL": database_url}, programs=programs_of(database_url))
    one, batch, arrived = shell_blocks(_PAGE)
    terminal.run(one)
    terminal.run(batch)
    printed = terminal.run(arrived)
    assert not missing_lines(arrived.shown, printed.replace(" | ", "|").replace("|", " | ")), printed
    assert execute(database_url, "SELECT count(*) FROM routing_records") == [(4,)]


def _refused(text: str) -> Callable[[str], None]:
    return lambda url: execute(url, _SEND, (text,))


def _without_rights(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("CREATE ROLE cc_no_rights")
        connection.execute("SET LOCAL ROLE cc_no_rights")
        connection.execute(_SEND, ("{}",))


def _elsewhere(url: str) -> None:
    execute(with_database(url, "template1"), _SEND, ("{}",))


def _read_only(url: str) -> None:
    with psycopg.connect(url, options="-c default_transaction_read_only=on") as connection:
        connection.execute(_SEND, ("{}",))


def _bytes_of_latin_1(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("SELECT centralcloud.publish_decision(convert_from(%s, 'UTF8')::jsonb)", (b'"\xe4"',))


_ERRORS = {
    "22P02": _refused("{no json"),
    "22P05": _refused(r'{"a": "\u0000"}'),
    "22021": _bytes_of_latin_1,
    "54000": _refused(json.dumps({"task": "x" * 5_000_000})),
    "54001": _refused("[" * 100_000 + "]" * 100_000),
    "42501": _without_rights,
    "3F000": _elsewhere,
    "25006": _read_only,
}


@pytest.mark.parametrize("sqlstate", _ERRORS)
def test_an_error_has_the_sqlstate_in_the_table(sqlstate: str, database_url: str) -> None:
    with pytest.raises(psycopg.Error) as failure:
        _ERRORS[sqlstate](database_url)
    assert failure.value.sqlstate == sqlstate


def test_the_table_names_no_other_sqlstate() -> None:
    assert set(re.findall(r"^\| `(\w{5})` \|", _PAGE.read_text(), re.MULTILINE)) == set(_ERRORS)


def test_messages_far_above_the_limit_are_rejected_when_sent(database_url: str) -> None:
    """The whole batch is rejected and the error names the event; an event within the contract always fits."""
    large, small = json.dumps({"task": "x" * 5_000_000}), json.dumps(an_event())
    batch = "SELECT centralcloud.publish_decisions(%s::text[]::jsonb[])"
    with pytest.raises(
        psycopg.errors.ProgramLimitExceeded, match=r"events\[1\]: found 4883 kB as jsonb, expected at most"
    ):
        execute(database_url, batch, ([small, large],))
    assert execute(database_url, "SELECT count(*) FROM pgmq.q_model_routing_decisions") == [(0,)]
    dense = json.dumps(an_event(dense=[1] * 100_000), separators=(",", ":"))
    assert 200_000 < len(dense) < MAX_MESSAGE_BYTES
    assert execute(database_url, batch, ([dense],)) == [(1,)]
