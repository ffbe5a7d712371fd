"""Events for which memory has no room: on disk only, counted, in order, and never lost without a word."""

import os
import shutil
from pathlib import Path

import pytest

from instance_agent.sync.event_queue import EventQueue
from instance_agent.sync.spool import Spool
from instance_agent.sync.spool_files import size_of_spool

_PER_FILE = 100
#: A spool of this size has files of a tenth of it: here with 100 records of 1,000 bytes.
_BYTES = 1_000_000


def numbered(first: int, last: int) -> list[str]:
    return [f"{number:0990}" for number in range(first, last)]


def a_full_queue(spool: Spool) -> EventQueue:
    """Return a queue with room for one event, which has it."""
    queue = EventQueue(1)
    queue.overflow = spool.keep
    spool.on_missing(lambda count: queue.remove_on_disk(count, "missing"))
    queue.append("in memory")
    return queue


def send(spool: Spool, queue: EventQueue, batches: int = 10_000, count: int = 40) -> list[str]:
    texts: list[str] = []
    while batches and (batch := spool.next_left(count, 1_000_000)):
        confirmed, own = spool.confirm_left()
        assert confirmed == len(batch)
        if own:
            queue.remove_on_disk(confirmed)
        texts += batch
        batches -= 1
    return texts


def killed(spool: Spool) -> Path:
    """Return a copy of the folder, as a process that is killed now leaves it."""
    copy = spool.folder.with_name(f"{spool.folder.name}-killed")
    shutil.copytree(spool.folder, copy)
    spool.close()
    return copy


def test_events_beyond_memory_come_back_in_order_and_leave_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="instance_agent")
    spool = Spool(tmp_path, _BYTES)
    queue = a_full_queue(spool)
    texts = numbered(0, 250)
    assert not any(queue.append(text) for text in texts)
    assert (len(queue), queue.on_disk, spool.waiting, queue.dropped) == (1, 250, 250, 0)
    assert size_of_spool(tmp_path) == (3, 250_000)
    assert spool.oldest == texts[0]
    assert not queue.wait_until_empty(0)
    assert send(spool, queue, batches=1) == texts[:40]
    assert (queue.on_disk, spool.waiting) == (210, 210)
    assert send(spool, queue) == texts[40:]
    assert (queue.on_disk, spool.waiting, spool.oldest, size_of_spool(tmp_path)) == (0, 0, None, (0, 0))
    queue.remove(1)
    assert queue.wait_until_empty(0)
    assert caplog.text.count("events_on_disk_only") == caplog.text.count("events_on_disk_sent count=250") == 1
    spool.close()


@pytest.mark.parametrize("sent", [0, 1, 2], ids=lambda batches: f"{batches} batches sent")
def test_a_process_that_is_killed_leaves_what_it_has_not_sent(tmp_path: Path, sent: int) -> None:
    """Events that it has sent are not sent again, also when a second process is killed meanwhile."""
    texts, folder = numbered(0, 250), tmp_path / "spool"
    spool = Spool(folder, _BYTES)
    queue = a_full_queue(spool)
    for text in texts:
        queue.append(text)
    for _ in range(3):
        first = send(spool, queue, batches=sent)
        assert first == texts[: len(first)]
        texts = texts[len(first) :]
        folder = killed(spool)
        spool = Spool(folder, _BYTES)
        spool.look_for_left()
        assert (spool.waiting, spool.oldest) == (len(texts), texts[0])
    assert send(spool, queue) == texts
    assert size_of_spool(folder) == (0, 0)
    spool.close()


def test_new_events_are_lost_only_beyond_the_bound_and_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="instance_agent")
    spool = Spool(tmp_path, _BYTES)
    queue = a_full_queue(spool)
    texts = numbered(0, 1100)
    for text in texts:
        queue.append(text)
    assert (queue.on_disk, queue.dropped, size_of_spool(tmp_path)[1]) == (1000, 100, _BYTES)
    assert spool.overflow_problem == "1000000 bytes of 1000000 (INSTANCE_AGENT_SPOOL_BYTES) are used"
    assert caplog.text.count("events_dropped") == 1
    assert "the queue is full: 1 events are waiting, and on disk 1000000 bytes of 1000000" in caplog.text
    assert send(spool, queue, batches=4) == texts[:140]
    spool.write_new(queue)  # measures the room
    assert not queue.dropping or queue.append("x") is False
    assert (queue.dropped, queue.dropping, spool.overflow_problem) == (100, False, None)
    counts = [record.msg["count"] for record in caplog.records if "events_dropped" in str(record.msg)]
    assert counts == [1, 99]
    assert caplog.text.count("event_intake_resumed") == 1
    assert send(spool, queue) == [*texts[140:1000], "x"]
    spool.close()


def test_a_folder_that_cannot_be_written_costs_events_only_beyond_memory(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "spool"
    folder.write_text("a file where the folder should be")
    spool = Spool(folder, _BYTES)
    queue = a_full_queue(spool)
    queue.append("a")
    assert (len(queue), queue.on_disk, queue.dropped) == (1, 0, 1)
    assert "and on disk File exists" in caplog.text
    folder.unlink()
    queue.append("b")
    assert (queue.on_disk, queue.dropped, spool.overflow_problem) == (1, 1, None)
    assert send(spool, queue) == ["b"]
    spool.close()


@pytest.mark.parametrize("by", [Path.unlink, lambda path: os.truncate(path, 30_500)], ids=["removed", "cut"])
def test_a_file_that_another_program_changes_costs_no_event_in_silence(tmp_path: Path, by) -> None:
    spool = Spool(tmp_path, _BYTES)
    queue = a_full_queue(spool)
    texts = numbered(0, _PER_FILE)
    for text in texts:
        queue.append(text)
    (path,) = tmp_path.iterdir()
    by(path)
    assert send(spool, queue) == (texts[:30] if by is not Path.unlink else texts), "a removed file is still open"
    assert (queue.on_disk, queue.dropped) == (0, 70 if by is not Path.unlink else 0)
    spool.close()


def test_events_on_disk_are_kept_at_the_end(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    spool = Spool(tmp_path, _BYTES)
    queue = a_full_queue(spool)
    for text in numbered(0, 5):
        queue.append(text)
    assert queue.close("the program ended") == 1, "memory was not written"
    spool.close()
    assert (queue.kept, queue.dropped, queue.on_disk) == (5, 1, 0)
    assert "events_left_in_spool" in caplog.text
    assert queue.append("late") is False
    assert queue.dropped == 2
    reader = Spool(tmp_path)
    assert send(reader, EventQueue()) == numbered(0, 5)
    reader.close()


def test_a_disk_that_does_not_confirm_is_logged_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    spool = Spool(tmp_path, _BYTES)
    queue = a_full_queue(spool)
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fail)
        for text in "ab":
            queue.append(text)
            spool._overflow.sync()
    queue.append("c")
    spool._overflow.sync()
    assert caplog.text.count("spool_not_synced") == 1
    assert send(spool, queue) == ["a", "b", "c"]
    spool.close()


def test_a_damaged_mark_costs_no_event(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", _BYTES)
    queue = a_full_queue(spool)
    for text in "ab":
        queue.append(text)
    folder = killed(spool)
    (path,) = folder.iterdir()
    path.write_bytes(b">zzzzzzz \n" + path.read_bytes() + b">0000020 \n")
    reader = Spool(folder)
    assert send(reader, queue) == ["a", "b"]
    assert reader.skipped == 2
    reader.close()


@pytest.mark.parametrize("records", [0, 1])
def test_events_after_the_removal_of_the_newest_file_are_in_a_new_one(
    records: int, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill so loses no more than what the other program has removed."""
    spool = Spool(tmp_path, _BYTES)
    queue = a_full_queue(spool)
    texts = numbered(0, 5)
    if records:
        queue.append(texts[0])
    else:
        with monkeypatch.context() as patched:
            patched.setattr("os.write", lambda *_: 0)
            queue.append(texts[0])
    for path in tmp_path.glob("*.events"):
        path.unlink()
    caplog.clear()
    spool.write_new(EventQueue())
    spool.write_new(EventQueue())
    for text in texts[1:]:
        queue.append(text)
    assert caplog.text.count("spool_file_missing") == 1
    assert size_of_spool(tmp_path) == (1, 4000)
    assert send(spool, queue) == texts[1 - records :]
    assert queue.on_disk == 0
    spool.close()
