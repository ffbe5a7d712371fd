"""The files with hashes in deploy/requirements: complete, with the versions of constraints.txt, for every platform."""

import re
import tomllib

import hash_requirements
import pytest
from hash_requirements import FILES, FOLDER, as_text, packages_of_files, requirements_of
from installed_packages import MACHINES, PYTHONS, dependency_graph, marker_environment, read_hashes, read_pins
from packaging.tags import cpython_tags
from packaging.utils import canonicalize_name, parse_wheel_filename
from support.repository import REPOSITORY

_PINS = read_pins(REPOSITORY / "constraints.txt")
_STATED = {name: read_hashes(FOLDER / f"{name}.txt") for name in FILES}


@pytest.fixture(scope="module")
def needed() -> dict[str, set]:
    return packages_of_files()


@pytest.mark.parametrize("file", FILES)
def test_a_file_lists_exactly_what_its_requirements_need(needed: dict[str, set], file: str) -> None:
    assert {name for name, _ in _STATED[file]} == needed[file], "run `make hashes`"


@pytest.mark.parametrize("file", FILES)
def test_the_versions_are_those_of_the_constraints(file: str) -> None:
    for name, version in _STATED[file]:
        assert _PINS[name][1] == version, f"{name}: run `make hashes`"


def test_every_direct_requirement_of_the_wheel_is_in_its_file() -> None:
    direct = requirements_of(tomllib.loads((REPOSITORY / "pyproject.toml").read_text()))
    assert len(direct["build"]) == len(hash_requirements._BUILDS)
    for file, lines in direct.items():
        base = FILES[file][0]
        listed = {name for name, _ in (*_STATED[file], *(_STATED[base] if base else ()))}
        names = {canonicalize_name(re.split(r"[\[>=<]", line)[0]) for line in lines}
        assert names <= listed, file


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("python", PYTHONS)
def test_each_package_has_a_wheel_for_each_python_and_machine(file: str, machine: str, python: str) -> None:
    major, minor = (int(part) for part in python.split("."))
    glibc = [f"{platform}_{machine}" for platform in hash_requirements._GLIBC]
    musl = [f"{platform}_{machine}" for platform in hash_requirements._MUSL]
    for (name, _), wheels in _STATED[file].items():
        tags = [tag for wheel in wheels for tag in parse_wheel_filename(wheel)[3]]
        for platforms in (glibc, musl):
            fits = {str(tag) for tag in cpython_tags((major, minor), platforms=platforms)}
            found = any(str(tag) in fits or (tag.abi, tag.platform) == ("none", "any") for tag in tags)
            assert found == (platforms is glibc or name not in hash_requirements._GLIBC_ONLY), (name, platforms[0])


@pytest.mark.parametrize("file", FILES)
def test_a_file_is_as_the_tool_writes_it_and_names_no_host(file: str) -> None:
    wheels = {name: found for (name, _), found in _STATED[file].items()}
    text = (FOLDER / f"{file}.txt").read_text()
    assert as_text(file, wheels, _PINS, wheels) == text
    assert "://" not in text
    assert "--index" not in text


def test_the_packages_depend_on_the_python_and_on_extras() -> None:
    class Installed:
        def __init__(self, *requires: str) -> None:
            self.requires = list(requires)

    installed = {
        "a": Installed("b; python_version < '3.13'", "c[fast]"),
        "b": Installed(),
        "c": Installed("d; extra == 'fast'", "e; extra == 'slow'"),
        "d": Installed("a"),
    }
    old, new = (
        dependency_graph(["a>=1"], installed, marker_environment(python, "x86_64")) for python in ("3.12", "3.13")
    )
    assert old == {"a": {"b", "c"}, "b": set(), "c": {"d"}, "d": {"a"}}
    assert new == {"a": {"c"}, "c": {"d"}, "d": {"a"}}
    with pytest.raises(LookupError, match=r"^e, which c needs, is not installed: run `make setup`$"):
        dependency_graph(["c[slow]"], installed, marker_environment("3.12", "x86_64"))


def test_a_hash_without_the_name_of_its_wheel_is_refused(tmp_path) -> None:
    file = tmp_path / "agent.txt"
    file.write_text(f"# a-1-py3-none-any.whl\na==1 \\\n    --hash=sha256:{'0' * 64} \\\n    --hash=sha256:{'1' * 64}\n")
    with pytest.raises(ValueError, match=r"^agent\.txt: a==1 has 2 hashes for 1 named wheels$"):
        read_hashes(file)
