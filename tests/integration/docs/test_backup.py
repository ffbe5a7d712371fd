"""Backup and restore with the commands of docs/how-to/backup-and-restore.md, while an instance follows the database."""

import json
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from support.commands import run_command
from support.events import an_event, send
from support.pages import ShellBlock, Terminal, missing_lines, shell_blocks
from support.repository import REPOSITORY
from support.servers import OwnServer, embedded_folder, execute, programs_of, with_database
from support.waiting import eventually

from centralcloud.ingest.drain import drain
from centralcloud.learning.learner import Learner
from centralcloud.learning.rules import ThresholdRule
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.embedded_installation import SERVER_USER, find_programs
from centralcloud.store.schema import migrate
from instance_agent.catalog.learned_scores_file import LearnedScoresFile
from instance_agent.sync.score_updater import ScoreUpdater

_PAGE = REPOSITORY / "docs/how-to/backup-and-restore.md"
_BLOCKS = shell_blocks(_PAGE)
_SERVER_USER = SERVER_USER if os.geteuid() == 0 else None

Event = dict


def under(heading: str) -> list[ShellBlock]:
    return [block for block in _BLOCKS if block.heading == heading]


def test_every_command_of_the_page_is_run_here() -> None:
    headings = [block.heading for block in _BLOCKS]
    assert headings == [
        "A logical backup",
        "Restore it",
        "A physical backup, and back to a point in time",
        "A physical backup, and back to a point in time",
        "Restore it",
        "After every restore",
        "After every restore",
        "The embedded server",
    ]


def events_of(count: int, prefix: str, outcome: str = "success", **decision: object) -> list[Event]:
    """Resolved decisions, each with an id."""
    return [
        an_event(outcome=outcome, response_time_ms=500, decision_id=f"{prefix}-{number}", **decision)
        for number in range(count)
    ]


def ingest(url: str, events: list[Event]) -> None:
    send(url, events)
    with Database(url, application_name="tests") as database:
        drain(database, batch_size=1000)


def learn(url: str) -> None:
    with Database(url, application_name="tests") as database:
        Learner(database, [ThresholdRule()]).learn()


def scores(url: str) -> dict[str, tuple[float, int]]:
    rows = execute(url, "SELECT model_name, score::float8, version FROM centralcloud.current_scores()")
    return {model: (score, version) for model, score, version in rows}


def scores_of(updater: ScoreUpdater) -> dict[str, tuple[float, int | None]]:
    return {model: (score.score, score.version) for (model, _), score in updater.learned.scores.items()}


def write_lines(path: Path, events: list[Event]) -> None:
    path.write_text("".join(json.dumps(event) + "\n" for event in events))


def publish_as(role: str, url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(f"SET SESSION AUTHORIZATION {role}")
        connection.execute("SELECT centralcloud.publish_decision(%s)", (json.dumps(an_event()),))


def follow_the_page_after_a_restore(folder: Path, url: str, programs: Path, sent_since: list[Event]) -> None:
    """Run the last steps of the page: its checks pass, and the events since the backup are sent again."""
    ours = Terminal(folder, {"DATABASE_URL": url}, programs=programs)
    checks, resend = under("After every restore")
    printed = ours.run(checks)
    assert "nothing differs" in printed, printed
    assert "scores recomputed, nothing differs" in printed, printed
    assert "FAIL" not in printed, printed
    write_lines(folder / "sent-since-the-backup.jsonl", sent_since)
    ours.run(resend)
    ours.run("centralcloud drain")
    ours.run("centralcloud verify")


def test_a_logical_backup_restored_into_a_new_database(database_url: str, server: str, tmp_path: Path) -> None:
    """Dump a database with queued messages and granted rights, publish a newer score, restore beside the old database."""
    programs = programs_of(server)
    role = f"cc_backup_{uuid.uuid4().hex[:8]}"
    restored_url = with_database(database_url, "routing_restored")
    execute(database_url, f"CREATE ROLE {role}")
    execute(database_url, f"GRANT USAGE ON SCHEMA centralcloud TO {role}")
    execute(database_url, f"GRANT EXECUTE ON FUNCTION centralcloud.publish_decision TO {role}")
    terminal = Terminal(tmp_path, {"DATABASE_URL": database_url, "RESTORED_URL": restored_url}, programs=programs)
    (dump,), restore = under("A logical backup"), under("Restore it")[0]
    try:
        ingest(database_url, [*events_of(100, "before", complexity_score=2.0), {"no": "event"}])
        learn(database_url)
        queued = events_of(7, "queued")
        send(database_url, queued)
        before = scores(database_url)
        printed = terminal.run(dump)
        assert not missing_lines(dump.shown, printed), printed

        later = events_of(100, "later", complexity_score=2.0)
        ingest(database_url, later)
        learn(database_url)
        execute(database_url, "INSERT INTO instance_logins VALUES (%s, 'another')", (role,))
        updater = _an_updater(tmp_path, database_url)
        updater.run_once()
        updater.database.close()
        assert scores_of(updater) == scores(database_url) == {"gpt-4o": (2.6, 2)}

        terminal.run(restore)
        with _instance(tmp_path, restored_url) as followed:
            eventually(lambda: scores_of(followed) == before == {"gpt-4o": (2.3, 1)}, what="the restored scores")
            follow_the_page_after_a_restore(tmp_path, restored_url, programs, [*queued, *later])
            assert _counts(restored_url) == (207, 7, 1), "queued and later events, each once"
            learn(restored_url)
            followed.wake()
            eventually(lambda: scores_of(followed) == {"gpt-4o": (2.6, 2)}, what="the scores after the restore")
        publish_as(role, restored_url)  # the dump has its rights; its entry in instance_logins is newer
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="speaks for no other instance"):
            publish_as(role, database_url)
    finally:
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute("DROP DATABASE IF EXISTS routing_restored WITH (FORCE)")
        execute(database_url, f"DROP OWNED BY {role}")
        execute(database_url, f"DROP ROLE {role}")


def test_restore_to_a_point_in_time(tmp_path: Path) -> None:
    """A server with an archive, an instance that follows it across the restore, and producers that send again."""
    with _own_cluster() as (data, backup, programs, url):
        exported = {"DATABASE_URL": url, "PGDATA": str(data), "BACKUP": str(backup)}
        as_server = Terminal(backup, exported, programs=programs, user=_SERVER_USER)
        archive, base_backup = under("A physical backup, and back to a point in time")
        assert run_command("centralcloud", "migrate", env={"DATABASE_URL": url}).returncode == 0
        as_server.run(archive)
        ingest(url, events_of(100, "first", complexity_score=2.0))
        as_server.run(base_backup)

        ingest(url, [*events_of(100, "second", complexity_score=2.0), {"no": "event"}])
        learn(url)
        queued = events_of(5, "queued")
        send(url, queued)
        wanted = scores(url)
        ((target,),) = execute(url, "SELECT clock_timestamp()::text")

        with _instance(tmp_path, url) as updater:
            lost = events_of(150, "lost", "failure", selected_model="llama", complexity_score=3.0)
            ingest(url, lost)
            learn(url)
            execute(url, "DELETE FROM routing_records")  # the mistake
            eventually(lambda: len(scores_of(updater)) == 2, what="the scores that the restore will remove")

            Terminal(backup, exported | {"TARGET": target}, programs=programs, user=_SERVER_USER).run(
                under("Restore it")[1]
            )
            eventually(lambda: scores_of(updater) == wanted == {"gpt-4o": (2.3, 1)}, what="the restored scores")
            follow_the_page_after_a_restore(tmp_path, url, programs, [*events_of(100, "second"), *queued, *lost])
            assert _counts(url) == (355, 105, 1), "150 were lost and sent again; 105 are duplicates"
            learn(url)
            updater.wake()
            eventually(lambda: scores_of(updater) == scores(url), what="the scores after the restore")
            score, version = scores(url)["llama"]
            assert score == 2.9
            assert 2 <= version <= 34, "sequences are logged 32 numbers ahead"


@pytest.mark.parametrize("new_id", [True, False])
def test_restore_a_copy_of_the_embedded_server(new_id: bool, tmp_path: Path) -> None:
    """The copy is a complete server with the same identity: instances notice the restore only by a new id."""
    (copy,) = under("The embedded server")
    (checks, _) = under("After every restore")
    with embedded_folder() as folder:
        server = OwnServer(f"{folder}/.centralcloud")
        try:
            with Database(server.url, application_name="tests") as database:
                migrate(database)
            send(server.url, events_of(3, "kept"))
            server.stop()
            Terminal(folder, {}).run(copy)

            server.start()
            updater = _an_updater(tmp_path, server.url)
            ingest(server.url, events_of(100, "undone", complexity_score=2.0))
            learn(server.url)
            updater.run_once()
            updater.database.close()
            server.stop()

            shutil.rmtree(folder / ".centralcloud/postgresql")
            (folder / "embedded-backup").rename(folder / ".centralcloud/postgresql")
            server.start()
            if new_id:
                Terminal(folder, {"DATABASE_URL": server.url}, programs=find_programs()).run(
                    checks.commands.splitlines()[0]
                )
                # As many versions as before: the instance has no version newer than the database.
                ingest(server.url, events_of(100, "instead", "failure", complexity_score=2.0))
                learn(server.url)
                assert _counts(server.url)[0] == 103, "the queued events are queued again"
            updater = _an_updater(tmp_path, server.url)
            updater.run_once()
            assert scores_of(updater) == ({"gpt-4o": (1.9, 1)} if new_id else {})
            updater.database.close()
        finally:
            server.stop()


def _counts(url: str) -> tuple[int, int, int]:
    """Return the numbers of records, duplicates and dead letters."""
    (counts,) = execute(
        url,
        "SELECT (SELECT count(*) FROM routing_records), (SELECT duplicates FROM accounting),"
        " (SELECT count(*) FROM dead_letters)",
    )
    return counts  # type: ignore[return-value]


def _an_updater(folder: Path, url: str) -> ScoreUpdater:
    """Create the updater of the instance whose state is in `folder`, to poll step by step."""
    database = Database(url, application_name="instance")
    file = LearnedScoresFile(folder / "state")
    return ScoreUpdater(database, instance_id="i", file=file, poll_interval_seconds=0.1)


@contextmanager
def _instance(folder: Path, url: str) -> Iterator[ScoreUpdater]:
    """Run the same instance in the background."""
    updater = _an_updater(folder, url)
    updater.start()
    try:
        yield updater
    finally:
        updater.stop()
        assert updater.join(10)
        updater.database.close()


@contextmanager
def _own_cluster() -> Iterator[tuple[Path, Path, Path, str]]:
    """Run a separate server, created by the programs of PostgreSQL; yields data folder, backup folder, programs, URL."""
    programs = find_programs()
    needed = ("initdb", "pg_ctl", "psql", "pg_basebackup")
    if missing := [program for program in needed if not (programs / program).exists()]:
        pytest.skip(f"the embedded server comes without {missing}")
    with embedded_folder() as folder:
        data, backup = folder / "data", folder / "backup"
        for each in (data, backup):
            each.mkdir(mode=0o700)
        if _SERVER_USER:
            for each in (folder, data, backup):
                shutil.chown(each, _SERVER_USER, _SERVER_USER)
        url = make_conninfo(host=str(folder / "backup"), user="postgres", dbname="postgres")
        run: Callable[[str], str] = Terminal(backup, {"PGDATA": str(data)}, programs=programs, user=_SERVER_USER).run
        run("initdb --auth=trust --encoding=UTF8 --locale=C --username=postgres --no-sync")
        run(
            """printf "listen_addresses = ''\\nunix_socket_directories = '%s'\\n" "$PWD" >> "$PGDATA/postgresql.conf" """
        )
        run("pg_ctl start --log=server.log")
        try:
            yield data, backup, programs, url
        finally:
            run("pg_ctl stop --mode=immediate || true")
