"""The image and the compose file, as far as they can be checked without Docker."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from support.draining import drain_seconds
from support.repository import REPOSITORY
from support.variables import every_variable

from centralcloud.dashboard.reader.lookups import THREADS
from centralcloud.dashboard.settings import DashboardSettings
from centralcloud.settings import Settings
from instance_agent.settings import GatewaySettings

_PROVIDER_KEYS = {"ANTHROPIC_API_KEY", "OPENAI_API_KEY", "GEMINI_API_KEY", "OPENROUTER_API_KEY"}


@pytest.fixture
def dockerfile(deploy: Path) -> str:
    return (deploy / "docker/Dockerfile").read_text()


@pytest.fixture
def compose(deploy: Path) -> dict:
    return yaml.safe_load((deploy / "docker/compose.yaml").read_text())


def _known_settings() -> set[str]:
    return every_variable(Settings, GatewaySettings, DashboardSettings)


def test_the_image_sets_existing_settings_and_checks_health_on_the_port_of_both_programs(dockerfile: str) -> None:
    set_by_the_image = dict(re.findall(r"((?:CENTRALCLOUD|INSTANCE_AGENT)_\w+)=(\S+)", dockerfile))
    assert set(set_by_the_image) <= _known_settings()
    asked = re.search(r"http://127\.0\.0\.1:(\d+)/livez", dockerfile)
    assert asked
    exposed = re.search(r"^EXPOSE (\d+)$", dockerfile, re.MULTILINE)
    assert exposed
    ports = {value for name, value in set_by_the_image.items() if name.endswith("_PORT")}
    assert ports == {asked[1]} == {exposed[1]}


def test_the_last_stage_runs_as_a_numeric_user_and_builds_nothing(dockerfile: str) -> None:
    build, last = dockerfile.split("FROM ${BASE_IMAGE}\n")
    assert "pip install" in build
    assert "pip" not in last.replace("pipefail", "")
    assert re.search(r"^USER \$\{UID\}:\$\{UID\}$", last, re.MULTILINE)


def test_the_build_context_holds_only_the_sources_of_the_wheel_the_hashes_and_the_tool_of_the_sbom(
    dockerfile: str,
) -> None:
    taken = {line[1:] for line in (REPOSITORY / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert taken == {*project.get("license-files", ())} | {
        "centralcloud", "instance_agent", "migrations", "pyproject.toml", "README.md", "CHANGELOG.md",
        "deploy/requirements", "tools/sbom.py", "tools/installed_packages.py",
    }  # fmt: skip
    assert all((REPOSITORY / name).exists() for name in taken)


def _installs(dockerfile: str) -> list[str]:
    """Return the commands of pip that install from a package index."""
    commands = re.findall(r"/bin/pip install (.*?)(?= \\\n &&|\n[A-Z])", dockerfile, re.DOTALL)
    return [command for command in commands if "--no-index" not in command]


def test_the_image_installs_wheels_with_hashes_only(dockerfile: str) -> None:
    installs = _installs(dockerfile)
    assert len(installs) == 2, "one environment builds, the other one runs"
    for command in installs:
        assert command.startswith("--require-hashes --only-binary :all: ")
        assert "--requirement requirements/build.txt" in command or command.endswith('"$@"')


@pytest.mark.parametrize("extra", ["", "daemon", "embedded", "daemon embedded"])
def test_each_extra_of_the_image_has_a_file_with_hashes(dockerfile: str, deploy: Path, extra: str) -> None:
    assert re.search(r"^ARG EXTRA=daemon$", dockerfile, re.MULTILINE)
    (choose,) = re.findall(r"^ && (set -- && for name .*; done) \\$", dockerfile, re.MULTILINE)
    arguments = subprocess.run(
        ["sh", "-euc", f'{choose}; printf "%s\\n" "$@"'],
        env={"EXTRA": extra}, capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    names = extra.split() or ["agent"]
    assert arguments == [word for name in names for word in ("--requirement", f"requirements/{name}.txt")]
    assert all((deploy / "requirements" / f"{name}.txt").exists() for name in names)


def test_the_image_names_its_base_and_has_its_list_of_components(dockerfile: str) -> None:
    _, build, last = re.split(r"^FROM \$\{BASE_IMAGE\}.*\n", dockerfile, flags=re.MULTILINE)
    assert re.search(r"^ARG BASE_IMAGE$", build, re.MULTILINE), "a stage sees the argument only where it declares it"
    assert last.startswith("ARG BASE_IMAGE\n")
    assert 'org.opencontainers.image.base.name="${BASE_IMAGE}"' in last
    (file,) = re.findall(r'centralcloud\.sbom="(\S+)"', last)
    assert re.search(rf'tools/sbom\.py image .*"\$\{{BASE_IMAGE\}}" {file} ', build, re.DOTALL)


def test_the_base_image_is_the_same_by_default_and_can_be_named_by_its_digest(
    dockerfile: str, compose: dict, deploy: Path
) -> None:
    (default,) = re.findall(r"^ARG BASE_IMAGE=(\S+)$", dockerfile, re.MULTILINE)
    assert compose["services"]["migrate"]["build"]["args"]["BASE_IMAGE"] == f"${{BASE_IMAGE:-{default}}}"
    page = (REPOSITORY / "docs/how-to/deploy-with-compose.md").read_text()
    for text in (dockerfile, page, (deploy / "docker/example.env").read_text()):
        assert f"{default}@sha256:..." in text
    assert "@sha256:..." in (REPOSITORY / "docs/how-to/deploy-with-kubernetes.md").read_text()


def test_compose_limits_the_rights_of_the_programs_like_kubernetes(compose: dict) -> None:
    ours = {
        name: service for name, service in compose["services"].items() if service["image"].startswith("${CENTRALCLOUD")
    }
    assert set(ours) == {"migrate", "daemon", "agent", "dashboard", "first-key", "gateway"}
    for name, service in ours.items():
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert set(service["environment"]) <= _known_settings() | {"AGENT_PASSWORD"} | _PROVIDER_KEYS, name


def test_compose_starts_services_in_the_right_order(compose: dict) -> None:
    def waits_for(name: str) -> dict[str, str]:
        return {other: each["condition"] for other, each in compose["services"][name].get("depends_on", {}).items()}

    assert waits_for("roles") == {"database": "service_healthy"}
    assert waits_for("migrate") == {"roles": "service_completed_successfully"}
    for name in ("daemon", "agent", "dashboard", "grafana", "first-key"):
        assert waits_for(name) == {"migrate": "service_completed_successfully"}
    assert waits_for("gateway") == {"first-key": "service_completed_successfully"}


def test_files_and_volumes_that_compose_mounts_exist(compose: dict, deploy: Path) -> None:
    for name, service in compose["services"].items():
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            if source.startswith("."):
                assert (deploy / "docker" / source).exists(), f"{name}: {source}"
            else:
                assert source in compose["volumes"], f"{name}: {source}"


def test_compose_builds_the_image_once_and_never_pulls_it(compose: dict) -> None:
    """Compose pulls the image of a service without `build` first, even if another service builds it."""
    ours = {
        name: service for name, service in compose["services"].items() if service["image"].startswith("${CENTRALCLOUD")
    }
    assert [name for name, service in ours.items() if "build" in service] == ["migrate"]
    assert all(service.get("pull_policy") == "never" for name, service in ours.items() if name != "migrate")


def test_the_data_are_in_the_named_volume_for_every_database_image(compose: dict) -> None:
    """Images before PostgreSQL 18 declare an anonymous volume at /var/lib/postgresql/data, which `down` orphans."""
    database = compose["services"]["database"]
    assert database["volumes"] == ["database:/var/lib/postgresql"]
    data = Path(database["environment"]["PGDATA"])
    assert Path("/var/lib/postgresql") in data.parents
    assert not data.is_relative_to("/var/lib/postgresql/data")


def test_a_service_that_is_only_a_client_leaves_no_volume_behind(compose: dict) -> None:
    images = {name: service["image"] for name, service in compose["services"].items()}
    assert images["roles"] == images["database"]
    assert compose["services"]["roles"]["tmpfs"] == ["/var/lib/postgresql"]


def test_git_ignores_the_file_with_the_passwords(deploy: Path) -> None:
    assert "deploy/docker/.env" in (REPOSITORY / ".gitignore").read_text().splitlines()


def test_compose_publishes_ports_on_this_machine_only(compose: dict) -> None:
    published = [port for service in compose["services"].values() for port in service.get("ports", ())]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_the_daemon_listens_on_every_address_of_its_container(compose: dict) -> None:
    daemon = compose["services"]["daemon"]
    assert daemon["environment"]["CENTRALCLOUD_HTTP_ADDRESS"] == "0.0.0.0"
    (published,) = daemon["ports"]
    assert published == f"127.0.0.1:8080:{daemon['environment']['CENTRALCLOUD_HTTP_PORT']}"


def test_the_gateway_of_compose_is_reached_by_its_port_and_has_time_to_drain(compose: dict) -> None:
    gateway = compose["services"]["gateway"]
    assert gateway["ports"] == [f"127.0.0.1:3003:{gateway['environment']['INSTANCE_AGENT_GATEWAY_PORT']}"]
    assert int(gateway["stop_grace_period"].removesuffix("s")) >= drain_seconds()
    assert set(gateway["environment"]) >= _PROVIDER_KEYS
    assert all(gateway["environment"][name] is None for name in _PROVIDER_KEYS), "an empty value would be a key"


def test_the_dashboard_of_compose_is_read_without_a_login_and_published_on_this_machine_only(compose: dict) -> None:
    dashboard = compose["services"]["dashboard"]
    prefix = "CENTRALCLOUD_DASHBOARD_"
    given = {
        name.removeprefix(prefix).lower(): value for name, value in dashboard["environment"].items() if prefix in name
    }
    settings = DashboardSettings(**given)
    settings.check_start()
    assert not settings.login_to_read
    assert settings.operator_database is None, "it changes nothing"
    assert dashboard["ports"] == [f"127.0.0.1:8480:{settings.port}"]
    assert f"http://127.0.0.1:{settings.port}/healthz" in dashboard["healthcheck"]["test"][-1]
    assert dashboard["mem_limit"] == "512m"


def test_with_the_file_of_the_page_the_dashboard_asks_for_a_login_and_may_act(
    compose: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (REPOSITORY / "docs/how-to/deploy-with-compose.md").read_text()
    (block,) = re.findall(r"^```yaml\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    added = yaml.safe_load(block)["services"]["dashboard"]
    for name, value in {**compose["services"]["dashboard"]["environment"], **added["environment"]}.items():
        if name != "DATABASE_URL":  # Compose fills in the password
            monkeypatch.setenv(name, str(value))
    settings = DashboardSettings()
    settings.check_start()
    assert settings.login_to_read
    assert settings.operator_database is not None
    (volume,) = added["volumes"]
    folder, inside, mode = volume.split(":")
    assert str(settings.users_file).startswith(f"{inside}/")
    assert mode == "ro"
    assert f"install -d -m 0700 -o 10001 deploy/docker/{folder.removeprefix('./')}\n" in page
    assert f"/{folder.removeprefix('./')}:{inside} dashboard" in page


def test_the_dashboard_and_grafana_fit_into_the_connections_of_their_role(deploy: Path) -> None:
    (limit,) = re.findall(
        r"centralcloud_dashboard LOGIN .* CONNECTION LIMIT (\d+);", (deploy / "docker/roles.sh").read_text()
    )
    sources = yaml.safe_load((deploy / "grafana/provisioning/datasources/centralcloud.yaml").read_text())["datasources"]
    (grafana,) = [each["jsonData"]["maxOpenConns"] for each in sources if each.get("user") == "centralcloud_dashboard"]
    reader = 1
    assert reader + THREADS + grafana < int(limit), "one more for a person who looks"


def test_the_first_key_is_made_with_a_login_that_no_running_service_has(compose: dict) -> None:
    urls = {
        name: service.get("environment", {}).get("DATABASE_URL", "") for name, service in compose["services"].items()
    }
    assert [name for name, url in urls.items() if "centralcloud_configurator" in url] == ["first-key"]
    assert [name for name, url in urls.items() if "centralcloud_gateway" in url] == ["gateway"]
    command = compose["services"]["first-key"]["command"]
    assert "--if-none" in command
    assert command[-1].startswith(compose["services"]["first-key"]["volumes"][0].split(":")[1])


def test_the_command_of_the_page_sets_every_password_at_random(deploy: Path, tmp_path: Path) -> None:
    page = (REPOSITORY / "docs/how-to/deploy-with-compose.md").read_text()
    (command,) = re.findall(r"^\(umask.*?\.env\)$", page, re.DOTALL | re.MULTILINE)
    (tmp_path / "deploy/docker").mkdir(parents=True)
    (tmp_path / "deploy/docker/example.env").write_text((deploy / "docker/example.env").read_text())
    subprocess.run(["bash", "-euc", command], cwd=tmp_path, check=True)
    file = tmp_path / "deploy/docker/.env"
    passwords = re.findall(r"^\w+_PASSWORD=(.*)$", file.read_text(), re.MULTILINE)
    assert len(passwords) == len(set(passwords)) == 8
    assert all(re.fullmatch("[0-9a-f]{32}", password) for password in passwords)
    assert file.stat().st_mode & 0o077 == 0


def test_the_example_settings_are_all_that_compose_requires(compose: dict, deploy: Path) -> None:
    text = (deploy / "docker/compose.yaml").read_text()
    required = set(re.findall(r"\$\{(\w+):\?", text))
    example = (deploy / "docker/example.env").read_text()
    assert set(re.findall(r"^(\w+)=", example, re.MULTILINE)) == required
    optional = re.findall(r"^#(\w+)=(.*)$", example, re.MULTILINE)
    assert {name for name, default in optional if not default} == _PROVIDER_KEYS
    for name, default in optional:
        assert name in _PROVIDER_KEYS or f"${{{name}:-{default}}}" in text


def test_prometheus_scrapes_the_services_of_compose(compose: dict, deploy: Path) -> None:
    jobs = yaml.safe_load((deploy / "prometheus/prometheus.yml").read_text())["scrape_configs"]
    targets = {target for job in jobs for config in job["static_configs"] for target in config["targets"]}
    assert {target.partition(":")[0] for target in targets} <= set(compose["services"])


def _docker_accepts(file: Path, deploy: Path) -> None:
    try:
        subprocess.run(["docker", "compose", "version"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("docker compose is not installed")
    result = subprocess.run(
        ["docker", "compose", "--env-file", "example.env", "--file", file, "config", "--quiet"],
        cwd=deploy / "docker",
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr


def test_docker_accepts_the_compose_file(deploy: Path) -> None:
    _docker_accepts(deploy / "docker/compose.yaml", deploy)


def test_docker_accepts_it_without_the_database_as_in_the_how_to(compose: dict, deploy: Path, tmp_path: Path) -> None:
    out = ("database", "roles")
    for name in out:
        del compose["services"][name]
    for service in compose["services"].values():
        for name in out:
            service.get("depends_on", {}).pop(name, None)
    file = tmp_path / "compose.yaml"
    file.write_text(yaml.safe_dump(compose))
    _docker_accepts(file, deploy)
