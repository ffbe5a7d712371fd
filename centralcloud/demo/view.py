"""The view of the demonstration: a live table on a terminal, plain lines elsewhere."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from centralcloud.demo import simulated_models
from centralcloud.demo.fleet import Fleet
from centralcloud.demo.incident import Incident, Line
from centralcloud.demo.simulated_models import SimulatedModels
from centralcloud.monitoring.reports import ModelMetrics, current_scores
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.query import Query


class _Queue(NamedTuple):
    length: int
    lag_seconds: float


class _Applied(NamedTuple):
    instance_id: str
    applied_version: int


_QUEUE_LAG = Query(__package__, "queue_lag", row=_Queue)
_APPLIED_VERSIONS = Query(__package__, "applied_versions", row=_Applied)
#: Every record is counted in exactly one of these columns.
_EVENT_COUNTERS = ("routed_count", "success_count", "failure_count", "blameless_count")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state of the loop at one moment, read from the database.

    Attributes:
        queue_lag_seconds: age of the oldest event in the queue.
        metrics, scores: rows by (model, complexity).
    """

    seconds: float
    events: int
    events_per_second: float
    queue_length: int
    queue_lag_seconds: float
    metrics: dict[tuple[str, str], dict[str, Any]]
    scores: dict[tuple[str, str], dict[str, Any]]
    applied_versions: dict[str, int]

    @property
    def newest_version(self) -> int:
        """The newest published score version."""
        return max((row["version"] for row in self.scores.values()), default=0)

    @property
    def instances_up_to_date(self) -> int:
        """Instances that have applied the newest version."""
        return sum(version >= self.newest_version for version in self.applied_versions.values())


def take_snapshot(database: Database, seconds: float, before: Snapshot | None) -> Snapshot:
    """Read the state of the loop from the database, `seconds` after the start."""
    with database.transaction() as connection:
        queue = _QUEUE_LAG.one(connection)
        applied = dict(_APPLIED_VERSIONS.all(connection))
        metrics = {(row["model"], row["complexity"]): row for row in ModelMetrics(connection).all()}
        scores = {(row["model"], row["complexity"]): row for row in current_scores(connection)}
    events = sum(row[counter] for row in metrics.values() for counter in _EVENT_COUNTERS)
    elapsed = seconds - before.seconds if before else seconds
    rate = (events - (before.events if before else 0)) / max(elapsed, 0.001)
    return Snapshot(seconds, events, rate, queue.length, queue.lag_seconds, metrics, scores, applied)


def headline(snapshot: Snapshot, fleet: Fleet, simulated: SimulatedModels) -> str:
    """The state in one line."""
    return (
        f"{snapshot.seconds:5.0f} s  {snapshot.events_per_second:6,.0f} events/s  "
        f"queue {snapshot.queue_length:,} ({snapshot.queue_lag_seconds:.1f} s)  "
        f"fleet success {fleet.recent_rate:.1%} (at the start {_first_rate(fleet)}, "
        f"a perfect choice {simulated.perfect_success_rate():.1%})  "
        f"score version {snapshot.newest_version}, applied by {snapshot.instances_up_to_date}/{fleet.size} instances"
    )


def plural(number: int, noun: str) -> str:
    """The number with the noun, which gets an s unless the number is 1."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def story_line(line: Line) -> str:
    """One sentence of the story."""
    return f"{line.seconds:5.1f} s  {line.text}"


def live_view(snapshot: Snapshot, fleet: Fleet, simulated: SimulatedModels, story: Sequence[Line]) -> RenderableType:
    """The state as a table, for a terminal, below the story so far."""
    versions = "  ".join(f"{instance} at {version}" for instance, version in snapshot.applied_versions.items())
    success = Text.assemble(
        "fleet success  ",
        (f"{fleet.recent_rate:.1%}", "bold green"),
        f"   at the start {_first_rate(fleet)}   a perfect choice {simulated.perfect_success_rate():.1%}"
        f"{f'   ({fleet.exploration:.0%} explore)' if fleet.exploration else ''}   Ctrl-C stops",
    )
    loop = (
        f"{snapshot.seconds:.0f} s   {snapshot.events_per_second:,.0f} events/s   {snapshot.events:,} events ingested   "
        f"queue lag {snapshot.queue_length:,} events, {snapshot.queue_lag_seconds:.1f} s"
    )
    applied = f"score version {snapshot.newest_version}   applied: {versions or '-'}"
    lines = [Text(story_line(line), "yellow") for line in story]
    return Group(success, loop, applied, *lines, "", score_table(snapshot, fleet))


def score_table(snapshot: Snapshot, fleet: Fleet) -> Table:
    """One row a model and complexity: uses, recent share, success rate, response time, and scores."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("model")
    table.add_column("complexity")
    for name in ("uses", "share", "success", "avg ms", "at start", "score now"):
        table.add_column(name, justify="right")
    for row in _rows(snapshot, fleet):
        table.add_row(*row)
    return table


def _first_rate(fleet: Fleet) -> str:
    return "-" if fleet.first_rate is None else f"{fleet.first_rate:.1%}"


def _rows(snapshot: Snapshot, fleet: Fleet) -> Iterator[tuple[str | Text, ...]]:
    for model in simulated_models.SIMULATED_MODELS:
        for complexity in simulated_models.COMPLEXITIES:
            metrics = snapshot.metrics.get((model, complexity), {})
            learned = snapshot.scores.get((model, complexity))
            claimed = simulated_models.truth(model, complexity).claimed
            now = claimed if learned is None else learned["score"]
            style = "green" if now > claimed else "red" if now < claimed else ""
            rate, average = metrics.get("success_rate"), metrics.get("avg_response_time")
            yield (
                model,
                complexity,
                f"{metrics.get('usage_count', 0):,}",
                f"{fleet.recent_share(model, complexity):.1%}",
                "-" if rate is None else f"{rate:.1%}",
                "-" if average is None else f"{average:,.0f}",
                f"{claimed:.3f}",
                Text(f"{now:.3f}", style),
            )


def print_summary(
    console: Console,
    last: Snapshot,
    final: Snapshot,
    fleet: Fleet,
    simulated: SimulatedModels,
    incident: Incident | None,
) -> None:
    """Print the results of the demonstration.

    `last` was read while the instances still ran, `final` when all their events were ingested.
    """
    costs = (
        f"; the difference is the cost of the {fleet.exploration:.0%} of decisions that explore"
        if fleet.exploration
        else ""
    )
    lines = (
        "",
        f"{fleet.decisions:,} decisions of {plural(fleet.size, 'instance')}, {final.events:,} events ingested, "
        f"{final.events_per_second:,.0f} a second",
        f"score version {last.newest_version}, applied by {last.instances_up_to_date} of {plural(fleet.size, 'instance')}",
        f"fleet success {_first_rate(fleet)} at the start, {fleet.recent_rate:.1%} after {last.seconds:.0f} seconds",
        f"a perfect choice would give {simulated.perfect_success_rate():.1%}{costs}",
        *(["", *incident.summary(fleet)] if incident else []),
    )
    console.print(score_table(final, fleet))
    for line in lines:
        console.print(line, highlight=False, soft_wrap=True)
