"""The installed packages that a set of requirements needs, and the files with hashes in deploy/requirements."""

import re
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import Distribution
from pathlib import Path
from typing import Final

from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name

#: The Pythons that the programs run on; the wheels of each of them have a hash.
PYTHONS: Final = ("3.11", "3.12", "3.13", "3.14")
MACHINES: Final = ("x86_64", "aarch64")

_PIN = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)==(\S+)")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


def marker_environment(python: str, machine: str) -> dict[str, str]:
    """Build the variables of environment markers for CPython on Linux."""
    return {
        "implementation_name": "cpython",
        "os_name": "posix",
        "platform_machine": machine,
        "platform_python_implementation": "CPython",
        "platform_system": "Linux",
        "python_full_version": f"{python}.0",
        "python_version": python,
        "sys_platform": "linux",
    }


def needs(package: Distribution, extras: Iterable[str], environment: Mapping[str, str]) -> Iterator[Requirement]:
    """Yield the requirements of a package with these extras in that environment."""
    wanted = [{**environment, "extra": extra} for extra in ("", *extras)]
    for line in package.requires or ():
        requirement = Requirement(line)
        if requirement.marker is None or any(requirement.marker.evaluate(variables) for variables in wanted):
            yield requirement


def dependency_graph(
    requirements: Iterable[str], installed: Mapping[NormalizedName, Distribution], environment: Mapping[str, str]
) -> dict[NormalizedName, set[NormalizedName]]:
    """Find all packages that the requirements need in that environment, each with those that it requires itself.

    Raises:
        LookupError: a package is not among the installed ones; the message says which one needs it.
    """
    graph: dict[NormalizedName, set[NormalizedName]] = {}
    waiting = [(Requirement(line), "the project") for line in requirements]
    done: set[tuple[NormalizedName, frozenset[str]]] = set()
    while waiting:
        requirement, origin = waiting.pop()
        name, extras = canonicalize_name(requirement.name), frozenset(requirement.extras)
        if (name, extras) in done:
            continue
        done.add((name, extras))
        if name not in installed:
            raise LookupError(f"{name}, which {origin} needs, is not installed: run `make setup`")
        direct = list(needs(installed[name], extras, environment))
        graph.setdefault(name, set()).update(canonicalize_name(each.name) for each in direct)
        waiting += [(each, name) for each in direct]
    return graph


def read_pins(constraints: Path) -> dict[NormalizedName, tuple[str, str]]:
    """Read the name as written and the version of each line of a file of constraints."""
    pins = [_PIN.fullmatch(line.strip()) for line in constraints.read_text().splitlines() if not line.startswith("#")]
    return {canonicalize_name(pin[1]): (pin[1], pin[2]) for pin in pins if pin}


def read_hashes(file: Path) -> dict[tuple[NormalizedName, str], dict[str, str]]:
    """Read the SHA-256 of each wheel, by its file name, for each name and version.

    The comments before a requirement name its wheels in the order of their hashes.

    Raises:
        ValueError: a requirement has another number of comments than of hashes; the message says which.
    """
    found: dict[tuple[NormalizedName, str], dict[str, str]] = {}
    wheels: list[str] = []
    for line in file.read_text().replace("\\\n", "").splitlines():
        if line.startswith("# ") and line.endswith(".whl"):
            wheels.append(line[2:])
        elif pin := _PIN.match(line):
            hashes = _HASH.findall(line)
            if len(hashes) != len(wheels):
                raise ValueError(f"{file.name}: {pin[0]} has {len(hashes)} hashes for {len(wheels)} named wheels")
            found[canonicalize_name(pin[1]), pin[2]] = dict(zip(wheels, hashes, strict=True))
            wheels = []
    return found
