"""Files of which nothing is known, files that change, and the lock on their folder."""

import os
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.waiting import eventually

from centralcloud.contracts import SettingsError
from centralcloud.runtime.bounded_file import read_bounded
from instance_agent.catalog import catalog as catalog_module
from instance_agent.catalog.catalog import ModelCatalog
from instance_agent.catalog.catalog_file import read_catalog_file
from instance_agent.catalog.learned_scores import LearnedScore, LearnedScores
from instance_agent.catalog.learned_scores_file import LearnedScoresFile
from instance_agent.catalog.model import Model
from instance_agent.catalog.state_lock import StateLock
from instance_agent.routing.router import ModelRouter


def write(path: Path, *names: str) -> None:
    models = ", ".join(f"{{name: {name}, provider: p, complexity_scores: {{simple: {len(name)}}}}}" for name in names)
    path.write_text(f"models: [{models}]")


@pytest.mark.parametrize("kind", ["device", "pipe", "folder", "too large"])
def test_only_a_regular_file_of_a_bounded_size_is_read(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "learned_scores.json"
    {
        "device": lambda: path.symlink_to("/dev/zero"),
        "pipe": lambda: os.mkfifo(path),
        "folder": path.mkdir,
        "too large": lambda: os.truncate(path, 10**12) if path.write_text("{}") else None,
    }[kind]()
    with pytest.raises(OSError, match=r"expected (a regular file|at most 1000)"):
        read_bounded(path, 1000)
    with pytest.raises(SettingsError, match=r"cannot read the catalog .*: found .*, expected"):
        read_catalog_file(path)
    assert LearnedScoresFile(tmp_path).read() == LearnedScores()


def test_an_edit_of_the_catalog_is_used_and_a_broken_one_is_not(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "catalog.yaml"
    write(path, "a")
    catalog = ModelCatalog.load(path, tmp_path)
    router = ModelRouter(catalog, instance_id="i")
    assert router.choose("simple").model.name == "a"
    write(path, "a", "best")
    eventually(lambda: router.choose("simple").model.name == "best")
    path.write_text("models: [{name: broken")
    eventually(lambda: router.choose("simple") is not None and catalog.problem is not None)
    for _ in range(3):
        assert router.choose("simple").model.name == "best"
    assert catalog.problem is not None
    assert "catalog.yaml:2:1: expected YAML" in catalog.problem
    eventually(lambda: caplog.text.count("catalog_invalid") > 0)
    assert caplog.text.count("catalog_invalid") == 1, "once for each edit"
    path.unlink()
    missing = f"cannot read the catalog {path}: No such file or directory"
    eventually(lambda: router.choose("simple").model.name == "best" and catalog.problem == missing)
    assert router.choose("simple").model.name == "best"
    write(path, "a")
    eventually(lambda: router.choose("simple").model.name == "a")
    assert catalog.problem is None


def test_a_request_does_not_wait_for_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here reading takes until the requests have ended; one thread reads for all of them."""
    path = tmp_path / "catalog.yaml"
    write(path, "a")
    catalog = ModelCatalog.load(path, tmp_path)
    router = ModelRouter(catalog, instance_id="i")
    may_read, reads = threading.Event(), []

    def read_slowly(path: Path) -> list[Model]:
        reads.append(threading.current_thread())
        assert may_read.wait(10), "a request waits for the file"
        return read_catalog_file(path)

    monkeypatch.setattr(catalog_module, "read_catalog_file", read_slowly)
    write(path, "a", "best")
    score = LearnedScore(score=5.0, version=1, at=datetime.now(UTC))
    LearnedScoresFile(tmp_path).write(LearnedScores(epoch="e").with_score(("a", "simple"), score))
    for _ in range(3):
        assert router.choose("simple").model.name == "a"
    assert catalog.version == 0
    may_read.set()
    eventually(lambda: (len(catalog.models), catalog.version) == (2, 1), what="both files")
    assert router.choose("simple").model.name == "a", "by its learned score"
    assert len(reads) == 1
    reads[0].join(5)


def test_a_forced_read_uses_an_edit_that_left_time_and_size_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "catalog.yaml"
    write(path, "a")
    catalog = ModelCatalog(read_catalog_file(path), path=path)
    status = path.stat()
    with path.open("r+") as file:
        file.write(path.read_text().replace("a,", "b,"))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert not catalog.reload()
    assert catalog.reload(force=True)
    assert [model.name for model in catalog.models] == ["b"]


def test_a_router_prepares_for_a_change_so_that_no_request_computes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "catalog.yaml"
    write(path, "a")
    catalog = ModelCatalog(read_catalog_file(path), path=path)
    router = ModelRouter(catalog, instance_id="i")
    requests = [{}, {"capabilities": ["vision"]}, {"prefer": "cost"}]
    for request in requests:
        router.choose("simple", **request)
    write(path, "a", "best")
    models = catalog.read_models()
    assert models is not None
    router.prepare(catalog.next(models=models))
    assert router.choose("simple").model.name == "a", "prepared, and not used yet"
    catalog.use_models(models)
    computed = []
    monkeypatch.setattr(router, "_select", lambda *args: computed.append(args))
    assert [router.choose("simple", **request).model.name for request in requests] == ["best"] * 3
    assert computed == []


def test_one_process_holds_the_lock_of_a_folder(tmp_path: Path) -> None:
    first, second = StateLock(tmp_path / "state"), StateLock(tmp_path / "state")
    assert first.acquire() is None
    assert first.acquire() is None
    assert second.acquire() == f"process {os.getpid()}"
    first.release()
    assert second.acquire() is None
    second.release()
    (tmp_path / "file").write_text("")
    assert StateLock(tmp_path / "file").acquire() is None, "writing the scores will say so"
