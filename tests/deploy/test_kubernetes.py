"""The manifests of deploy/kubernetes: valid by the schemas of Kubernetes, and within our own limits."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.repository import REPOSITORY

from centralcloud import __version__
from centralcloud.runtime.process.supervisor import _STOP_SECONDS
from centralcloud.runtime.settings import variables_of
from centralcloud.settings import Settings
from instance_agent.settings import AgentSettings

_FOLDER = REPOSITORY / "deploy/kubernetes"
_FILES = sorted(file for file in _FOLDER.rglob("*.yaml") if file.name not in {"kustomization.yaml", "catalog.yaml"})
#: Resource types of the Prometheus operator, which the schemas of Kubernetes do not know.
_OF_THE_OPERATOR = {"ServiceMonitor"}
_BUILT = ("base", "overlays/production", "examples")
_OLDEST = "1.29"  # the first version with sidecars; newer features must not be used


def _documents() -> Iterator[dict[str, Any]]:
    for file in _FILES:
        yield from yaml.safe_load_all(file.read_text())


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
        "Deployment", "Job", "Namespace", "NetworkPolicy", "PodDisruptionBudget", "Service", "ServiceAccount",
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
    (job,) = [document for document in _documents() if document["kind"] == "Job"]
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
    by_kind = {document["kind"]: document for document in _documents()}
    policy = by_kind["NetworkPolicy"]["spec"]
    for kind in ("Deployment", "Job"):
        labels = by_kind[kind]["spec"]["template"]["metadata"]["labels"]
        assert policy["podSelector"]["matchLabels"].items() <= labels.items(), kind
    router = by_kind["StatefulSet"]["spec"]["template"]["metadata"]["labels"]
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
    (deployment,) = [document for document in _documents() if document["kind"] == "Deployment"]
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
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
    known = {"DATABASE_URL_FILE", "INSTANCE_ID", "CATALOG_URL"}
    for settings_class in (Settings, AgentSettings):
        prefix = settings_class.model_config["env_prefix"]
        known |= {f"{prefix}DATABASE_URL", *variables_of(settings_class)}
    for container in _containers(pod):
        assert {variable["name"] for variable in container.get("env", ())} <= known, name
    for file in _FOLDER.rglob("kustomization.yaml"):
        for generator in yaml.safe_load(file.read_text()).get("configMapGenerator", ()):
            assert {literal.partition("=")[0] for literal in generator.get("literals", ())} <= known, file


def test_the_grace_period_is_long_enough_for_a_stop() -> None:
    for name, pod in _pods():
        if name.startswith(("Deployment", "StatefulSet")):
            assert pod["terminationGracePeriodSeconds"] > 2 * _STOP_SECONDS, name


def test_probes_use_the_paths_that_the_programs_serve() -> None:
    paths = {
        probe: container[probe]["httpGet"]["path"]
        for _, pod in _pods()
        for container in _containers(pod)
        for probe in ("startupProbe", "livenessProbe", "readinessProbe")
        if probe in container
    }
    assert paths == {"startupProbe": "/livez", "livenessProbe": "/livez", "readinessProbe": "/readyz"}


def test_selectors_match_only_the_daemons() -> None:
    by_kind = {document["kind"]: document for document in _documents()}
    daemon = by_kind["Deployment"]["spec"]["template"]["metadata"]["labels"]
    migration = by_kind["Job"]["spec"]["template"]["metadata"]["labels"]
    pod = by_kind["Deployment"]["spec"]["template"]["spec"]
    selectors = [
        by_kind["Deployment"]["spec"]["selector"]["matchLabels"],
        by_kind["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
        *(constraint["labelSelector"]["matchLabels"] for constraint in pod["topologySpreadConstraints"]),
    ]
    for selector in selectors:
        assert selector.items() <= daemon.items()
        assert not selector.items() <= migration.items()


def test_the_example_has_a_copy_of_the_documented_catalog() -> None:
    """kustomize reads only files in its own folder."""
    assert (_FOLDER / "examples/catalog.yaml").read_text() == (_FOLDER.parents[1] / "examples/catalog.yaml").read_text()
