"""The checks of the doctor that need no database: it says what it finds on the disk."""

import contextlib
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from centralcloud.runtime.diagnostics import NamedCheckResult
from centralcloud.runtime.postgres.database import Database
from instance_agent.agent import InstanceAgent
from instance_agent.catalog.learned_scores import LearnedScores
from instance_agent.doctor import examine
from instance_agent.settings import AgentSettings, GatewaySettings
from instance_agent.sync.event_queue import EventQueue
from instance_agent.sync.spool import Spool

#: Nothing listens there.
NOWHERE = "postgresql://user@127.0.0.1:1/none"


def checks(settings: AgentSettings) -> dict[str, NamedCheckResult]:
    """Run every check; those of the database fail."""
    with Database(NOWHERE, application_name="tests") as database:
        return {result.check: result for result in examine(settings, database)}


@contextmanager
def full_disk(folder: Path) -> Iterator[None]:
    """Mount a small file system on a folder, and fill it."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("only root may mount a file system, and not on every machine")
    try:
        with contextlib.suppress(OSError), (folder / "full").open("wb", buffering=0) as full:
            while full.write(bytes(4096)):
                pass
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_full_state_folder_fails_and_is_a_detail_of_ready(tmp_path: Path) -> None:
    with full_disk(tmp_path / "disk"):
        settings = AgentSettings(database_url=NOWHERE, instance_id="i", state_dir=tmp_path / "disk")
        found = checks(settings)
        assert found["state folder"].verdict == "FAIL"
        assert found["state folder"].found == f"{tmp_path}/disk cannot be written: No space left on device"
        assert "does not exist: the state folder cannot be written" in found["learned scores"].found
        agent = InstanceAgent(settings)
        assert agent._state_lock.acquire() is None, "the lock needs no room"
        assert agent._state_lock.held
        assert agent._current().problems() == []
        agent.updater._use(LearnedScores(epoch="e", version=1))
        assert not agent.updater._store()
        (line,) = agent._current().problems()
        assert line == "the learned scores cannot be written to the state folder: No space left on device"
        assert agent._registry().get_sample_value("instance_agent_learned_scores_not_written") == 1
        (tmp_path / "disk/full").unlink()
        assert agent.updater._store()
        assert agent._current().problems() == []
        agent.stop()
    assert {path.name for path in (tmp_path / "disk").iterdir()} == set()


def test_a_folder_that_can_be_created_is_ok_and_left_as_it_is(tmp_path: Path) -> None:
    settings = AgentSettings(
        database_url=NOWHERE, instance_id="i", state_dir=tmp_path / "a/b", spool_dir=tmp_path / "spool"
    )
    found = checks(settings)
    assert (found["state folder"].verdict, found["spool"].verdict) == ("OK", "OK")
    assert "`instance-agent run` writes it" in str(found["learned scores"])
    assert list(tmp_path.iterdir()) == []


def test_damaged_files_and_events_of_other_instances_are_named(tmp_path: Path) -> None:
    old = Spool(tmp_path / "old-name")
    queue = EventQueue()
    queue.append("a")
    old.write_new(queue)
    old.close()
    (tmp_path / "i").mkdir()
    (tmp_path / "i/1.events.damaged").write_bytes(b"\0")
    found = checks(AgentSettings(database_url=NOWHERE, instance_id="i", spool_dir=tmp_path, state_dir=tmp_path))
    assert found["spool"].verdict == "WARN"
    assert f"1 file with damaged records in {tmp_path}/i: 1.events.damaged" in found["spool"].found
    assert f"{tmp_path}/old-name (1 file, 11 bytes)" in found["spool"].found
    assert "start a router once with INSTANCE_ID=old-name" in str(found["spool"].advice)


def test_a_gateway_is_checked_with_the_catalog_that_it_uses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ANTHROPIC_API_KEY", "OPENAI_API_KEY", "GEMINI_API_KEY", "OPENROUTER_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    settings = GatewaySettings(
        database_url=NOWHERE, instance_id="i", state_dir=tmp_path / "state", gateway_discovery_seconds=0
    )
    found = checks(settings)
    assert found["catalog"].verdict == "OK"
    assert "models in the built-in catalog" in found["catalog"].found
    assert found["providers"].verdict == "WARN"
    assert "anthropic: ANTHROPIC_API_KEY is not set" in found["providers"].found
    assert found["spool"].found == f"0 files with 0 bytes in {settings.spool_folder}"
    assert "`instance-agent serve` writes it" in str(found["learned scores"].advice)

    monkeypatch.setenv("OPENAI_API_KEY", "key")
    found = checks(settings)
    assert found["providers"].verdict == "OK"
    assert "targets can be called, of openai; not anthropic (ANTHROPIC_API_KEY is not set)" in found["providers"].found


def test_a_misspelled_provider_is_found(tmp_path: Path) -> None:
    catalog = tmp_path / "catalog.yaml"
    catalog.write_text("models: [{name: a, provider: opnai}, {name: b, provider: of-my-router}]\n")
    common = {"database_url": NOWHERE, "instance_id": "i", "state_dir": tmp_path / "state", "catalog": catalog}
    router = checks(AgentSettings(**common))
    assert (router["catalog"].verdict, "providers" in router) == ("WARN", False)
    assert router["catalog"].found == f"{catalog}: found the provider opnai (did you mean openai?)"
    gateway = checks(GatewaySettings(**common))
    assert gateway["catalog"].verdict == "FAIL"
    assert "did you mean openai?" in gateway["catalog"].found
