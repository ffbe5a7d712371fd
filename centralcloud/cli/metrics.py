"""`centralcloud metrics`: the counters."""

from centralcloud.cli.context import open_database, read_settings
from centralcloud.runtime.terminal.output import AsJson, print_json, print_rows
from centralcloud.runtime.wording import decimals, percent


def metrics(json_output: AsJson = False) -> None:
    """Show the counters of every pair of a model and a complexity.

    With --json rates are 0 to 1; times are in milliseconds. late_count: outcomes that arrived more than an hour after the
    timestamp of their own event; unresolved_rate: share of the decisions with ids that have no outcome.
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
        "success_rate": percent,
        "avg_response_time": lambda average: f"{decimals(average)} ms",
        "late_count": None,
        "unresolved_rate": percent,
    }
    print_rows(rows, columns, empty="no events ingested yet")
