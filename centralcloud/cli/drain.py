"""`centralcloud drain`: ingest the queued messages, without a daemon."""

from centralcloud.cli.context import open_database, read_settings
from centralcloud.runtime.postgres.errors import retry_on_contention
from centralcloud.runtime.terminal import print_json


def drain() -> None:
    """Ingest the queued messages, then end.

    Ends when no message is visible, and prints one JSON line with the counts. Waits for messages that another consumer
    holds, because it may release them.
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
