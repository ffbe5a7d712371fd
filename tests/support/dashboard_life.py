"""Databases with the life of a fleet in them, for pages to show: real events, ingested and learned from.

The past is made in rounds: a round sends events, ingests them and learns from them; then everything is moved back in time,
and the next round follows. So tables agree with each other as those of a fleet that has run for a day do.
"""

import json
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import psycopg
import uuid_utils
from psycopg import sql

from centralcloud.administration.score_overrides import pin
from centralcloud.ingest.drain import drain
from centralcloud.ingest.worker_registry import WorkerRegistry
from centralcloud.learning.learner import Learner
from centralcloud.maintenance.maintenance import Maintenance, Retention
from centralcloud.monitoring.finding_detector import FindingDetector
from centralcloud.runtime.postgres.database import Database
from support.events import send_texts
from support.gateways import a_key, start_gateway
from support.history import create_week
from support.models import ADAPTIVE
from support.operators import OPERATOR
from support.programs import Program
from support.servers import execute
from support.upstream.process import FakeUpstream

COMPLEXITIES: Final = ("simple", "medium", "complex")
#: For each model the success rates of simple, medium and complex tasks, and the cost of a task in USD.
MODELS: Final[Mapping[str, tuple[float, float, float, float]]] = {
    "ember-reason": (0.97, 0.97, 0.95, 0.012),
    "birch-large": (0.96, 0.94, 0.88, 0.004),
    "cedar-mini": (0.93, 0.85, 0.6, 0.0008),
    "dune-flash": (0.9, 0.7, 0.35, 0.0003),
}
#: Names that a page must neither obey nor break under. Longer ones, and marks of direction, ingest does not accept.
HOSTILE: Final = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{ 7 * 7 }}",
    "m" * 200,
    "משפחת-דגמים",
    "very-long-name-" * 8,
)
_FALLEN: Final = "ember-reason"


class Life:
    """The life of a fleet, in one database.

    Attributes:
        url: of the database.
    """

    def __init__(self, database: Database, url: str, *, seed: int = 1) -> None:
        self.url = url
        self._database = database
        self._random = random.Random(seed)
        self._learner = Learner(database, ADAPTIVE)

    def tasks(
        self,
        count: int,
        *,
        models: Sequence[str] = tuple(MODELS),
        instances: Sequence[str] = ("router-1", "router-2", "router-3"),
        fallen: str | None = None,
    ) -> None:
        """Let the fleet do `count` tasks, ingest the outcomes, learn from them. A model that has `fallen` fails often."""
        now = datetime.now(UTC)
        texts = [json.dumps(self._task(number, models, instances, fallen, now)) for number in range(count)]
        send_texts(self.url, list(texts))
        self.learn()

    def learn(self) -> None:
        """Ingest what is in the queue, and learn from it."""
        drain(self._database, batch_size=1000, max_attempts=1)
        self._learner.run_once()
        FindingDetector(self._database).run_once()

    def roll_up(self) -> None:
        """Sum up the hours, as maintenance does."""
        Maintenance(self._database, retention=Retention()).run_once()

    def report_instances(self, names: Sequence[str], *, behind: int = 0) -> None:
        """Let instances say that they have the newest scores; the last `behind` of them say it of older ones."""
        ((newest,),) = execute(self.url, "SELECT COALESCE(max(version), 0) FROM model_scores")
        rows = [
            (name, newest if place < len(names) - behind else max(0, newest - 40)) for place, name in enumerate(names)
        ]
        with psycopg.connect(self.url) as connection:
            connection.cursor().executemany(
                "INSERT INTO instances (instance_id, applied_version) VALUES (%s, %s)"
                " ON CONFLICT (instance_id) DO UPDATE SET applied_version = EXCLUDED.applied_version, last_seen_at = now()",
                rows,
            )

    def report_workers(self) -> None:
        """Let an ingest worker be alive, also while tests run: nothing beats for it, but in each 5 minutes one was seen."""
        WorkerRegistry(self._database, batch_size=1000).register()
        execute(
            self.url,
            """
            INSERT INTO ingest_workers (host, process, batch_size, seen_at)
            SELECT host, process || '-' || n, batch_size, now() + n * interval '5 minutes'
            FROM ingest_workers, generate_series(1, 12) AS n
            """,
        )

    def age(self, by: timedelta) -> None:
        """Move everything that has happened back in time."""
        columns = execute(
            self.url,
            """
            SELECT c.table_name, array_agg(c.column_name::text)
            FROM information_schema.columns AS c JOIN pg_class AS t
                ON t.oid = to_regclass(quote_ident(c.table_name)) AND NOT t.relispartition
            WHERE c.table_schema = 'public' AND c.data_type = 'timestamp with time zone' AND t.relkind IN ('r', 'p')
            GROUP BY 1
            """,
        )
        with psycopg.connect(self.url) as connection:
            connection.execute("SET session_replication_role = replica")  # logs are append-only by triggers
            for table, names in columns:
                changes = sql.SQL(", ").join(
                    sql.SQL("{0} = {0} - {1}").format(sql.Identifier(name), sql.Literal(by)) for name in names
                )
                connection.execute(sql.SQL("UPDATE {} SET {}").format(sql.Identifier(table), changes))

    def _task(
        self, number: int, models: Sequence[str], instances: Sequence[str], fallen: str | None, now: datetime
    ) -> dict[str, Any]:
        complexity = COMPLEXITIES[number % 3]
        model = self._random.choices(models, [1 + len(models) - place for place in range(len(models))])[0]
        known = MODELS.get(model, (0.9, 0.8, 0.7, 0.002))
        rate = 0.3 if model == fallen and complexity == "complex" else known[number % 3]
        succeeded = self._random.random() < rate
        return {
            "timestamp": now.isoformat(),
            "instance_id": instances[number % len(instances)],
            "routing_decision": {
                "complexity": complexity,
                "selected_model": model,
                "selected_provider": f"provider-{sum(model.encode()) % 3}",
                "complexity_score": 4.0,
                "outcome": "success" if succeeded else "failure",
                "response_time_ms": self._random.randrange(300, 900),
                "cost_usd": known[3] * self._random.uniform(0.5, 1.5),
                "decision_id": str(uuid_utils.uuid7()),
                "task_type": self._random.choice(("code", "chat", "extraction")),
            },
        }


@contextmanager
def living(url: str) -> Iterator[Life]:
    """Give life to a database."""
    create_week(url, timedelta(days=1))
    with Database(url, application_name="tests") as database:
        yield Life(database, url)


def fill_with_a_day(url: str, *, rounds: int = 8, tasks: int = 600) -> None:
    """Fill an empty database with a day: a model that fell and is back, a pin, dead letters, an instance that is behind."""
    routers = ["router-1", "router-2", "router-3"]
    with living(url) as life, Database(url, application_name="tests") as database:
        for number in range(rounds):
            fallen = _FALLEN if number in (rounds // 2, rounds // 2 + 1) else None
            life.tasks(tasks, fallen=fallen)
            if number == 1:
                pin(database, ("dune-flash", "complex"), Decimal("0.5"), None, OPERATOR)
            life.report_instances(routers)
            life.age(timedelta(hours=24 / rounds))
        send_texts(
            url, ['{"no": "event"}', '{"instance_id": 7}', '{"instance_id": "router-3", "routing_decision": {}}']
        )
        life.tasks(tasks // 2)
        _fill_minutes(url)
        life.roll_up()
        life.report_instances(routers, behind=1)
        life.report_workers()


def fill_with_requests(url: str, folder: Path, upstream: FakeUpstream, start: Callable[..., Program]) -> None:
    """Let a gateway answer some requests, of which some need a second attempt and some fail."""
    gateway = start_gateway(start, folder, upstream, url, key=a_key(url, workspace="acme"))
    for number in range(12):
        gateway.chat(text=f"hello {number}")
    upstream.behave("status=503", times=4)
    for _ in range(3):
        gateway.chat(text="write a function that sorts numbers")
    gateway.program.process.terminate()
    gateway.program.process.wait()
    with living(url) as life:
        life.learn()
        life.roll_up()


def fill_with_many(url: str, *, models: int = 100, instances: int = 1000) -> None:
    """Fill an empty database with more than a page shows at once, some of it under hostile names."""
    names = [*HOSTILE, *(f"model-{number}" for number in range(models - len(HOSTILE)))]
    routers = [*HOSTILE[:3], *(f"router-{number}" for number in range(instances - 3))]
    with living(url) as life:
        for _ in range(2):
            life.tasks(2000, models=names, instances=routers)
            life.age(timedelta(hours=3))
        life.tasks(1000, models=names, instances=routers, fallen=names[0])
        life.roll_up()
        life.report_instances(routers, behind=12)
        life.report_workers()


def _fill_minutes(url: str) -> None:
    """Write the rows of the last day that a daemon writes minute by minute."""
    execute(
        url,
        """
        INSERT INTO fleet_minutes (
            minute, read_at, counted_seconds, ingested, successes, failures, queue_messages, dead_letters, instances,
            instances_behind, cost_nano_usd, records_until, counted_until, successes_until, failures_until,
            blameless_until, cost_nano_usd_until
        )
        SELECT minute, minute, 60, 300 + n % 40, 280 - n % 17, 20 + n % 17, n % 3, 0, 3, 0, 1000000 * (200 + n % 40),
            0, 0, 0, 0, 0, 0
        FROM generate_series(date_trunc('minute', now(), 'UTC') - interval '24 hours', now(), interval '1 minute')
            WITH ORDINALITY AS each (minute, n)
        """,
    )
