"""The newest events, which no file of the spool has yet: a kill loses none, and none stays on the disk."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.spools import left_in

from instance_agent.sync.event_queue import EventQueue
from instance_agent.sync.spool import Spool
from instance_agent.sync.spool_files import size_of_spool


def added(spool: Spool, queue: EventQueue, *texts: str) -> None:
    for text in texts:
        queue.append(text)
    spool.add(texts)


def killed(spool: Spool) -> None:
    """Release the locks, and nothing else: as the kernel does for a process that was killed."""
    for descriptor in [each.descriptor for each in spool._files] + spool._recent.descriptors:
        os.close(descriptor)


@pytest.fixture
def queue() -> EventQueue:
    return EventQueue()


def test_a_process_that_is_killed_after_an_event_loses_nothing(tmp_path: Path) -> None:
    program = (
        "import os, pathlib; from instance_agent.sync.spool import Spool; "
        f"Spool(pathlib.Path({str(tmp_path)!r})).add(['a', 'b']); os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == -signal.SIGKILL
    assert left_in(tmp_path) == ["a", "b"]
    assert size_of_spool(tmp_path) == (0, 0)


def test_events_are_kept_once_before_and_after_the_spool_has_written_them(tmp_path: Path, queue: EventQueue) -> None:
    spool = Spool(tmp_path)
    for text in "abc":
        added(spool, queue, text)
        spool.write_new(queue)
    added(spool, queue, "d")
    killed(spool)
    assert sorted(left_in(tmp_path)) == ["a", "b", "c", "d"]


def test_events_that_were_sent_do_not_fill_the_disk(tmp_path: Path, queue: EventQueue) -> None:
    spool = Spool(tmp_path)
    for number in range(1, 200):
        added(spool, queue, "x" * 1000)
        queue.remove(1)
        spool.confirm(number)
        spool.write_new(queue)
    assert size_of_spool(tmp_path)[1] <= 1100
    spool.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("removed", [Path.unlink, lambda path: path.write_text("")], ids=["removed", "emptied"])
def test_files_that_another_program_has_taken_away_are_made_again(tmp_path: Path, queue: EventQueue, removed) -> None:
    spool = Spool(tmp_path)
    added(spool, queue, "a")
    for path in list(spool._recent.paths):
        removed(path)
    spool.write_new(queue)
    added(spool, queue, "b")
    killed(spool)
    assert sorted(left_in(tmp_path)) == ["a", "b"]


def test_a_disk_that_does_not_write_for_long_bounds_them(tmp_path: Path, queue: EventQueue) -> None:
    spool = Spool(tmp_path, 1_000_000)
    for _ in range(500):
        added(spool, queue, "x" * 1000)
    assert size_of_spool(tmp_path)[1] <= 100_000
    spool.close()


def test_a_folder_that_cannot_be_written_is_left_to_the_spool_to_report(tmp_path: Path, queue: EventQueue) -> None:
    (tmp_path / "file").write_text("")
    spool = Spool(tmp_path / "file" / "spool")
    added(spool, queue, "a")
    spool.close()
