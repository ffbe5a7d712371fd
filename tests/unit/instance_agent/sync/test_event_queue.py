"""The queue of events in memory: every loss is counted once, and the log's counts add up."""

from collections.abc import Callable

import pytest

from instance_agent.settings import AgentSettings
from instance_agent.sync.event_queue import DEFAULT_QUEUE_SIZE, EventQueue


def logged_losses(caplog: pytest.LogCaptureFixture) -> list[int]:
    """Return the count of each `events_dropped` line."""
    events = [record.msg for record in caplog.records if isinstance(record.msg, dict)]
    return [event["count"] for event in events if event["event"] == "events_dropped"]


def test_the_default_size_is_that_of_the_setting() -> None:
    assert AgentSettings.model_fields["publish_queue_size"].default == EventQueue().size == DEFAULT_QUEUE_SIZE


def test_a_series_of_losses_is_logged_at_its_start_and_at_its_end(caplog: pytest.LogCaptureFixture) -> None:
    queue = EventQueue(2)
    assert [queue.append(text) for text in "abcde"] == [True, True, False, False, False]
    assert (len(queue), queue.dropped, logged_losses(caplog)) == (2, 3, [1])
    assert queue.remove(1)
    assert logged_losses(caplog) == [1, 2]
    assert queue.append("f")
    assert not queue.append("g")
    assert [event.text for event in queue.oldest(5)] == ["b", "f"]
    assert (queue.dropped, logged_losses(caplog)) == (4, [1, 2, 1])


def test_after_close_the_counts_of_the_log_add_up(caplog: pytest.LogCaptureFixture) -> None:
    queue = EventQueue(2)
    for text in "abcde":
        queue.append(text)
    queue.drop(1, "PostgreSQL rejects it")
    assert queue.close("the program ended") == 2
    assert (len(queue), queue.dropped) == (0, 6)
    assert logged_losses(caplog) == [1, 1, 2, 2]
    assert queue.close("again") == 0
    assert not queue.remove(2), "a batch that was in flight is not counted again"
    assert not queue.wait_until_empty(0), "nothing waits, because it was lost"


def test_an_event_after_close_is_lost_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    queue = EventQueue(2)
    assert queue.close("the program ended") == 0
    assert logged_losses(caplog) == []
    assert not queue.append("a")
    assert (len(queue), queue.dropped, logged_losses(caplog)) == (0, 1, [1])
    assert "the program ended" in caplog.text


def test_events_after_close_are_logged_with_their_own_reason_and_add_up(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_exit: list[Callable[[], object]] = []
    monkeypatch.setattr("instance_agent.sync.event_queue.at_exit", at_exit.append)
    queue = EventQueue(2)
    queue.append("a")
    queue.close("the database did not accept them", later="the agent was stopped")
    for _ in range(2000):
        assert not queue.append("late")
    assert len(logged_losses(caplog)) < 15, "not a line for each event"
    assert caplog.text.count("the database did not accept them") == 1
    assert sum(logged_losses(caplog)) > queue.dropped / 2
    (at_the_end,) = at_exit
    at_the_end()
    assert sum(logged_losses(caplog)) == queue.dropped == 2001
    queue.append("late")
    queue.close("again")
    assert sum(logged_losses(caplog)) == queue.dropped == 2002


def test_a_queue_that_is_disabled_loses_nothing(caplog: pytest.LogCaptureFixture) -> None:
    queue = EventQueue(1)
    queue.append("a")
    queue.disable()
    assert queue.append("b")
    assert (len(queue), queue.dropped, logged_losses(caplog)) == (0, 0, [])
    assert queue.wait_until_empty(0)


def test_the_queue_and_a_batch_are_bounded_in_bytes(caplog: pytest.LogCaptureFixture) -> None:
    queue = EventQueue(100, max_bytes=10)
    assert queue.append("x" * 50), "one event is accepted whatever its size"
    assert not queue.append("y")
    assert "the queue is full: 1 events with 50 bytes are waiting" in caplog.text
    assert queue.remove(1)
    assert [queue.append(text) for text in ("üüü", "aa", "bb", "cc")] == [True, True, True, False]
    assert [event.text for event in queue.oldest(10, 4)] == ["üüü"]
    assert [event.text for event in queue.oldest(10, 5)] == ["üüü", "aa"]
    assert [event.text for event in queue.after(2)] == ["aa", "bb"]


def test_events_in_the_spool_are_not_lost_at_the_end(caplog: pytest.LogCaptureFixture) -> None:
    queue = EventQueue()
    for text in "abc":
        queue.append(text)
    assert queue.close("the program ended", kept_through=2) == 1
    assert (queue.kept, queue.dropped, logged_losses(caplog)) == (2, 1, [1])
    assert "events_left_in_spool" in caplog.text
    assert not queue.wait_until_empty(0)
