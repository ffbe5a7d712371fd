"""The sign of life of the daemon that watches experiments: how old it is, and what a silent daemon means."""

from pathlib import Path

import pytest

from instance_agent.sync.daemon_heartbeat import DaemonHeartbeat, silent_words


class Clocks:
    """A clock that is never set, and one that is."""

    def __init__(self) -> None:
        self.now, self.wall = 50.0, 1_800_000_000.0

    def heartbeat(self, folder: Path) -> DaemonHeartbeat:
        return DaemonHeartbeat(folder, clock=lambda: self.now, wall=lambda: self.wall)

    def passes(self, seconds: float) -> None:
        self.now += seconds
        self.wall += seconds


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


def test_the_age_goes_on_while_the_database_is_unavailable(clocks: Clocks, tmp_path: Path) -> None:
    heartbeat = clocks.heartbeat(tmp_path)
    assert (heartbeat.is_silent(), heartbeat.age_seconds) == (True, None), "nothing is known yet"
    heartbeat.seen(20.0)
    clocks.passes(880)
    assert (heartbeat.is_silent(), heartbeat.age_seconds) == (False, 900)
    clocks.passes(1)
    assert heartbeat.is_silent()
    heartbeat.seen(3.0)
    assert not heartbeat.is_silent()
    heartbeat.seen(None)
    assert heartbeat.is_silent()


def test_a_clock_of_the_machine_that_is_set_changes_nothing(clocks: Clocks, tmp_path: Path) -> None:
    heartbeat = clocks.heartbeat(tmp_path)
    heartbeat.seen(0.0)
    clocks.wall += 86_400
    assert (heartbeat.is_silent(), heartbeat.age_seconds) == (False, 0)


def test_a_start_without_the_database_continues_from_the_file(clocks: Clocks, tmp_path: Path) -> None:
    first = clocks.heartbeat(tmp_path)
    first.store()
    assert not first.path.exists(), "nothing is known"
    first.seen(100.0)
    first.store()
    assert first.path.stat().st_mode & 0o777 == 0o600
    clocks.passes(400)
    second = clocks.heartbeat(tmp_path)
    assert (second.is_silent(), second.age_seconds) == (False, 500)
    clocks.passes(401)
    assert second.is_silent()


def test_the_file_gets_the_newest_sign_once_a_minute(clocks: Clocks, tmp_path: Path) -> None:
    heartbeat = clocks.heartbeat(tmp_path)
    for seconds, stored in ((0, 1_800_000_000), (59, 1_800_000_000), (1, 1_800_000_060)):
        clocks.passes(seconds)
        heartbeat.seen(0.0)
        heartbeat.store()
        assert heartbeat.path.stat().st_mtime == stored


def test_a_folder_that_cannot_be_written_costs_the_file_alone(
    clocks: Clocks, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    heartbeat = clocks.heartbeat(tmp_path / "gone")
    heartbeat.seen(0.0)
    heartbeat.store()
    clocks.passes(60)
    heartbeat.store()
    assert not heartbeat.path.exists()


def test_a_daemon_that_looks_after_a_new_experiment_within_half_a_minute_is_not_reported(
    clocks: Clocks, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def reported(running: int) -> list[str]:
        caplog.clear()
        heartbeat.report(running)
        return [each.split()[0] for each in caplog.messages]

    caplog.set_level("INFO")
    heartbeat = clocks.heartbeat(tmp_path)
    assert reported(1) == []
    clocks.passes(29)
    assert reported(1) == []
    heartbeat.seen(0.0)
    assert [reported(1), reported(1)] == [["experiments_daemon_seen"], []]
    clocks.passes(901)
    assert [reported(1), reported(1)] == [["experiments_daemon_silent"], []], "it was seen before: at once"
    heartbeat.seen(0.0)
    assert [reported(1), reported(1)] == [["experiments_daemon_seen"], []]
    assert reported(0) == []
    clocks.passes(901)
    assert reported(1) == []
    clocks.passes(30)
    assert [reported(1), reported(1)] == [["experiments_daemon_silent"], []]
    assert [reported(0), reported(1)] == [[], []], "another one has begun"


def test_the_words_name_the_time() -> None:
    assert silent_words(1200).endswith("the daemon was last seen 20 minutes ago")
    assert silent_words(None).endswith("the daemon was never seen")
