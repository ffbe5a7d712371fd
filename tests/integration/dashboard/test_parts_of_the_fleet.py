"""The sources of the pages incidents, fleet and activity, against a real database."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest
from psycopg.types.json import Jsonb
from support.fleet import a_fleet

from centralcloud.dashboard.pages import activity, fleet, incidents
from centralcloud.dashboard.reader.lookups import Lookups
from centralcloud.dashboard.reader.snapshot import Snapshot
from centralcloud.dashboard.sources.activity import ActionFilter, read_actions
from centralcloud.dashboard.sources.fleet import FLEET
from centralcloud.dashboard.sources.incidents import CAUSES, EXCLUSIONS, MODEL_VERSIONS, RECENT_FINDINGS, RUNS
from centralcloud.dashboard.sources.instances import (
    INSTANCE_MODELS,
    INSTANCES,
    LETTERS,
    WORKERS,
)
from centralcloud.dashboard.web.assets import Assets
from centralcloud.dashboard.web.page import Page, PageContext
from centralcloud.dashboard.web.rendering import Renderer
from centralcloud.monitoring.status import fleet_status
from centralcloud.runtime.postgres.database import Database
from centralcloud.store.operator_actions import Action, Operator, record_action

PAGES = (incidents.PAGE, fleet.PAGE, activity.PAGE)
SOME_ACTIONS = (Action.PIN, Action.FREEZE, Action.RENAME_MODEL, Action.CHANGE_SETTING, Action.GRANT_LOGIN)
HOSTILE = ("<script>alert(1)</script>", "x" * 200, "right \u202e left", "a&b=\"c'd", "vendor/model")


@pytest.fixture
def connection(database_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database_url) as connection:
        yield connection


def open_finding(
    connection: psycopg.Connection[Any],
    kind: str = "slow",
    subject: str = "m/complex",
    details: dict[str, Any] | None = None,
    *,
    minutes_ago: float = 30,
    closed_days_ago: float | None = None,
) -> int:
    row = connection.execute(
        """
        INSERT INTO findings (kind, subject, message, details, opened_at, closed_at, traffic_share)
        VALUES (%s, %s, 'found', %s, now() - %s * interval '1 minute', now() - %s * interval '1 day', 0.1)
        RETURNING finding_id
        """,
        (kind, subject, Jsonb(details or {}), minutes_ago, closed_days_ago),
    ).fetchone()
    assert row
    return int(row[0])


def change_score(connection: psycopg.Connection[Any], version: int, model: str, minutes_ago: float) -> None:
    connection.execute(
        """
        INSERT INTO model_score_history (version, model_name, complexity_level, old_score, new_score, reason, rule,
            based_on_samples, after_slice, through_slice, created_at, kind)
        VALUES (%s, %s, 'complex', 3, 2, 'r', 'adaptive', 9, 0, 1, now() - %s * interval '1 minute', 'alarm')
        """,
        (version, model, minutes_ago),
    )


def test_the_causes_of_a_finding_are_the_changes_of_fifteen_minutes_before_it(
    connection: psycopg.Connection[Any],
) -> None:
    number = open_finding(connection, details={"model": "m", "complexity": "complex"}, minutes_ago=30)
    other = open_finding(connection, "provider_surge", "p", minutes_ago=30)
    for version, model, ago in ((1, "m", 29.0), (2, "m", 31.0), (3, "m", 46.0), (4, "n", 40.0)):
        change_score(connection, version, model, ago)
    found = CAUSES.read(connection)
    assert [(each.finding_id, each.number) for each in found] == [(number, 2), (other, 2), (other, 4)]


def test_operators_and_the_configuration_are_causes_too_each_once(connection: psycopg.Connection[Any]) -> None:
    record_action(connection, Operator("ana", "cli", "h"), Action.FREEZE, "scores")
    connection.execute(
        "SELECT centralcloud.write_configuration(0, %s, 'bo', 'cli', 'h', 'why')",
        (Jsonb([{"kind": "policy", "id": "fast", "body": {"order": "priority"}}]),),
    )
    open_finding(connection, minutes_ago=-1)
    found = CAUSES.read(connection)
    assert {(each.kind, each.what) for each in found} == {("action", "freeze"), ("configuration", "why")}


def test_a_version_of_a_model_is_new_if_the_hour_before_had_others(connection: psycopg.Connection[Any]) -> None:
    def record(version: str, minutes_ago: float) -> None:
        connection.execute(
            """
            INSERT INTO routing_records (timestamp, instance_id, complexity, model, provider, score, outcome, slice_no,
                model_version)
            VALUES (now() - %s * interval '1 minute', 'i', 'complex', 'm', 'p', 3, 'routed', 1, %s)
            """,
            (minutes_ago, version),
        )

    number = open_finding(connection, details={"model": "m"}, minutes_ago=10)
    record("m-2", 12)
    assert MODEL_VERSIONS.read(connection) == (), "there is nothing to compare it with"
    record("m-1", 12)
    record("m-1", 40)
    assert [(each.finding_id, each.version) for each in MODEL_VERSIONS.read(connection)] == [(number, "m-2")]


def test_findings_of_the_last_month_and_open_ones_of_any_age_are_listed(connection: psycopg.Connection[Any]) -> None:
    month = 31 * 24 * 60
    kept = [
        open_finding(connection, subject="a", minutes_ago=2 * month),
        open_finding(connection, subject="b", minutes_ago=2 * month, closed_days_ago=30),
    ]
    open_finding(connection, subject="c", minutes_ago=2 * month, closed_days_ago=32)
    assert sorted(each.finding_id for each in RECENT_FINDINGS.read(connection)) == kept


def test_runs_that_left_instances_out_are_found(connection: psycopg.Connection[Any]) -> None:
    connection.execute(
        """
        INSERT INTO learning_runs (rule, through_slice, started_at, finished_at, pairs_evaluated, pairs_changed, samples,
            excluded_instances)
        SELECT 'adaptive', 1, now(), now() - n * interval '1 hour', 9, n % 2, 9,
            CASE WHEN n < 3 THEN ARRAY['liar'] ELSE '{}' END
        FROM generate_series(1, 30) n
        """
    )
    runs = RUNS.read(connection)
    assert (runs.runs, runs.publishing, runs.excluding) == (23, 12, 2)
    ((name, rule, _, _, number),) = EXCLUSIONS.read(connection)
    assert (name, rule, number) == ("liar", "adaptive", 2)


def test_an_instance_is_behind_only_what_it_had_time_to_apply(connection: psycopg.Connection[Any]) -> None:
    connection.execute(
        """
        INSERT INTO model_scores (model_name, complexity_level, score, version, reason, rule, based_on_samples,
            evaluated_through_slice, updated_at)
        VALUES ('m', 'simple', 3, 10, 'r', 'x', 9, 1, now() - interval '1 minute'),
            ('n', 'simple', 3, 11, 'r', 'x', 9, 1, now());
        INSERT INTO instances (instance_id, applied_version, last_seen_at) VALUES
            ('newest', 11, now()), ('settled', 10, now()), ('behind', 9, now()),
            ('silent', 9, now() - interval '11 minutes'), ('gone', 9, now() - interval '2 days');
        INSERT INTO evidence (slice_no, instance_id, provider, model_name, complexity_level, routed, successes, failures)
        VALUES (1, 'newest', 'p', 'm', 'simple', 5, 3, 1), (1, 'newest', 'q', 'm', 'complex', 0, 2, 0);
        """
    )
    open_finding(connection, "quarantined_instance", "settled")
    found = {each.instance_id: each for each in INSTANCES.read(connection)}
    assert {name for name, each in found.items() if each.is_behind} == {"behind", "silent"}
    assert {name for name, each in found.items() if each.is_silent} == {"silent", "gone"}
    assert {name for name, each in found.items() if each.quarantine} == {"settled"}
    assert (found["newest"].decisions, found["newest"].versions_behind, found["behind"].versions_behind) == (6, 0, 2)
    ((name, model, decisions, successes, failures),) = INSTANCE_MODELS.read(connection)
    assert (name, model, decisions, successes, failures) == ("newest", "m", 6, 5, 1)


def test_dead_letters_are_counted_by_field_without_their_texts(connection: psycopg.Connection[Any]) -> None:
    connection.execute(
        """
        INSERT INTO dead_letters (queue_name, msg_id, enqueued_at, message, reason, field, created_at, resolution) VALUES
            ('q', 1, now(), 'secret', 'older', 'a', now() - interval '3 hours', NULL),
            ('q', 2, now(), 'secret', 'newest', 'a', now(), NULL),
            ('q', 3, now(), 'secret', 'replayed', 'a', now(), 'replayed'),
            ('q', 4, now(), 'secret', 'b', 'b', now(), NULL)
        """
    )
    found = LETTERS.read(connection)
    assert [(each.field, each.letters, each.new, each.reason) for each in found] == [
        ("a", 2, 1, "newest"),
        ("b", 1, 1, "b"),
    ]
    assert "secret" not in repr(found)


def test_the_log_is_filtered_and_read_page_by_page(connection: psycopg.Connection[Any]) -> None:
    for number in range(60):
        who = "ana" if number % 2 else "bo"
        record_action(connection, Operator(who, "cli", "h"), Action.PIN, f"m{number}/simple", after={"pin": 2})
    record_action(connection, Operator("ana", "web", "h"), Action.FREEZE, "scores", after={"reason": "100% sure"})
    first = read_actions(connection)
    assert (len(first), first[0].action) == (51, "freeze")
    second = read_actions(connection, ActionFilter(until_id=first[-1].id))
    assert [each.subject for each in second] == [f"m{number}/simple" for number in range(10, -1, -1)]
    assert {each.who.partition(" ")[0] for each in read_actions(connection, ActionFilter(who="BO"))} == {"bo"}
    assert [each.subject for each in read_actions(connection, ActionFilter(action="freeze"))] == ["scores"]
    assert [each.subject for each in read_actions(connection, ActionFilter(subject="M59/"))] == ["m59/simple"]
    assert read_actions(connection, ActionFilter(subject="%")) == ()
    assert read_actions(connection, ActionFilter(since=datetime.now(UTC) + timedelta(days=1))) == ()


def test_a_large_value_of_the_log_loses_its_lists_first(connection: psycopg.Connection[Any]) -> None:
    scores = {f"model-{number}/simple": 3.0 for number in range(2000)}
    record_action(
        connection, Operator("ana", "cli", "h"), Action.ROLLBACK, "scores", after={"to_version": 7, "scores": scores}
    )
    (row,) = read_actions(connection)
    assert (row.values[1], row.is_cut) == ({"to_version": 7}, True)


def test_the_pages_of_an_empty_database_say_so_and_have_no_empty_card(database: Database) -> None:
    pages = {page.name: html for page, html in _rendered(database)}
    assert "Nothing can have gone wrong yet" in pages["incidents"]
    assert "<section" not in pages["incidents"]
    assert "No instance is registered" in pages["fleet"]
    assert "could be ingested" not in pages["fleet"]
    assert "late or lost" not in pages["fleet"]
    assert "No operator has changed anything" in pages["activity"]


def test_the_dashboard_role_reads_every_source_of_these_pages(server: str) -> None:
    with a_fleet(server) as some_fleet, Database(some_fleet.dashboard, application_name="tests") as database:
        assert len(dict(_read(database))) >= 15


@pytest.mark.parametrize(("seen_at", "running"), [("-1 minute", 1), ("-1 hour", 0), ("1 minute", 1), ("1 hour", 0)])
def test_a_daemon_that_was_seen_by_a_clock_far_ahead_does_not_count_as_running(
    database: Database, connection: psycopg.Connection[Any], seen_at: str, running: int
) -> None:
    connection.execute(
        "INSERT INTO ingest_workers (host, process, batch_size, seen_at) VALUES ('h', '1', 1, now() + %s::interval)",
        (seen_at,),
    )
    workers = WORKERS.read(connection)
    assert (FLEET.read(connection).workers, sum(each.is_running for each in workers)) == (running, running)
    connection.commit()
    assert fleet_status(database, measure_seconds=0.0)["workers"][0]["running"] == bool(running)


def test_no_name_can_break_a_page(database: Database, database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        for name in HOSTILE:
            open_finding(connection, subject=f"{name}/complex", details={"model": name, "complexity": "complex"})
            open_finding(connection, "task_degraded", f"{name} of host", {"task": name})
            open_finding(connection, "publication_withheld", name, minutes_ago=90, closed_days_ago=0.01)
            connection.execute("INSERT INTO instances (instance_id, applied_version) VALUES (%s, 0)", (name,))
            connection.execute(
                "INSERT INTO ingest_workers (host, process, batch_size) VALUES (%s, %s, 1)", (name, name)
            )
            connection.execute("INSERT INTO leases VALUES (%s, %s, now() + interval '1 hour')", (name, name))
            connection.execute(
                "INSERT INTO dead_letters (queue_name, msg_id, enqueued_at, reason, field) VALUES ('q', 1, now(), %s, %s)",
                (name, name),
            )
            operator = Operator(name, "cli", name, name)
            for action in SOME_ACTIONS:
                record_action(
                    connection, operator, action, name, before={name: name}, after={name: name, "value": name}
                )
    for page, html in _rendered(database, instance=HOSTILE[0]):
        assert "<script>alert" not in html, page.name
        assert "\u202e" not in html, page.name
        assert "right \\u202e left" in html, page.name


def _read(database: Database) -> Iterator[tuple[str, object]]:
    with database.transaction() as connection:
        sources = {source.name: source for page in PAGES for source in page.sources}
        for name, source in sources.items():
            yield name, source.read(connection)


def _rendered(database: Database, **query: str) -> Iterator[tuple[Page, str]]:
    """Yield the three pages with their fragments."""
    values = dict(_read(database))
    renderer = Renderer(Assets(), PAGES)
    snapshot = Snapshot(1, datetime.now(UTC), values)

    async def models(page: Page) -> dict[str, object]:
        context = PageContext(snapshot, query, ZoneInfo("UTC"), datetime.now(UTC), Lookups(database))
        return dict(await page.build(context))

    for page in PAGES:
        found = asyncio.run(models(page))
        yield page, "".join(renderer.fragment(page, name, model, ZoneInfo("UTC")) for name, model in found.items())
