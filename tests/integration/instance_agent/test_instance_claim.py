"""Two agents with one instance id: the table of instances shows one of them, so the agents themselves say it."""

from contextlib import ExitStack
from pathlib import Path

import pytest
from support.waiting import eventually

from centralcloud.runtime.postgres.database import Database
from instance_agent import AgentSettings, InstanceAgent
from instance_agent.doctor import examine
from instance_agent.sync import instance_claim


def logged(caplog: pytest.LogCaptureFixture, name: str) -> list[dict[str, str]]:
    """Return the events of one name that were logged."""
    return [record.msg for record in caplog.records if isinstance(record.msg, dict) and record.msg["event"] == name]


def test_two_agents_with_one_id_and_different_folders_say_so(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="instance_agent")
    monkeypatch.setattr("centralcloud.runtime.postgres.notifications._PROBE_EVERY_WAITS", 1)
    monkeypatch.setattr(instance_claim, "_CHECK_SECONDS", 0.1)

    def settings(folder: str) -> AgentSettings:
        return AgentSettings(database_url=database_url, instance_id="i-1", state_dir=tmp_path / folder)

    def check() -> tuple[str, str]:
        with Database(database_url, application_name="tests") as database:
            (result,) = [each for each in examine(settings("a"), database) if each.check == "instance id"]
        return result.verdict, result.found

    with ExitStack() as ends, InstanceAgent(settings("a")) as first:
        eventually(lambda: check()[1].startswith("i-1 is used by one agent: server process"), what="the claim")
        sibling, second = InstanceAgent(settings("a")), InstanceAgent(settings("b"))
        ends.callback(sibling.stop)
        ends.callback(second.stop)
        sibling.start()
        second.start()
        eventually(lambda: second._current().problems(), what="the conflict")
        eventually(lambda: sibling.updater.learned.epoch is not None, what="the contact of the sibling")
        assert (first._current().problems(), sibling._current().problems()) == ([], [])
        assert check()[0] == "WARN"
        (line,) = logged(caplog, "instance_id_in_use_twice")
        assert line["this"].endswith(f"{tmp_path}/b")
        assert line["other"].startswith("server process ")
        sibling.stop()
        first.stop()
        eventually(lambda: second._current().problems() == [], what="the end of the conflict")
        assert len(logged(caplog, "instance_id_in_use_once")) == 1
        assert check()[0] == "OK"
