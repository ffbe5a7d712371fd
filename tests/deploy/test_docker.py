"""The image and the compose file, as far as that can be told without Docker."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml
from support.repository import REPOSITORY

from centralcloud.settings import Settings
from instance_agent.settings import AgentSettings


@pytest.fixture
def dockerfile(deploy: Path) -> str:
    return (deploy / "docker/Dockerfile").read_text()


@pytest.fixture
def compose(deploy: Path) -> dict:
    return yaml.safe_load((deploy / "docker/compose.yaml").read_text())


def _known_settings() -> set[str]:
    known = {"DATABASE_URL", "INSTANCE_ID"}
    for settings_class in (Settings, AgentSettings):
        prefix = settings_class.model_config["env_prefix"]
        known |= {f"{prefix}{name}".upper() for name in settings_class.model_fields}
    return known


def test_the_image_sets_what_exists_and_asks_for_its_health_where_both_programs_answer(dockerfile: str) -> None:
    set_by_the_image = dict(re.findall(r"((?:CENTRALCLOUD|INSTANCE_AGENT)_\w+)=(\S+)", dockerfile))
    assert set(set_by_the_image) <= _known_settings()
    asked = re.search(r"http://127\.0\.0\.1:(\d+)/livez", dockerfile)
    assert asked
    exposed = re.search(r"^EXPOSE (\d+)$", dockerfile, re.MULTILINE)
    assert exposed
    ports = {value for name, value in set_by_the_image.items() if name.endswith("_PORT")}
    assert ports == {asked[1]} == {exposed[1]}


def test_the_last_stage_runs_as_nobody_in_particular_and_builds_nothing(dockerfile: str) -> None:
    build, last = dockerfile.split("FROM ${BASE_IMAGE}\n")
    assert "pip install" in build
    assert "pip" not in last.replace("pipefail", "")
    assert re.search(r"^USER \$\{UID\}:\$\{UID\}$", last, re.MULTILINE)


def test_what_a_wheel_is_made_of_is_in_the_context_and_nothing_that_is_not(dockerfile: str) -> None:
    taken = {line[1:] for line in (REPOSITORY / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert taken == {
        "centralcloud", "instance_agent", "migrations", "pyproject.toml", "constraints.txt", "README.md", "CHANGELOG.md",
    }  # fmt: skip
    assert all((REPOSITORY / name).exists() for name in taken)


def test_compose_runs_our_programs_with_as_little_as_kubernetes_does(compose: dict) -> None:
    ours = {
        name: service for name, service in compose["services"].items() if service["image"].startswith("${CENTRALCLOUD")
    }
    assert set(ours) == {"migrate", "daemon", "agent"}
    for name, service in ours.items():
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert set(service["environment"]) <= _known_settings(), name


def test_compose_starts_things_in_an_order_that_works(compose: dict) -> None:
    def waits_for(name: str) -> dict[str, str]:
        return {other: each["condition"] for other, each in compose["services"][name].get("depends_on", {}).items()}

    assert waits_for("migrate") == {"database": "service_healthy"}
    for name in ("daemon", "agent", "grafana-access"):
        assert waits_for(name) == {"migrate": "service_completed_successfully"}
    assert waits_for("grafana") == {"grafana-access": "service_completed_successfully"}


def test_what_compose_mounts_is_there(compose: dict, deploy: Path) -> None:
    for name, service in compose["services"].items():
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            if source.startswith("."):
                assert (deploy / "docker" / source).exists(), f"{name}: {source}"
            else:
                assert source in compose["volumes"], f"{name}: {source}"


def test_compose_builds_our_image_once_and_never_asks_a_registry_for_it(compose: dict) -> None:
    """A service without `build` has its image pulled first, even if another one builds it."""
    ours = {
        name: service for name, service in compose["services"].items() if service["image"].startswith("${CENTRALCLOUD")
    }
    assert [name for name, service in ours.items() if "build" in service] == ["migrate"]
    assert all(service.get("pull_policy") == "never" for name, service in ours.items() if name != "migrate")


def test_the_data_are_in_the_volume_with_a_name_whatever_image_the_database_has(compose: dict) -> None:
    """Images before PostgreSQL 18 declare a volume at /var/lib/postgresql/data; nobody finds that again after `down`."""
    database = compose["services"]["database"]
    assert database["volumes"] == ["database:/var/lib/postgresql"]
    data = Path(database["environment"]["PGDATA"])
    assert Path("/var/lib/postgresql") in data.parents
    assert not data.is_relative_to("/var/lib/postgresql/data")


def test_what_is_only_a_client_of_the_database_leaves_no_volume_behind(compose: dict) -> None:
    images = {name: service["image"] for name, service in compose["services"].items()}
    assert images["grafana-access"] == images["database"]
    assert compose["services"]["grafana-access"]["tmpfs"] == ["/var/lib/postgresql"]


def test_the_file_with_the_passwords_is_in_no_commit(deploy: Path) -> None:
    assert "deploy/docker/.env" in (REPOSITORY / ".gitignore").read_text().splitlines()


def test_compose_serves_nothing_beyond_this_machine(compose: dict) -> None:
    published = [port for service in compose["services"].values() for port in service.get("ports", ())]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_the_example_settings_are_all_that_compose_asks_for(compose: dict, deploy: Path) -> None:
    text = (deploy / "docker/compose.yaml").read_text()
    required = set(re.findall(r"\$\{(\w+):\?", text))
    example = (deploy / "docker/example.env").read_text()
    assert set(re.findall(r"^(\w+)=", example, re.MULTILINE)) == required
    for name, default in re.findall(r"^#(\w+)=(.*)$", example, re.MULTILINE):
        assert f"${{{name}:-{default}}}" in text


def test_prometheus_scrapes_the_services_of_compose(compose: dict, deploy: Path) -> None:
    jobs = yaml.safe_load((deploy / "prometheus/prometheus.yml").read_text())["scrape_configs"]
    targets = {target for job in jobs for config in job["static_configs"] for target in config["targets"]}
    assert {target.partition(":")[0] for target in targets} <= set(compose["services"])


def _docker_takes(file: Path, deploy: Path) -> None:
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


def test_docker_takes_the_compose_file(deploy: Path) -> None:
    _docker_takes(deploy / "docker/compose.yaml", deploy)


def test_docker_takes_it_without_the_database_as_the_how_to_says(compose: dict, deploy: Path, tmp_path: Path) -> None:
    out = ("database", "grafana-access")
    for name in out:
        del compose["services"][name]
    for service in compose["services"].values():
        for name in out:
            service.get("depends_on", {}).pop(name, None)
    file = tmp_path / "compose.yaml"
    file.write_text(yaml.safe_dump(compose))
    _docker_takes(file, deploy)
