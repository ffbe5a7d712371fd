"""The commands. Each turns settings and arguments into one call, and its result into lines."""

import gc
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, BinaryIO

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from centralcloud.cli import dead_letters, instances, models, queue, scores
from centralcloud.cli.context import open_database, read_settings
from centralcloud.cli.findings import findings
from centralcloud.cli.grants import grants
from centralcloud.cli.simulate import simulate
from centralcloud.cli.status import status
from centralcloud.contracts import SettingsError
from centralcloud.runtime.cli import AsJson, new_app, print_checkup, print_json, print_rows, run_app
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.errors import retry_on_contention
from centralcloud.runtime.process.shutdown import Shutdown
from centralcloud.runtime.settings import unknown_variables
from centralcloud.runtime.wording import counted
from centralcloud.settings import Settings

app = new_app(
    "Learns LLM routing scores from real outcomes, on plain PostgreSQL.",
    "The database is named by DATABASE_URL: postgresql://user@host/database, or embedded: for a server of our own in "
    ".centralcloud/ of the working folder.",
)
app.add_typer(dead_letters.app, name="dead-letters")
app.add_typer(instances.app, name="instances")
app.add_typer(models.app, name="models")
app.add_typer(queue.app, name="queue")
app.add_typer(scores.app, name="scores")
app.command()(scores.freeze)
app.command()(scores.unfreeze)
app.command()(findings)
app.command()(simulate)
app.command()(status)
app.command()(grants)


def main() -> None:
    """Entry point of `centralcloud`."""
    run_app(app, "centralcloud")


@app.command()
def migrate() -> None:
    """Bring the database to the newest schema, with partitions for the weeks to come.

    Installs pgmq if it is not there. Safe to run again and by several at once. A database that is newer than this version
    is refused.
    """
    from centralcloud.store.partitions import ensure_partitions
    from centralcloud.store.schema import migrate as run_migrations

    settings = read_settings()
    with open_database(settings, "migrate", checked=False) as database:
        result = run_migrations(database)
        retry_on_contention(lambda: ensure_partitions(database, settings.partitions_ahead_weeks))
    done = "is at" if result.before == result.after else f"went from {result.before or 'empty'} to"
    typer.echo(f"the database {done} revision {result.after}")


@app.command()
def run(
    no_learn: Annotated[bool, typer.Option("--no-learn", help="Only take events in.")] = False,
    no_ingest: Annotated[bool, typer.Option("--no-ingest", help="Only learn and publish scores.")] = False,
) -> None:
    """Run the daemon.

    It takes events in, learns on schedule, and keeps the database in shape.

    SIGTERM or SIGINT (Ctrl-C) finishes the batch in hand and ends within 5 seconds; a second one ends at once.
    Any number of replicas may run on one database.
    """
    from centralcloud.daemon import Daemon

    if no_learn and no_ingest:
        raise SettingsError("--no-learn and --no-ingest together leave nothing to do: expected one of them at most")
    settings = read_settings(background=True)
    shutdown = Shutdown()
    shutdown.on_signals(signal.SIGTERM, signal.SIGINT)
    gc.freeze()  # what is loaded by now stays: looking through it again and again takes a tenth of the time of ingest
    with open_database(settings, "run", checked=False) as database:
        Daemon(settings, database, ingest=not no_ingest, learn=not no_learn, shutdown=shutdown).run()


@app.command()
def drain() -> None:
    """Take in what is queued now, then end.

    Ends when no message is visible, and prints one JSON line with what became of them. Waits for messages that another
    consumer holds for the moment: it may give them back.
    """
    from centralcloud.ingest.drain import drain as run_drain
    from centralcloud.store.partitions import ensure_partitions

    settings = read_settings()
    with open_database(settings, "drain") as database:
        retry_on_contention(lambda: ensure_partitions(database, settings.partitions_ahead_weeks))
        drained = run_drain(database, batch_size=settings.batch_size, max_attempts=settings.max_attempts)
    print_json(
        {
            "events": drained.result.messages,
            **drained.result._asdict(),
            "seconds": round(drained.seconds, 3),
            "events_per_second": round(drained.events_per_second, 1),
        }
    )


@app.command()
def publish(
    file: Annotated[str, typer.Argument(help="JSON lines, one routing event a line; - reads standard input.")],
) -> None:
    """Send routing events from a file.

    They go to the queue model_routing_decisions. A line that is no JSON object, or that PostgreSQL refuses, is reported with
    its number; the rest is sent, and the exit code is 1.
    """
    from centralcloud.ingest.file_publisher import Refusal, publish_lines

    settings = read_settings()

    def complain(refusal: Refusal) -> None:
        typer.echo(f"{file}: line {refusal.number}: {refusal.reason}", err=True)

    with _open(file) as lines, open_database(settings, "publish") as database, _progress(file) as advance:
        try:
            published = publish_lines(
                database, lines, batch_size=settings.batch_size, on_refusal=complain, on_progress=advance
            )
        except BaseException:
            # Whoever goes on from here must not send twice: a batch that was not confirmed may have arrived.
            typer.echo(
                f"stopped after line {advance.lines}: {counted(advance.sent, 'event')} sent; "
                f"of the next {settings.batch_size} lines it is not known",
                err=True,
            )
            raise
    refused = f", {counted(published.refused, 'line')} refused" if published.refused else ""
    typer.echo(f"sent {counted(published.sent, 'event')} to model_routing_decisions{refused}")
    if published.refused:
        raise typer.Exit(1)


@app.command()
def learn(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change; write nothing.")] = False,
    force: Annotated[
        bool,
        typer.Option("--force", help="Publish even more than the safety limits allow to move, or by another rule."),
    ] = False,
    json_output: AsJson = False,
) -> None:
    """Run the learner once, now.

    Shows which scores changed, and why. By the rule that the daemon uses: another one changes all scores, and is refused
    without --force.
    """
    from centralcloud.learning.learner import Learner

    settings = read_settings()
    with open_database(settings, "learn") as database:
        learner = Learner(database, settings.rules, references=settings.reference, limits=settings.safety)
        if not dry_run and not force:
            learner.refuse_to_change_the_rule()
        result = learner.preview() if dry_run else retry_on_contention(lambda: learner.learn(force=force))
    changes = [change._asdict() for change in result.changes]
    if json_output:
        pairs = [{"model": model, "complexity": complexity} for model, complexity in result.without_outcomes]
        print_json({**result._asdict(), "dry_run": dry_run, "without_outcomes": pairs, "changes": changes})
        return
    columns = ("model", "complexity", "old_score", "new_score", "reason")
    print_rows(changes, dict.fromkeys(columns), empty="no score changes")
    for model, complexity in result.without_outcomes:
        typer.echo(f"{model} ({complexity}) was chosen, but no outcome has been reported")
    for reason in result.withheld:
        typer.echo(f"nothing was published: {reason}")
    for instance in result.quarantined:
        typer.echo(f"{instance} is in quarantine: its outcomes differ from the fleet's and are not counted")
    typer.echo(f"{result.evaluated} pairs evaluated, {result.waiting} wait for more outcomes")


@app.command()
def metrics(json_output: AsJson = False) -> None:
    """Show the counters of every pair.

    A pair is a model and a complexity. With --json rates are 0 to 1; times are in milliseconds. late_count: outcomes that
    came more than an hour after their decision; unresolved_rate: share of the decisions with ids that have no outcome.
    """
    from centralcloud.monitoring.reports import ModelMetrics

    with open_database(read_settings(), "metrics") as database, database.transaction() as connection:
        rows = ModelMetrics(connection).all()
    if json_output:
        print_json(rows)
        return
    columns = {
        "model": None,
        "complexity": None,
        "usage_count": None,
        "success_count": None,
        "failure_count": None,
        "success_rate": lambda rate: None if rate is None else f"{rate:.1%}",
        "avg_response_time": lambda average: None if average is None else f"{average:,.0f} ms",
        "late_count": None,
        "unresolved_rate": lambda rate: None if rate is None else f"{rate:.1%}",
    }
    print_rows(rows, columns, empty="no events taken in yet")


@app.command()
def verify(
    repair: Annotated[bool, typer.Option("--repair", help="Make every aggregate what the recount says.")] = False,
    scores: Annotated[bool, typer.Option("--scores", help="Only compute every score again from its evidence.")] = False,
    json_output: AsJson = False,
) -> None:
    """Show that nothing was lost and nothing counted twice.

    Checks that every message is accounted for, and recounts every aggregate (metrics and evidence) from the records, dropped
    ones included. Exit code 1 when something differs. Ingest may go on meanwhile, also while it repairs.
    """
    from centralcloud.administration import verification

    if scores:
        _verify_scores(json_output=json_output)
        return
    with open_database(read_settings(), "verify") as database:
        found = retry_on_contention(lambda: verification.repair(database)) if repair else verification.verify(database)
        left = verification.verify(database) if repair and not found.ok else found
    if json_output:
        print_json(
            {
                "ok": left.ok,
                "checked": left.accounts,
                "differences": [difference._asdict() for difference in left.differences],
                "repaired": len(found.differences) - len(left.differences),
            }
        )
    else:
        print_rows([found.accounts], dict.fromkeys(found.accounts), empty="")
        columns = dict.fromkeys(("table", "key", "stored", "recounted"))
        print_rows([difference._asdict() for difference in found.differences], columns, empty="nothing differs")
        if repair and not found.ok:
            typer.echo(f"{len(found.differences)} differences found, {len(left.differences)} left after the repair")
    if not left.ok:
        raise typer.Exit(1)


def _verify_scores(*, json_output: bool) -> None:
    from centralcloud.administration.score_audit import audit_scores

    settings = read_settings()
    with open_database(settings, "verify") as database:
        audit = audit_scores(database, settings.rules)
    differences = [difference._asdict() for difference in audit.differences]
    ok = not differences
    if json_output:
        checked = {"scores": audit.checked}
        print_json({"ok": ok, "checked": checked, "differences": differences, "unknown_rules": audit.unknown_rules})
    else:
        empty = f"{counted(audit.checked, 'score')} computed again, nothing differs"
        print_rows(differences, dict.fromkeys(("table", "key", "stored", "recomputed")), empty=empty)
        for rule in audit.unknown_rules:
            typer.echo(f"scores of the rule {rule} were left out: it is not installed here")
    if not ok:
        raise typer.Exit(1)


class DemoRule(StrEnum):
    """Rules that the demonstration shows."""

    THRESHOLD = "threshold"
    ADAPTIVE = "adaptive"


@app.command()
def doctor(json_output: AsJson = False) -> None:
    """Look at what an operator would look at first: each check is OK, WARN or FAIL, and says what to do.

    Exit code 1 when one has failed.
    """
    from centralcloud.monitoring.doctor import Expectations, examine

    settings = read_settings()
    with Database(settings.database, application_name="centralcloud/doctor", max_connections=2) as database:
        expectations = Expectations(settings.http_address, settings.http_port, unknown_variables(Settings))
        print_checkup(examine(database, expectations), as_json=json_output)


@app.command()
def demo(
    rule: Annotated[DemoRule, typer.Option(help="Rule that learns; adaptive: with a model that degrades.")] = (
        DemoRule.THRESHOLD
    ),
    instances: Annotated[int, typer.Option(min=1, max=50, help="Simulated instances.")] = 5,
    seconds: Annotated[float | None, typer.Option(min=1, help="End after this long; without it, at Ctrl-C.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the simulation.")] = 1,
) -> None:
    """Show the whole loop at work.

    An embedded PostgreSQL, the daemon, and a simulated fleet of routers that start with misleading scores. No settings.
    Everything it writes is in .centralcloud/demo/ of the working folder.

    With --rule adaptive a model that leads silently degrades after half a minute and recovers later; 90 seconds tell the
    whole story, and a shorter demonstration tells it faster.
    """
    from centralcloud.demo.demonstration import run_demo

    raise typer.Exit(run_demo(rule=rule.value, instances=instances, seconds=seconds, seed=seed))


@contextmanager
def _open(file: str) -> Iterator[BinaryIO]:
    if file == "-":
        if sys.stdin is None:
            raise SettingsError("cannot read standard input: it is closed")
        yield sys.stdin.buffer
        return
    try:
        stream = Path(file).open("rb")  # noqa: SIM115 - closed below
    except OSError as error:
        raise SettingsError(f"cannot read {file}: {error.strerror}") from None
    with stream:
        yield stream


class _Advance:
    """Moves the progress bar by the size of each batch, and counts what has been done."""

    def __init__(self, progress: Progress, total: int | None) -> None:
        self._progress = progress
        self._task = progress.add_task("sending", total=total)
        self.lines = 0
        self.sent = 0

    def __call__(self, lines: int, size: int, sent: int) -> None:
        self.lines += lines
        self.sent += sent
        self._progress.update(self._task, advance=size, description=f"{self.lines:,} lines")


@contextmanager
def _progress(file: str) -> Iterator[_Advance]:
    """A progress bar on a terminal, nothing elsewhere."""
    from rich.console import Console

    total = None if file == "-" else Path(file).stat().st_size
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        yield _Advance(progress, total)
