"""The journal: an event is in a file until the spool has it, and a new process finds it there."""

from pathlib import Path

import pytest

from instance_agent.sync.journal import Journal
from instance_agent.sync.spool import Spool, size_of_spool


def left_in(folder: Path) -> list[str]:
    spool = Spool(folder)
    texts: list[str] = []
    while batch := spool.next_left(500, 1_000_000):
        texts += batch
        spool.confirm_left()
    spool.close()
    return texts


def test_an_event_stays_until_the_file_it_is_in_was_taken_over(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "spool")
    journal.append(["before the start: it waits for the spool"])
    journal.open()
    journal.append(["a", "b\nc"])
    journal.switch()
    journal.append(["d"])
    journal.switch()
    journal.append(["e"])
    assert left_in(tmp_path / "spool") == [], "this process holds the files"
    journal.empty_other()
    journal.close(keep=True)
    assert left_in(tmp_path / "spool") == ["d", "e"], "a file that was not taken over is not switched to"


def test_a_clean_end_leaves_no_file(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.open()
    journal.append(["a"])
    journal.close(keep=False)
    journal.append(["late"])
    journal.open()
    assert size_of_spool(tmp_path) == (0, 0)


def test_files_that_another_program_removes_are_made_again(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.open()
    for path in tmp_path.iterdir():
        path.unlink()
    journal.open()
    journal.append(["a"])
    journal.close(keep=True)
    assert left_in(tmp_path) == ["a"]


def test_a_folder_that_cannot_be_written_is_logged_once_and_stops_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    journal = Journal(tmp_path / "file")
    for _ in range(3):
        journal.open()
        journal.append(["a"])
        journal.switch()
        journal.empty_other()
    journal.close(keep=True)
    assert caplog.text.count("journal_not_written") == 1
