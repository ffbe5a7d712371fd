"""Rounds of maintenance in tests, and the counts that they must not change."""

from centralcloud.ingest.drain import drain
from centralcloud.maintenance.maintenance import Maintenance, Retention
from centralcloud.monitoring.reports import ModelMetrics
from centralcloud.runtime.postgres.database import Database
from support.events import an_event, send
from support.servers import execute


def maintain(database: Database, **retention: int) -> None:
    Maintenance(database, retention=Retention(**retention)).run_once()


def ingest(database: Database, database_url: str, events: list[dict]) -> None:
    send(database_url, events)
    drain(database, batch_size=100)


def arrive_now(database: Database, database_url: str) -> None:
    """Let one more event arrive now: records expire by the newest arrival, and not by the server's clock alone."""
    ingest(database, database_url, [an_event("i-2", outcome="routed")])


def counters(database: Database) -> list[dict]:
    with database.transaction() as connection:
        return ModelMetrics(connection).all()


def evidence_totals(database_url: str) -> list[tuple]:
    return execute(
        database_url,
        """
        SELECT model_name, complexity_level, provider, instance_id, sum(routed), sum(successes), sum(failures),
               sum(blameless), sum(response_time_count), sum(response_time_sum_ms)
        FROM evidence GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
        """,
    )


def records(database_url: str) -> int:
    ((count,),) = execute(database_url, "SELECT count(*) FROM routing_records")
    return int(count)
