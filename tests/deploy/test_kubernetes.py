"""The manifests of deploy/kubernetes: valid by the schemas of Kubernetes, and within our own limits."""

import re
import shutil
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


def _build(folder: str) -> list[dict[str, Any]]:
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed")
    result = subprocess.run(["kubectl", "kustomize", _FOLDER / folder], capture_output=True, text=True)
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
    assert kinds == {"Deployment", "Job", "Namespace", "PodDisruptionBudget", "ServiceAccount", "StatefulSet"}
    for document in documents:
        _validate(document)


@pytest.mark.parametrize("folder", _BUILT)
def test_the_output_of_kustomize_is_valid_too(folder: str) -> None:
    for document in _build(folder):
        _validate(document)


def test_the_overlay_applies_its_changes() -> None:
    built = {document["kind"]: document for document in _build("overlays/production")}
    deployment = built["Deployment"]
    assert deployment["spec"]["replicas"] == 3
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["image"] == f"registry.example.org/centralcloud:{__version__}"
    assert container["envFrom"][0]["configMapRef"]["name"] == built["ConfigMap"]["metadata"]["name"]
    assert {document["metadata"].get("namespace", "centralcloud") for document in built.values()} == {"centralcloud"}
    assert built["Job"]["spec"]["template"]["spec"]["containers"][0]["image"] == container["image"]


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
