"""Ingest: each event counts once, malformed ones are dead-lettered with a reason, and no error loses a message."""

import io
import json
import random
import re
import subprocess
from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from support.commands import start_command
from support.events import an_event, outcomes, random_events, send, send_texts
from support.malformed import MALFORMED
from support.recount import recount
from support.servers import execute, with_database
from support.waiting import eventually

from centralcloud.administration.verification import verify
from centralcloud.ingest.batch_ingest import BatchResult, ingest_batch
from centralcloud.ingest.consumer import Consumer
from centralcloud.ingest.drain import drain
from centralcloud.ingest.file_publisher import MAX_LINE_BYTES, bounded_lines, publish_lines
from centralcloud.ingest.metrics import IngestMetrics
from centralcloud.ingest.slow_path import SlowPath
from centralcloud.monitoring.reports import ModelMetrics
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.errors import DatabaseUnavailableError
from centralcloud.store.schema import migrate
from centralcloud.store.sequences import SequencesBehindError
from centralcloud.store.slices import close_slice


def ingest_all(database: Database, batch_size: int = 1000, max_attempts: int = 1) -> BatchResult:
    return drain(database, batch_size=batch_size, max_attempts=max_attempts).result


def metrics_of(database: Database) -> dict[tuple[str, str], dict]:
    with database.transaction() as connection:
        return {(row["model"], row["complexity"]): row for row in ModelMetrics(connection).all()}


def test_an_event_becomes_a_record_with_every_column(database: Database, database_url: str) -> None:
    event = an_event(
        outcome="Failure",
        response_time_ms=812.5,
        capabilities_required=["vision", "über"],
        prefer="speed",
        user_model_request="gpt-4o",
        decision_id="d-1",
        input_tokens=10,
        output_tokens=20,
        cost_usd=0.125,
        error_kind="provider",
        task_type="code",
        propensity=0.5,
        score_version=3,
        alternate_models=["a", "b"],
    )
    send(database_url, [event])
    assert ingest_all(database) == BatchResult(records=1)
    (row,) = execute(
        database_url,
        """
        SELECT timestamp = '2026-11-01 12:00:00+00', instance_id, complexity, model, provider, score, outcome,
               response_time_ms, capabilities_required, preference, user_model_request, decision_id, input_tokens,
               output_tokens, cost_usd, error_kind, task_type, propensity, score_version, slice_no, extra,
               created_at > now() - interval '1 hour'
        FROM routing_records
        """,
    )
    assert row == (
        True, "singularity-1", "complex", "gpt-4o", "github_models", 4.8, "failure",
        812, ["vision", "über"], "speed", "gpt-4o", "d-1", 10,
        20, 0.125, "provider", "code", 0.5, 3, 1, {"alternate_models": ["a", "b"]}, True,
    )  # fmt: skip


def test_extreme_valid_values_are_stored(database: Database, database_url: str) -> None:
    text = json.dumps(an_event(note="NUMBER", response_time_ms=2147483647, cost_usd=1e9))
    send_texts(
        database_url, [text.replace('"NUMBER"', "1" + "0" * 400), json.dumps(an_event(note="\U0001f600" * 1000))]
    )
    assert ingest_all(database) == BatchResult(records=2)
    digits = execute(database_url, "SELECT length(extra->>'note') FROM routing_records ORDER BY id")
    assert digits == [(401,), (1000,)]


def test_every_malformed_event_is_dead_lettered_with_its_reason_and_the_others_count(
    database: Database, database_url: str
) -> None:
    texts: list[str | None] = []
    for text, _, _ in MALFORMED.values():
        texts += [json.dumps(an_event(outcome="success")), text]
    send_texts(database_url, texts)
    result = ingest_all(database, batch_size=7)
    assert result == BatchResult(records=len(MALFORMED), dead_letters=len(MALFORMED))
    letters = execute(database_url, "SELECT message, reason, field, queue_name FROM dead_letters ORDER BY msg_id")
    for (kind, (text, field, words)), letter in zip(MALFORMED.items(), letters, strict=True):
        message, reason, letter_field, queue = letter
        assert letter_field == field, kind
        assert reason.startswith(f"{field}: found "), kind
        assert words in reason, kind
        assert queue == "model_routing_decisions"
        same = execute(database_url, "SELECT %s::jsonb IS NOT DISTINCT FROM %s::jsonb", (message, text))
        assert same == [(True,)], f"the whole message is kept: {kind}"
    assert execute(database_url, "SELECT count(*) FROM pgmq.q_model_routing_decisions") == [(0,)]
    assert metrics_of(database)["gpt-4o", "complex"]["success_count"] == len(MALFORMED)


def test_only_the_messages_that_the_database_refuses_are_dead_lettered(database: Database, database_url: str) -> None:
    execute(database_url, "ALTER TABLE routing_records ADD CONSTRAINT no_poison CHECK (model <> 'poison')")
    send(database_url, [an_event(selected_model=name) for name in ("a", "poison", "b", "poison", "c")])
    assert ingest_all(database) == BatchResult(records=3, dead_letters=2)
    letters = execute(
        database_url, "SELECT field, reason, message::jsonb #>> '{routing_decision,selected_model}' FROM dead_letters"
    )
    assert [letter[0] for letter in letters] == ["database", "database"]
    assert all("23514" in letter[1] and letter[2] == "poison" for letter in letters)


def test_every_depth_of_nesting_is_ingested_or_dead_lettered(database: Database, database_url: str) -> None:
    """JSON that can be decoded at one depth of Python's stack may be nested too deeply to be encoded at another."""
    nested = ["[" * depth + "]" * depth for depth in range(900, 1010)]
    inside = [json.dumps(an_event(note="NESTED")).replace('"NESTED"', text) for text in nested]
    around = [json.dumps({**an_event(), "note": "NESTED"}).replace('"NESTED"', text) for text in nested]
    send_texts(database_url, [*inside, *around])
    consumer = Consumer(database, batch_size=50, poll_interval_seconds=0.01)
    consumer.start()  # in a thread, whose stack has another depth
    left = "SELECT count(*) FROM pgmq.q_model_routing_decisions"
    try:
        eventually(lambda: execute(database_url, left) == [(110,)] or execute(database_url, left) == [(0,)])
    finally:
        consumer.stop()
    assert consumer.join(5)
    ingest_all(database)
    counts = "SELECT (SELECT count(*) FROM routing_records) + (SELECT count(*) FROM dead_letters)"
    assert execute(database_url, counts) == [(220,)]


def test_a_message_that_is_far_too_large_is_dead_lettered_whole(database: Database, database_url: str) -> None:
    huge = json.dumps(an_event(note="x" * 3_000_000))
    send_texts(database_url, [huge, json.dumps(an_event()), huge, json.dumps(an_event(selected_model="poison"))])
    execute(database_url, "ALTER TABLE routing_records ADD CONSTRAINT no_poison CHECK (model <> 'poison')")
    assert ingest_all(database) == BatchResult(records=1, dead_letters=3)  # one by one, because of the poison
    send_texts(database_url, [huge, json.dumps(an_event())])
    assert ingest_all(database) == BatchResult(records=1, dead_letters=1)  # as a batch
    letters = execute(
        database_url, "SELECT length(message), reason FROM dead_letters WHERE field = 'message' ORDER BY msg_id"
    )
    assert [length > 3_000_000 for length, _ in letters] == [True] * 3
    assert {reason.split()[0] + reason[-29:] for _, reason in letters} == {"message:expected at most 262144 bytes"}


def test_a_message_that_postgresql_cannot_print_is_archived(database: Database, database_url: str) -> None:
    """Some kilobytes of numbers with huge exponents are more than a gigabyte of digits."""
    available_kb = int(re.findall(r"MemAvailable: +(\d+)", Path("/proc/meminfo").read_text())[0])
    if available_kb < 4_000_000:
        pytest.skip(f"needs 4 GB of memory for the server to fail in, {available_kb // 1000} MB are available")
    bomb = '{"numbers": [' + ",".join(["1e131071"] * 9000) + "]}"
    send_texts(database_url, [json.dumps(an_event()), bomb, json.dumps(an_event())])
    assert ingest_all(database) == BatchResult(records=2, dead_letters=1)
    ((message, reason, msg_id),) = execute(database_url, "SELECT message, reason, msg_id FROM dead_letters")
    assert message is None
    assert "54000" in reason
    assert "pgmq.a_model_routing_decisions" in reason
    assert execute(database_url, "SELECT msg_id FROM pgmq.a_model_routing_decisions") == [(msg_id,)]


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
def test_databases_of_other_encodings_accept_the_text_that_they_can_store(server: str, encoding: str) -> None:
    name = f"cc_encoding_{encoding.lower()}"
    url = with_database(server, name)
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f"DROP DATABASE IF EXISTS {name}")
        admin.execute(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING '{encoding}' LOCALE 'C'")
        try:
            with Database(url, application_name="tests") as database:
                migrate(database)
                lines = [
                    json.dumps(an_event(selected_model=m), ensure_ascii=False).encode() for m in ("a", "日本", "é")
                ]
                refusals: list[int] = []
                published = publish_lines(database, lines, on_refusal=lambda refusal: refusals.append(refusal.number))
                drained = drain(database, batch_size=10).result
            if encoding == "LATIN1":
                assert (refusals, published.sent, drained.records) == ([2], 2, 2)
            else:
                assert (refusals, published.sent, drained.records) == ([], 3, 3)
        finally:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_a_missing_partition_is_created_and_no_event_is_lost(database: Database, database_url: str) -> None:
    for (name,) in execute(
        database_url, "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'routing_records'::regclass"
    ):
        execute(database_url, f"DROP TABLE {name}")
    send(database_url, [an_event() for _ in range(5)])
    assert ingest_all(database) == BatchResult(records=5)


def test_a_drain_waits_for_messages_that_another_transaction_holds(database: Database, database_url: str) -> None:
    """The other consumer may release them."""
    send(database_url, [an_event() for _ in range(10)])
    with psycopg.connect(database_url) as other:
        other.execute("SELECT * FROM pgmq.pop('model_routing_decisions', 10)")
        with open_log() as log:
            process = start_command("centralcloud", "drain", "--json", env={"DATABASE_URL": database_url}, log=log)
            eventually(
                lambda: execute(
                    database_url,
                    "SELECT count(*) > 0 FROM pg_stat_activity WHERE application_name = 'centralcloud/drain'",
                )[0][0]
            )
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(timeout=1.5)
            other.rollback()
            assert process.wait(timeout=20) == 0
            log.seek(0)
            assert json.loads(log.read())["records"] == 10


def open_log():
    import tempfile

    return tempfile.TemporaryFile("w+")


def test_messages_that_are_not_visible_yet_stay_in_the_queue(database: Database, database_url: str) -> None:
    execute(database_url, "SELECT pgmq.send('model_routing_decisions', '{}', 3600)")
    assert ingest_all(database) == BatchResult()


def test_two_drains_of_one_queue_ingest_every_event_once(database: Database, database_url: str) -> None:
    rng = random.Random(5)
    events = random_events(20_000, rng)
    for number, event in enumerate(events):
        if number % 2:
            event["routing_decision"]["decision_id"] = f"d-{number}"
    with database.transaction() as connection:
        connection.execute(
            "SELECT pgmq.send_batch('model_routing_decisions', %s::jsonb[])", ([json.dumps(event) for event in events],)
        )
    env = {"DATABASE_URL": database_url, "CENTRALCLOUD_BATCH_SIZE": "200"}
    processes = [start_command("centralcloud", "drain", "--json", env=env, log=subprocess.PIPE) for _ in range(2)]
    reports = [json.loads(process.communicate(timeout=120)[0]) for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert sum(report["records"] for report in reports) == 20_000
    assert all(report["events"] > 0 for report in reports), "both took part"
    assert execute(
        database_url, "SELECT count(*), count(decision_id), count(DISTINCT decision_id) FROM routing_records"
    ) == [(20_000, 10_000, 10_000)]
    assert_counters(database, events)


def test_the_same_decisions_sent_to_two_consumers_at_once_count_once(database: Database, database_url: str) -> None:
    events = [an_event(decision_id=f"d-{n}", outcome=o) for n in range(500) for o in ("routed", "success")]
    with database.transaction() as connection:
        for _ in range(4):
            connection.execute(
                "SELECT pgmq.send_batch('model_routing_decisions', %s::jsonb[])", ([json.dumps(e) for e in events],)
            )
    env = {"DATABASE_URL": database_url, "CENTRALCLOUD_BATCH_SIZE": "50"}
    processes = [start_command("centralcloud", "drain", "--json", env=env, log=subprocess.PIPE) for _ in range(2)]
    reports = [json.loads(process.communicate(timeout=120)[0]) for process in processes]
    assert sum(report["records"] for report in reports) == 1000
    assert sum(report["duplicates"] for report in reports) == 3000
    row = metrics_of(database)["gpt-4o", "complex"]
    assert (row["usage_count"], row["routed_count"], row["success_count"]) == (500, 500, 500)


def test_response_times_keep_the_newest_hundred_and_exact_sums(database: Database, database_url: str) -> None:
    send(database_url, [an_event(response_time_ms=number) for number in range(250)])
    ingest_all(database, batch_size=30)
    (row,) = execute(
        database_url,
        "SELECT response_times, response_time_count, response_time_sum_ms, avg_response_time FROM model_routing_metrics",
    )
    assert row == (list(range(150, 250)), 250, sum(range(250)), sum(range(250)) / 250)


def test_the_python_api_has_the_specifications_model_metrics(database: Database, database_url: str) -> None:
    send(database_url, [*outcomes(90, 10, time_ms=40), an_event(complexity="simple")])
    ingest_all(database)
    with database.transaction() as connection:
        metrics = ModelMetrics(connection)
        assert metrics.get_usage("gpt-4o", "complex") == 100
        assert metrics.get_success_rate("gpt-4o", "complex") == 0.9
        assert metrics.get_avg_response_time("gpt-4o", "complex") == 40
        assert metrics.get_success_rate("gpt-4o", "simple") is None
        assert metrics.get_usage("unknown", "simple") == 0
        assert [(row["model"], row["complexity"]) for row in metrics.high_usage_pairs()] == [("gpt-4o", "complex")]


def test_the_dashboards_views_answer(database: Database, database_url: str) -> None:
    events = outcomes(3, 1, time_ms=100) + [an_event() for _ in range(8)]
    for event in events:
        event["timestamp"] = execute(database_url, "SELECT now()")[0][0].isoformat()
    send(database_url, events)
    ingest_all(database)
    assert execute(database_url, "SELECT instance_id, model, usage_count FROM dashboard_models_per_instance") == [
        ("singularity-1", "gpt-4o", 8)
    ]
    rates = (
        "SELECT model_name, complexity_level, success_rate, success_per_use, usage_count FROM dashboard_success_rates"
    )
    (row,) = execute(database_url, rates)
    assert (*row[:2], float(row[2]), float(row[3]), row[4]) == ("gpt-4o", "complex", 75.0, 37.5, 8)
    assert execute(
        database_url, "SELECT model_name, complexity_level, avg_ms, max_ms FROM dashboard_response_times"
    ) == [("gpt-4o", "complex", 100, 100.0)]


_DECISIONS = st.lists(
    st.fixed_dictionaries(
        {
            "instance": st.sampled_from("ab"),
            "selected_model": st.sampled_from(["m", "n"]),
            "complexity": st.sampled_from(["simple", "Complex"]),
            "outcome": st.sampled_from(["routed", "success", "failure"]),
            "decision_id": st.none() | st.sampled_from(["1", "2", "3", "4"]),
            "error_kind": st.none() | st.sampled_from(["caller", "policy", "provider", "timeout"]),
            "response_time_ms": st.none() | st.integers(0, 5000),
            "complexity_score": st.sampled_from([0.0, 1.5, 5.0]),
        }
    ),
    min_size=1,
    max_size=40,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(decisions=_DECISIONS, batch_size=st.integers(1, 12))
def test_the_counters_equal_a_plain_recount(
    database: Database, database_url: str, decisions: list[dict], batch_size: int
) -> None:
    """Linked and unlinked decisions, resends, outcomes before their decision, contradicting outcomes; in any batches."""
    execute(database_url, "TRUNCATE routing_records, model_routing_metrics, evidence, decision_ids, dead_letters")
    events = [
        an_event(decision["instance"], **{k: v for k, v in decision.items() if k != "instance"})
        for decision in decisions
    ]
    send(database_url, events)
    result = ingest_all(database, batch_size=batch_size)
    expected = recount(events)
    assert (result.records, result.duplicates, result.dead_letters) == (expected.records, expected.duplicates, 0)
    assert_counters(database, events)


def assert_counters(database: Database, events: list[dict]) -> None:
    """Metrics and evidence equal a plain recount of the events."""
    close_slice(database)
    expected = recount(events)
    found = metrics_of(database)
    assert set(found) == set(expected.pairs)
    for key, pair in expected.pairs.items():
        row = found[key]
        assert row["usage_count"] == pair.usage, key
        assert (row["routed_count"], row["success_count"]) == (pair.routed, pair.success), key
        assert (row["failure_count"], row["blameless_count"]) == (pair.failure, pair.blameless), key
        assert (row["response_time_count"], row["response_time_sum_ms"]) == (len(pair.times), sum(pair.times)), key
    with database.transaction() as connection:
        evidence = connection.execute(
            """
            SELECT model_name, complexity_level, sum(routed), sum(successes), sum(failures), sum(blameless),
                   sum(response_time_count), sum(response_time_sum_ms)
            FROM evidence GROUP BY 1, 2
            """
        ).fetchall()
    assert {(row[0], row[1]): tuple(map(int, row[2:])) for row in evidence} == {
        key: (
            pair.routed,
            pair.success,
            pair.failure,
            pair.blameless,
            len(pair.times_of_outcomes),
            sum(pair.times_of_outcomes),
        )
        for key, pair in expected.pairs.items()
    }


def test_the_last_reported_score_is_that_of_the_newest_message(database: Database, database_url: str) -> None:
    send(database_url, [an_event(complexity_score=1.0), an_event(complexity_score=4.5), an_event(complexity_score=2.0)])
    ingest_all(database, batch_size=2)
    assert metrics_of(database)["gpt-4o", "complex"]["last_reported_score"] == 2.0


def test_a_notification_wakes_a_consumer_long_before_its_poll(database: Database, database_url: str) -> None:
    from centralcloud.contracts import DECISIONS_CHANNEL
    from centralcloud.runtime.postgres.notifications import NotificationListener

    consumer = Consumer(database, batch_size=10, poll_interval_seconds=3600)
    listener = NotificationListener(database, DECISIONS_CHANNEL, consumer.wake)
    consumer.start()
    listener.start()
    try:
        eventually(lambda: listening(database_url), what="the listener")
        for expected in (1, 2, 3):
            execute(
                database_url, "SELECT centralcloud.publish_decisions(ARRAY[%s::jsonb], true)", (json.dumps(an_event()),)
            )
            eventually(lambda: execute(database_url, "SELECT count(*) FROM routing_records")[0][0] == expected)  # noqa: B023
    finally:
        for task in (consumer, listener):
            task.stop()
        assert consumer.join(5)
        assert listener.join(5)


def listening(url: str) -> bool:
    return bool(
        execute(
            url,
            "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND query ~ '^(LISTEN|SELECT pg_notify)'",
        )
    )


def test_the_batch_size_is_halved_after_an_error_and_grows_again_later(database: Database, database_url: str) -> None:
    """If a batch exceeds the time limit of a transaction, half of it may not, or half of that: it must not grow at once."""
    send(database_url, outcomes(100, 0))
    consumer = Consumer(database, batch_size=16, poll_interval_seconds=1)
    execute(database_url, "ALTER TABLE accounting RENAME TO somewhere_else")
    with pytest.raises(psycopg.errors.UndefinedTable):
        consumer.ingest_batch()
    execute(database_url, "ALTER TABLE somewhere_else RENAME TO accounting")
    assert [consumer.ingest_batch().records for _ in range(11)] == [*[8] * 9, 16, 12]


def test_an_error_that_no_message_causes_leaves_the_batch_size_as_it_is(database: Database, database_url: str) -> None:
    """A partition that was missing, and a sequence that gave out a number that is in use: smaller batches do not help."""
    send(database_url, outcomes(1, 0))
    consumer = Consumer(database, batch_size=16, poll_interval_seconds=1)
    assert consumer.ingest_batch().records == 1
    send(database_url, outcomes(100, 0, selected_model="new"))
    for _ in range(3):
        execute(database_url, "SELECT setval('model_routing_metrics_id_seq', 1, false)")
        with pytest.raises(SequencesBehindError):
            consumer.ingest_batch()
    execute(database_url, "SELECT setval('model_routing_metrics_id_seq', 100)")
    for (name,) in execute(
        database_url, "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'routing_records'::regclass"
    ):
        execute(database_url, f"DROP TABLE {name}")
    assert [consumer.ingest_batch().records for _ in range(2)] == [16, 16]


#: A trigger that lets a statement store this many records, and lets larger ones fail.
_FAILS_BEYOND = """
CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF (SELECT count(*) FROM added) > {records} THEN
        RAISE EXCEPTION 'out of memory' USING ERRCODE = '{sqlstate}', DETAIL = 'Failed on request of size 1.';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER fail AFTER INSERT ON routing_records REFERENCING NEW TABLE AS added
FOR EACH STATEMENT EXECUTE FUNCTION fail();
"""


def test_a_batch_that_the_server_has_no_memory_for_is_cut_and_the_process_goes_on(
    database: Database, database_url: str
) -> None:
    execute(database_url, _FAILS_BEYOND.format(records=5, sqlstate="53200"))
    send(database_url, outcomes(100, 0))
    registry = CollectorRegistry()
    consumer = Consumer(database, batch_size=64, poll_interval_seconds=1, metrics=IngestMetrics(registry))
    failures = 0
    while consumer.run_once():
        failures = int(registry.get_sample_value("centralcloud_batch_cuts_total", {"reason": "memory"}) or 0)
    assert execute(database_url, "SELECT count(*) FROM routing_records") == [(100,)]
    assert failures == 4 + 2, "64, 32, 16 and 8; then 8 after each nine batches of 4"
    assert verify(database).ok


def test_a_batch_that_this_process_has_no_memory_for_is_cut(database: Database, database_url: str) -> None:
    class LittleMemory(IngestMetrics):
        def lag(self, seconds: float) -> None:
            if consumer._size.next.messages > most:
                raise MemoryError

    send(database_url, outcomes(20, 0))
    most = 2
    consumer = Consumer(database, batch_size=8, poll_interval_seconds=1, metrics=LittleMemory(CollectorRegistry()))
    while consumer.run_once():
        pass
    assert execute(database_url, "SELECT count(*) FROM routing_records") == [(20,)]
    most = 0
    send(database_url, outcomes(1, 0))
    assert consumer.run_once(), "cut to one"
    with pytest.raises(DatabaseUnavailableError, match="out of memory") as caught:
        consumer.run_once()
    assert consumer.is_outage(caught.value), "waited out: the process goes on"
    most = 1
    consumer.run_once()
    assert verify(database).ledger["records"] == 21


def test_a_batch_is_bounded_in_bytes(database: Database, database_url: str) -> None:
    """By stored sizes first, and exactly by the text, which may be far longer than what is stored."""
    escaped = "\u0001" * 20_000  # a byte each as stored, six bytes each as text
    send(database_url, [an_event(note="n" * 100_000)] * 20 + [an_event(note=escaped)] * 20 + outcomes(100, 0))
    consumer = Consumer(database, batch_size=1000, batch_bytes=1_000_000, poll_interval_seconds=1)
    sizes = []
    more = True
    while more:
        more = consumer.run_once()
        sizes.append(execute(database_url, "SELECT count(*) FROM routing_records")[0][0])
    batches = [after - before for before, after in zip([0, *sizes], sizes, strict=False) if after > before]
    assert max(batches[:-6]) <= 10, batches
    assert sum(batches) == 140
    assert max(batches) > 10, "it grows again for small messages"
    longest = """
        SELECT max(size) FROM (
            SELECT sum(octet_length(extra::text)) AS size FROM routing_records GROUP BY created_at
        ) AS batch
    """
    assert execute(database_url, longest)[0][0] <= 1_000_000
    assert verify(database).ok


def test_messages_beyond_the_bytes_stay_for_other_consumers(database: Database, database_url: str) -> None:
    send(database_url, [an_event(note="n" * 80_000)] * 20)
    consumer = Consumer(database, batch_size=100, batch_bytes=1_000_000, poll_interval_seconds=1)
    assert consumer.run_once(), "there is more, although the batch was smaller than its number of messages"
    with database.transaction() as connection:
        batch = ingest_batch(connection, consumer._size.next)
        assert 0 < batch.messages < 20
        left = "SELECT msg_id FROM pgmq.q_model_routing_decisions ORDER BY msg_id FOR UPDATE SKIP LOCKED"
        assert len(execute(database_url, left)) == 20 - batch.messages


def test_a_refused_value_in_a_large_batch_isolates_a_hundred_messages_at_most(
    database: Database, database_url: str
) -> None:
    execute(database_url, "ALTER TABLE routing_records ADD CONSTRAINT no_poison CHECK (model <> 'poison')")
    send(database_url, [*outcomes(1500, 0), an_event(selected_model="poison"), *outcomes(1500, 0)])
    consumer = Consumer(
        database, batch_size=5000, poll_interval_seconds=1, slow_path=SlowPath(database, max_attempts=1)
    )
    while consumer.run_once():
        pass
    alone = "SELECT count(*) FROM (SELECT FROM routing_records GROUP BY created_at HAVING count(*) = 1) AS single"
    assert execute(database_url, alone)[0][0] < 100
    ledger = verify(database).ledger
    assert (ledger["records"], ledger["dead_letters_open"]) == (3000, 1)


def test_a_file_is_sent_in_batches_that_are_bounded_in_bytes(database: Database, database_url: str) -> None:
    lines = [json.dumps(an_event(note="n" * 100_000)).encode() + b"\n"] * 10
    lines.insert(4, b'{"a": "' + b"x" * MAX_LINE_BYTES + b'"}\n')
    sizes, refused = [], []
    published = publish_lines(
        database,
        bounded_lines(io.BytesIO(b"".join(lines))),
        batch_bytes=300_000,
        on_refusal=refused.append,
        on_progress=lambda lines, size, sent: sizes.append((lines, sent)),
    )
    assert sizes == [(3, 3), (2, 1), (3, 3), (3, 3)]
    assert (published.sent, published.refused) == (10, 1)
    assert refused[0].number == 5
    assert "found more than 4194304 bytes" in refused[0].reason
    assert ingest_all(database).records == 10
