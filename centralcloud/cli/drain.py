"""`centralcloud drain`: ingest the queued messages, without a daemon."""

from centralcloud.cli.context import open_database, read_settings
from centralcloud.runtime.postgres.errors import retry_on_contention
from centralcloud.runtime.terminal.output import AsJson, print_json, print_text
from centralcloud.runtime.terminal.results import result_matters
from centralcloud.runtime.wording import counted


def drain(json_output: AsJson = False) -> None:
    """Ingest the queued messages, then end.

    Ends when no message is visible. Waits for messages that another consumer holds, because it may release them.
    """
    from centralcloud.ingest.drain import drain as run_drain
    from centralcloud.store.partitions import ensure_partitions

    settings = read_settings()
    result_matters()
    with open_database(settings, "drain") as database:
        retry_on_contention(lambda: ensure_partitions(database, settings.partitions_ahead_weeks))
        drained = run_drain(
            database,
            batch_size=settings.batch_size,
            batch_bytes=settings.batch_bytes,
            max_attempts=settings.max_attempts,
        )
    result = drained.result
    if json_output:
        rates = {"seconds": round(drained.seconds, 3), "events_per_second": round(drained.events_per_second, 1)}
        print_json({"events": result.messages, **result._asdict(), **rates})
        return
    print_text(
        f"ingested {counted(result.messages, 'event')} in {drained.seconds:.1f} s "
        f"({drained.events_per_second:,.0f} a second): {counted(result.records, 'record')}, "
        f"{counted(result.duplicates, 'duplicate')}, {counted(result.dead_letters, 'dead letter')}"
    )
    if result.dead_letters:
        print_text("`centralcloud dead-letters list` shows the reasons")
