"""The manifests of deploy/kubernetes: valid by the schemas of Kubernetes, and within our own limits."""

import ipaddress
import os
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.draining import drain_seconds
from support.repository import REPOSITORY
from support.variables import every_variable

from centralcloud import __version__
from centralcloud.contracts import SettingsError
from centralcloud.dashboard.settings import DashboardSettings
from centralcloud.runtime.process.supervisor import _STOP_SECONDS
from centralcloud.settings import Settings
from instance_agent.catalog.catalog_file import read_entries
from instance_agent.settings import GatewaySettings

_FOLDER = REPOSITORY / "deploy/kubernetes"
_FILES = sorted(file for file in _FOLDER.rglob("*.yaml") if file.name not in {"kustomization.yaml", "catalog.yaml"})
#: Resource types of the Prometheus operator, which the schemas of Kubernetes do not know.
_OF_THE_OPERATOR = {"ServiceMonitor", "PodMonitor"}
_BUILT = ("base", "gateway", "dashboard", "overlays/production", "overlays/gateway", "overlays/dashboard", "examples")
_OLDEST = "1.29"  # the first version with sidecars; newer features must not be used


@cache
def _parsed(file: Path) -> tuple[dict[str, Any], ...]:
    return tuple(yaml.safe_load_all(file.read_text()))


def _documents(folder: str = "") -> Iterator[dict[str, Any]]:
    for file in _FILES:
        if file.is_relative_to(_FOLDER / folder):
            yield from _parsed(file)


def _by_kind(folder: str) -> dict[str, dict[str, Any]]:
    found = list(_documents(folder))
    by_kind = {document["kind"]: document for document in found}
    assert len(by_kind) == len(found)
    return by_kind


def _pods() -> list[tuple[str, dict[str, Any]]]:
    return [
        (f"{document['kind']} {document['metadata']['name']}", document["spec"]["template"]["spec"])
        for document in _documents()
        if "template" in document.get("spec", {})
    ]


def _containers(pod: dict[str, Any]) -> list[dict[str, Any]]:
    return [*pod.get("initContainers", ()), *pod["containers"]]


def _build(kubectl: str, folder: Path) -> list[dict[str, Any]]:
    result = subprocess.run([kubectl, "kustomize", folder], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return list(yaml.safe_load_all(result.stdout))


def _validate(document: dict[str, Any]) -> None:
    schemas = pytest.importorskip("kubernetes_validate", reason="kubernetes-validate (extra deploy) is not installed")
    for version in (_OLDEST, schemas.latest_version()):
        try:
            schemas.validate(document, version, strict=True)
        except schemas.ValidationError as error:
            pytest.fail(f"{document['kind']} {document['metadata']['name']}, Kubernetes {version}: {error}")


def test_every_manifest_is_valid_by_the_schemas_of_kubernetes() -> None:
    documents = list(_documents())
    kinds = {document["kind"] for document in documents}
    assert kinds == {
        "Deployment", "Job", "Namespace", "NetworkPolicy", "PodDisruptionBudget", "PodMonitor", "Service", "ServiceAccount",
        "ServiceMonitor", "StatefulSet",
    }  # fmt: skip
    for document in documents:
        if document["kind"] not in _OF_THE_OPERATOR:
            _validate(document)


@pytest.mark.parametrize("folder", _BUILT)
def test_the_output_of_kustomize_is_valid_too(kubectl: str, folder: str) -> None:
    for document in _build(kubectl, _FOLDER / folder):
        _validate(document)


def test_the_overlay_applies_its_changes(kubectl: str) -> None:
    built = {document["kind"]: document for document in _build(kubectl, _FOLDER / "overlays/production")}
    deployment = built["Deployment"]
    assert deployment["spec"]["replicas"] == 3
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["image"] == f"registry.example.org/centralcloud:{__version__}"
    assert container["envFrom"][0]["configMapRef"]["name"] == built["ConfigMap"]["metadata"]["name"]
    assert {document["metadata"].get("namespace", "centralcloud") for document in built.values()} == {"centralcloud"}
    migration = built["Job"]["spec"]["template"]["spec"]
    assert {each["image"] for each in _containers(migration)} == {container["image"]}


def test_the_job_grants_the_rights_after_it_has_migrated() -> None:
    job = _by_kind("base")["Job"]
    pod = job["spec"]["template"]["spec"]
    assert [each["args"] for each in pod["initContainers"]] == [["centralcloud", "migrate"]]
    assert [each["args"] for each in pod["containers"]] == [["centralcloud", "grants", "--apply"]]


def test_the_monitor_of_the_operator_is_built_only_where_an_overlay_names_it(kubectl: str, tmp_path: Path) -> None:
    default = {document["kind"] for document in _build(kubectl, _FOLDER / "overlays/production")}
    assert not default & {"Service", "ServiceMonitor"}
    overlay = tmp_path / "mine"
    overlay.mkdir()
    production, component = (
        os.path.relpath(_FOLDER / name, overlay.resolve())
        for name in ("overlays/production", "components/service-monitor")
    )
    (overlay / "kustomization.yaml").write_text(
        yaml.safe_dump({"namespace": "centralcloud", "resources": [production], "components": [component]})
    )
    built = {document["kind"]: document for document in _build(kubectl, overlay)}
    service, monitor = built["Service"], built["ServiceMonitor"]
    assert monitor["apiVersion"] == "monitoring.coreos.com/v1"
    assert monitor["metadata"]["namespace"] == service["metadata"]["namespace"] == "centralcloud"
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    pod = built["Deployment"]["spec"]["template"]
    assert service["spec"]["selector"].items() <= pod["metadata"]["labels"].items()
    (port,) = service["spec"]["ports"]
    (endpoint,) = monitor["spec"]["endpoints"]
    assert endpoint["port"] == port["name"]
    assert endpoint["path"] == pod["metadata"]["annotations"]["prometheus.io/path"]
    assert port["targetPort"] in {each["name"] for each in pod["spec"]["containers"][0]["ports"]}
    _validate(service)


def test_the_network_policy_allows_postgresql_dns_and_monitoring_only() -> None:
    by_kind = _by_kind("base")
    policy = by_kind["NetworkPolicy"]["spec"]
    for kind in ("Deployment", "Job"):
        labels = by_kind[kind]["spec"]["template"]["metadata"]["labels"]
        assert policy["podSelector"]["matchLabels"].items() <= labels.items(), kind
    router = _by_kind("examples")["StatefulSet"]["spec"]["template"]["metadata"]["labels"]
    assert not policy["podSelector"]["matchLabels"].items() <= router.items()
    assert set(policy["policyTypes"]) == {"Ingress", "Egress"}
    out = {(port["protocol"], port["port"]) for rule in policy["egress"] for port in rule["ports"]}
    assert out == {("TCP", 5432), ("TCP", 53), ("UDP", 53)}
    (rule,) = policy["ingress"]
    assert rule["from"] == [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}]
    (container,) = by_kind["Deployment"]["spec"]["template"]["spec"]["containers"]
    assert [port["port"] for port in rule["ports"]] == [port["name"] for port in container["ports"]]


def test_the_daemon_serves_http_on_the_address_of_its_pod() -> None:
    (generator,) = yaml.safe_load((_FOLDER / "base/kustomization.yaml").read_text())["configMapGenerator"]
    assert {"CENTRALCLOUD_HTTP_ADDRESS=0.0.0.0", "CENTRALCLOUD_HTTP_PORT=8080"} <= set(generator["literals"])
    (container,) = _by_kind("base")["Deployment"]["spec"]["template"]["spec"]["containers"]
    assert container["ports"] == [{"name": "http", "containerPort": 8080}]


@pytest.mark.parametrize(("name", "pod"), _pods())
def test_a_pod_has_no_more_rights_than_it_needs(name: str, pod: dict[str, Any]) -> None:
    """The level "restricted" of the Pod Security Standards, and a read-only root file system."""
    assert pod["automountServiceAccountToken"] is False, name
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in _containers(pod):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert {"requests", "limits"} == set(container["resources"])
        assert "memory" in container["resources"]["limits"]
        mounted = {mount["name"] for mount in container.get("volumeMounts", ())}
        assert mounted <= {volume["name"] for volume in pod["volumes"]}


def test_the_user_is_the_one_of_the_image(deploy: Path) -> None:
    uid = re.search(r"^ARG UID=(\d+)$", (deploy / "docker/Dockerfile").read_text(), re.MULTILINE)
    assert uid
    assert {pod["securityContext"]["runAsUser"] for _, pod in _pods()} == {int(uid[1])}


@pytest.mark.parametrize(("name", "pod"), _pods())
def test_settings_that_a_pod_names_exist(name: str, pod: dict[str, Any]) -> None:
    known = {"CATALOG_URL", *every_variable(Settings, GatewaySettings, DashboardSettings)}
    for container in _containers(pod):
        assert {variable["name"] for variable in container.get("env", ())} <= known, name
    for file in _FOLDER.rglob("kustomization.yaml"):
        for generator in yaml.safe_load(file.read_text()).get("configMapGenerator", ()):
            assert {literal.partition("=")[0] for literal in generator.get("literals", ())} <= known, file


def test_the_grace_period_is_long_enough_for_a_stop() -> None:
    for name, pod in _pods():
        if name == "Deployment centralcloud-gateway":
            assert pod["terminationGracePeriodSeconds"] > 5 + drain_seconds()
            assert pod["containers"][0]["lifecycle"] == {"preStop": {"exec": {"command": ["sleep", "5"]}}}
        elif name.startswith(("Deployment", "StatefulSet")):
            assert pod["terminationGracePeriodSeconds"] > 2 * _STOP_SECONDS, name


def test_probes_use_the_paths_that_the_programs_serve() -> None:
    asked = {
        (name, probe, container[probe]["httpGet"]["path"], container[probe]["httpGet"]["port"])
        for name, pod in _pods()
        for container in _containers(pod)
        for probe in ("startupProbe", "livenessProbe", "readinessProbe")
        if probe in container
    }
    daemon, gateway, router = "Deployment centralcloud", "Deployment centralcloud-gateway", "StatefulSet router"
    dashboard = "Deployment centralcloud-dashboard"
    assert asked == {
        (daemon, "startupProbe", "/livez", "http"), (daemon, "livenessProbe", "/livez", "http"),
        (daemon, "readinessProbe", "/readyz", "http"),
        (gateway, "startupProbe", "/livez", "http"), (gateway, "livenessProbe", "/livez", "http"),
        (gateway, "readinessProbe", "/health/ready", "gateway"),
        (dashboard, "startupProbe", "/healthz", "http"), (dashboard, "livenessProbe", "/healthz", "http"),
        (dashboard, "readinessProbe", "/healthz", "http"),
        (router, "startupProbe", "/livez", "agent"), (router, "livenessProbe", "/livez", "agent"),
    }  # fmt: skip


@pytest.mark.parametrize("folder", ["base", "gateway"])
def test_selectors_match_only_the_pods_that_serve(folder: str) -> None:
    by_kind = _by_kind(folder)
    serving = by_kind["Deployment"]["spec"]["template"]["metadata"]["labels"]
    job = by_kind["Job"]["spec"]["template"]["metadata"]["labels"]
    pod = by_kind["Deployment"]["spec"]["template"]["spec"]
    selectors = [
        by_kind["Deployment"]["spec"]["selector"]["matchLabels"],
        by_kind["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
        *(constraint["labelSelector"]["matchLabels"] for constraint in pod["topologySpreadConstraints"]),
    ]
    if folder == "gateway":
        selectors.append(by_kind["Service"]["spec"]["selector"])
        selectors.append(_by_kind("components/gateway-pod-monitor")["PodMonitor"]["spec"]["selector"]["matchLabels"])
    for selector in selectors:
        assert selector.items() <= serving.items()
        assert not selector.items() <= job.items()


def test_the_policy_of_the_gateway_lets_clients_in_and_calls_of_providers_out_but_not_to_metadata_services() -> None:
    by_kind = _by_kind("gateway")
    policy = by_kind["NetworkPolicy"]["spec"]
    for kind in ("Deployment", "Job"):
        labels = by_kind[kind]["spec"]["template"]["metadata"]["labels"]
        assert policy["podSelector"]["matchLabels"].items() <= labels.items(), kind
    daemon = _by_kind("base")["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert not policy["podSelector"]["matchLabels"].items() <= daemon.items()
    clients, monitoring = policy["ingress"]
    assert clients["ports"] == [{"protocol": "TCP", "port": "gateway"}]
    assert monitoring["ports"] == [{"protocol": "TCP", "port": "http"}]
    out = {(port["protocol"], port["port"]) for rule in policy["egress"] for port in rule["ports"]}
    assert out == {("TCP", 5432), ("TCP", 53), ("UDP", 53), ("TCP", 443)}
    (providers,) = [rule for rule in policy["egress"] if "to" in rule]
    refused = [
        ipaddress.ip_network(network) for each in providers["to"] for network in each["ipBlock"].get("except", ())
    ]
    for metadata in ("169.254.169.254", "fd00:ec2::254", "fe80::a9fe:a9fe"):
        address = ipaddress.ip_address(metadata)
        assert any(address in network for network in refused if network.version == address.version), metadata


def test_the_policy_of_the_dashboard_lets_the_ingress_in_and_the_database_and_dns_out() -> None:
    by_kind = _by_kind("dashboard")
    labels = by_kind["Deployment"]["spec"]["template"]["metadata"]["labels"]
    policy = by_kind["NetworkPolicy"]["spec"]
    for selector in (policy["podSelector"]["matchLabels"], by_kind["Service"]["spec"]["selector"]):
        assert selector.items() <= labels.items()
        for folder in ("base", "gateway"):
            other = _by_kind(folder)["Deployment"]["spec"]["template"]["metadata"]["labels"]
            assert not selector.items() <= other.items()
    assert set(policy["policyTypes"]) == {"Ingress", "Egress"}
    (rule,) = policy["ingress"]
    assert rule["from"] == [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress-nginx"}}}]
    assert rule["ports"] == [{"protocol": "TCP", "port": "http"}]
    out = {(port["protocol"], port["port"]) for rule in policy["egress"] for port in rule["ports"]}
    assert out == {("TCP", 5432), ("TCP", 53), ("UDP", 53)}


def test_the_dashboard_needs_a_login_and_does_not_start_before_the_overlay_names_its_address() -> None:
    """One replica, because a login lives in its process; and its users and logins are files of Secrets."""
    deployment = _by_kind("dashboard")["Deployment"]["spec"]
    assert deployment["replicas"] == 1
    pod = deployment["template"]["spec"]
    (container,) = pod["containers"]
    base, overlay = (
        dict(literal.split("=", 1) for literal in generator["literals"])
        for folder in ("dashboard", "overlays/dashboard")
        for generator in yaml.safe_load((_FOLDER / folder / "kustomization.yaml").read_text())["configMapGenerator"]
    )
    given = {each["name"]: each["value"] for each in container["env"]}
    assert container["ports"] == [{"name": "http", "containerPort": int(base["CENTRALCLOUD_DASHBOARD_PORT"])}]
    mounts = {each["mountPath"]: each["name"] for each in container["volumeMounts"]}
    secrets = {each["name"]: each["secret"] for each in pod["volumes"] if "secret" in each}
    for path, secret in (
        (base["CENTRALCLOUD_DASHBOARD_USERS_FILE"], "centralcloud-dashboard-users"),
        (given["CENTRALCLOUD_DASHBOARD_DATABASE_URL_FILE"], "centralcloud-dashboard"),
        ("/run/secrets/operator/url", "centralcloud-operator"),
    ):
        assert secrets[mounts[path.rpartition("/")[0]]]["secretName"] == secret
    assert [name for name, secret in secrets.items() if secret.get("optional")] == ["operator"]
    with pytest.raises(SettingsError, match="passwords over plain HTTP"):
        _dashboard_settings(base).check_start()
    settings = _dashboard_settings(base | overlay)
    settings.check_start()
    assert settings.login_to_read
    assert settings.operator_database is None


def _dashboard_settings(variables: dict[str, str]) -> DashboardSettings:
    prefix = "CENTRALCLOUD_DASHBOARD_"
    return DashboardSettings(**{name.removeprefix(prefix).lower(): value for name, value in variables.items()})


def test_the_gateway_is_named_after_its_pod_and_ready_when_it_can_serve() -> None:
    deployment = _by_kind("gateway")["Deployment"]["spec"]
    assert deployment["replicas"] == 3
    (container,) = deployment["template"]["spec"]["containers"]
    env = {variable["name"]: variable for variable in container["env"]}
    assert env["INSTANCE_ID"]["valueFrom"] == {"fieldRef": {"fieldPath": "metadata.name"}}
    (generator,) = yaml.safe_load((_FOLDER / "gateway/kustomization.yaml").read_text())["configMapGenerator"]
    literals = dict(literal.split("=") for literal in generator["literals"])
    ports = {each["name"]: each["containerPort"] for each in container["ports"]}
    assert ports == {
        "gateway": int(literals["INSTANCE_AGENT_GATEWAY_PORT"]), "http": int(literals["INSTANCE_AGENT_HTTP_PORT"])
    }  # fmt: skip


def test_no_pod_mounts_the_login_that_may_change_the_configuration_but_the_job_of_the_first_key() -> None:
    secrets = {
        name: {volume["secret"]["secretName"] for volume in pod["volumes"] if "secret" in volume}
        for name, pod in _pods()
    }
    assert [name for name, mounted in secrets.items() if "centralcloud-configurator" in mounted] == [
        "Job centralcloud-gateway-first-key"
    ]
    assert secrets["Deployment centralcloud-gateway"] == {"centralcloud-gateway", "centralcloud-gateway-providers"}


def test_the_catalog_of_the_component_is_mounted_and_valid(kubectl: str, tmp_path: Path) -> None:
    """An overlay beside those of the repository, with its line about the component put to use."""
    overlay = tmp_path / "mine"
    overlay.mkdir()
    text = (_FOLDER / "overlays/gateway/kustomization.yaml").read_text().replace("#components:", "components:")
    for folder in ("gateway", "components/gateway-catalog"):
        text = text.replace(f"../../{folder}", os.path.relpath(_FOLDER / folder, overlay.resolve()))
    (overlay / "kustomization.yaml").write_text(text)
    built = _build(kubectl, overlay)
    (made,) = [each for each in built if each["kind"] == "ConfigMap" and "catalog.yaml" in each["data"]]
    (deployment,) = [each for each in built if each["kind"] == "Deployment"]
    pod = deployment["spec"]["template"]["spec"]
    (volume,) = [each for each in pod["volumes"] if each["name"] == "catalog"]
    assert volume["configMap"]["name"] == made["metadata"]["name"]
    (mount,) = [each for each in pod["containers"][0]["volumeMounts"] if each["name"] == "catalog"]
    env = {each["name"]: each.get("value") for each in pod["containers"][0]["env"]}
    assert env["INSTANCE_AGENT_CATALOG"] == f"{mount['mountPath']}/catalog.yaml"
    file = tmp_path / "catalog.yaml"
    file.write_text(made["data"]["catalog.yaml"])
    assert len(read_entries(file).models) == 2
    (providers,) = [each for each in pod["containers"][0]["volumeMounts"] if each["name"] == "providers"]
    named = set(re.findall(r"file:(\S+)/\w+", made["data"]["catalog.yaml"]))
    assert named == {providers["mountPath"]}


def test_the_example_has_a_copy_of_the_documented_catalog() -> None:
    """kustomize reads only files in its own folder."""
    assert (_FOLDER / "examples/catalog.yaml").read_text() == (_FOLDER.parents[1] / "examples/catalog.yaml").read_text()
