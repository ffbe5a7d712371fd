"""The threads behind `publishing`: whatever happens to them, every lost event is logged and counted, and they end."""

import os
import sys
import threading
from collections.abc import Callable, Iterator
from importlib.abc import MetaPathFinder
from pathlib import Path
from typing import Any

import pytest
from support.waiting import eventually

from centralcloud.contracts import CentralCloudError, SettingsError
from centralcloud.runtime import settings
from centralcloud.runtime.postgres.embedded import EmbeddedServer
from centralcloud.runtime.postgres.embedded_installation import EmbeddedServerError
from instance_agent import deferred_publisher
from instance_agent.deferred_publisher import DeferredPublisher
from instance_agent.sync.event_publisher import EventPublisher

#: Nothing listens there.
NOWHERE = "postgresql://user@127.0.0.1:1/none"


def log_events(caplog: pytest.LogCaptureFixture, name: str) -> list[dict[str, Any]]:
    """Return the events of one name that were logged."""
    events = [record.msg for record in caplog.records if isinstance(record.msg, dict)]
    return [event for event in events if event["event"] == name]


def lost(caplog: pytest.LogCaptureFixture) -> int:
    """Return how many lost events the log names."""
    return sum(event["count"] for event in log_events(caplog, "events_dropped"))


@pytest.fixture
def slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DeferredPublisher]:
    """A publisher that is not ready before the end of the test: its thread waits for the file with the URL."""
    file = tmp_path / "url"
    os.mkfifo(file)
    writer = os.open(file, os.O_RDWR)
    monkeypatch.setenv("DATABASE_URL_FILE", str(file))
    monkeypatch.delenv("DATABASE_URL", raising=False)
    publisher = DeferredPublisher(database_url=None, instance_id="i")
    publisher.wait_until_imported()
    yield publisher
    publisher.close(0.0)
    os.write(writer, NOWHERE.encode())
    os.close(writer)


def test_events_before_the_publisher_is_ready_are_counted_when_the_queue_is_full(
    slow: DeferredPublisher, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(12_000):
        slow.publish_text(str(number))
    assert "the queue is full: 10000 events are waiting" in caplog.text
    assert not slow.close(0.0)
    assert lost(caplog) == slow._queue.dropped == 12_000


def test_a_fork_waits_until_the_settings_are_read_as_that_imports_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    may_go_on = threading.Event()
    load = settings.load_settings

    def load_slowly(*arguments: Any, **named: Any) -> Any:
        may_go_on.wait(10)
        return load(*arguments, **named)

    monkeypatch.setattr(settings, "load_settings", load_slowly)
    publisher = DeferredPublisher(database_url=NOWHERE, instance_id="i")
    publisher.wait_until_imported()
    waiting = threading.Thread(target=publisher.wait_until_it_may_fork)
    waiting.start()
    waiting.join(0.1)
    assert waiting.is_alive()
    may_go_on.set()
    waiting.join(5)
    assert not waiting.is_alive()
    publisher.close(0.0)


def test_a_close_before_the_publisher_is_ready_logs_what_is_lost(
    slow: DeferredPublisher, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        slow.publish_text("{}")
    assert not slow.flush(0.0)
    assert not slow.close(0.01)
    (dropped,) = log_events(caplog, "events_dropped")
    assert dropped["reason"] == "the publisher was not ready in 0.01 seconds: it was still reading the settings"
    assert lost(caplog) == 3


def test_a_close_while_the_embedded_server_is_started_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    starting, may_end = threading.Event(), threading.Event()

    def start(_: str) -> None:
        starting.set()
        assert may_end.wait(20)
        raise EmbeddedServerError("the test has ended")

    monkeypatch.setattr(EmbeddedServer, "start", start)
    publisher = DeferredPublisher(database_url=f"embedded:{tmp_path}", instance_id="i")
    publisher.publish_text("{}")
    assert starting.wait(20)
    assert not publisher.close(0.01)
    may_end.set()
    publisher._starter.join()
    (dropped,) = log_events(caplog, "events_dropped")
    assert "not ready in 0.01 seconds: it was still starting the embedded PostgreSQL server (to cr" in dropped["reason"]


def test_a_close_whose_time_is_up_ends_every_thread(caplog: pytest.LogCaptureFixture) -> None:
    """The end of the threads is checked for every test here. None of them may report the closed pool as an outage."""
    publisher = DeferredPublisher(database_url=NOWHERE, instance_id="i")
    publisher.wait_until_ready()
    publisher.publish_text("{}")
    assert not publisher.flush(0.3)
    assert not publisher.close(0.0)
    assert lost(caplog) == publisher._queue.dropped == 1
    assert "pool" not in caplog.text
    assert publisher._publisher is not None
    assert publisher._publisher.join(5)
    assert publisher._publisher.database._pool is None, "it was not opened again"
    assert not log_events(caplog, "database_restored")


def test_a_close_at_once_ends_every_thread(caplog: pytest.LogCaptureFixture) -> None:
    publisher = DeferredPublisher(database_url=NOWHERE, instance_id="i")
    publisher.publish_text("{}")
    assert not publisher.close(0.0)
    assert lost(caplog) == 1


class MissingModule(MetaPathFinder):
    """Makes the import of one module fail, once the test says so."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.may_fail = threading.Event()

    def find_spec(self, fullname: str, *_: object) -> None:
        if fullname == self._name:
            assert self.may_fail.wait(20)
            raise ImportError("no driver", name=fullname)


class SlowModule(MetaPathFinder):
    """Makes the import of one module wait for the test."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.may_go_on = threading.Event()

    def find_spec(self, fullname: str, *_: object) -> None:
        if fullname == self._name:
            assert self.may_go_on.wait(20)


def test_the_time_of_a_close_begins_when_the_imports_are_done(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A script that publishes some events and ends must not lose them because its machine imports slowly."""
    slow = SlowModule("instance_agent.publisher_assembly")
    monkeypatch.delitem(sys.modules, "instance_agent.publisher_assembly", raising=False)
    monkeypatch.setattr(sys, "meta_path", [slow, *sys.meta_path])
    publisher = DeferredPublisher(database_url=NOWHERE, instance_id="i")
    publisher.publish_text("{}")
    closing = threading.Thread(target=publisher.close, args=[0.1])
    closing.start()
    closing.join(0.3)
    assert closing.is_alive(), "it waits for the imports"
    assert lost(caplog) == 0
    slow.may_go_on.set()
    closing.join(5)
    assert not closing.is_alive()
    (dropped,) = log_events(caplog, "events_dropped")
    assert "loading the database driver" not in dropped["reason"]


def test_imports_that_do_not_end_are_named_at_the_close(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    slow = SlowModule("instance_agent.publisher_assembly")
    monkeypatch.setattr(deferred_publisher, "_IMPORT_SECONDS", 0.1)
    monkeypatch.delitem(sys.modules, "instance_agent.publisher_assembly", raising=False)
    monkeypatch.setattr(sys, "meta_path", [slow, *sys.meta_path])
    publisher = DeferredPublisher(database_url=NOWHERE, instance_id="i")
    publisher.publish_text("{}")
    assert not publisher.close(0.01)
    slow.may_go_on.set()
    (dropped,) = log_events(caplog, "events_dropped")
    assert dropped["reason"] == "the publisher was not ready in 0.1 seconds: it was still loading the database driver"


def test_an_import_that_fails_is_logged_and_raised(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    missing = MissingModule("instance_agent.publisher_assembly")
    monkeypatch.delitem(sys.modules, "instance_agent.publisher_assembly", raising=False)
    monkeypatch.setattr(sys, "meta_path", [missing, *sys.meta_path])
    publisher = DeferredPublisher(database_url=NOWHERE, instance_id="i")
    for _ in range(3):
        publisher.publish_text("{}")
    missing.may_fail.set()
    for call in (publisher.wait_until_ready, lambda: publisher.publish_text("{}"), lambda: publisher.flush(1)):
        with pytest.raises(CentralCloudError, match=r"^events cannot be published: ImportError: no driver$") as raised:
            call()
        assert not isinstance(raised.value, SettingsError), "no setting is wrong"
    assert not publisher.close()
    (event,) = log_events(caplog, "publisher_not_started")
    assert (event["error"], event["lost"]) == ("ImportError: no driver", 3)
    assert lost(caplog) == publisher._queue.dropped == 3


def test_a_thread_that_cannot_start_is_logged_and_raised(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    start, started = threading.Thread.start, list[str]()

    def start_one(thread: threading.Thread) -> None:
        if started:
            raise RuntimeError("can't start new thread")
        started.append(thread.name)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_one)
    publisher = DeferredPublisher(database_url=NOWHERE, instance_id="i")
    with pytest.raises(CentralCloudError, match="events cannot be published: RuntimeError: can't start new thread"):
        publisher.wait_until_ready()
    assert len(log_events(caplog, "publisher_not_started")) == 1
    with pytest.raises(CentralCloudError, match="events cannot be published: can't start new thread"):
        DeferredPublisher(database_url=NOWHERE, instance_id="i")
    assert not publisher.close()


def test_a_publisher_that_fails_later_refuses_events(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    may_fail = threading.Event()

    def fail(_: EventPublisher) -> bool:
        assert may_fail.wait(20)
        raise ValueError("a bug")

    monkeypatch.setattr(EventPublisher, "run_once", fail)
    publisher = DeferredPublisher(database_url=NOWHERE, instance_id="i")
    for _ in range(3):
        publisher.publish_text("{}")
    may_fail.set()
    eventually(lambda: publisher._queue.closed)
    for call in (lambda: publisher.publish_text("{}"), lambda: publisher.flush(1)):
        with pytest.raises(CentralCloudError, match=r"^events cannot be published: ValueError: a bug$"):
            call()
    assert not publisher.close()
    (event,) = log_events(caplog, "background_task_failed")
    assert (event["task"], event["error"], event["lost"]) == ("publisher", "ValueError: a bug", 3)
    assert lost(caplog) == publisher._queue.dropped == 3


def test_the_end_of_the_process_finds_a_function_to_call_at_every_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Under load a process ends while the thread registers again: its events would be lost without a word."""
    registered: list[int] = []
    changes: list[int] = []

    def at_exit(_: object) -> Callable[[], None]:
        number = len(changes)
        registered.append(number)
        changes.append(len(registered))

        def cancel() -> None:
            if number in registered:
                registered.remove(number)
                changes.append(len(registered))

        return cancel

    monkeypatch.setattr(deferred_publisher, "at_exit", at_exit)
    publisher = deferred_publisher.DeferredPublisher(database_url="postgresql://127.0.0.1:1/none", instance_id="i")
    publisher.wait_until_ready()
    assert changes == [1, 2], "the second one beside the first one"
    publisher.close(0.1)
    assert registered == []
