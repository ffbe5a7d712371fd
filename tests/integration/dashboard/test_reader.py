"""The reader: tiers, outages, rights, pace."""

from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from support.servers import execute
from support.tcp_proxy import TcpProxy

from centralcloud.dashboard.reader.reader import Reader
from centralcloud.dashboard.reader.source import Source, Tier
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.errors import DatabaseUnavailableError
from centralcloud.store.schema_revision import SchemaError


class Counted:
    """A source that counts its reads."""

    def __init__(self, tier: Tier, read: Callable[[psycopg.Connection[Any]], object] = lambda _: 1) -> None:
        self.reads = 0
        self._read = read
        self.source = Source(f"counted {id(self)}", tier, self.read)

    def read(self, connection: psycopg.Connection[Any]) -> object:
        self.reads += 1
        return self._read(connection)


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def publish_score(database_url: str, version: int) -> None:
    execute(
        database_url,
        "INSERT INTO model_scores (model_name, complexity_level, score, version, reason, rule, based_on_samples,"
        f" evaluated_through_slice) VALUES ('m', 'simple', 3, {version}, 'r', 'threshold', 9, 1)"
        f" ON CONFLICT (model_name, complexity_level) DO UPDATE SET version = {version}",
    )


def test_each_source_is_read_as_often_as_its_tier_says(database: Database, database_url: str) -> None:
    clock = Clock()
    sources = {tier: Counted(tier) for tier in Tier}
    reader = Reader(database, [each.source for each in sources.values()], clock=clock)
    for second in range(61):
        clock.now = 100.0 + second
        reader.run_once()
    assert {tier: each.reads for tier, each in sources.items()} == {
        Tier.SECOND: 61,
        Tier.SCORES: 3,
        Tier.QUARTER: 5,
        Tier.MINUTE: 2,
    }
    publish_score(database_url, 5)
    reader.run_once()
    reader.run_once()
    assert sources[Tier.SCORES].reads == 4, "a new version is read at once, and once"
    assert reader.snapshot.read_at is not None


def test_a_value_that_has_not_changed_is_the_same_object(database: Database) -> None:
    source = Counted(Tier.SECOND, lambda _: ("a", "b")).source
    reader = Reader(database, [source])
    reader.run_once()
    first = reader.snapshot.of(source)
    reader.run_once()
    assert reader.snapshot.of(source) is first
    assert reader.snapshot.number == 2


def test_a_source_that_takes_long_is_read_less_often(database: Database) -> None:
    clock = Clock()

    def slowly(_: object) -> int:
        clock.now += 0.5
        return 1

    slow = Counted(Tier.SECOND, slowly)
    reader = Reader(database, [slow.source], clock=clock)
    for _ in range(50):
        reader.run_once()
        clock.now += 1.0
    assert slow.reads in (2, 3), "half a second is at most 2% of the time"


def test_an_outage_keeps_the_values_and_says_since_when(database_url: str, proxy: TcpProxy) -> None:
    source = Counted(Tier.SECOND).source
    with Database(f"{proxy.url} connect_timeout=2", application_name="tests") as database:
        reader = Reader(database, [source])
        reader.run_once()
        read_at = reader.snapshot.read_at
        proxy.pause()
        proxy.cut()
        with pytest.raises(DatabaseUnavailableError):
            reader.run_once()
        snapshot = reader.snapshot
        assert snapshot.outage is not None
        assert snapshot.outage.since is not None
        assert (snapshot.of(source), snapshot.read_at) == (1, read_at)
        proxy.resume()
        reader.run_once()
        assert reader.snapshot.outage is None


def test_a_part_that_may_not_be_read_leaves_the_others(database: Database, database_url: str) -> None:
    execute(database_url, "CREATE TABLE secret (number integer)")
    denied = Counted(Tier.SECOND, lambda connection: connection.execute("SELECT 1 FROM secret").fetchone())
    other = Counted(Tier.SECOND)

    def as_reader(connection: psycopg.Connection[Any]) -> int:
        connection.execute("SET LOCAL ROLE pg_monitor")
        return 1

    role = Source("role", Tier.SECOND, as_reader)
    reader = Reader(database, [role, denied.source, other.source])
    reader.run_once()
    assert reader.snapshot.of(other.source) == 1
    assert reader.snapshot.of(denied.source) is None
    problem = reader.snapshot.denied[denied.source.name]
    assert problem.reason.startswith("permission denied for table secret: ")
    assert problem.command == "centralcloud grants --apply"
    reader.run_once()
    assert denied.reads == 1, "it is tried again after ten seconds"


def test_a_part_that_cannot_be_read_any_more_is_not_shown_as_it_was(database: Database, database_url: str) -> None:
    execute(database_url, "CREATE TABLE until (at timestamptz); INSERT INTO until VALUES (now())")
    clock = Clock()
    until = Counted(Tier.SECOND, lambda connection: connection.execute("SELECT at FROM until").fetchone())
    other = Counted(Tier.SECOND)
    reader = Reader(database, [until.source, other.source], clock=clock)
    reader.run_once()
    assert reader.snapshot.of(until.source) is not None
    execute(database_url, "UPDATE until SET at = 'infinity'")
    clock.now += 1
    reader.run_once()
    assert (reader.snapshot.of(until.source), reader.snapshot.of(other.source)) == (None, 1)
    assert (reader.snapshot.outage, other.reads) == (None, 2)
    problem = reader.snapshot.denied[until.source.name]
    assert problem.reason == f"{until.source.name}: timestamp too large (after year 10K): 'infinity'"
    execute(database_url, "UPDATE until SET at = now()")
    clock.now += 11
    reader.run_once()
    assert (reader.snapshot.of(until.source) is None, dict(reader.snapshot.denied)) == (False, {})


def test_a_schema_that_did_not_fit_for_long_is_read_again_within_seconds(database: Database) -> None:
    reader = Reader(database, [])
    waits = [reader._degrade(SchemaError("x")) for _ in range(20)]
    assert max(waits) <= 3.0


def test_a_schema_that_changes_under_the_pages_is_noticed_within_seconds(database: Database, database_url: str) -> None:
    clock = Clock()
    reader = Reader(database, [], clock=clock)
    reader.run_once()
    execute(database_url, "UPDATE centralcloud.schema_revision SET version_num = '0024'")
    clock.now += 11
    with pytest.raises(SchemaError):
        reader.run_once()
    assert reader.snapshot.outage is not None
    assert reader.snapshot.outage.problem.command == "centralcloud migrate"


def test_without_viewers_it_reads_seldom_and_the_next_one_wakes_it(database: Database) -> None:
    clock = Clock()
    reader = Reader(database, [], clock=clock)
    reader.run_once()
    assert reader.interval_seconds == 1.0
    clock.now += 61
    reader.run_once()
    assert reader.interval_seconds == 15.0
    reader.viewed()
    assert reader._wake.is_set()
    reader.run_once()
    assert reader.interval_seconds == 1.0
