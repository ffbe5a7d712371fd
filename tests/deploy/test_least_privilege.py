"""Each program of a deployment has the credentials of one role: the owner's are in the migration alone."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.types.json import Jsonb
from support.commands import BIN, environment
from support.events import an_event
from support.repository import REPOSITORY
from support.servers import OwnServer, embedded_folder, execute, programs_of
from support.waiting import eventually

from centralcloud.monitoring.doctor import Expectations
from centralcloud.monitoring.doctor import examine as examine_daemon
from centralcloud.runtime.postgres.database import Database
from centralcloud.store.tables import WORKER_TABLES
from instance_agent import AgentSettings
from instance_agent.doctor import examine as examine_agent

_COMPOSE = REPOSITORY / "deploy/docker/compose.yaml"
_SYSTEMD = REPOSITORY / "deploy/systemd"
_PASSWORDS = {
    name: name.lower().replace("_", "")
    for name in re.findall(r"^(\w+)=", (_COMPOSE.parent / "example.env").read_text(), re.MULTILINE)
}


def _services(passwords: dict[str, str]) -> dict[str, dict[str, Any]]:
    """Return the services of the compose file, with these passwords in place of the variables."""
    text = re.sub(r"\$\{(\w+):\?[^}]*\}", lambda variable: passwords[variable[1]], _COMPOSE.read_text())
    return yaml.safe_load(text)["services"]


def _environment(service: str) -> dict[str, str]:
    return {name: str(value) for name, value in _services(_PASSWORDS)[service].get("environment", {}).items()}


class _Deployment:
    """A server that asks for passwords, and the services of Compose that prepare it."""

    def __init__(self, server: str, programs: Path, folder: Path) -> None:
        self.server = server
        self._programs = programs
        self._folder = folder
        self._address = conninfo_to_dict(server)

    def url(self, service: str, passwords: dict[str, str] = _PASSWORDS) -> str:
        """Return the URL in the environment of a service, with the address of this server."""
        url = _services(passwords)[service]["environment"]["DATABASE_URL"]
        return make_conninfo(url, **{name: self._address[name] for name in ("host", "dbname")})

    def dashboard_url(self) -> str:
        (source,) = [
            each
            for each in yaml.safe_load(
                (REPOSITORY / "deploy/grafana/provisioning/datasources/centralcloud.yaml").read_text()
            )["datasources"]
            if "user" in each
        ]
        variable = source["secureJsonData"]["password"].removeprefix("$")
        return make_conninfo(self.server, user=source["user"], password=_environment("grafana")[variable])

    def run_roles(self, **changed: str) -> subprocess.CompletedProcess[str]:
        service = _services(_PASSWORDS | changed)["roles"]
        given = {name: str(value) for name, value in service["environment"].items()}
        given |= {"PGHOST": str(self._address["host"]), "PGUSER": str(self._address["user"])}
        given |= {"PGDATABASE": str(self._address["dbname"])}
        path = f"{self._programs}{os.pathsep}{os.environ['PATH']}"
        script = _COMPOSE.parent / service["volumes"][0].split(":")[0]
        return subprocess.run(["bash", script], env=given | {"PATH": path}, capture_output=True, text=True, timeout=60)

    def run_migrate(self) -> str:
        command = [each.replace("/tmp/", f"{self._folder}/") for each in _services(_PASSWORDS)["migrate"]["command"]]
        given = environment(**_environment("migrate")) | {"DATABASE_URL": self.url("migrate")}
        result = subprocess.run(
            command,
            env=given | {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert result.returncode == 0, result.stderr
        return result.stdout + result.stderr


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[_Deployment]:
    """A server of its own, because roles belong to the whole server; every role but the superuser needs its password."""
    with embedded_folder() as folder:
        server = OwnServer(str(folder))
        try:
            ((hba_file,),) = execute(server.url, "SHOW hba_file")
            superuser = conninfo_to_dict(server.url)["user"]
            Path(hba_file).write_text(f"local all {superuser} trust\nlocal all all scram-sha-256\n")
            execute(server.url, "SELECT pg_reload_conf()")
            deployment = _Deployment(server.url, programs_of(server.url), tmp_path_factory.mktemp("compose"))
            assert deployment.run_roles().returncode == 0
            printed = deployment.run_migrate()
            assert "warning" not in printed, printed
            eventually(lambda: _is_refused(make_conninfo(deployment.url("daemon"), password="another")))
            yield deployment
        finally:
            server.stop()


def _is_refused(url: str) -> bool:
    try:
        execute(url, "SELECT 1")
    except psycopg.OperationalError as error:
        return "password authentication failed" in str(error)
    return False


def test_each_service_logs_in_with_its_own_password(deployment: _Deployment) -> None:
    logins = {service: deployment.url(service) for service in ("migrate", "daemon", "agent")}
    logins["grafana"] = deployment.dashboard_url()
    roles = {service: execute(url, "SELECT session_user::text")[0][0] for service, url in logins.items()}
    assert roles == {
        "migrate": "centralcloud_owner",
        "daemon": "centralcloud_worker",
        "agent": "centralcloud_instance_example-1",
        "grafana": "centralcloud_dashboard",
    }
    assert all(_is_refused(make_conninfo(url, password="another")) for url in logins.values())


def test_the_owner_is_not_a_superuser_and_owns_every_table(deployment: _Deployment) -> None:
    assert execute(deployment.url("migrate"), "SELECT rolsuper FROM pg_roles WHERE rolname = current_user") == [
        (False,)
    ]
    owners = execute(
        deployment.server,
        "SELECT DISTINCT relowner::regrole::text FROM pg_class WHERE relname = ANY (%s)",
        ([*WORKER_TABLES],),
    )
    assert owners == [("centralcloud_owner",)]


def test_no_program_can_become_the_owner_or_create_anything(deployment: _Deployment) -> None:
    for url in (deployment.url("daemon"), deployment.url("agent"), deployment.dashboard_url()):
        for forbidden in ("SET ROLE centralcloud_owner", "CREATE TABLE mine (n int)", "CREATE ROLE another"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                execute(url, forbidden)


def test_doctor_finds_no_fault_with_the_rights_of_the_daemon(deployment: _Deployment) -> None:
    with Database(deployment.url("daemon"), application_name="tests") as database:
        results = {result.check: result for result in examine_daemon(database, Expectations())}
    assert len(results) > 10
    # No daemon has run here yet: it creates the partitions.
    assert {name for name, result in results.items() if result.verdict == "FAIL"} <= {"partitions"}
    assert results["privileges"].verdict == "OK"


def test_the_agent_publishes_and_acknowledges_for_its_instance_only(deployment: _Deployment, tmp_path: Path) -> None:
    url = deployment.url("agent")
    instance_id = _environment("agent")["INSTANCE_ID"]
    settings = AgentSettings(instance_id=instance_id, state_dir=tmp_path, catalog=REPOSITORY / "examples/catalog.yaml")
    with Database(url, application_name="tests") as database:
        results = {result.check: result for result in examine_agent(settings, database)}
    assert not {name for name, result in results.items() if result.verdict == "FAIL"}
    assert (results["functions"].verdict, results["login"].verdict) == ("OK", "OK")
    with psycopg.connect(url) as connection:
        connection.execute("SELECT centralcloud.publish_decision(%s)", (Jsonb(an_event(instance_id)),))
        connection.execute("SELECT centralcloud.acknowledge(%s, 0)", (instance_id,))
        connection.rollback()
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("SELECT centralcloud.acknowledge('example-2', 0)")


def test_another_start_changes_the_passwords(deployment: _Deployment) -> None:
    passwords = {"WORKER_PASSWORD": "changed1", "OWNER_PASSWORD": "changed2", "DASHBOARD_PASSWORD": 'it\'s "new" $1'}
    assert deployment.run_roles(**passwords).returncode == 0
    try:
        for role, password in zip(("worker", "owner", "dashboard"), passwords.values(), strict=True):
            url = make_conninfo(deployment.server, user=f"centralcloud_{role}", password=password)
            assert execute(url, "SELECT 1") == [(1,)]
        assert _is_refused(deployment.url("daemon"))
    finally:
        deployment.run_roles()
    assert not _is_refused(deployment.url("daemon"))


@pytest.mark.parametrize("variable", ["POSTGRES_PASSWORD", "OWNER_PASSWORD", "WORKER_PASSWORD", "DASHBOARD_PASSWORD"])
def test_the_password_of_the_example_is_refused_before_any_role_gets_it(deployment: _Deployment, variable: str) -> None:
    result = deployment.run_roles(**{variable: "changeme"})
    assert (result.returncode, result.stdout, result.stderr.count("\n")) == (1, "", 1)
    assert result.stderr.startswith(f'{variable} is still "changeme": set another one in deploy/docker/.env')
    for role in ("owner", "worker", "dashboard"):
        assert _is_refused(make_conninfo(deployment.server, user=f"centralcloud_{role}", password="changeme"))


@pytest.mark.parametrize(
    ("service", "variable", "last"),
    [("migrate", "AGENT_PASSWORD", "centralcloud grants"), ("grafana", "GRAFANA_PASSWORD", "exec /run.sh")],
)
def test_services_whose_password_the_script_does_not_get_refuse_it_themselves(
    service: str, variable: str, last: str
) -> None:
    about = _services(_PASSWORDS | {variable: "changeme"})[service]
    *shell, script = about.get("entrypoint") or about["command"]
    assert last in script
    given = {name: str(value) for name, value in about["environment"].items()}
    result = subprocess.run([*shell, script], env=given | {"PATH": os.environ["PATH"]}, capture_output=True, text=True)
    assert result.returncode == 1
    assert result.stderr == f'{variable} is still "changeme": set another one in deploy/docker/.env\n'


def test_no_file_of_compose_says_to_copy_the_example(deploy: Path) -> None:
    """The copy has only passwords that are refused."""
    for file in (deploy / "docker").iterdir():
        assert not re.search(r"copy example\.env|cp \S*example\.env", file.read_text()), file


def test_the_script_of_compose_runs_in_the_oldest_psql() -> None:
    """The image of the database runs it, and psql 14 has neither \\getenv nor \\bind."""
    assert set(re.findall(r"\\([a-z]+)", (_COMPOSE.parent / "roles.sh").read_text())) == {"set", "gexec"}


def test_in_compose_each_password_is_only_where_it_is_needed() -> None:
    services = yaml.safe_load(_COMPOSE.read_text())["services"]
    seen: dict[str, set[str]] = {}
    for name, service in services.items():
        for variable in re.findall(r"\$\{(\w+_PASSWORD)", yaml.safe_dump(service)):
            seen.setdefault(variable, set()).add(name)
    assert seen == {
        "POSTGRES_PASSWORD": {"database", "roles"},
        "OWNER_PASSWORD": {"roles", "migrate"},
        "WORKER_PASSWORD": {"roles", "daemon"},
        "AGENT_PASSWORD": {"migrate", "agent"},
        "DASHBOARD_PASSWORD": {"roles", "grafana"},
        "GRAFANA_PASSWORD": {"grafana"},
    }


def test_in_kubernetes_each_secret_is_mounted_by_one_pod() -> None:
    mounted = {}
    for file in (REPOSITORY / "deploy/kubernetes").rglob("*.yaml"):
        for document in yaml.safe_load_all(file.read_text()):
            if document.get("kind") in {"Deployment", "Job", "StatefulSet"}:
                volumes = yaml.safe_dump(document["spec"]["template"]["spec"]["volumes"])
                mounted[document["kind"]] = re.findall(r"secretName: (\S+)|name: (instance-\S+)", volumes)
                # No credentials by another way than as a file.
                assert "secretKeyRef" not in file.read_text()
                assert "secretRef" not in file.read_text()
    secrets = {kind: [first or second for first, second in found] for kind, found in mounted.items()}
    assert secrets == {
        "Job": ["centralcloud-migrate"],
        "Deployment": ["centralcloud-daemon"],
        "StatefulSet": ["instance-router-0", "instance-router-1", "instance-router-2"],
    }


def test_an_agent_in_kubernetes_sees_the_url_of_its_own_instance_only() -> None:
    router = yaml.safe_load((REPOSITORY / "deploy/kubernetes/examples/router-with-agent.yaml").read_text())
    pod = router["spec"]["template"]["spec"]
    (agent,) = pod["initContainers"]
    (mount,) = [each for each in agent["volumeMounts"] if each["name"] == "database"]
    given = {each["name"]: each for each in agent["env"]}
    assert mount["subPathExpr"] == "$(INSTANCE_ID)"
    assert given["INSTANCE_ID"]["valueFrom"] == {"fieldRef": {"fieldPath": "metadata.name"}}
    assert given["DATABASE_URL_FILE"]["value"] == mount["mountPath"]
    assert not [each for each in pod["containers"][0]["volumeMounts"] if each["name"] == "database"]
    (volume,) = [each for each in pod["volumes"] if each["name"] == "database"]
    paths = [source["secret"]["items"][0]["path"] for source in volume["projected"]["sources"]]
    assert paths == [f"{router['metadata']['name']}-{number}" for number in range(router["spec"]["replicas"])]


@pytest.mark.parametrize(
    ("unit", "user", "credentials"),
    [
        ("centralcloud-migrate.service", "centralcloud-owner", "owner-database-url"),
        ("centralcloud.service", "centralcloud", "worker-database-url"),
        ("instance-agent@.service", "instance-agent", "instance-agent-%i-database-url"),
    ],
)
def test_each_unit_has_a_user_and_credentials_of_its_own(unit: str, user: str, credentials: str) -> None:
    text = (_SYSTEMD / unit).read_text()
    assert re.findall(r"^LoadCredential=(.*)$", text, re.MULTILINE) == [f"database-url:/etc/centralcloud/{credentials}"]
    assert re.findall(r"^User=(.*)$", text, re.MULTILINE) == [user]
    assert re.search(rf"^u {user} ", (_SYSTEMD / "centralcloud.sysusers.conf").read_text(), re.MULTILINE)


def test_the_migration_unit_grants_the_rights_after_it_has_migrated() -> None:
    commands = re.findall(r"^ExecStart=(.*)$", (_SYSTEMD / "centralcloud-migrate.service").read_text(), re.MULTILINE)
    assert [command.split("/")[-1] for command in commands] == ["centralcloud migrate", "centralcloud grants --apply"]


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A root folder with the settings, and programs that print the user and the environment in which they run."""
    settings = tmp_path / "etc/centralcloud"
    settings.mkdir(parents=True)
    for name in ("centralcloud.env", "instance-agent.env"):
        (settings / name).write_text((_SYSTEMD / name).read_text())
    (settings / "instance-agent-eu-1.env").write_text("INSTANCE_AGENT_HTTP_PORT=8099\n")
    for name in ("owner", "worker", "instance-agent-eu-1"):
        (settings / f"{name}-database-url").write_text(f"postgresql://{name}\n")
    commands = tmp_path / "commands"
    commands.mkdir()
    for script in (_SYSTEMD / "bin").iterdir():
        moved = script.read_text().replace("/etc/", f"{tmp_path}/etc/").replace("/opt/centralcloud/bin/", "")
        (commands / script.name).write_text(moved)
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "runuser").write_text('#!/bin/sh\nexec env RUN_AS="$2" RAN="$4 $5 $6" env\n')
    (programs / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    for program in programs.iterdir():
        program.chmod(0o755)
    return tmp_path


def _run_on(machine: Path, command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    path = f"{machine / 'programs'}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["sh", machine / "commands" / command, *arguments],
        env=environment() | {"PATH": path},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(
    ("command", "user", "url", "port"),
    [
        (["centralcloud", "doctor"], "centralcloud", "postgresql://worker", "CENTRALCLOUD_HTTP_PORT=8080"),
        (["centralcloud-owner", "grants"], "centralcloud-owner", "postgresql://owner", "CENTRALCLOUD_HTTP_PORT=8080"),
        (
            ["instance-agent-for", "eu-1", "doctor"],
            "instance-agent",
            "postgresql://instance-agent-eu-1",
            "INSTANCE_AGENT_HTTP_PORT=8099",
        ),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else None,
)
def test_a_command_for_root_runs_with_the_user_the_url_and_the_settings_of_its_unit(
    machine: Path, command: list[str], user: str, url: str, port: str
) -> None:
    result = _run_on(machine, *command)
    assert result.returncode == 0, result.stderr
    printed = result.stdout.splitlines()
    program = "instance-agent" if user == "instance-agent" else "centralcloud"
    assert f"RUN_AS={user}" in printed
    assert f"RAN={program} {command[-1]}" in [line.rstrip() for line in printed]
    assert [line for line in printed if "_URL=" in line] == [f"DATABASE_URL={url}"]
    assert port in printed
    assert ("INSTANCE_ID=eu-1" in printed) == (user == "instance-agent")


@pytest.mark.parametrize(
    ("command", "file"),
    [
        (["centralcloud", "doctor"], "centralcloud.env"),
        (["centralcloud-owner", "grants"], "centralcloud.env"),
        (["instance-agent-for", "eu-1", "doctor"], "instance-agent.env"),
        (["instance-agent-for", "eu-1", "doctor"], "instance-agent-eu-1.env"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else value,
)
def test_a_command_for_root_runs_no_part_of_a_file_with_settings(machine: Path, command: list[str], file: str) -> None:
    """As root, a shell would run what is in a value, or fail at it. systemd does neither."""
    values = {
        "SCHEDULE": "30 2 * * 1-5",
        "SUBSTITUTED": f"$(touch {machine}/touched) `touch {machine}/touched`",
        "ENDED": f"a; touch {machine}/touched",
        "NAMED": "$HOME it's",
    }
    written = [f"{name}={value}" for name, value in values.items()]
    written += ['QUOTED="two words" # kept', "CONTINUED=one \\", "two"]
    with (machine / "etc/centralcloud" / file).open("a") as settings:
        settings.write("\n".join(["# $(touch touched) it's a comment", *written, ""]))
    result = _run_on(machine, *command)
    assert (result.returncode, result.stderr) == (0, "")
    assert not list(machine.rglob("touched"))
    printed = result.stdout.splitlines()
    assert {*written[:4], "QUOTED=two words# kept", "CONTINUED=one two"} <= set(printed)


def test_a_command_for_root_has_the_defaults_of_its_unit(machine: Path) -> None:
    (machine / "etc/centralcloud/centralcloud.env").write_text("CENTRALCLOUD_HTTP_PORT=8090\n")
    printed = _run_on(machine, "centralcloud", "doctor").stdout.splitlines()
    assert {"CENTRALCLOUD_HTTP_ADDRESS=127.0.0.1", "CENTRALCLOUD_HTTP_PORT=8090"} <= set(printed)


def test_a_command_for_root_says_in_one_line_what_is_missing(machine: Path) -> None:
    without_command = _run_on(machine, "instance-agent-for", "eu-1")
    assert without_command.returncode == 2
    assert without_command.stderr.count("\n") == 1
    assert "expected the name of an instance and a command" in without_command.stderr
    unknown = _run_on(machine, "instance-agent-for", "eu-2", "doctor")
    assert unknown.returncode != 0
    assert "instance-agent-eu-2-database-url" in unknown.stderr
    assert "RUN_AS" not in unknown.stdout
    (machine / "etc/centralcloud/centralcloud.env").unlink()
    without_settings = _run_on(machine, "centralcloud", "doctor")
    assert (without_settings.returncode, without_settings.stderr.count("\n")) == (2, 1)
    assert "centralcloud.env: cannot be read: No such file" in without_settings.stderr
