"""A decoded batch of messages: its events, its dead letters, and which events count. Pure: no database."""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from centralcloud.contracts import ContractError, RoutingEvent, parse_routing_event
from centralcloud.contracts.errors import quote
from centralcloud.contracts.event_fields import ignored_fields
from centralcloud.contracts.json_text import encode_extra
from centralcloud.contracts.words import WordSource, built_in

#: Bits of `decision_ids.seen`.
ROUTED = 1
RESOLVED = 2


class Message(NamedTuple):
    """One message from the queue. `enqueued_at` is text in PostgreSQL's own form."""

    msg_id: int
    enqueued_at: str
    text: str | None


class DeadLetter(NamedTuple):
    """A message that cannot be ingested, with the reason and the invalid field."""

    message: Message
    reason: str
    field: str


class ReceivedEvent(NamedTuple):
    """A routing event with the id of its message.

    Attributes:
        extra: the event's `extra` as JSON, None when it is empty. Encoded where the message is decoded: JSON that can be
            decoded at one depth of Python's stack may be nested too deeply to be encoded at another.
    """

    msg_id: int
    event: RoutingEvent
    extra: bytes | None

    @property
    def phase(self) -> int:
        """`ROUTED` or `RESOLVED`."""
        return RESOLVED if self.event.resolved else ROUTED


class Batch(NamedTuple):
    """The events and dead letters of a batch, in the order in which the messages were sent."""

    events: list[ReceivedEvent]
    dead_letters: list[DeadLetter]


class DecisionPhases(NamedTuple):
    """The phases of one decision that occur in a batch."""

    instance_id: str
    decision_id: str
    phases: int


def decode(messages: Iterable[Message], now: datetime, words: WordSource = built_in) -> Batch:
    """Decode each message separately: an invalid one does not affect the others. `now` is the server's clock."""
    batch = Batch([], [])
    for message in sorted(messages):
        msg_id, _, text = message
        try:
            event = parse_routing_event(text, now, words)
            extra = encode_extra(event.extra) if event.extra else None
            batch.events.append(ReceivedEvent(msg_id, event, extra))
        except ContractError as error:
            batch.dead_letters.append(DeadLetter(message, str(error), error.field))
    return batch


class IgnoredValues(NamedTuple):
    """Events with a value that was meant for the field at the path `field` and was ignored.

    Attributes:
        messages: how many.
        example: key and value of one of them, for an operator.
        instance_id: the instance that sent it.
    """

    field: str
    messages: int
    example: str
    instance_id: str


def ignored_values(events: Iterable[ReceivedEvent]) -> list[IgnoredValues]:
    """Count the events with ignored values, by field, sorted. An event counts once for a field."""
    found: dict[str, IgnoredValues] = {}
    for received in events:
        if received.extra is None:
            continue
        event = received.event
        for field, key in {path: key for key, path in ignored_fields(event.extra)}.items():
            known = found.get(field)
            count = known.messages + 1 if known else 1
            example = f"{key}: {quote(event.extra[key])}"
            found[field] = IgnoredValues(field, count, example, event.instance_id)
    return [found[field] for field in sorted(found)]


def phases_by_decision(events: Iterable[ReceivedEvent]) -> list[DecisionPhases]:
    """Return the phases of each linked decision, sorted, so that all consumers lock decisions in the same order."""
    phases: dict[tuple[str, str], int] = {}
    for received in events:
        if (decision_id := received.event.decision_id) is not None:
            key = (received.event.instance_id, decision_id)
            phases[key] = phases.get(key, 0) | received.phase
    return [DecisionPhases(*key, phases[key]) for key in sorted(phases)]


class Deduplicated(NamedTuple):
    """The result of `deduplicate`.

    Attributes:
        accepted: the events that count.
        first_of_decision: msg_ids of the accepted events that are the first of their linked decision.
        duplicates: how many events were left out.
    """

    accepted: list[ReceivedEvent]
    first_of_decision: set[int]
    duplicates: int


def deduplicate(events: Iterable[ReceivedEvent], seen_before: dict[tuple[str, str], int]) -> Deduplicated:
    """Leave out resent events: each phase of a linked decision counts once, and its first message wins.

    Args:
        events: in the order of their messages.
        seen_before: for each (instance_id, decision_id), the phases that earlier batches have recorded. A decision that is
            missing has both phases already.
    """
    accepted: list[ReceivedEvent] = []
    first_of_decision: set[int] = set()
    duplicates = 0
    seen: dict[tuple[str, str], int] = {}
    for received in events:
        decision_id = received.event.decision_id
        if decision_id is not None:
            key = (received.event.instance_id, decision_id)
            known = seen.get(key, seen_before.get(key, ROUTED | RESOLVED))
            if known & received.phase:
                duplicates += 1
                continue
            if known == 0:
                first_of_decision.add(received.msg_id)
            seen[key] = known | received.phase
        accepted.append(received)
    return Deduplicated(accepted, first_of_decision, duplicates)
