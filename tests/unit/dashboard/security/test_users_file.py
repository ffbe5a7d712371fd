"""The file of users: its lines, its permissions, its changes, and what a running server makes of them."""

import os
import threading
from pathlib import Path

import pytest

from centralcloud.contracts import SettingsError
from centralcloud.dashboard.security.passwords import DEFAULT_COST, Cost, PasswordHash, hash_password, parse_hash
from centralcloud.dashboard.security.user_list import UserList
from centralcloud.dashboard.security.users_file import (
    User,
    editing,
    parse_users,
    read_users,
    with_user,
    without_user,
)

#: Its salt is always the same, as names of tests must not change.
HASH = parse_hash("scrypt$2$1$1$8hO+bRYtJIrWNf3G2cc9Fw==$Sx/Fpzp4pqCSEtCtwm3tqoTUojGFx3Sq57GuH75USPI=")
ADA, BOB = User("ada", "operator", HASH), User("bob@example.org", "viewer", HASH)
LINE = f"ada:operator:{HASH}"
TEXT = f"# the night shift\n\n{LINE}\n  # bob:viewer:x\nbob@example.org:viewer:{HASH}\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "users"
    path.touch(0o600)
    path.write_text(TEXT)
    return path


def test_each_line_is_a_user_apart_from_comments_and_empty_lines() -> None:
    assert dict(parse_users(TEXT, "users")) == {"ada": ADA, "bob@example.org": BOB}
    assert dict(parse_users(TEXT.replace("\n", "\r\n"), "users")) == {"ada": ADA, "bob@example.org": BOB}
    assert not parse_users("", "users")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("ada", "found 1 of 3 parts, expected name:role:hash, as `centralcloud dashboard-users add` writes it"),
        (f"{LINE}:more", "found 4 of 3 parts"),
        (f"ada:admin:{HASH}", 'found the role "admin" of ada, expected viewer or operator'),
        (f":viewer:{HASH}", 'found the name "", expected 1 to 64 letters'),
        (f"a b:viewer:{HASH}", 'found the name "a b", expected 1 to 64 letters'),
        (f"-a:viewer:{HASH}", 'found the name "-a"'),
        (f"ad\x1ba:viewer:{HASH}", 'found the name "ad\\x1ba"'),
        (f"аda:viewer:{HASH}", 'found the name "\\u0430da"'),
        (f"{'a' * 65}:viewer:{HASH}", "expected 1 to 64 letters"),
        ("eve:viewer:secret", "expected a hash like scrypt$n$r$p$salt$hash"),
        (f"bob@example.org:operator:{HASH}", "found bob@example.org again, as in line 5: expected one line a user"),
    ],
)
def test_a_damaged_line_is_named_by_its_number_and_shows_no_hash(line: str, expected: str) -> None:
    with pytest.raises(SettingsError) as refused:
        parse_users(f"{TEXT}{line}\n", "/etc/users")
    assert str(refused.value).startswith("/etc/users, line 6: ")
    assert expected in str(refused.value)
    assert str(HASH) not in str(refused.value)
    assert "secret" not in str(refused.value)


def test_a_change_keeps_comments_and_the_order() -> None:
    other = User("ada", "viewer", hash_password("another horse battery", Cost(2, 1, 1)))
    changed = with_user(TEXT, other)
    assert changed == TEXT.replace(LINE, f"ada:viewer:{other.password}")
    assert with_user(TEXT, User("eve", "viewer", HASH)) == f"{TEXT}eve:viewer:{HASH}\n"
    assert with_user("# no end of line", ADA) == f"# no end of line\n{LINE}\n"
    assert with_user("", ADA) == f"{LINE}\n"
    assert without_user(TEXT, "ada") == TEXT.replace(f"{LINE}\n", "")
    assert without_user(TEXT, "ad") == TEXT


@pytest.mark.parametrize("mode", [0o604, 0o602, 0o620, 0o666, 0o601])
def test_a_file_that_others_can_read_or_write_is_refused(path: Path, mode: int) -> None:
    path.chmod(mode)
    with pytest.raises(SettingsError, match=f"has the mode {mode:04o}, so others can read or write it: expected"):
        read_users(path)
    with pytest.raises(SettingsError, match="has the mode"), editing(path):
        pass


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_the_owner_is_this_user_or_root_and_a_group_may_read_files_of_root_alone(path: Path) -> None:
    path.chmod(0o640)
    assert read_users(path)
    os.chown(path, 4242, -1)
    with pytest.raises(SettingsError, match=r"belongs to uid 4242, expected a file of root or of uid 0"):
        read_users(path)


def test_a_group_may_not_read_a_file_of_this_user(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.chmod(0o640)
    status = os.stat_result((*path.stat()[:4], 4242, *path.stat()[5:10]))
    monkeypatch.setattr(os, "fstat", lambda _: status)
    monkeypatch.setattr(os, "geteuid", lambda: 4242)
    with pytest.raises(SettingsError, match=r"has the mode 0640, .*expected 0600 or less"):
        read_users(path)


def test_a_file_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"cannot read the users of the dashboard in .*: No such file or directory"):
        read_users(tmp_path / "none")
    with pytest.raises(SettingsError, match="expected a regular file"):
        read_users(tmp_path)
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(SettingsError, match="expected a regular file"):
        read_users(tmp_path / "pipe")
    binary = tmp_path / "binary"
    binary.touch(0o600)
    binary.write_bytes(b"# a\n\xff\n")
    with pytest.raises(SettingsError, match="line 2: found a byte that is not UTF-8"):
        read_users(binary)
    binary.write_bytes(b"#" * 2**21)
    with pytest.raises(SettingsError, match="found 2097152 bytes"):
        read_users(binary)


def test_an_edit_makes_a_file_for_its_owner_alone_and_keeps_a_link(tmp_path: Path) -> None:
    new = tmp_path / "new"
    with editing(new) as users:
        assert not users.users
        users.put(ADA)
    assert new.stat().st_mode & 0o777 == 0o600
    assert dict(read_users(new)) == {"ada": ADA}
    link = tmp_path / "link"
    link.symlink_to(new)
    with editing(link) as users:
        users.remove("ada")
    assert link.is_symlink()
    assert not read_users(new)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["link", "new"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_an_edit_by_root_keeps_the_owner_and_the_mode(path: Path) -> None:
    path.chmod(0o640)
    os.chown(path, 0, 4242)
    with editing(path) as users:
        users.remove("ada")
    status = path.stat()
    assert (status.st_uid, status.st_gid, status.st_mode & 0o777) == (0, 4242, 0o640)


def test_edits_at_the_same_time_lose_none(path: Path) -> None:
    def add(name: str) -> None:
        with editing(path) as users:
            users.put(User(name, "viewer", HASH))

    threads = [threading.Thread(target=add, args=(f"user{number}",)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(read_users(path)) == 22


def replace(path: Path, text: str) -> None:
    new = path.with_name("new")
    new.touch(0o600)
    new.write_text(text)
    new.replace(path)


def test_a_running_server_follows_the_file(path: Path) -> None:
    users = UserList(path)
    assert users.find("ada") == ADA
    replace(path, without_user(TEXT, "ada"))
    assert users.find("ada") is None
    assert users.find("bob@example.org") == BOB
    replace(path, with_user(TEXT, User("ada", "viewer", HASH)))
    assert users.find("ada") == User("ada", "viewer", HASH)
    assert users.problem is None


@pytest.mark.parametrize("damage", ["line", "mode", "gone"])
def test_a_damaged_file_changes_nothing_in_a_running_server_and_is_reported_once(
    path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    users = UserList(path)
    if damage == "gone":
        path.unlink()
    else:
        replace(path, f"{TEXT}eve:operator:\n" if damage == "line" else f"{TEXT}\neve:operator:{HASH}\n")
        if damage == "mode":
            path.chmod(0o666)
    for _ in range(3):
        assert users.find("ada") == ADA
        assert users.find("eve") is None
    assert users.problem is not None
    assert [record for record in caplog.records if "dashboard_users_refused" in record.getMessage()] == [
        caplog.records[-1]
    ]
    replace(path, f"{TEXT}eve:operator:{HASH}\n")
    assert users.find("eve") == User("eve", "operator", HASH)
    assert users.problem is None


def test_a_start_with_a_damaged_file_is_refused(path: Path) -> None:
    path.write_text("ada\n")
    with pytest.raises(SettingsError, match="line 1"):
        UserList(path)


def test_an_unknown_user_costs_as_much_as_those_of_the_file(path: Path) -> None:
    assert UserList(path).unknown().cost == HASH.cost
    assert UserList(None).unknown().cost == DEFAULT_COST
    slow = PasswordHash(Cost(4, 1, 1), HASH.salt, HASH.digest)
    replace(path, with_user(TEXT, User("slow", "viewer", slow)))
    users = UserList(path)
    assert users.unknown().cost == Cost(4, 1, 1)
    assert users.unknown() is users.unknown()
