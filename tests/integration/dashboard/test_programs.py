"""The dashboard as a program, in the daemon, and in the demo."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from support.browsers import Site, start_dashboard
from support.commands import environment, run_command, start_command, summarize_error
from support.events import outcomes, send
from support.ports import free_port
from support.programs import Program
from support.servers import embedded_folder, execute, with_database
from support.waiting import eventually

from centralcloud.demo import dashboard as demo_dashboard
from centralcloud.demo.dashboard import serving_dashboard
from centralcloud.runtime.postgres.database import Database
from centralcloud.store.schema import downgrade

Start = Callable[..., Program]


def html_of(url: str) -> str:
    with urlopen(url, timeout=10) as answer:
        return str(answer.read().decode())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_program_serves_pages_and_ends_on_a_signal(start: Start, database_url: str, number: int) -> None:
    site = start_dashboard(start, database_url, CENTRALCLOUD_DASHBOARD_ADDRESS="localhost")
    assert "CentralCloud" in site.html("/")
    assert site.url.startswith("http://localhost:")
    site.program.process.send_signal(number)
    assert site.program.process.wait(timeout=3) == 0
    assert site.program.events()[-1] == "stopped"


@pytest.mark.parametrize("command", [("dashboard",), ("run", "--dashboard")], ids=" ".join)
def test_a_port_that_is_taken_is_one_line(database_url: str, command: Sequence[str]) -> None:
    """Exit code 1, as for the other ports: a service manager tries again, because the program before may still be ending."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        env = {"DATABASE_URL": database_url, "CENTRALCLOUD_DASHBOARD_PORT": port}
        done = run_command("centralcloud", *command, env=env)
    assert done.returncode == 1
    assert f"cannot serve HTTP on 127.0.0.1:{port}: Address already in use" in summarize_error(done)
    assert execute(database_url, "SELECT count(*) FROM ingest_workers") == [(0,)], "nothing was begun"


@pytest.mark.parametrize("command", [("dashboard", "--port", "0"), ("run", "--dashboard")], ids=" ".join)
def test_operators_of_another_database_are_one_line(database_url: str, tmp_path: Path, command: Sequence[str]) -> None:
    users = tmp_path / "users"
    users.touch(0o600)
    env = {
        "DATABASE_URL": database_url,
        "CENTRALCLOUD_DASHBOARD_PORT": "0",
        "CENTRALCLOUD_DASHBOARD_USERS_FILE": str(users),
        "CENTRALCLOUD_OPERATOR_DATABASE_URL": with_database(database_url, "postgres"),
    }
    done = run_command("centralcloud", *command, env=env)
    name = conninfo_to_dict(database_url)["dbname"]
    assert done.returncode == 2
    assert summarize_error(done).endswith(
        "CENTRALCLOUD_OPERATOR_DATABASE_URL is for the database 'postgres' of the same server, "
        f"expected '{name}', which the pages show"
    )


def test_a_wrong_setting_is_one_line(database_url: str) -> None:
    env = {"DATABASE_URL": database_url, "CENTRALCLOUD_DASHBOARD_PORT": "many"}
    done = run_command("centralcloud", "dashboard", env=env)
    assert done.returncode != 0
    assert "CENTRALCLOUD_DASHBOARD_PORT" in summarize_error(done)


def test_without_its_database_it_starts_and_says_so(start: Start, tmp_path: Path) -> None:
    url = f"postgresql:///routing?host={tmp_path}"
    site = start_dashboard(start, url, wait_for="The database is unavailable")
    assert 'data-state="unavailable"' in site.html("/")
    for path in site.paths():
        html = site.html(path)
        assert "Nothing was read yet" in html, path
        assert re.search(r"<code[^>]*>centralcloud doctor</code>", html), path
        assert not re.search(r"<h1[^>]*>(Reading|No score was)", html), path
    site.program.process.terminate()
    assert site.program.process.wait(timeout=3) == 0


def test_an_older_schema_is_named_on_the_page_and_in_the_log(
    start: Start, database: Database, database_url: str
) -> None:
    downgrade(database, "0024")
    sentence = r"the database is at revision 0024, this version needs \d+: run `centralcloud migrate`"
    site = start_dashboard(start, database_url, wait_for="run `centralcloud migrate`")
    html = site.html("/")
    assert re.search(sentence, html)
    assert "The schema of the database does not fit this version." in html
    assert "The database is unavailable" not in html
    assert re.search(r"<code[^>]*>centralcloud migrate</code>", html)
    site.program.wait_for("background_task_degraded")
    (line,) = (each for each in site.program.log() if each["event"] == "background_task_degraded")
    assert re.fullmatch(sentence, line["error"])
    assert "traceback" not in line


def test_a_schema_that_can_be_read_and_does_not_fit_is_named(start: Start, database_url: str) -> None:
    """Every statement succeeds, as on a database that a newer version has just migrated."""
    change = "UPDATE centralcloud.schema_revision SET version_num = '{0}'"
    newer = "UPDATE centralcloud.schema_compatibility SET revision = '{0}', oldest_revision = '{0}'"
    ((revision,),) = execute(database_url, "SELECT version_num FROM centralcloud.schema_revision")
    for statement in (change, newer):
        execute(database_url, statement.format("9999"))
    site = start_dashboard(start, database_url, wait_for="install the newer version")
    assert 'data-state="unavailable"' in site.html("/")
    assert "the database is at revision 9999" in site.html("/fleet")
    execute(database_url, change.format(revision))
    eventually(lambda: 'data-state="live"' in site.html("/"), within_seconds=30)


def test_a_login_that_is_refused_says_what_to_correct(start: Start, database_url: str) -> None:
    url = with_database(database_url, "there_is_none")
    site = start_dashboard(start, url, wait_for="The database refuses the login")
    assert "correct the user, the password or the name of the database in DATABASE_URL" in site.html("/")


def test_a_wrong_password_in_the_database_url_is_named_and_never_shown(start: Start, database_url: str) -> None:
    with a_login_by_password(database_url, "right") as role:
        wrong = make_conninfo(database_url, user=role, password="secret-and-wrong")
        program = start("centralcloud", "dashboard", "--port", "0", "--database-url", wrong, DATABASE_URL=database_url)
        site = Site(program, database_url, wait_for="The database refuses the login")
        assert "correct the user, the password" in site.html("/fleet")
        assert "secret-and-wrong" not in site.html("/") + program.output()
        execute(database_url, f"ALTER ROLE {role} SUPERUSER PASSWORD 'secret-and-wrong'")
        eventually(lambda: 'data-state="live"' in site.html("/"), within_seconds=15)


def test_a_login_without_rights_is_named_with_the_command_that_gives_them(start: Start, database_url: str) -> None:
    role = f"cc_norights_{os.getpid()}"
    execute(database_url, f"CREATE ROLE {role} LOGIN")
    try:
        site = start_dashboard(start, make_conninfo(database_url, user=role), wait_for="The login lacks a right")
        html = site.html("/")
        assert "permission denied for" in html
        assert re.search(r"<code[^>]*>centralcloud grants --apply</code>", html)
        assert "The database is unavailable" not in html
        execute(database_url, f"ALTER ROLE {role} SUPERUSER")
        eventually(lambda: "The login lacks a right" not in site.html("/"), within_seconds=15)
        site.program.process.terminate()
        site.program.process.wait(timeout=5)
    finally:
        execute(database_url, f"DROP ROLE {role}")


@contextmanager
def a_login_by_password(url: str, password: str) -> Iterator[str]:
    """Let the server of a test ask one role for its password."""
    ((place,),) = execute(url, "SHOW hba_file")
    rules, role = Path(place), f"cc_password_{os.getpid()}"
    if not os.access(rules, os.W_OK):
        pytest.skip("the rules of this server are not ours to change")
    before = rules.read_text()
    execute(url, f"CREATE ROLE {role} LOGIN PASSWORD '{password}'")
    try:
        rules.write_text(f"local all {role} scram-sha-256\nhost all {role} all scram-sha-256\n{before}")
        execute(url, "SELECT pg_reload_conf()")
        eventually(
            lambda: (
                execute(url, "SELECT count(*) FROM pg_hba_file_rules WHERE user_name = ARRAY[%s]", (role,)) == [(2,)]
            )
        )
        yield role
    finally:
        rules.write_text(before)
        execute(url, "SELECT pg_reload_conf()")
        execute(url, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", (role,))
        execute(url, f"DROP ROLE {role}")


def test_the_daemon_serves_the_pages_and_ingests(start: Start, database_url: str) -> None:
    daemon = start(
        *("centralcloud", "run", "--dashboard"),
        DATABASE_URL=database_url,
        CENTRALCLOUD_DASHBOARD_PORT=str(port := free_port()),
    )
    daemon.wait_for("dashboard_started")
    assert "CentralCloud" in html_of(f"http://127.0.0.1:{port}/")
    send(database_url, outcomes(5, 0))
    eventually(lambda: execute(database_url, "SELECT count(*) FROM routing_records") == [(5,)])
    daemon.process.terminate()
    assert daemon.process.wait(timeout=5) == 0


def test_a_failure_of_the_pages_does_not_stop_ingest(start: Start, database_url: str) -> None:
    """The reader loses a part of the schema that only pages read."""
    daemon = start(
        *("centralcloud", "run", "--dashboard"),
        DATABASE_URL=database_url,
        CENTRALCLOUD_DASHBOARD_PORT=str(port := free_port()),
    )
    daemon.wait_for("dashboard_started")
    execute(database_url, "ALTER FUNCTION centralcloud.queue_summary() RENAME TO lost")
    html_of(f"http://127.0.0.1:{port}/")
    daemon.wait_for("background_task_degraded")
    send(database_url, outcomes(5, 0))
    eventually(lambda: execute(database_url, "SELECT count(*) FROM routing_records") == [(5,)])
    assert daemon.process.poll() is None
    eventually(lambda: "unavailable" in html_of(f"http://127.0.0.1:{port}/"), what="the outage on the page")


def test_the_daemon_alone_imports_nothing_of_the_pages(tmp_path: Path) -> None:
    program = Path(sys.executable).with_name("centralcloud")
    env = environment(DATABASE_URL=f"postgresql:///routing?host={tmp_path}", CENTRALCLOUD_LOG_FORMAT="json")
    with subprocess.Popen(
        [sys.executable, "-X", "importtime", program, "run"],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if '"database_unavailable"' in line:
                process.terminate()
        assert process.wait(timeout=20) in (0, 1)
    imported = {line.rpartition("|")[2].strip() for line in lines if line.startswith("import time:")}
    assert "centralcloud.daemon" in imported
    assert not {name for name in imported if name.split(".")[0] == "jinja2"}
    assert not {name for name in imported if name.startswith("centralcloud.dashboard.web")}


def test_the_pages_alone_import_nothing_of_ingest_the_rules_and_the_daemon() -> None:
    heavy = ("centralcloud.ingest", "centralcloud.learning.rules", "centralcloud.settings", "apscheduler")
    code = f"import centralcloud.dashboard.program, sys; print([each for each in {heavy} if each in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_demo_takes_another_port_where_that_of_the_dashboard_is_taken(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        monkeypatch.setattr(demo_dashboard, "DEFAULT_PORT", port)
        with serving_dashboard(database) as url:
            assert f":{port}/" not in url
            assert "CentralCloud" in html_of(url)
    with serving_dashboard(database) as url:
        assert f":{port}/" in url, "it is free now"


def test_the_demo_says_where_its_pages_are_before_it_says_how_to_ask_the_gateway(tmp_path: Path) -> None:
    output = tmp_path / "output"
    with embedded_folder() as folder, output.open("w") as log:
        process = start_command("centralcloud", "demo", "--dashboard", env={}, cwd=folder, log=log)

        def curl() -> str | None:
            assert process.poll() is None, output.read_text()
            printed = output.read_text()
            return printed if "curl " in printed else None

        printed = eventually(curl, within_seconds=60, what="the curl")
        url = re.search(r"http://127\.0\.0\.1:\d+/", printed)
        assert url is not None
        assert printed.index(url[0]) < printed.index("curl ")
        assert "CentralCloud" in html_of(url[0])
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(timeout=20) == 0
