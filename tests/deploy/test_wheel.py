"""The wheel contains everything that the programs need: SQL, migrations, both packages."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from support.repository import REPOSITORY
from support.servers import execute


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=REPOSITORY, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


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


def test_the_migrations_inside_the_wheel_work(wheel: Path, empty_url: str, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path / "installed")
    script = (
        f"import sys; sys.path.insert(0, {str(tmp_path / 'installed')!r})\n"
        "import centralcloud; from centralcloud.store import schema\n"
        "from centralcloud.runtime.postgres.database import Database\n"
        "assert 'installed' in str(schema._migrations_folder()), schema._migrations_folder()\n"
        f"with Database({empty_url!r}, application_name='test') as database: print(schema.migrate(database).after)\n"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert execute(empty_url, "SELECT version_num FROM centralcloud.schema_revision") == [(result.stdout.strip(),)]
