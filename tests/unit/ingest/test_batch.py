"""Batches: each message is decoded separately, and each phase of a decision counts once."""

import json
import tracemalloc
from datetime import datetime, timedelta

from support.events import SENT_AT, an_event

from centralcloud.ingest.batch import RESOLVED, ROUTED, Message, decode, deduplicate, phases_by_decision

NOW = SENT_AT + timedelta(days=19)


def messages(*events: dict | str) -> list[Message]:
    texts = [event if isinstance(event, str) else json.dumps(event) for event in events]
    return [Message(number, NOW, text) for number, text in enumerate(texts, start=1)]


def test_an_invalid_message_does_not_affect_the_others() -> None:
    batch = decode(messages(an_event(), "[]", an_event()), NOW)
    assert [received.msg_id for received in batch.events] == [1, 3]
    assert [letter.message.msg_id for letter in batch.dead_letters] == [2]


def test_messages_are_decoded_in_the_order_in_which_they_were_sent() -> None:
    batch = decode(reversed(messages(an_event(), an_event(), an_event())), NOW)
    assert [received.msg_id for received in batch.events] == [1, 2, 3]


def test_an_event_ahead_keeps_its_own_time_and_its_ignored_values() -> None:
    own_time = NOW + timedelta(days=3)
    event = an_event(cost_usd="x") | {"timestamp": own_time.isoformat(), "tenant": "t"}
    (ahead,) = decode(messages(event), NOW).ahead
    assert (ahead.own_time, ahead.by_arrival.event.timestamp) == (own_time, NOW)
    assert json.loads(ahead.by_arrival.extra or b"") == {
        "cost_usd": "x", "tenant": "t", "event.timestamp": own_time.isoformat(),
    }  # fmt: skip
    assert list(ahead.by_arrival.ignored.values()) == ['cost_usd: "x"']
    assert ahead.by_arrival.event.extra == {}


def test_an_event_ahead_takes_no_more_memory_than_another() -> None:
    """The limit of a batch in bytes is what keeps a consumer within its memory."""

    def kept(at: datetime) -> int:
        event = an_event() | {"timestamp": at.isoformat(), "note": [{}] * 20_000}
        batch_messages = messages(*[event] * 5)
        tracemalloc.start()
        batch = decode(batch_messages, NOW)
        size, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert len(batch.events) + len(batch.ahead) == 5
        return size

    assert kept(NOW + timedelta(days=3)) < 1.2 * kept(NOW)


def test_phases_have_one_row_per_decision_and_are_sorted() -> None:
    events = decode(
        messages(
            an_event("b", decision_id="2"),
            an_event("a", decision_id="9"),
            an_event("b", decision_id="2", outcome="success"),
            an_event("a"),
        ),
        NOW,
    ).events
    assert phases_by_decision(events) == [("a", "9", ROUTED), ("b", "2", ROUTED | RESOLVED)]


def test_the_first_outcome_wins_within_a_batch() -> None:
    events = decode(
        messages(an_event(decision_id="d", outcome="success"), an_event(decision_id="d", outcome="failure")), NOW
    ).events
    deduplicated = deduplicate(events, {("singularity-1", "d"): 0})
    assert [received.event.outcome for received in deduplicated.accepted] == ["success"]
    assert deduplicated.duplicates == 1
    assert deduplicated.first_of_decision == {1}


def test_an_outcome_after_its_decision_is_not_a_second_use() -> None:
    events = decode(messages(an_event(decision_id="d", outcome="success")), NOW).events
    deduplicated = deduplicate(events, {("singularity-1", "d"): ROUTED})
    assert len(deduplicated.accepted) == 1
    assert deduplicated.first_of_decision == set()


def test_a_decision_without_a_new_phase_has_only_duplicates() -> None:
    events = decode(messages(an_event(decision_id="d"), an_event(decision_id="d", outcome="success")), NOW).events
    assert deduplicate(events, {}).duplicates == 2


def test_the_same_id_from_two_instances_is_two_decisions() -> None:
    events = decode(messages(an_event("a", decision_id="d"), an_event("b", decision_id="d")), NOW).events
    deduplicated = deduplicate(events, {("a", "d"): 0, ("b", "d"): 0})
    assert deduplicated.first_of_decision == {1, 2}
