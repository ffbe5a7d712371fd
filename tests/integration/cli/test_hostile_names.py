"""Names with control characters that were stored before the contract refused them reach no terminal."""

import contextlib
import re
import sys

import psycopg
import pytest
import typer
from psycopg import sql
from support.events import an_event, outcomes, send
from support.terminals import control_characters

from centralcloud.cli.app import app, main
from centralcloud.ingest.drain import drain
from centralcloud.runtime.postgres.database import Database

HOSTILE = "gpt\x1b[2J\nforged\r4.999\u202e\x9b\x7f\u2028"
#: Marks a stored name that gets `HOSTILE` added.
_MARK = "hostile"

COMMANDS = [
    ("status", "--seconds", "0.1"),
    ("doctor",),
    ("scores",),
    ("scores", "--compare"),
    ("scores", "history"),
    ("scores", "explain", f"{_MARK}{HOSTILE}", "complex"),
    ("findings",),
    ("metrics",),
    ("report",),
    ("evaluate",),
    ("instances", "list"),
    ("models", "list"),
    ("history",),
    ("dead-letters", "list"),
    ("dead-letters", "show", "1"),
    ("verify",),
    ("verify", "--scores"),
    ("learn", "--dry-run"),
    ("settings", "show"),
]


@pytest.fixture
def hostile_database(database: Database, database_url: str) -> str:
    """Store a hostile model, provider, instance, rule and dead letter, by the tables: the contract refuses them today."""
    send(database_url, outcomes(30, 30, selected_model=_MARK, selected_provider=_MARK, error_kind=None))
    send(database_url, [an_event(complexity="urgent", note="NOTE")])
    drain(database, batch_size=100)
    with psycopg.connect(database_url) as connection:
        columns = connection.execute(
            "SELECT table_schema, table_name, column_name FROM information_schema.columns JOIN information_schema.tables "
            "USING (table_schema, table_name) WHERE table_type = 'BASE TABLE' AND table_schema = 'public' "
            "AND column_name IN ('model', 'model_name', 'provider', 'instance_id')"
        ).fetchall()
        connection.execute("INSERT INTO instances (instance_id, applied_version) VALUES ('singularity-1', 0)")
        connection.execute("INSERT INTO findings (kind, subject, message) VALUES ('slow', 'hostile', 'hostile')")
        connection.execute("INSERT INTO fleet_settings (name, value) VALUES ('x', '1')")
        texts = (
            ("findings", "subject"),
            ("findings", "message"),
            ("dead_letters", "reason"),
            ("fleet_settings", "name"),
        )
        columns += [("public", *text) for text in texts]
        for schema, table, column in columns:
            connection.execute(
                sql.SQL("UPDATE {} SET {} = {} || %s").format(
                    sql.Identifier(schema, table), sql.Identifier(column), sql.Identifier(column)
                ),
                (HOSTILE,),
            )
        connection.execute("UPDATE dead_letters SET message = replace(message, 'NOTE', %s)", ("\u202e\x7f\x9b",))
    return database_url


@pytest.mark.parametrize("as_json", [False, True], ids=["text", "json"])
def test_no_command_prints_a_control_character_of_a_stored_name(
    hostile_database: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], as_json: bool
) -> None:
    monkeypatch.setenv("DATABASE_URL", hostile_database)
    shown = 0
    for command in COMMANDS:
        arguments = [*command, *(["--json"] if as_json else [])]
        with contextlib.suppress(typer.Exit):
            app(arguments, prog_name="centralcloud", standalone_mode=False)
        output = capsys.readouterr()
        printed = output.out + output.err
        assert not control_characters(printed), (arguments, printed)
        assert not re.search(r"^forged", printed, flags=re.MULTILINE), (arguments, printed)
        shown += "forged" in printed
    assert shown >= 9, "the commands show the hostile names"


def test_an_error_does_not_print_a_control_character(
    database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setattr(sys, "argv", ["centralcloud", "models", "retire", f"x{HOSTILE}"])
    with pytest.raises(SystemExit):
        main()
    printed = capsys.readouterr().err
    assert "forged" in printed
    assert not control_characters(printed)
    assert printed.count("\n") == 1
