"""What the demonstration shows: a live table on a terminal, plain lines elsewhere."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from centralcloud.demo import simulated_models
from centralcloud.demo.fleet import Fleet
from centralcloud.demo.incident import Incident, Line
from centralcloud.demo.simulated_models import World
from centralcloud.monitoring.reports import ModelMetrics, current_scores
from centralcloud.runtime.postgres.database import Database

_QUEUE = """
    SELECT count(*), coalesce(extract(epoch FROM clock_timestamp() - min(enqueued_at)), 0)::float8
    FROM pgmq.q_model_routing_decisions
"""
_INSTANCES = "SELECT instance_id, applied_version FROM instances ORDER BY instance_id"
#: Every record is counted in exactly one of these columns.
_EVENT_COUNTERS = ("routed_count", "success_count", "failure_count", "blameless_count")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state of the loop at one moment, as the database tells it.

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
    """Ask the database how the loop stands, `seconds` after the start."""
    with database.transaction() as connection:
        queue_length, lag = connection.execute(_QUEUE).fetchone() or (0, 0.0)
        applied = dict(connection.execute(_INSTANCES).fetchall())
        metrics = {(row["model"], row["complexity"]): row for row in ModelMetrics(connection).all()}
        scores = {(row["model"], row["complexity"]): row for row in current_scores(connection)}
    events = sum(row[counter] for row in metrics.values() for counter in _EVENT_COUNTERS)
    elapsed = seconds - before.seconds if before else seconds
    rate = (events - (before.events if before else 0)) / max(elapsed, 0.001)
    return Snapshot(seconds, events, rate, queue_length, lag, metrics, scores, applied)


def headline(snapshot: Snapshot, fleet: Fleet, world: World) -> str:
    """The whole state in one line."""
    return (
        f"{snapshot.seconds:5.0f} s  {snapshot.events_per_second:6,.0f} events/s  "
        f"queue {snapshot.queue_length:,} ({snapshot.queue_lag_seconds:.1f} s)  "
        f"fleet success {fleet.recent_rate:.1%} (at the start {_first_rate(fleet)}, "
        f"a perfect choice {world.perfect_success_rate():.1%})  "
        f"score version {snapshot.newest_version}, applied by {snapshot.instances_up_to_date}/{fleet.size} instances"
    )


def story_line(line: Line) -> str:
    """One sentence of the story."""
    return f"{line.seconds:5.1f} s  {line.text}"


def live_view(snapshot: Snapshot, fleet: Fleet, world: World, story: Sequence[Line]) -> RenderableType:
    """The state as a table, for a terminal, and above it what has happened so far."""
    versions = "  ".join(f"{instance} at {version}" for instance, version in snapshot.applied_versions.items())
    success = Text.assemble(
        "fleet success  ",
        (f"{fleet.recent_rate:.1%}", "bold green"),
        f"   at the start {_first_rate(fleet)}   a perfect choice {world.perfect_success_rate():.1%}"
        f"{f'   ({fleet.exploration:.0%} explore)' if fleet.exploration else ''}   Ctrl-C ends",
    )
    loop = (
        f"{snapshot.seconds:.0f} s   {snapshot.events_per_second:,.0f} events/s   {snapshot.events:,} events taken in   "
        f"queue lag {snapshot.queue_length:,} events, {snapshot.queue_lag_seconds:.1f} s"
    )
    applied = f"score version {snapshot.newest_version}   applied: {versions or '-'}"
    told = [Text(story_line(line), "yellow") for line in story]
    return Group(success, loop, applied, *told, "", score_table(snapshot, fleet))


def score_table(snapshot: Snapshot, fleet: Fleet) -> Table:
    """One row a model and complexity: how it is used (in all, and which share of late), how it does, its scores."""
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
    console: Console, last: Snapshot, settled: Snapshot, fleet: Fleet, world: World, incident: Incident | None
) -> None:
    """What the demonstration has shown, once it is over: the result last.

    `last` was taken while the instances still ran, `settled` when everything that they had sent was taken in.
    """
    costs = f"; that {fleet.exploration:.0%} of the decisions explore costs the rest" if fleet.exploration else ""
    lines = (
        "",
        f"{fleet.decisions:,} decisions of {fleet.size} instances, {settled.events:,} events taken in, "
        f"{settled.events_per_second:,.0f} a second",
        f"score version {last.newest_version}, applied by {last.instances_up_to_date} of {fleet.size} instances",
        f"fleet success {_first_rate(fleet)} at the start, {fleet.recent_rate:.1%} after {last.seconds:.0f} seconds",
        f"a perfect choice would give {world.perfect_success_rate():.1%}{costs}",
        *(["", *incident.summary(fleet)] if incident else []),
    )
    console.print(score_table(settled, fleet))
    for line in lines:
        console.print(line, highlight=False, soft_wrap=True)
