"""Each program of a deployment has the credentials of one role: the owner's are in the migration alone."""

import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import psycopg
import pytest
import yaml
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.types.json import Jsonb
from support.browsers import start_dashboard
from support.commands import BIN, environment
from support.events import an_event
from support.gateways import start_gateway
from support.programs import Program
from support.repository import REPOSITORY
from support.servers import OwnServer, embedded_folder, execute, programs_of
from support.upstream.fixtures import *  # noqa: F403
from support.upstream.process import FakeUpstream
from support.waiting import eventually

from centralcloud.monitoring.doctor import Expectations
from centralcloud.monitoring.doctor import examine as examine_daemon
from centralcloud.runtime.postgres.database import Database
from centralcloud.store.table_names import WORKER_TABLES
from instance_agent import AgentSettings
from instance_agent.doctor import examine as examine_agent

_COMPOSE = REPOSITORY / "deploy/docker/compose.yaml"
_SYSTEMD = REPOSITORY / "deploy/systemd"
_PASSWORDS = {
    name: name.lower().replace("_", "")
    for name in re.findall(r"^(\w+)=", (_COMPOSE.parent / "example.env").read_text(), re.MULTILINE)
}
_SET_BY_ROLES = [f"{name}_PASSWORD" for name in ("POSTGRES", "OWNER", "WORKER", "DASHBOARD", "GATEWAY", "CONFIGURATOR")]


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
    logins = {
        service: deployment.url(service)
        for service in ("migrate", "daemon", "agent", "first-key", "gateway", "dashboard")
    }
    logins["grafana"] = deployment.dashboard_url()
    roles = {service: execute(url, "SELECT session_user::text")[0][0] for service, url in logins.items()}
    assert roles == {
        "migrate": "centralcloud_owner",
        "daemon": "centralcloud_worker",
        "agent": "centralcloud_instance_example-1",
        "first-key": "centralcloud_configurator",
        "gateway": "centralcloud_gateway",
        "dashboard": "centralcloud_dashboard",
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
    services = ("daemon", "agent", "gateway", "first-key")
    for url in (*(deployment.url(service) for service in services), deployment.dashboard_url()):
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


def test_the_gateway_serves_and_learns_with_the_login_of_its_service_and_the_first_key(
    deployment: _Deployment, start: Any, tmp_path: Path, fake_upstream: FakeUpstream
) -> None:
    command = _services(_PASSWORDS)["first-key"]["command"]
    command = [each.replace("/var/lib/instance-agent", str(tmp_path)) for each in command]
    given = environment(DATABASE_URL=deployment.url("first-key"), PATH=f"{BIN}{os.pathsep}{os.environ['PATH']}")
    for _ in range(2):  # each start of Compose runs it
        made = subprocess.run(command, env=given, capture_output=True, text=True, timeout=60)
        assert made.returncode == 0, made.stderr
    key = (tmp_path / "admin.key").read_text().strip()
    assert key not in made.stdout + made.stderr
    variables = {name: value for name, value in _environment("gateway").items() if not name.endswith("_API_KEY")}
    ours = {"DATABASE_URL": deployment.url("gateway"), "INSTANCE_AGENT_GATEWAY_PORT": "0"}
    gateway = start_gateway(start, tmp_path, fake_upstream, ours["DATABASE_URL"], key=key, **(variables | ours))
    assert gateway.chat("gpt").status == 200
    eventually(lambda: gateway.call("GET", "/health/detailed").json()["events"]["sent"] >= 2, what="the events")
    details = gateway.call("GET", "/health/detailed").json()
    assert (details["db"], details["configuration"]["current"]) == ("up", True)
    assert "degraded" not in details
    gateway.program.process.send_signal(signal.SIGTERM)
    assert gateway.program.process.wait(timeout=30) == 0
    serious = {line["event"] for line in gateway.program.log() if line["level"] in {"warning", "error"}}
    assert serious <= {"gateway_waits_for_keys"}, "which it always does on an address other than loopback"


def test_the_dashboard_shows_the_fleet_with_the_login_of_its_service(
    deployment: _Deployment, start: Callable[..., Program]
) -> None:
    """With its settings, on another port; and with the rights of the role it reads every source."""
    given = {name: value for name, value in _environment("dashboard").items() if name != "DATABASE_URL"}
    site = start_dashboard(start, deployment.url("dashboard"), **given)
    (started,) = [line for line in site.program.log() if line["event"] == "http_listening"]
    assert started["address"] == "0.0.0.0"
    with urlopen(f"{site.url}/healthz", timeout=10) as answer:
        assert answer.status == 200
    assert not [line for line in site.program.log() if line["level"] in {"warning", "error"}]


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


@pytest.mark.parametrize("variable", _SET_BY_ROLES)
def test_the_password_of_the_example_is_refused_before_any_role_gets_it(deployment: _Deployment, variable: str) -> None:
    result = deployment.run_roles(**{variable: "changeme"})
    assert (result.returncode, result.stdout, result.stderr.count("\n")) == (1, "", 1)
    assert result.stderr.startswith(f'{variable} is still "changeme": set another one in deploy/docker/.env')
    for role in ("owner", "worker", "dashboard", "gateway", "configurator"):
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
        "DASHBOARD_PASSWORD": {"roles", "dashboard", "grafana"},
        "GRAFANA_PASSWORD": {"grafana"},
        "GATEWAY_PASSWORD": {"roles", "gateway"},
        "CONFIGURATOR_PASSWORD": {"roles", "first-key"},
    }


def test_in_kubernetes_each_secret_is_mounted_by_one_pod() -> None:
    mounted = {}
    for file in (REPOSITORY / "deploy/kubernetes").rglob("*.yaml"):
        for document in yaml.safe_load_all(file.read_text()):
            if document.get("kind") in {"Deployment", "Job", "StatefulSet"}:
                volumes = yaml.safe_dump(document["spec"]["template"]["spec"]["volumes"])
                mounted[f"{document['kind']} {document['metadata']['name']}"] = re.findall(
                    r"secretName: (\S+)|name: (instance-\S+)", volumes
                )
                # No credentials by another way than as a file.
                assert "secretKeyRef" not in file.read_text()
                assert "secretRef" not in file.read_text()
    secrets = {name: [first or second for first, second in found] for name, found in mounted.items()}
    assert secrets == {
        "Job centralcloud-migrate": ["centralcloud-migrate"],
        "Deployment centralcloud": ["centralcloud-daemon"],
        "Job centralcloud-gateway-first-key": ["centralcloud-configurator", "centralcloud-gateway-first-key"],
        "Deployment centralcloud-gateway": ["centralcloud-gateway", "centralcloud-gateway-providers"],
        "Deployment centralcloud-dashboard": [
            "centralcloud-dashboard", "centralcloud-dashboard-users", "centralcloud-operator"
        ],
        "StatefulSet router": ["instance-router-0", "instance-router-1", "instance-router-2"],
    }  # fmt: skip


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
        ("centralcloud-dashboard.service", "centralcloud-dashboard", "dashboard-database-url"),
        ("instance-agent@.service", "instance-agent", "instance-agent-%i-database-url"),
    ],
)
def test_each_unit_has_a_user_and_credentials_of_its_own(unit: str, user: str, credentials: str) -> None:
    text = (_SYSTEMD / unit).read_text()
    (credential,) = re.findall(r"^LoadCredential=(.*)$", text, re.MULTILINE)
    name, path = credential.split(":")
    assert name.endswith("database-url")
    assert path == f"/etc/centralcloud/{credentials}"
    assert re.findall(r"^User=(.*)$", text, re.MULTILINE) == [user]
    assert re.search(rf"^u {user} ", (_SYSTEMD / "centralcloud.sysusers.conf").read_text(), re.MULTILINE)


def test_the_migration_unit_grants_the_rights_after_it_has_migrated() -> None:
    commands = re.findall(r"^ExecStart=(.*)$", (_SYSTEMD / "centralcloud-migrate.service").read_text(), re.MULTILINE)
    assert [command.split("/")[-1] for command in commands] == ["centralcloud migrate", "centralcloud grants --apply"]
