"""The work of the fleet: the queue, dead letters, the processes that ingest, late and lost outcomes. Pure."""

import shlex
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple

from markupsafe import Markup

from centralcloud.dashboard.charts.sparkline import sparkline
from centralcloud.dashboard.pages.addresses import action_url, incident_url, pair_url
from centralcloud.dashboard.pages.words import State, lease_work, sentence
from centralcloud.dashboard.sources.findings import Finding
from centralcloud.dashboard.sources.instances import (
    LateAndLost,
    Lease,
    Letters,
    Worker,
)
from centralcloud.dashboard.sources.minutes import FleetMinute, ingest_rates
from centralcloud.dashboard.sources.queue import QueueState
from centralcloud.dashboard.web import formats
from centralcloud.runtime.wording import age

_MOST_LOST: Final = 25

#: Share of decisions without an outcome, in percent, from which on a pair is marked.
_LOST_LOOK: Final = 20.0


class Fact(NamedTuple):
    """A number of the queue, with what it means."""

    label: str
    value: str
    unit: str
    note: str
    chart: Markup


class Process(NamedTuple):
    """A process that ingests, and the work that it does for all. `state`, `words`: whether it runs."""

    worker: Worker
    state: State
    words: str
    work: tuple[str, ...]


class Workers(NamedTuple):
    """The processes that ingest. `others`: leases of processes that do not ingest, or that none holds."""

    running: int
    processes: tuple[Process, ...]
    others: tuple[Lease, ...]
    other_words: tuple[str, ...]
    degraded: tuple[tuple[str, str, datetime, str], ...]


class LetterRow(NamedTuple):
    """Dead letters of one field, with the commands that show them and send them again.

    Attributes:
        replay_url, discard_url: of the actions, for operators.
    """

    letters: Letters
    show: str
    replay: str
    replay_url: str
    discard_url: str


class DeadLetters(NamedTuple):
    """Open dead letters."""

    total: int
    new: int
    rows: tuple[LetterRow, ...]


class LostRow(NamedTuple):
    """A pair with late or lost outcomes. `lost`: decisions without an outcome."""

    pair: str
    url: str
    state: State | None
    decisions: int
    lost: int
    lost_share: float | None
    late: int
    late_share: float | None


class Lost(NamedTuple):
    """Late and lost outcomes; `more`: pairs that are not shown, `fine`: those that lack nothing."""

    rows: tuple[LostRow, ...]
    more: int
    fine: int


def queue(state: QueueState | None, minutes: Sequence[FleetMinute], workers: int) -> tuple[Fact, ...] | None:
    """Return the queue in numbers; None where it cannot be read. Without `workers` nothing is ingested now."""
    if state is None:
        return None
    depths = [float(each.queue_messages) for each in minutes]
    oldest = state.oldest_waiting_seconds
    rates = ingest_rates(minutes)
    spark = (
        sparkline(depths, label=f"Messages in the queue over the last day, at most {max(depths):,.0f}", low=0.0)
        if len(depths) > 1
        else Markup()
    )
    rate_spark = (
        sparkline(rates, label="Events ingested a second over the last day", low=0.0) if len(rates) > 1 else Markup()
    )
    size, unit = _bytes(state.bytes_on_disk)
    number = f"{'at least ' if state.capped else ''}{state.messages:,}"
    waits = "none waits" if oldest is None else ""
    retries = f"{state.delayed:,} wait for their next try"
    return (
        Fact("In the queue", number, "messages", _trend(minutes), spark),
        Fact("Oldest has waited", "–" if oldest is None else age(oldest), "", waits, Markup()),
        Fact("Being ingested now", f"{state.in_flight:,}", "in flight", retries, Markup()),
        Fact("Ingested", _rate(rates[-1] if workers else 0.0) if rates else "–", "/s", _busiest(rates), rate_spark),
        Fact("On disk", size, unit, "with its indexes", Markup()),
    )


def _trend(minutes: Sequence[FleetMinute]) -> str:
    if len(minutes) < 2:
        return ""
    most = max(minutes, key=lambda each: each.queue_messages)
    return f"at most {most.queue_messages:,} in the last day"


def _busiest(rates: Sequence[float]) -> str:
    return f"at most {_rate(max(rates))}/s in a minute of the last day" if rates else ""


def _rate(rate: float) -> str:
    return formats.number(rate, 1 if rate < 10 else 0)


def dead_letters(letters: Sequence[Letters] | None) -> DeadLetters | None:
    """Return the open dead letters by field; None where they were not read."""
    if letters is None:
        return None
    rows = tuple(
        LetterRow(
            each,
            shlex.join(["centralcloud", "dead-letters", "show", str(each.newest_id)]),
            shlex.join(
                ["centralcloud", "dead-letters", "replay", "--field", each.field, "--why", "the cause is fixed"]
            ),
            action_url("replay", field=each.field),
            action_url("discard", field=each.field),
        )
        for each in letters
    )
    return DeadLetters(sum(each.letters for each in letters), sum(each.new for each in letters), rows)


def workers(found: Sequence[Worker] | None, leases: Sequence[Lease], findings: Sequence[Finding]) -> Workers | None:
    """Return the processes that ingest, with their leases, and the tasks that fail; None where they were not read."""
    if found is None:
        return None
    held: dict[str, list[str]] = defaultdict(list)
    for lease in leases:
        if lease.is_held:
            held[lease.holder].append(lease_work(lease.name))
    holders = {f"{each.host}/{each.process}" for each in found}
    processes = tuple(Process(each, *_running(each), tuple(held[f"{each.host}/{each.process}"])) for each in found)
    others = tuple(lease for lease in leases if not lease.is_held or lease.holder not in holders)
    degraded = tuple(
        (
            str(each.about.get("task", each.subject)),
            sentence(each.message, each.names),
            each.opened_at,
            incident_url(each.finding_id),
        )
        for each in findings
        if each.kind == "task_degraded"
    )
    return Workers(
        sum(each.is_running for each in found),
        processes,
        others,
        tuple(lease_work(lease.name) for lease in others),
        degraded,
    )


def _running(worker: Worker) -> tuple[State, str]:
    if not worker.is_running:
        return "neutral", "stopped without a goodbye"
    return ("look", "missed a heartbeat") if worker.is_late else ("good", "running")


def lost(pairs: Sequence[LateAndLost] | None) -> Lost | None:
    """Return the pairs whose outcomes come late or never, those that lack most first; None where they were not read."""
    if pairs is None:
        return None
    rows = []
    for each in pairs:
        percent = each.unresolved_percent
        if not percent and not each.late:
            continue
        share = None if percent is None else percent / 100
        rows.append(
            LostRow(
                f"{each.model} for {each.complexity} tasks",
                pair_url(each.model, each.complexity),
                "look" if percent is not None and percent >= _LOST_LOOK else None,
                each.decisions,
                round(each.decisions * (share or 0.0)),
                share,
                each.late,
                None if each.late_percent is None else each.late_percent / 100,
            )
        )
    rows.sort(key=lambda row: (-row.lost, -row.late, row.pair))
    return Lost(tuple(rows[:_MOST_LOST]), max(0, len(rows) - _MOST_LOST), len(pairs) - len(rows))


def _bytes(size: int) -> tuple[str, str]:
    """Return a size with its unit, of 1,024."""
    value, unit = float(size), "B"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if value < 1024 or unit == "TiB":
            break
        value /= 1024
    return formats.number(value, 1 if value < 10 and unit != "B" else 0), unit
