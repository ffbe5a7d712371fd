"""A spool whose folder or disk is full: what fitted is kept, and room is noticed."""

import errno
import os
import resource
import shutil
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.spools import a_queue, left_in

from instance_agent.sync.spool import Spool
from instance_agent.sync.spool_files import size_of_spool


def test_a_full_spool_is_logged_once_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="instance_agent")
    queue = a_queue("a" * 600, "b" * 600, "c" * 600)
    spool = Spool(tmp_path, max_bytes=1000)
    for _ in range(3):
        spool.write_new(queue)
    assert (spool.written_through, spool.not_written, size_of_spool(tmp_path)) == (1, 2, (1, 610))
    assert caplog.text.count("spool_not_written") == 1
    queue.remove(1)
    spool.confirm(1)
    spool.write_new(queue)
    assert (spool.written_through, spool.not_written) == (2, 2)
    queue.remove(1)
    spool.confirm(2)
    spool.write_new(queue)
    assert (spool.written_through, spool.not_written) == (3, 2)
    assert caplog.text.count("spool_not_written") == 1
    assert caplog.text.count("spool_written_again") == 1
    spool.close()


def test_room_is_noticed_although_no_event_is_to_be_written(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Here the database takes the events that were not written; after that a gateway may be idle for hours."""
    caplog.set_level("INFO", logger="instance_agent")
    queue = a_queue("a" * 600, "b" * 9_600)
    spool = Spool(tmp_path, max_bytes=10_000)
    spool.write_new(queue)
    other = tmp_path / "another-process.events"
    other.write_bytes(bytes(9_000))
    queue.remove(2)
    spool.confirm(2)
    spool.write_new(queue)
    assert spool.problem is not None, "another process has filled the folder"
    other.unlink()
    spool.write_new(queue)
    assert (spool.problem, spool.not_written, list(tmp_path.glob("*.events"))) == (None, 1, [])
    assert caplog.text.count("spool_not_written") == caplog.text.count("spool_written_again") == 1
    spool.close()


@contextmanager
def files_limited_to(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond `size` bytes: a write that does not fit is cut, the next one fails."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_keeps_every_event_that_fitted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Also of one batch, also after the batches that do not fit any more, and also when the process is killed then."""
    texts = [f"{number:0990}" for number in range(20)]
    queue = a_queue(texts[0])
    spool = Spool(tmp_path)
    with files_limited_to(10_000):  # ten records of 1000 bytes
        spool.write_new(queue)
        for text in texts[1:15]:
            queue.append(text)
        spool.write_new(queue)
        assert (spool.written_through, spool.not_written) == (10, 5)
        for text in texts[15:]:
            queue.append(text)
        spool.write_new(queue)
        assert (spool.written_through, spool.not_written) == (10, 10)
    assert "spool_not_written" in caplog.text
    killed = tmp_path / "killed"
    shutil.copytree(tmp_path, killed)
    assert left_in(killed) == texts[:10]
    spool.write_new(queue)
    spool.close()
    assert left_in(tmp_path) == texts, "in order, when the disk has room again"
    assert "spool_records_skipped" not in caplog.text


def test_a_disk_without_room_for_a_file_gets_no_empty_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    spool = Spool(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fail)
        for _ in range(3):
            spool.write_new(a_queue("a"))
    assert size_of_spool(tmp_path) == (0, 0)
    assert spool.not_written == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a file system")
def test_a_small_disk_that_fills_up_keeps_every_event_that_fitted(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("this machine lets not even root mount a file system")
    spool = Spool(disk / "spool")
    try:
        texts = [f"{number:0990}" for number in range(100)]
        spool.write_new(a_queue(*texts))
        written = spool.written_through
        assert 50 < written <= 65
        assert spool.not_written == 100 - written
        spool.close()
        assert left_in(disk / "spool") == texts[:written]
    finally:
        spool.close()
        subprocess.run(["umount", str(disk)], check=True)


def test_a_disk_that_is_full_at_the_sync_keeps_every_event_that_fitted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some file systems accept a write, and find out at the sync that there is no room."""
    texts = [f"{number:0990}" for number in range(20)]
    sync = os.fsync

    def sync_10_000_bytes(descriptor: int) -> None:
        if stat.S_ISREG(os.fstat(descriptor).st_mode) and os.fstat(descriptor).st_size > 10_000:
            raise OSError(errno.ENOSPC, "No space left on device")
        sync(descriptor)

    spool = Spool(tmp_path)
    monkeypatch.setattr(os, "fsync", sync_10_000_bytes)
    spool.write_new(a_queue(*texts))
    assert (spool.written_through, spool.not_written) == (10, 10)
    spool.close()
    assert left_in(tmp_path) == texts[:10]
