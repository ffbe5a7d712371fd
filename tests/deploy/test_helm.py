"""The chart of deploy/helm makes the objects of deploy/kubernetes. Without helm only its files are compared."""

import copy
import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.draining import drain_seconds
from support.pages import shell_blocks
from support.repository import REPOSITORY
from support.variables import every_variable

from centralcloud import __version__
from centralcloud.dashboard.settings import DashboardSettings
from centralcloud.settings import Settings
from instance_agent.settings import GatewaySettings

_CHART = REPOSITORY / "deploy/helm"
_KUBERNETES = REPOSITORY / "deploy/kubernetes"
_PRODUCTION = ("--values", str(_CHART / "ci/production.yaml"))
#: Objects of the overlays that are for the administrator of the cluster: helm has --create-namespace.
_NOT_IN_THE_CHART = {("Namespace", "centralcloud")}
_OF_HELM = ("app.kubernetes.io/managed-by", "helm.sh/chart")

Objects = dict[tuple[str, str], dict[str, Any]]


def _run(*command: str | Path) -> str:
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result.stdout


def _rendered(helm: str, *options: str) -> list[dict[str, Any]]:
    text = _run(helm, "template", "centralcloud", _CHART, "--namespace", "centralcloud", *options)
    return [document for document in yaml.safe_load_all(text) if document]


def _kustomized(kubectl: str, *folders: Path) -> list[dict[str, Any]]:
    return [document for folder in folders for document in yaml.safe_load_all(_run(kubectl, "kustomize", folder))]


def _comparable(documents: list[dict[str, Any]]) -> Objects:
    """Return the objects by kind and name, without what the two tools do in their own ways."""
    documents = copy.deepcopy(documents)
    names = {}
    for each in documents:
        if each["kind"] == "ConfigMap":  # kustomize appends a hash
            names[each["metadata"]["name"]] = re.sub(r"-[a-z0-9]{10}$", "", each["metadata"]["name"])
        if each["kind"] == "Job":  # the chart has one for each revision
            names[each["metadata"]["name"]] = re.sub(r"-\d+$", "", each["metadata"]["name"])
    text = json.dumps(documents)
    for name, plain in sorted(names.items(), key=lambda pair: -len(pair[0])):
        text = text.replace(f'"{name}"', f'"{plain}"')
    found: Objects = {}
    for each in json.loads(text):
        meta = each["metadata"]
        meta.pop("namespace", None)
        for label in _OF_HELM:
            meta.get("labels", {}).pop(label, None)
        if each["kind"] in ("Deployment", "StatefulSet"):
            template = each["spec"]["template"]["metadata"]
            template.get("annotations", {}).pop("checksum/settings", None)
            if template.get("annotations") == {}:
                del template["annotations"]
        key = each["kind"], meta["name"]
        assert key not in found
        found[key] = each
    return found


def test_helm_lints_the_chart(helm: str) -> None:
    _run(helm, "lint", "--strict", _CHART)
    _run(helm, "lint", "--strict", _CHART, *_PRODUCTION)


def test_the_chart_makes_the_objects_of_the_overlays(helm: str, kubectl: str) -> None:
    overlays = [_KUBERNETES / "overlays" / name for name in ("production", "gateway", "dashboard")]
    chart, expected = _comparable(_rendered(helm, *_PRODUCTION)), _comparable(_kustomized(kubectl, *overlays))
    assert chart.keys() == expected.keys() - _NOT_IN_THE_CHART
    assert len(chart) > 16
    for key, made in chart.items():
        assert made == expected[key], key


def test_its_defaults_are_those_of_the_bases(helm: str, kubectl: str) -> None:
    chart = _comparable(_rendered(helm, "--set", "image.repository=centralcloud,dashboard.enabled=true"))
    expected = _comparable(_kustomized(kubectl, *(_KUBERNETES / name for name in ("base", "gateway", "dashboard"))))
    images = re.sub(rf'"centralcloud:{re.escape(__version__)}"', '"centralcloud"', json.dumps([*chart.values()]))
    assert {(each["kind"], each["metadata"]["name"]): each for each in json.loads(images)} == expected


def _overlay(folder: Path, name: str, *components: str) -> Path:
    """Write a copy of an overlay that names components, with its relative paths from its new place."""
    folder.mkdir(parents=True)
    parsed = yaml.safe_load((_KUBERNETES / "overlays" / name / "kustomization.yaml").read_text())
    bases = [each.removeprefix("../../") for each in parsed["resources"] if each.startswith("../../")]
    parsed["resources"] = [os.path.relpath(_KUBERNETES / each, folder.resolve()) for each in bases]
    parsed["components"] = [os.path.relpath(_KUBERNETES / "components" / each, folder.resolve()) for each in components]
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(parsed))
    return folder


def test_catalog_tls_and_monitors_are_those_of_the_components(helm: str, kubectl: str, tmp_path: Path) -> None:
    catalog = _KUBERNETES / "components/gateway-catalog/catalog.yaml"
    options = ("--set-file", f"gateway.catalog={catalog}", "--set", "gateway.tlsSecret=centralcloud-gateway-tls")
    chart = _comparable(_rendered(helm, *_PRODUCTION, *options, "--set", "monitors.enabled=true"))
    overlays = (
        _overlay(tmp_path / "production", "production", "service-monitor"),
        _overlay(tmp_path / "gateway", "gateway", "gateway-catalog", "gateway-tls", "gateway-pod-monitor"),
        _KUBERNETES / "overlays/dashboard",
    )
    expected = _comparable(_kustomized(kubectl, *overlays))
    assert chart.keys() == expected.keys()
    for key, made in chart.items():
        assert made == expected[key], key


def test_a_persistent_state_is_that_of_the_component(helm: str, kubectl: str, tmp_path: Path) -> None:
    catalog = _KUBERNETES / "components/gateway-catalog/catalog.yaml"
    options = ("--set-file", f"gateway.catalog={catalog}", "--set", "gateway.state.persistent=true")
    _run(helm, "lint", "--strict", _CHART, *_PRODUCTION, *options)
    chart = _comparable(_rendered(helm, *_PRODUCTION, *options))
    overlay = _overlay(tmp_path / "gateway", "gateway", "gateway-catalog", "gateway-state")
    expected = _comparable(_kustomized(kubectl, overlay))
    made = chart["StatefulSet", "centralcloud-gateway"]
    assert made == expected["StatefulSet", "centralcloud-gateway"]
    assert ("Deployment", "centralcloud-gateway") not in chart
    (claim,) = made["spec"]["volumeClaimTemplates"]
    pod = made["spec"]["template"]["spec"]
    mounts = {each["name"]: each["mountPath"] for each in pod["containers"][0]["volumeMounts"]}
    folder = next(each["value"] for each in pod["containers"][0]["env"] if each["name"] == "INSTANCE_AGENT_STATE_DIR")
    assert mounts[claim["metadata"]["name"]] == folder
    assert "state" not in {each["name"] for each in pod["volumes"]}
    sized = ("--set", "gateway.state.size=5Gi", "--set", "gateway.state.storageClass=fast")
    (claim,) = _comparable(_rendered(helm, *options, *sized))["StatefulSet", "centralcloud-gateway"]["spec"][
        "volumeClaimTemplates"
    ]
    assert claim["spec"]["storageClassName"] == "fast"
    assert claim["spec"]["resources"] == {"requests": {"storage": "5Gi"}}


def test_the_commands_of_the_page_lint_and_render_the_chart(helm: str, tmp_path: Path) -> None:
    """All but the one that needs a cluster."""
    (block,) = [
        each.commands
        for each in shell_blocks(REPOSITORY / "docs/how-to/deploy-with-kubernetes.md")
        if each.heading == "With Helm"
    ]
    offline = [line for line in block.splitlines() if "helm upgrade" not in line]
    assert len(offline) == 2
    script = "\n".join(offline).replace("deploy/helm", str(_CHART))
    environment = {**os.environ, "PATH": f"{Path(helm).parent}:{os.environ['PATH']}"}
    subprocess.run(["bash", "-euc", script], cwd=tmp_path, env=environment, check=True, capture_output=True)
    assert len(list(yaml.safe_load_all((tmp_path / "rendered.yaml").read_text()))) > 12


def test_every_object_is_valid_by_the_schemas_of_kubernetes(helm: str) -> None:
    schemas = pytest.importorskip("kubernetes_validate", reason="kubernetes-validate (extra deploy) is not installed")
    for document in _rendered(helm, *_PRODUCTION):
        schemas.validate(document, "1.29", strict=True)


def test_a_longer_drain_gives_the_pod_more_time(helm: str) -> None:
    made = _comparable(_rendered(helm, "--set", "gateway.drainSeconds=120"))
    pod = made["Deployment", "centralcloud-gateway"]["spec"]["template"]["spec"]
    settings = made["ConfigMap", "centralcloud-gateway"]["data"]
    assert settings["INSTANCE_AGENT_GATEWAY_DRAIN_SECONDS"] == "120"
    assert pod["terminationGracePeriodSeconds"] > 5 + 120 - 25 + drain_seconds()


def test_the_first_key_is_made_at_the_install_only(helm: str) -> None:
    assert ("Job", "centralcloud-gateway-first-key") in _comparable(_rendered(helm))
    upgraded = _comparable(_rendered(helm, "--is-upgrade"))
    assert ("Job", "centralcloud-gateway-first-key") not in upgraded
    assert ("Job", "centralcloud-migrate") in upgraded


def test_parts_can_be_left_out(helm: str) -> None:
    only_daemon = _rendered(helm, "--set", "gateway.enabled=false")
    assert all("gateway" not in each["metadata"]["name"] for each in only_daemon)
    assert all("dashboard" not in each["metadata"]["name"] for each in only_daemon), "it is off by default"
    only_gateway = _rendered(helm, "--set", "daemon.enabled=false,migration.enabled=false")
    assert {each["metadata"]["name"] for each in only_gateway} == {
        "centralcloud-gateway",
        "centralcloud-gateway-first-key",
    }


@pytest.mark.parametrize(
    ("value", "word"),
    [
        ("gateway.replica=5", "replica"), ("daemon.replicas=two", "replicas"), ("image.digest=latest", "digest"),
        ("gateway.settings.INSTANCE_AGENT_GATEWAY_PORT=80", "INSTANCE_AGENT_GATEWAY_PORT"),
        ("dashboard.enabled=true,dashboard.settings.CENTRALCLOUD_DASHBOARD_PORT=80", "CENTRALCLOUD_DASHBOARD_PORT"),
        ("dashboard.replicas=2", "replicas"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_refused_by_its_name(helm: str, value: str, word: str) -> None:
    result = subprocess.run([helm, "template", "x", _CHART, "--set", value], capture_output=True, text=True)
    assert result.returncode != 0
    assert word in result.stderr


def _values() -> dict[str, Any]:
    values: dict[str, Any] = yaml.safe_load((_CHART / "values.yaml").read_text())
    return values


def test_the_chart_has_the_version_of_the_programs() -> None:
    chart = yaml.safe_load((_CHART / "Chart.yaml").read_text())
    assert chart["version"] == chart["appVersion"] == __version__


def test_every_value_that_a_template_names_exists_and_is_used() -> None:
    templates = "\n".join(path.read_text() for path in (_CHART / "templates").rglob("*.*"))
    named = {tuple(path.split(".")) for path in re.findall(r"\.Values\.([\w.]+)", templates)}

    def leaves(value: Any, path: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
        if isinstance(value, dict) and value and path[-1:] != ("resources",):
            return {leaf for name, each in value.items() for leaf in leaves(each, (*path, name))}
        return {path}

    assert leaves(_values()) == named


def test_the_schema_describes_every_value() -> None:
    schema = json.loads((_CHART / "values.schema.json").read_text())

    def compare(values: dict[str, Any], described: dict[str, Any]) -> None:
        assert values.keys() == described["properties"].keys() - {"global"}
        assert described["additionalProperties"] is False
        for name, each in values.items():
            if isinstance(each, dict) and "properties" in described["properties"][name]:
                compare(each, described["properties"][name])

    compare(_values(), schema)


def test_settings_of_the_values_exist() -> None:
    production = yaml.safe_load((_CHART / "ci/production.yaml").read_text())
    named = {name for part in ("daemon", "gateway", "dashboard") for name in production[part].get("settings", {})}
    assert named
    assert named <= every_variable(Settings, GatewaySettings, DashboardSettings)
