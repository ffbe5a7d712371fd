"""Time zones, locales, encodings and date styles that are rare: everything works as with the usual ones."""

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import NamedTuple

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo
from support.events import SENT_AT, an_event, outcomes, send_texts
from support.load import queued
from support.programs import Program
from support.servers import execute, with_database
from support.waiting import eventually

from centralcloud.administration.verification import verify
from centralcloud.contracts.limits import MAX_NAME_LENGTH
from centralcloud.maintenance.maintenance import Maintenance
from centralcloud.monitoring.doctor import Expectations, examine
from centralcloud.runtime.diagnostics import Verdict
from centralcloud.runtime.postgres.database import Database
from centralcloud.store.partitions import missing_weeks
from centralcloud.store.schema import migrate


class Surroundings(NamedTuple):
    """The options of a database, the settings of its sessions, the zone of the daemon, and a name that it can store."""

    options: str
    zone: str
    date_style: str
    daemon_zone: str
    model: str


_C = "LC_COLLATE 'C' LC_CTYPE 'C'"
_CASES = {
    "latin1": Surroundings(f"ENCODING 'LATIN1' {_C}", "Asia/Kolkata", "SQL, DMY", "Asia/Kathmandu", "modèle-é"),
    "turkish": Surroundings("LOCALE_PROVIDER icu ICU_LOCALE 'tr-TR' " + _C, "Europe/Istanbul", "German", "", "İIıi"),
    "sql_ascii": Surroundings(f"ENCODING 'SQL_ASCII' {_C}", "America/St_Johns", "German", "Pacific/Chatham", "模型-é"),
    "euc_jp": Surroundings(f"ENCODING 'EUC_JP' {_C}", "Asia/Tokyo", "Postgres, MDY", "Africa/Casablanca", "模型"),
    "unicode": Surroundings(
        "ENCODING 'UTF8' LOCALE_PROVIDER builtin BUILTIN_LOCALE 'PG_UNICODE_FAST' " + _C,
        "Pacific/Apia", "SQL, MDY", "<+1345>-13:45", "İstanbul-ß-模型-🚀",
    ),
    "utf8": Surroundings(f"ENCODING 'UTF8' {_C}", "Australia/Lord_Howe", "ISO, YMD", "America/Caracas", "ﬀ-ß-Ω"),
}  # fmt: skip
_IN_SHORT = ("latin1",)


@pytest.fixture(params=[pytest.param(name, marks=() if name in _IN_SHORT else pytest.mark.soak) for name in _CASES])
def surroundings(request: pytest.FixtureRequest) -> Surroundings:
    return _CASES[request.param]


@pytest.fixture
def odd_url(server: str, surroundings: Surroundings) -> Iterator[str]:
    """A database with the newest schema in these surroundings."""
    with psycopg.connect(server, autocommit=True) as connection:
        try:
            connection.execute(f"CREATE DATABASE cc_odd TEMPLATE template0 {surroundings.options}")
        except (psycopg.errors.FeatureNotSupported, psycopg.errors.SyntaxError) as error:
            pytest.skip(f"not with this build of PostgreSQL: {error.diag.message_primary}")
        try:
            for name, value in {
                "TimeZone": surroundings.zone,
                "DateStyle": surroundings.date_style,
                "IntervalStyle": "sql_standard",
                "bytea_output": "escape",
                "extra_float_digits": "-15",
                "quote_all_identifiers": "on",
                "transform_null_equals": "on",
                "default_transaction_isolation": "serializable",
            }.items():
                statement = sql.SQL("ALTER DATABASE cc_odd SET {} = {}")
                connection.execute(statement.format(sql.Identifier(name), sql.Literal(value)))
            url = make_conninfo(with_database(server, "cc_odd"), client_encoding="utf8")
            with Database(url, application_name="tests") as database:
                migrate(database)
            yield url
        finally:
            connection.execute("DROP DATABASE cc_odd WITH (FORCE)")


def test_odd_zones_locales_and_encodings(
    odd_url: str, surroundings: Surroundings, start_worker: Callable[..., Program]
) -> None:
    """Weeks, hours, counts, scores and dead letters are the same as in UTC, C and UTF-8."""
    model = surroundings.model
    worker = start_worker(
        odd_url,
        CENTRALCLOUD_RULE="threshold",
        TZ=surroundings.daemon_zone,
        PGTZ=surroundings.daemon_zone,
        PGDATESTYLE="Postgres, DMY",
        PGCLIENTENCODING="LATIN1",
        LC_ALL="C",
    )
    good = outcomes(60, 60, selected_model=model, complexity="COMPLEX")
    for number, each in enumerate(good):
        each["timestamp"] = f"{SENT_AT:%Y-%m-%d}T{number // 60:02}:{number % 60:02}:00+13:45"
        each["routing_decision"]["outcome"] = each["routing_decision"]["outcome"].upper()
        each["routing_decision"]["cost_usd"] = "cheap"
    too_long = an_event(selected_model="m" * (MAX_NAME_LENGTH + 1))
    events = [*good, too_long, an_event(complexity="é" * 300)]
    send_texts(odd_url, [json.dumps(event, ensure_ascii=False) for event in events])
    eventually(lambda: queued(odd_url) == 0, what="an empty queue")
    counts = "SELECT model_name, complexity_level, success_count, failure_count FROM model_routing_metrics"
    assert execute(odd_url, counts) == [(model, "complex", 60, 60)]
    day = f"{SENT_AT - timedelta(days=1):%Y-%m-%d}"  # 13:45 ahead of UTC
    times = (
        "SELECT min(timestamp AT TIME ZONE 'UTC')::text, max(timestamp AT TIME ZONE 'UTC')::text FROM routing_records"
    )
    with psycopg.connect(odd_url, options="-c datestyle=ISO") as connection:
        assert connection.execute(times).fetchall() == [(f"{day} 10:15:00", f"{day} 12:14:00")]
    assert execute(odd_url, "SELECT field, count(*) FROM dead_letters GROUP BY 1 ORDER BY 1") == [
        ("routing_decision.complexity", 1),
        ("routing_decision.selected_model", 1),
    ]
    score = "SELECT score::float8 FROM model_scores WHERE model_name = %s"
    eventually(lambda: execute(odd_url, score, (model,)), what="a score")
    with Database(odd_url, application_name="tests") as database:
        Maintenance(database).maintain()
        assert verify(database).ok
        with database.transaction() as connection:
            assert missing_weeks(connection) == []
        failed = [check for check in examine(database, Expectations()) if check.verdict == Verdict.FAIL]
        assert failed == []
    hours = """
        SELECT hour_at FROM (
            SELECT window_start AS hour_at FROM model_performance UNION ALL SELECT hour FROM ignored_values
        ) AS hours
        WHERE date_trunc('hour', hour_at, 'UTC') <> hour_at
    """
    assert execute(odd_url, hours) == [], "hours begin where they do in UTC, whichever daemon counts"
    assert execute(odd_url, "SELECT count(*) > 0 FROM ignored_values") == [(True,)]
    bounds = """
        SELECT count(*) FROM pg_class c JOIN pg_inherits i ON i.inhrelid = c.oid
        WHERE i.inhparent = 'routing_records'::regclass AND date_trunc('week', substring(
            pg_get_expr(c.relpartbound, c.oid) FROM $$FROM \\('([^']+)'$$)::timestamptz, 'UTC'
        ) <> substring(pg_get_expr(c.relpartbound, c.oid) FROM $$FROM \\('([^']+)'$$)::timestamptz
    """
    with psycopg.connect(odd_url, options="-c datestyle=ISO") as connection:
        assert connection.execute(bounds).fetchall() == [(0,)], "weeks begin on Monday in UTC"
    assert worker.process.poll() is None
    assert "background_task_failed" not in worker.events()
