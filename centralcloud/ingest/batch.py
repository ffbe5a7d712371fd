"""A decoded batch of messages: its events, its dead letters, and which events count. Pure: no database."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

from msgspec import Raw, Struct
from msgspec.structs import replace

from centralcloud.contracts import ContractError, RoutingEvent, parse_routing_event
from centralcloud.contracts.errors import quote
from centralcloud.contracts.event_fields import ignored_fields
from centralcloud.contracts.json_text import decode_value, encode_extra
from centralcloud.contracts.routing_event import RequestEvent
from centralcloud.contracts.words import WordSource, built_in

#: A time that is further ahead is wrong whatever the server's clock shows: a clock that has lost its battery begins in 1970.
_LONGEST_BEHIND: Final = timedelta(days=36_525)
#: Where an event that is ingested at its arrival keeps its own time.
OWN_TIME: Final = "event.timestamp"
#: Stands where the path of a field does, for ids that another event had before.
REPEATED_DECISION_ID: Final = "routing_decision.decision_id (repeated)"
_END_OF_TIME: Final = datetime.max.replace(tzinfo=UTC)
_NOTHING: Final[Mapping[str, Any]] = {}

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


class ReceivedEvent(Struct, frozen=True, gc=False):
    """A routing event with the id of its message.

    Attributes:
        extra: the event's `extra` as JSON, None when it is empty. Encoded where the message is decoded: JSON that can be
            decoded at one depth of Python's stack may be nested too deeply to be encoded at another. The event's own `extra`
            is empty.
        ignored: the path of each field whose value was ignored, with key and value for an operator; empty without one.
        plan: the event's `plan` as JSON; None without one. The event's own `plan` is not decoded, or empty.
    """

    msg_id: int
    event: RoutingEvent
    extra: bytes | None
    ignored: Mapping[str, str] | None = None
    plan: bytes | None = None

    @property
    def phase(self) -> int:
        """`ROUTED` or `RESOLVED`."""
        return ROUTED if self.event.outcome == "routed" else RESOLVED


class AheadEvent(NamedTuple):
    """An event that lies too far ahead of the server's clock, and is valid otherwise.

    Attributes:
        letter: the dead letter that it becomes if the server's clock is right.
        by_arrival: the event that it becomes if that clock is behind: with the time of its arrival, and its own in `extra`.
        own_time: its own time.
    """

    letter: DeadLetter
    by_arrival: ReceivedEvent
    own_time: datetime


class Batch(NamedTuple):
    """The events and dead letters of a batch, in the order in which the messages were sent.

    Attributes:
        ahead: events of which it is not decided yet what they become.
    """

    events: list[ReceivedEvent]
    dead_letters: list[DeadLetter]
    ahead: list[AheadEvent]


class DecisionPhases(NamedTuple):
    """The phases of one decision that occur in a batch."""

    instance_id: str
    decision_id: str
    phases: int


def decode(messages: Iterable[tuple[int, str, str | None]], now: datetime, words: WordSource = built_in) -> Batch:
    """Decode each message separately: an invalid one does not affect the others.

    Args:
        messages: as `Message` or as its parts, which is faster.
        now: the server's clock.
    """
    batch = Batch([], [], [])
    events = batch.events
    for message in sorted(messages):
        msg_id, _, text = message
        try:
            event = parse_routing_event(text, now, words, raw_plan=True)
            if type(event) is RoutingEvent and not event.extra:
                events.append(ReceivedEvent(msg_id, event, None))
            else:
                events.append(_received(msg_id, event))
        except ContractError as error:
            letter = DeadLetter(Message(*message), str(error), error.field)
            ahead = _ahead(letter, now, words) if error.field == "timestamp" else None
            if ahead is None:
                batch.dead_letters.append(letter)
            else:
                batch.ahead.append(ahead)
    return batch


def _received(msg_id: int, event: RoutingEvent, added: Mapping[str, Any] = _NOTHING) -> ReceivedEvent:
    """Return the event with its plan and `extra`, and what is added to it, as JSON only: objects take much more memory."""
    extra, plan = event.extra, None
    sent: Any = event.plan if isinstance(event, RequestEvent) else None
    if sent is not None:
        raw = isinstance(sent, Raw)
        if event.request_id is None:  # type: ignore[attr-defined]  # there is nothing to store it under
            extra["plan"] = decode_value(bytes(sent).decode()) if raw else dict(sent)
        else:
            plan = bytes(sent) if raw else encode_extra(sent)
        if not raw:
            sent.clear()
    if not extra and not added:
        return ReceivedEvent(msg_id, event, None, None, plan)
    ignored = _ignored_values(extra)
    extra.update(added)
    encoded = encode_extra(extra)
    extra.clear()
    return ReceivedEvent(msg_id, event, encoded, ignored, plan)


def _ahead(letter: DeadLetter, now: datetime, words: WordSource) -> AheadEvent | None:
    """Return an event that is wrong only in being ahead of the server's clock, `now`; None for any other."""
    try:
        event = parse_routing_event(letter.message.text, _END_OF_TIME, words)
        own_time = event.timestamp
        if own_time - now > _LONGEST_BEHIND:
            return None
        added = {OWN_TIME: own_time.isoformat()}
        return AheadEvent(letter, _received(letter.message.msg_id, replace(event, timestamp=now), added), own_time)
    except ContractError:
        return None


def _ignored_values(extra: Mapping[str, Any]) -> dict[str, str]:
    return {path: f"{key}: {quote(extra[key])}" for key, path in ignored_fields(extra)}


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


def count_ignored_values(events: Iterable[ReceivedEvent]) -> list[IgnoredValues]:
    """Count the events with ignored values, by field, sorted. An event counts once for a field."""
    found: dict[str, IgnoredValues] = {}
    for received in events:
        if not received.ignored:
            continue
        for field, example in received.ignored.items():
            known = found.get(field)
            found[field] = IgnoredValues(field, known.messages + 1 if known else 1, example, received.event.instance_id)
    return [found[field] for field in sorted(found)]


def phases_by_decision(events: Iterable[ReceivedEvent]) -> list[DecisionPhases]:
    """Return the phases of each linked decision, sorted, so that all consumers lock decisions in the same order."""
    phases: dict[tuple[str, str], int] = {}
    for received in events:
        event = received.event
        if event.decision_id is not None:
            key = event.instance_id, event.decision_id
            phases[key] = phases.get(key, 0) | (ROUTED if event.outcome == "routed" else RESOLVED)
    return [DecisionPhases(*key, phases[key]) for key in sorted(phases)]


class Deduplicated(NamedTuple):
    """The result of `deduplicate`.

    Attributes:
        accepted: the events that count.
        first_of_decision: msg_ids of the accepted events that are the first of their linked decision.
        left_out: the duplicates.
    """

    accepted: list[ReceivedEvent]
    first_of_decision: set[int]
    left_out: list[ReceivedEvent]

    @property
    def duplicates(self) -> int:
        """How many events were left out."""
        return len(self.left_out)


def deduplicate(events: Iterable[ReceivedEvent], seen_before: dict[tuple[str, str], int]) -> Deduplicated:
    """Leave out resent events: each phase of a linked decision counts once, and its first message wins.

    Args:
        events: in the order of their messages.
        seen_before: for each (instance_id, decision_id), the phases that earlier batches have recorded. A decision that is
            missing has both phases already.
    """
    accepted: list[ReceivedEvent] = []
    first_of_decision: set[int] = set()
    left_out: list[ReceivedEvent] = []
    seen: dict[tuple[str, str], int] = {}
    for received in events:
        event = received.event
        if event.decision_id is not None:
            key = event.instance_id, event.decision_id
            phase = ROUTED if event.outcome == "routed" else RESOLVED
            known = seen.get(key) or seen_before.get(key, ROUTED | RESOLVED)
            if known & phase:
                left_out.append(received)
                continue
            if known == 0:
                first_of_decision.add(received.msg_id)
            seen[key] = known | phase
        accepted.append(received)
    return Deduplicated(accepted, first_of_decision, left_out)
