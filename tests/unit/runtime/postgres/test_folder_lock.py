"""The lock on an embedded server's folder: a process that holds it for long, suspended for example, is named."""

import fcntl
import os
import re
import threading
from pathlib import Path

import pytest

from centralcloud.runtime.postgres import embedded
from centralcloud.runtime.postgres.embedded import EmbeddedServer
from centralcloud.runtime.postgres.folder_lock import FolderLockedError, lock_folder


def test_the_process_that_is_waited_for_is_logged_and_the_wait_has_an_end(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    waited_for = f"process {os.getpid()}, which is starting or stopping the"
    with (
        lock_folder(tmp_path, limit_seconds=1),
        pytest.raises(FolderLockedError, match=rf"gave up after \d+ seconds of waiting for {waited_for}") as refused,
        lock_folder(tmp_path, limit_seconds=0.2, quiet_seconds=0.05),
    ):
        pass
    assert str(tmp_path) in str(refused.value)
    assert "\n" not in str(refused.value)
    assert caplog.text.count(f"waiting for {waited_for} server in {tmp_path}; giving up after 0 seconds") == 1


def test_a_short_wait_is_silent(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    held = lock_folder(tmp_path, limit_seconds=1)
    held.__enter__()
    timer = threading.Timer(0.2, held.__exit__, (None, None, None))
    timer.start()
    with lock_folder(tmp_path, limit_seconds=10):
        assert (tmp_path / "postgresql.lock").read_text() == str(os.getpid())
    timer.join()
    assert caplog.text == ""


def test_a_wait_ends_when_it_is_given_up(tmp_path: Path) -> None:
    with (
        lock_folder(tmp_path, limit_seconds=1),
        pytest.raises(FolderLockedError),
        lock_folder(tmp_path, limit_seconds=60, given_up=lambda: True),
    ):
        pass


def test_a_holder_of_another_version_is_another_process(tmp_path: Path) -> None:
    with (tmp_path / "postgresql.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with (
            pytest.raises(FolderLockedError, match="waiting for another process"),
            lock_folder(tmp_path, limit_seconds=0),
        ):
            pass


def test_a_program_that_stops_beside_a_suspended_one_says_that_the_server_may_run_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(embedded, "_STOP_LOCK_SECONDS", 0.1)
    monkeypatch.setitem(EmbeddedServer._handles, tmp_path, 1)
    with lock_folder(tmp_path, limit_seconds=1):
        EmbeddedServer(tmp_path, tmp_path).stop()
    assert re.search(r'embedded_server_not_stopped reason="gave up after \d+ seconds', caplog.text)
