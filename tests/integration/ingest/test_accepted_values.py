"""Values in the forms of other languages and systems, through the whole ingest: nothing is lost or counted twice."""

import random
import string

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from support.events import an_event, outcomes, send
from support.operators import OPERATOR
from support.repository import REPOSITORY
from support.servers import execute

from centralcloud.administration.dead_letters import Filter, replay
from centralcloud.administration.fleet_settings import change_setting
from centralcloud.administration.verification import verify
from centralcloud.fleet_settings import FleetSettingsSource
from centralcloud.ingest.batch_ingest import BatchResult
from centralcloud.ingest.drain import drain
from centralcloud.monitoring.finding_detector import FindingDetector, list_findings
from centralcloud.monitoring.reports import ModelMetrics
from centralcloud.runtime.postgres.database import Database
from centralcloud.settings import Settings
from centralcloud.store.slices import close_slice

_SQL = REPOSITORY / "migrations" / "sql"


def ingest(database: Database) -> BatchResult:
    return drain(database, batch_size=1000, max_attempts=1).result


def test_a_resend_with_an_integer_as_its_id_is_a_duplicate(database: Database, database_url: str) -> None:
    events = [an_event(decision_id=number, outcome="success") for number in range(100)]
    send(database_url, [*events, *events, an_event(decision_id="7", outcome="success")])
    assert ingest(database) == BatchResult(records=100, duplicates=101)
    with database.transaction() as connection:
        (row,) = ModelMetrics(connection).all()
    assert row["usage_count"] == 100
    assert verify(database).ok


def test_one_model_in_several_forms_is_one_pair_and_a_policy_failure_is_blameless(
    database: Database, database_url: str
) -> None:
    names = ("café", "cafe\u0301", " café ", "café\n")
    send(database_url, [an_event(selected_model=name, outcome="error", error_kind="Policy") for name in names])
    assert ingest(database) == BatchResult(records=4)
    with database.transaction() as connection:
        (row,) = ModelMetrics(connection).all()
    assert (row["model"], row["blameless_count"], row["failure_count"]) == ("café", 4, 0)


def test_the_longest_names_fit_every_index(database: Database, database_url: str) -> None:
    rng = random.Random(1)

    def random_name(alphabet: range, length: int) -> str:
        return "".join(chr(rng.choice(alphabet)) for _ in range(length))  # which does not compress

    han = range(0x4E00, 0x9FA6)
    events = [
        an_event(
            random_name(range(0x20000, 0x2A6D6), 200),
            selected_model=random_name(han, 300),
            selected_provider=random_name(han, 300),
            decision_id=random_name(range(0x20000, 0x2A6D6), 200),
            outcome="success",
        ),
        an_event(selected_model="".join(rng.choices(string.printable[:94], k=512)), selected_provider="p" * 512),
    ]
    send(database_url, events)
    assert ingest(database) == BatchResult(records=2)
    close_slice(database)
    assert execute(database_url, "SELECT count(*) FROM evidence") == [(2,)]
    assert verify(database).ok


def test_an_operators_word_counts_from_the_next_batch_on_and_old_letters_are_replayed(
    database: Database, database_url: str
) -> None:
    send(database_url, [an_event(complexity="urgent"), an_event(complexity="low")])
    assert ingest(database) == BatchResult(records=1, dead_letters=1)
    source = FleetSettingsSource(Settings())
    change = change_setting(database, "words.complexity", "Urgent = complex", OPERATOR, check=source.check)
    assert change.after == "urgent=complex"
    assert replay(database, Filter(), [], OPERATOR).sent == 1
    send(database_url, [an_event(complexity="URGENT", outcome="timeout"), an_event(complexity="vital")])
    assert ingest(database) == BatchResult(records=2, dead_letters=1)
    rows = execute(database_url, "SELECT complexity, outcome, error_kind FROM routing_records ORDER BY id")
    assert rows == [("simple", "routed", None), ("complex", "routed", None), ("complex", "failure", "timeout")]


def test_words_that_the_database_has_in_a_wrong_form_are_logged_and_stop_nothing(
    database: Database, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    execute(database_url, "INSERT INTO fleet_settings (name, value) VALUES ('words.complexity', '\"urgent\"')")
    send(database_url, [an_event(complexity="urgent"), an_event(complexity="low")])
    assert ingest(database) == BatchResult(records=1, dead_letters=1)
    assert sum("operator_words_unusable" in str(record.msg) for record in caplog.records) == 1


def test_ignored_values_are_counted_by_the_hours_of_utc_whatever_the_time_zone_of_the_login_is(
    database: Database, database_url: str
) -> None:
    """Hours begin at another minute in Kolkata."""
    elsewhere = make_conninfo(database_url, options="-c TimeZone=Asia/Kolkata")
    for url in (database_url, elsewhere):
        with Database(url, application_name="tests") as own:
            send(database_url, [an_event(cost_usd="free")])
            assert ingest(own) == BatchResult(records=1)
    assert execute(
        database_url, "SELECT messages, date_trunc('hour', now(), 'UTC') - hour < interval '1 hour' FROM ignored_values"
    ) == [(2, True)]


def test_values_that_are_ignored_are_counted_by_field_and_become_findings(
    database: Database, database_url: str
) -> None:
    wrong = [
        *(an_event("edge-1", cost_usd=f"{number} cents", decision_id=f"a{number}") for number in range(12)),
        *(an_event("edge-2", outcome="failure", error_kind=f"bug\x1b{number}") for number in range(11)),
        *({**an_event("edge-3"), "decision_id": str(number)} for number in range(10)),
        *(an_event("edge-4", inputTokens=7) for _ in range(9)),
        an_event(probe=True),
    ]
    send(database_url, [*wrong, *wrong[:12]])
    assert ingest(database) == BatchResult(records=43, duplicates=12)
    send(database_url, [an_event("edge-5", cost_usd="cheap")])
    ingest(database)
    close_slice(database)
    counted = execute(database_url, "SELECT field, messages, example, instance_id FROM ignored_values ORDER BY field")
    assert counted == [
        ("routing_decision.cost_usd", 13, 'cost_usd: "cheap"', "edge-5"),
        ("routing_decision.decision_id", 10, 'decision_id: "9"', "edge-3"),
        ("routing_decision.error_kind", 11, 'error_kind: "bug\\x1b10"', "edge-2"),
        ("routing_decision.input_tokens", 9, "inputTokens: 7", "edge-4"),
    ]
    execute(database_url, "INSERT INTO ignored_values VALUES (now() - interval '49 hours', 'timestamp', 99, 'x', 'y')")
    FindingDetector(database).run_once()
    with database.transaction() as connection:
        found = {(row["kind"], row["subject"]): row for row in list_findings(connection)}
    about_values = {key: row for key, row in found.items() if key[0] in ("values_ignored", "unknown_error_kind")}
    assert set(about_values) == {
        ("values_ignored", "routing_decision.cost_usd"),
        ("values_ignored", "routing_decision.decision_id"),
        ("unknown_error_kind", "routing_decision.error_kind"),
    }
    assert about_values["values_ignored", "routing_decision.cost_usd"]["traffic_share"] == pytest.approx(13 / 44)
    assert execute(database_url, "SELECT count(*) FROM ignored_values WHERE field = 'timestamp'") == [(0,)]


def test_two_providers_are_compared_by_their_costs(database: Database, database_url: str) -> None:
    send(database_url, outcomes(60, 60, selected_provider="free", time_ms=8))
    send(database_url, outcomes(10, 0, selected_provider="paid", cost_usd="0.0021"))
    ingest(database)
    close_slice(database)
    FindingDetector(database).run_once()
    with database.transaction() as connection:
        found = {row["kind"]: row for row in list_findings(connection)}
    assert found["missing_cost"]["subject"] == "free"
    assert found["too_fast"]["subject"] == "gpt-4o/complex of free"
    assert found["too_fast"]["traffic_share"] == pytest.approx(120 / 130)


def test_a_worker_may_count_ignored_values(database: Database, database_url: str) -> None:
    """The migration grants the new table to the roles that were workers before it."""
    with psycopg.connect(database_url) as connection:
        connection.execute("CREATE ROLE worker_before_0009")
        try:
            connection.execute(
                "GRANT EXECUTE ON FUNCTION centralcloud.drop_expired_partition(interval) TO worker_before_0009"
            )
            connection.execute("DROP TABLE ignored_values")
            for name in ("0009_ignored_values", "0009_grants"):
                connection.execute((_SQL / f"{name}.sql").read_bytes())
            granted = connection.execute(
                "SELECT has_table_privilege('worker_before_0009', 'ignored_values', 'SELECT, INSERT, UPDATE, DELETE')"
            ).fetchone()
            assert granted == (True,)
        finally:
            connection.rollback()
