"""A folder for a server: others may neither write what is in it nor have chosen it."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from centralcloud.runtime.postgres.embedded import EmbeddedServer
from centralcloud.runtime.postgres.embedded_installation import EmbeddedServerError
from centralcloud.runtime.postgres.private_folder import folder_problem, make_private_folder

_STRANGER = 4242
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a file of another user")


def own(path: Path) -> Path:
    path.mkdir(mode=0o700)
    return path


def for_every_user(path: Path) -> Path:
    own(path).chmod(0o777)
    return path


def below_a_shared_folder(path: Path) -> Path:
    for_every_user(path.parent / "shared")
    return own(path.parent / "shared" / "mine")


def of_a_stranger(path: Path) -> Path:
    os.chown(own(path), _STRANGER, _STRANGER)
    return path


def linked_by_a_stranger(path: Path) -> Path:
    path.symlink_to(own(path.parent / "private"))
    os.chown(path, _STRANGER, _STRANGER, follow_symlinks=False)
    return path


def a_file(path: Path) -> Path:
    path.touch()
    return path


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (for_every_user, "folder can be written by every user: run chmod go-w on it"),
        (below_a_shared_folder, "shared can be written by every user, who could replace "),
        (a_file, "is not a folder"),
        pytest.param(of_a_stranger, "belongs to another user (uid 4242)", marks=as_root),
        pytest.param(linked_by_a_stranger, "is a symbolic link of another user (uid 4242)", marks=as_root),
    ],
)
def test_the_embedded_server_refuses_a_folder_that_others_control(
    tmp_path: Path, make: Callable[[Path], Path], problem: str
) -> None:
    folder = make(tmp_path / "folder")
    tmp_path.chmod(0o755)
    assert problem in str(folder_problem(folder, owners={os.geteuid()}))
    if os.geteuid() != 0 or make is linked_by_a_stranger:
        with pytest.raises(EmbeddedServerError) as refused:
            EmbeddedServer.start(f"embedded:{folder}")
        assert "\n" not in str(refused.value)
    assert not [path.name for path in tmp_path.rglob("postgresql*")]


def test_a_folder_of_this_user_is_used_whatever_the_umask_is(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        make_private_folder(tmp_path / "a" / "b")
    finally:
        os.umask(before)
    assert folder_problem(tmp_path / "a" / "b", owners={os.geteuid()}) is None
    (tmp_path / "link").symlink_to(tmp_path / "a")
    assert folder_problem(tmp_path / "link" / "b", owners={os.geteuid()}) is None
    (tmp_path / "a").chmod(0o1777)
    assert folder_problem(tmp_path / "a" / "b", owners={os.geteuid()}) is None, "as in /tmp, others may not rename it"
