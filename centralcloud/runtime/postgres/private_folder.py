"""Checks of a folder that other users of the machine must not be able to change: a server runs on what is in it."""

import grp
import os
import pwd
import stat
from collections.abc import Collection
from pathlib import Path


def make_private_folder(folder: Path) -> None:
    """Create a folder, and its parents where they are missing, which only this user may write."""
    for missing in reversed([path for path in (folder, *folder.parents) if not path.exists()]):
        missing.mkdir(mode=0o755, exist_ok=True)


def folder_problem(folder: Path, *, owners: Collection[int]) -> str | None:
    """Say why others may change what is in an existing folder, or have chosen it; None when they may not.

    Args:
        folder: an absolute path.
        owners: ids of the users that may own it.
    """
    for path in (folder, *folder.parents):
        found = path.lstat()
        if stat.S_ISLNK(found.st_mode) and found.st_uid not in (0, os.geteuid()):
            return (
                f"{path} is a symbolic link of another user ({_user(found.st_uid)}): remove it, or use another folder"
            )
    real = folder.resolve()
    found = real.stat()
    if not stat.S_ISDIR(found.st_mode):
        return f"{real} is not a folder"
    if found.st_uid not in owners:
        return f"{real} belongs to another user ({_user(found.st_uid)}): use a folder of your own"
    if writers := _other_writers(found):
        return f"{real} can be written by {writers}: run chmod go-w on it, or use another folder"
    for parent in real.parents:
        found = parent.stat()
        if (writers := _other_writers(found)) and not found.st_mode & stat.S_ISVTX:
            return (
                f"{parent} can be written by {writers}, who could replace {real}: run chmod go-w or chmod +t on it, "
                "or use another folder"
            )
    return None


def _other_writers(found: os.stat_result) -> str | None:
    if found.st_mode & stat.S_IWOTH:
        return "every user"
    if found.st_mode & stat.S_IWGRP and not _is_private_group(found.st_gid):
        return f"the group {_group(found.st_gid)}"
    return None


def _is_private_group(group: int) -> bool:
    """Whether only this user is in its own group, as with a umask of 002 on many systems; or only root in that of root."""
    if group not in (0, os.getegid()):
        return False
    try:
        members = set(grp.getgrgid(group).gr_mem)
        members -= {pwd.getpwuid(os.geteuid()).pw_name, "root"}
    except KeyError:
        return True
    return not members


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"uid {number}"


def _group(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return f"gid {number}"
