"""`centralcloud migrate`: the schema of this version."""

from centralcloud.cli.context import open_database, read_settings
from centralcloud.runtime.postgres.errors import retry_on_contention
from centralcloud.runtime.terminal.output import AsJson, print_json, print_text
from centralcloud.runtime.terminal.results import result_matters


def migrate(json_output: AsJson = False) -> None:
    """Upgrade the database to the newest schema.

    Installs pgmq if it is missing, and creates partitions for the coming weeks. Safe to repeat, and safe to run several
    times at once. A database that is newer than this version is refused.
    """
    from centralcloud.store.partitions import ensure_partitions
    from centralcloud.store.schema import migrate as run_migrations

    settings = read_settings()
    result_matters()
    with open_database(settings, "migrate", checked=False) as database:
        result = run_migrations(database)
        retry_on_contention(lambda: ensure_partitions(database, settings.partitions_ahead_weeks))
    if json_output:
        print_json({"before": result.before, "after": result.after})
        return
    done = "is at" if result.before == result.after else f"went from {result.before or 'empty'} to"
    print_text(f"the database {done} revision {result.after}")
