"""The versions of models, by the ids that answers name: when a new one counts. Pure.

A stream is the outcomes of one model and provider, in the order of their records: those of one instance, or those of all.
Ids that alternate never make a run that is long enough, or have counted before: they are one version.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

#: Outcomes in a row that must carry an id before it counts: of one instance, and of all instances together.
OF_INSTANCE: Final = 20
OF_FLEET: Final = 50
#: The instance of the stream of all instances.
FLEET: Final = ""
#: Ids alternate from so many switches on: each of two ids came back once, or a version that had counted before came back.
ALTERNATING_SWITCHES: Final = 3
#: Switches that are farther apart do not belong together.
SWITCHES_WITHIN: Final = timedelta(days=1)


class Stream(NamedTuple):
    """A stream as it was after its newest outcome.

    Attributes:
        instance_id: `FLEET` for all instances together.
        version: the id that counts; None: none yet.
        newest: the id of the newest outcome.
        run: how many outcomes in a row carry it; not counted on once it is the version.
        run_after_slice: the first of them arrived after this slice.
        switches: how often the id differed from that of the outcome before, since the model was learned anew.
        switched_at: when that was seen last.
    """

    model: str
    provider: str
    instance_id: str
    version: str | None
    newest: str
    run: int
    run_after_slice: int
    switches: int = 0
    switched_at: datetime | None = None

    @property
    def needed(self) -> int:
        """Outcomes in a row that make an id count."""
        return OF_INSTANCE if self.instance_id else OF_FLEET


class Run(NamedTuple):
    """New outcomes of a stream in a row, with the same id; short ones between the first and the last are left out.

    Attributes:
        number: of the run among the new outcomes of the stream, from 1 on; `runs`: of the last one.
        after_slice: the first of them arrived after this slice.
    """

    model: str
    provider: str
    instance_id: str
    number: int
    version: str
    outcomes: int
    after_slice: int
    runs: int


class ToldChange(NamedTuple):
    """A change of a model that its provider told: its answers name another id.

    Attributes:
        after_slice: the evidence after this slice is that of the new version.
        instance_id: the instance whose outcomes told it; None: those of all instances.
    """

    model: str
    provider: str
    instance_id: str | None
    version_before: str
    version_after: str
    after_slice: int


class PastChange(NamedTuple):
    """An earlier `ToldChange` of a model."""

    model: str
    version_before: str | None
    version_after: str
    instance_id: str | None


class Followed(NamedTuple):
    """The streams after new outcomes, and the changes that these tell."""

    streams: list[Stream]
    changes: list[ToldChange]


def follow(streams: Iterable[Stream], runs: Iterable[Run], past: Sequence[PastChange], now: datetime) -> Followed:
    """Follow the streams of some models through new outcomes.

    Args:
        streams: all streams of these models, as they were.
        runs: the runs of each stream in order.
        past: the changes that the models have told before, oldest first.

    Returns:
        Only the streams that have new outcomes.
    """
    before = {each[:3]: each for each in streams}
    by_stream: dict[tuple[str, str, str], list[Run]] = {}
    for run in runs:
        by_stream.setdefault(run[:3], []).append(run)
    advanced = [_advance(before.get(key), of_stream, now) for key, of_stream in sorted(by_stream.items())]
    known = {(each.model, each.version) for each in before.values()}
    known |= {(each.model, version) for each in past for version in (each.version_before, each.version_after)}
    new: dict[tuple[str, str], ToldChange] = {}
    told = list(past)
    for change in sorted((each for _, counted in advanced for each in counted), key=lambda each: each.after_slice):
        known.add((change.model, change.version_before))
        identity = change.model, change.version_after
        if identity not in known and not _is_unconfirmed(change, before.values(), told):
            known.add(identity)
            new[identity] = change
            told.append(PastChange(change.model, change.version_before, change.version_after, change.instance_id))
    return Followed([_with_switches(*each, new, told) for each in advanced], list(new.values()))


def _with_switches(
    stream: Stream, counted: Sequence[ToldChange], new: Mapping[tuple[str, str], ToldChange], past: Sequence[PastChange]
) -> Stream:
    """Return a stream whose switches begin anew with a new version, and tell of alternation with one that came back."""
    if any(
        each.model == stream.model and each.version_before == back.version_after for back in counted for each in past
    ):
        return stream._replace(switches=max(stream.switches, ALTERNATING_SWITCHES))
    if any((each.model, each.version_after) in new for each in counted):
        return stream._replace(switches=0)
    return stream


def _advance(stream: Stream | None, runs: Sequence[Run], now: datetime) -> tuple[Stream, list[ToldChange]]:
    """Return a stream after its new outcomes, and each id that has begun to count in place of another one."""
    first = runs[0]
    if stream is None:
        stream = Stream(*first[:3], None, first.version, 0, first.after_slice)
    switches = first.runs - (first.version == stream.newest)
    if switches:
        recent = stream.switched_at is not None and now - stream.switched_at < SWITCHES_WITHIN
        stream = stream._replace(switches=switches + (stream.switches if recent else 0), switched_at=now)
    counted = []
    for run in runs:
        if run.number == 1 and run.version == stream.newest:
            stream = stream._replace(run=stream.run + run.outcomes)
        else:
            stream = stream._replace(newest=run.version, run=run.outcomes, run_after_slice=run.after_slice)
        if stream.run >= stream.needed and stream.newest != stream.version:
            if stream.version is not None:
                told = (stream.instance_id or None, stream.version, stream.newest, stream.run_after_slice)
                counted.append(ToldChange(stream.model, stream.provider, *told))
            stream = stream._replace(version=stream.newest)
    return stream, counted


def _is_unconfirmed(change: ToldChange, streams: Iterable[Stream], past: Sequence[PastChange]) -> bool:
    """Return whether the instance has told the last change of the model, too, and the others have not confirmed that one.

    So an instance that makes up ids has the model learned anew once, and not every 20 outcomes.
    """
    last = next((each for each in reversed(past) if each.model == change.model), None)
    if change.instance_id is None or last is None or last.instance_id != change.instance_id:
        return False
    others = [each for each in streams if each.model == change.model and each.instance_id != change.instance_id]
    # An instance that is alone is confirmed by the stream of all, which is its own, and needs more in a row.
    confirming = [each for each in others if each.instance_id != FLEET] or others
    return all(each.version != last.version_after for each in confirming)
