"""The checks of a doctor: what a failed check prevents is named with it, and an error of the database is put into words."""

import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import psycopg
import pytest
from prometheus_client import CollectorRegistry

from centralcloud.contracts import CentralCloudError
from centralcloud.runtime import diagnostics
from centralcloud.runtime.diagnostics import (
    Check,
    CheckResult,
    NamedCheckResult,
    Verdict,
    check_http_port,
    describe_lost_connection,
    fail,
    make_checks,
    ok,
    warn,
)
from centralcloud.runtime.http.routes import health_routes
from centralcloud.runtime.http.server import HttpServer
from centralcloud.runtime.terminal.checkup_output import checkup_lines


def raising(error: Exception) -> Callable[[], CheckResult]:
    def make() -> CheckResult:
        raise error

    return make


def checkup(*checks: Check) -> list[NamedCheckResult]:
    return make_checks(checks, rights="rights")


def well() -> CheckResult:
    return ok("fine")


def test_a_failed_check_prevents_those_that_need_it_and_they_are_named_with_it() -> None:
    results = checkup(
        Check("database", well),
        Check("clock", lambda: warn("late", "set it"), "database"),
        Check("schema", lambda: fail("none", "migrate"), "database"),
        Check("pgmq", raising(AssertionError("not run")), "schema"),
        Check("queues", raising(AssertionError("not run")), "pgmq"),
        Check("port", well),
    )
    assert [(each.check, each.verdict, each.cause) for each in results] == [
        ("schema", "FAIL", ""), ("clock", "WARN", ""), ("database", "OK", ""), ("port", "OK", ""),
        ("pgmq", "SKIP", "schema"), ("queues", "SKIP", "schema"),
    ]  # fmt: skip
    assert [line.text for line in checkup_lines(results)] == [
        "FAIL  schema: none",
        "      migrate",
        "      2 further checks need this: pgmq, queues",
        "WARN  clock: late",
        "      set it",
        "OK    database: fine",
        "OK    port: fine",
        "6 checks: 1 FAIL, 1 WARN, 2 OK, 2 SKIP",
    ]


def test_a_connection_that_is_lost_during_a_check_is_the_cause_of_the_rest() -> None:
    attempts = iter([well, raising(psycopg.OperationalError("connection refused"))])
    results = checkup(
        Check("database", lambda: next(attempts)()),
        Check("schema", raising(psycopg.OperationalError("server closed the connection")), "database"),
        Check("queues", raising(AssertionError("not run")), "schema"),
    )
    assert [(each.check, each.verdict, each.cause) for each in results] == [
        ("database", "FAIL", ""), ("schema", "SKIP", "database"), ("queues", "SKIP", "database"),
    ]  # fmt: skip
    assert results[0].found == "connection refused"


def test_a_check_without_an_answer_fails_alone_while_the_connection_works() -> None:
    database, schema = checkup(
        Check("database", well), Check("schema", raising(psycopg.OperationalError("gave up after 5.0 s")), "database")
    )[::-1]
    assert (database.verdict, schema.verdict) == ("OK", "FAIL")
    assert schema.found == "the server works, but this check got no result (gave up after 5.0 s)"


def test_a_missing_right_is_the_fault_of_the_check_of_rights_if_that_failed() -> None:
    denied = raising(psycopg.errors.InsufficientPrivilege("permission denied for table t"))
    (rights, skipped) = checkup(Check("rights", lambda: fail("missing: SELECT on t", "grant it")), Check("t", denied))
    assert (skipped.verdict, skipped.cause) == ("SKIP", rights.check)
    (failed, _) = checkup(Check("rights", well), Check("t", denied))
    assert failed.found == "this role lacks a right (permission denied for table t)"
    assert "grants --apply" in failed.advice


@pytest.mark.parametrize(
    ("error", "found", "advice"),
    [
        (psycopg.errors.LockNotAvailable("canceling statement"), "a lock of another transaction", "`locks`"),
        (psycopg.errors.UndefinedTable('relation "t" does not exist'), "the schema differs", "restore"),
        (CentralCloudError("no schema yet: run it"), "no schema yet: run it", "fix this first"),
    ],
)
def test_an_error_of_the_database_is_put_into_words(error: Exception, found: str, advice: str) -> None:
    (result,) = checkup(Check("t", raising(error)))
    assert (result.verdict, found in result.found, advice in result.advice) == ("FAIL", True, True), result


def test_a_lock_that_stops_a_check_is_a_failure_of_the_check_that_names_it() -> None:
    locked = raising(psycopg.errors.LockNotAvailable("canceling statement due to lock timeout"))
    results = checkup(Check("locks", lambda: warn("process 7", "end it")), Check("ledger", locked))
    assert [(each.check, each.verdict, each.cause) for each in results] == [
        ("locks", "FAIL", ""), ("ledger", "SKIP", "locks"),
    ]  # fmt: skip


def test_a_write_that_a_standby_refuses_is_the_fault_of_the_check_of_writes() -> None:
    refused = raising(psycopg.errors.ReadOnlySqlTransaction("cannot execute INSERT in a read-only transaction"))
    (_, login) = checkup(Check("writes", lambda: fail("in recovery", "promote it")), Check("login", refused))
    assert (login.check, login.verdict, login.cause) == ("login", "SKIP", "writes")


def test_an_error_of_the_program_is_not_taken_for_a_failed_check() -> None:
    with pytest.raises(ZeroDivisionError):
        checkup(Check("t", raising(ZeroDivisionError())))


@pytest.mark.parametrize(
    ("text", "found", "advice"),
    [
        (
            'connection failed: connection to server at "127.0.0.1", port 1 failed: Connection refused\n'
            "\tIs the server running on that host and accepting TCP/IP connections?",
            'connection to server at "127.0.0.1", port 1 failed: Connection refused',
            "start the server",
        ),
        (
            'connection failed: connection to server at "::1", port 5 failed: FATAL:  password authentication failed for '
            'user "u"',
            'login_refused: connection to server at "::1", port 5 failed: password authentication failed for user "u"',
            "correct the user or the password",
        ),
        (
            'connection failed: FATAL:  database "x" does not exist',
            'login_refused: database "x" does not exist',
            "correct its name",
        ),
        (
            'connection failed: FATAL:  role "x" does not exist',
            'login_refused: role "x" does not exist',
            "correct the user",
        ),
        ("connection timeout expired", "connection timeout expired", "start the server"),
        ("anything else", "anything else", "fix this first"),
    ],
)
def test_a_refused_connection_says_what_to_correct(text: str, found: str, advice: str) -> None:
    result = describe_lost_connection(psycopg.OperationalError(text))
    assert (result.found, advice in result.advice) == (found, True), result


def test_texts_of_others_move_no_cursor() -> None:
    (result,) = checkup(Check("t", lambda: warn("frozen: \x1b[2Jx", "look")))
    assert next(checkup_lines([result])).text == r"WARN  t: frozen: \x1b[2Jx"


@contextmanager
def _serving(program: str, problems: Sequence[str] = ()) -> Iterator[int]:
    routes = health_routes({"/livez": lambda: list(problems)}, CollectorRegistry())
    server = HttpServer("127.0.0.1", 0, routes, program=program)
    server.start()
    try:
        yield server.port
    finally:
        server.stop()


def test_a_port_that_the_running_program_uses_is_ok() -> None:
    with _serving("centralcloud") as port:
        result = check_http_port("127.0.0.1", port, "centralcloud")
    assert result == ok(f"127.0.0.1:{port} is in use by centralcloud, which is running")
    assert check_http_port("127.0.0.1", port, "centralcloud") == ok(f"127.0.0.1:{port} is free")


@pytest.mark.parametrize(
    ("program", "problems"), [("instance-agent", ()), ("", ()), ("centralcloud", ("learner: old",))]
)
def test_a_port_of_another_program_or_of_one_that_hangs_is_a_warning(program: str, problems: Sequence[str]) -> None:
    with _serving(program, problems) as port:
        result = check_http_port("127.0.0.1", port, "centralcloud")
    assert result.verdict == Verdict.WARN
    expected = "which is running and answers /livez with 503" if problems else "and not by centralcloud"
    assert result.found.startswith(f"127.0.0.1:{port} ")
    assert result.found.endswith(expected)


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200 OK\r\nServer: centralcloud", b"SSH-2.0-OpenSSH_9.2\r\n\r\n"])
def test_a_port_that_never_answers_in_full_is_given_up(sent: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnostics, "_LIVEZ_SECONDS", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(sent)
                connection.recv(1000)
                connection.recv(1)  # until the client closes

        thread = threading.Thread(target=answer)
        thread.start()
        result = check_http_port("127.0.0.1", port, "centralcloud")
        thread.join()
    assert result.verdict == Verdict.WARN
    assert result.found.endswith("and not by centralcloud")


def test_an_address_that_this_machine_does_not_have_is_a_warning() -> None:
    result = check_http_port("192.0.2.1", 8080, "centralcloud")
    assert result.verdict == Verdict.WARN
    assert result.found.startswith("192.0.2.1:8080 cannot be opened: ")
