"""The spool: bounded, private, and robust against what it finds in its folder."""

import fcntl
import os
import shutil
from pathlib import Path

import pytest
from support.spools import a_queue, left_in

from instance_agent.sync.damaged_files import damaged_files
from instance_agent.sync.other_spools import other_spools
from instance_agent.sync.spool import Spool
from instance_agent.sync.spool_files import size_of_spool


def test_what_waits_is_kept_and_what_was_sent_is_removed(tmp_path: Path) -> None:
    queue = a_queue("a", "b\nc", "ü")
    spool = Spool(tmp_path / "spool")
    spool.write_new(queue)
    assert spool.written_through == 3
    assert Spool(tmp_path / "spool").next_left(500, 1000) == [], "its process still holds the file"
    queue.remove(3)
    spool.confirm(3)
    assert size_of_spool(tmp_path / "spool") == (0, 0)
    queue.append("d")
    spool.write_new(queue)
    spool.close()
    assert left_in(tmp_path / "spool") == ["d"]
    assert size_of_spool(tmp_path / "spool") == (0, 0)


def test_a_file_of_a_process_that_ends_later_is_found_then(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A new process often starts before the old one has ended."""
    old, new = Spool(tmp_path), Spool(tmp_path, look_again_seconds=0)
    (tmp_path / "folder.events").mkdir()
    old.write_new(a_queue("a"))
    new.write_new(a_queue("own"))
    assert new.next_left(500, 1000) == []
    old.close()
    assert new.next_left(500, 1000) == ["a"]
    new.confirm_left()
    assert new.next_left(500, 1000) == []
    assert caplog.text.count("spool_not_read") == 1, "once, not at every search"
    assert Spool(tmp_path).next_left(500, 1000) == [], "the own file stays"
    new.close()
    assert new.next_left(500, 1000) == [], "not after the end"
    assert left_in(tmp_path) == ["own"]


def test_events_that_were_sent_before_they_were_written_leave_no_file(tmp_path: Path) -> None:
    queue = a_queue("a")
    spool = Spool(tmp_path)
    spool.confirm(1)
    spool.write_new(queue)
    assert size_of_spool(tmp_path) == (0, 0)


def test_a_batch_is_bounded_by_number_and_by_size(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.write_new(a_queue(*"abcdefg", "x" * 100, "y" * 100))
    spool.close()
    reader = Spool(tmp_path)
    batches = []
    while batch := reader.next_left(3, 120):
        batches.append(len(batch))
        reader.confirm_left()
    assert batches == [3, 3, 2, 1]


def test_very_many_files_are_opened_part_by_part(tmp_path: Path) -> None:
    """A process that ends again and again during an outage leaves some files each time; each open one has a descriptor."""
    for number in range(250):
        spool = Spool(tmp_path)
        spool.write_new(a_queue(f"{number:03}"))
        spool.close()
    before = len([*Path("/proc/self/fd").iterdir()])
    spool = Spool(tmp_path)
    texts: list[str] = []
    while batch := spool.next_left(500, 1_000_000):
        assert len([*Path("/proc/self/fd").iterdir()]) <= before + 100
        texts += batch
        spool.confirm_left()
    assert sorted(texts) == [f"{number:03}" for number in range(250)]
    spool.close()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b">-000001 {}",
        b">0000012 {}\n>-000012 {}",
        b"00000000 {}\n",
        b"\xff\xfe\n" * 3,
        b"zz zz\n",
        b"x" * 900_000,
        b"12345678 cut",
    ],
)
def test_damaged_records_cost_only_themselves(damage: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    spool = Spool(tmp_path)
    spool.write_new(a_queue("a", "b"))
    spool.close()
    (file,) = tmp_path.iterdir()
    good = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(good[0] + damage + (b"\n" if damage else b"") + good[1] + damage)
    assert left_in(tmp_path) == ["a", "b"]
    assert ("spool_records_skipped" in caplog.text) == bool(damage)


@pytest.mark.parametrize("removes", [False, True])
def test_a_file_that_another_process_finds_before_it_is_locked_is_not_used(
    removes: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its events would be on no disk, or the first of them lost."""
    lock, found = fcntl.flock, []

    def flock(file: int, operation: int) -> None:
        if not found:
            (path,) = tmp_path.iterdir()
            found.append(os.open(path, os.O_RDWR))
            lock(found[0], operation)
            if removes:
                path.unlink()
                os.close(found[0])
        lock(file, operation)

    monkeypatch.setattr("fcntl.flock", flock)
    spool = Spool(tmp_path)
    assert spool.keep("a") is None
    monkeypatch.undo()
    spool.close()
    assert left_in(tmp_path) == ["a"]
    if not removes:
        os.close(found[0])


def test_foreign_files_are_named_and_not_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "zero.events").symlink_to("/dev/zero")
    os.mkfifo(tmp_path / "pipe.events")
    (tmp_path / "note.txt").write_text("not an event")
    assert left_in(tmp_path) == []
    assert caplog.text.count("spool_not_read") == 2
    assert (tmp_path / "note.txt").exists()


def test_a_folder_that_cannot_be_written_costs_nothing_but_the_spool(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "spool").write_text("a file where the folder should be")
    spool = Spool(tmp_path / "spool")
    spool.write_new(a_queue("a"))
    assert spool.next_left(1, 1) == []
    assert (spool.not_written, spool.written_through) == (1, 0)
    assert "spool_not_written" in caplog.text
    assert size_of_spool(tmp_path / "spool") == (0, 0), "for the metric"
    assert damaged_files(tmp_path / "spool") == []


def test_the_child_of_a_fork_does_not_keep_the_lock_of_its_parent(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.write_new(a_queue("a"))
    abandoned, may_end = os.pipe(), os.pipe()
    if (child := os.fork()) == 0:
        spool.abandon()
        os.write(abandoned[1], b".")
        os.read(may_end[0], 1)
        os._exit(0)
    assert os.read(abandoned[0], 1) == b"."
    spool.close()  # as if the parent had been killed
    (path,) = tmp_path.iterdir()
    with path.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.write(may_end[1], b".")
    assert os.waitpid(child, 0)[1] == 0
    for descriptor in (*abandoned, *may_end):
        os.close(descriptor)


@pytest.mark.parametrize("gone", ["files", "folder", "content", "a file in its place"])
def test_files_that_are_deleted_under_the_publisher_are_written_again(
    gone: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A cleaner of temporary files removes them; what is still in memory must not count as kept before it is on disk."""
    caplog.set_level("INFO", logger="instance_agent")
    folder = tmp_path / "spool"
    queue = a_queue("a", "b", "c")
    spool = Spool(folder)
    spool.write_new(queue)
    queue.remove(1)
    spool.confirm(1)
    (path,) = folder.iterdir()
    if gone == "folder":
        shutil.rmtree(folder)
    elif gone == "content":
        path.write_bytes(b"")
    else:
        path.unlink()
        if gone == "a file in its place":
            path.write_bytes(b"")
    queue.append("d")
    spool.write_new(queue)
    spool.write_new(queue)
    assert (spool.written_through, spool.not_written) == (4, 0)
    assert caplog.text.count("spool_file_missing") == 1
    (line,) = [record.msg for record in caplog.records if "spool_file_missing" in str(record.msg)]
    assert (line["files"], line["events"]) == (1, 2), "the event that was sent is not counted"
    spool.close()
    assert left_in(folder) == ["b", "c", "d"]


def test_an_older_file_that_is_deleted_costs_neither_its_events_nor_those_of_the_newer_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("instance_agent.sync.spool._FILE_BYTES", 1)
    queue = a_queue()
    spool = Spool(tmp_path)
    paths: list[Path] = []
    for text in "abc":
        queue.append(text)
        spool.write_new(queue)
        (path,) = set(tmp_path.iterdir()) - set(paths)
        paths.append(path)
    paths[0].unlink()
    spool.write_new(queue)
    assert spool.written_through == 3
    paths[1].unlink()
    queue.append("d")
    spool.write_new(queue)
    assert spool.written_through == 4
    spool.close()
    assert sorted(left_in(tmp_path)) == ["a", "b", "c", "d"], "each once"


def test_what_cannot_be_written_again_is_not_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "spool"
    queue = a_queue("a", "b")
    spool = Spool(folder)
    spool.write_new(queue)
    shutil.rmtree(folder)
    folder.write_text("a file where the folder was")
    spool.write_new(queue)
    assert queue.close("the program ended", kept_through=spool.written_through) == 2
    assert "spool_not_written" in caplog.text
    spool.close()


def test_a_file_that_cannot_be_removed_is_logged_and_stops_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "spool"
    killed = Spool(folder)
    killed.write_new(a_queue("left"))
    killed.close()
    queue = a_queue("own")
    spool = Spool(folder, look_again_seconds=0)
    spool.write_new(queue)
    moved = folder.rename(tmp_path / "moved")
    folder.symlink_to(moved)
    assert spool.next_left(1, 1000) == ["left"]
    spool.confirm_left()
    folder.unlink()
    folder.write_text("a file where the folder was")
    assert spool.next_left(1, 1000) == []
    queue.remove(1)
    spool.confirm(1)
    assert caplog.text.count("spool_file_not_removed") == 2
    assert {record.msg["reason"] for record in caplog.records if "not_removed" in str(record.msg)} == {
        "Not a directory"
    }
    folder.unlink()
    folder.symlink_to(moved)
    assert spool.next_left(1, 1000) == [], "what was sent is not sent again and again"
    spool.close()


def test_a_damaged_file_is_kept_under_another_name(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A file system that crashed may leave zeros where many records were: one line, and yet not one record."""
    texts = [f"{number:0990}" for number in range(300)]
    spool = Spool(tmp_path)
    spool.write_new(a_queue(*texts))
    spool.close()
    (path,) = tmp_path.iterdir()
    path.write_bytes(b"\0" * path.stat().st_size)
    reader = Spool(tmp_path)
    assert reader.next_left(500, 1_000_000) == []
    reader.close()
    (line,) = [record.msg for record in caplog.records if "spool_records_skipped" in str(record.msg)]
    assert (line["bytes"], line["kept_as"]) == (300_000, f"{path}.damaged")
    assert 200 <= line["about"] <= 400
    assert reader.skipped == line["about"]
    assert [each.name for each in tmp_path.iterdir()] == [f"{path.name}.damaged"]
    assert damaged_files(tmp_path) == [tmp_path / f"{path.name}.damaged"]
    assert left_in(tmp_path) == [], "it is not read again"


def test_damaged_files_are_kept_up_to_a_number_and_a_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("instance_agent.sync.damaged_files.MOST_DAMAGED_FILES", 3)
    for number in range(5):
        path = tmp_path / f"{number}.events"
        path.write_bytes(b"damaged\n")
        os.utime(path, (number, number))
    assert left_in(tmp_path) == []
    assert [path.name for path in damaged_files(tmp_path)] == [f"{number}.events.damaged" for number in (2, 3, 4)]
    monkeypatch.setattr("instance_agent.sync.damaged_files.MOST_DAMAGED_BYTES", 20)
    (tmp_path / "5.events").write_bytes(b"damaged\n")
    (tmp_path / "huge.events").write_bytes(b"damaged\n" * 10)
    assert left_in(tmp_path) == []
    names = [path.name for path in damaged_files(tmp_path)]
    assert names == ["4.events.damaged", "5.events.damaged"]
    assert caplog.text.count("kept_as=None") == 1


def test_events_of_another_instance_are_named_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The default id is the host name, and a new container has a new one: its spool would wait for ever, unseen."""
    killed = Spool(tmp_path / "old-name")
    killed.write_new(a_queue("a", "b"))
    running = Spool(tmp_path / "running")
    running.write_new(a_queue("c"))
    (tmp_path / "empty").mkdir()
    own = Spool(tmp_path / "new-name", shared=tmp_path, look_again_seconds=0)
    own.write_new(a_queue("d"))
    assert other_spools(tmp_path, own.folder) == []
    killed.close()
    for _ in range(3):
        assert own.next_left(10, 1000) == []
    (line,) = [record.msg for record in caplog.records if "spool_of_another_instance" in str(record.msg)]
    assert (line["path"], line["files"], line["bytes"]) == (str(tmp_path / "old-name"), 1, 22)
    assert "INSTANCE_ID=old-name" in line["expected"]
    (other,) = other_spools(tmp_path, own.folder)
    assert other == (tmp_path / "old-name", 1, 22)
    assert other_spools(tmp_path / "missing", own.folder) == []
    running.close()
    own.close()
