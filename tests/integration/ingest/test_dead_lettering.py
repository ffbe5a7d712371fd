"""A message that cannot be ingested becomes a dead letter with its reason; the others count."""

import json
import re
from pathlib import Path

import psycopg
import pytest
from support.events import an_event, send, send_texts
from support.ingest import ingest_all, metrics_of
from support.malformed import MALFORMED
from support.servers import execute, with_database
from support.waiting import eventually

from centralcloud.ingest.batch_ingest import BatchResult
from centralcloud.ingest.consumer import Consumer
from centralcloud.ingest.drain import drain
from centralcloud.ingest.file_publisher import publish_lines
from centralcloud.runtime.postgres.database import Database
from centralcloud.store.schema import migrate


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
