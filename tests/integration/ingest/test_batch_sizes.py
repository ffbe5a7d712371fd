"""Batches are bounded in messages and bytes, cut after an error, and grow again."""

import io
import json

import psycopg
import pytest
from prometheus_client import CollectorRegistry
from support.events import an_event, outcomes, send
from support.ingest import ingest_all
from support.servers import execute

from centralcloud.administration.verification import verify
from centralcloud.ingest.batch_ingest import ingest_batch
from centralcloud.ingest.consumer import Consumer
from centralcloud.ingest.file_publisher import MAX_LINE_BYTES, bounded_lines, publish_lines
from centralcloud.ingest.metrics import IngestMetrics
from centralcloud.ingest.slow_path import SlowPath
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.errors import DatabaseUnavailableError
from centralcloud.store.sequences import SequencesBehindError


def test_the_batch_size_is_halved_after_an_error_and_grows_again_later(database: Database, database_url: str) -> None:
    """If a batch exceeds the time limit of a transaction, half of it may not, or half of that: it must not grow at once."""
    send(database_url, outcomes(100, 0))
    consumer = Consumer(database, batch_size=16, poll_interval_seconds=1)
    execute(database_url, "ALTER TABLE accounting RENAME TO somewhere_else")
    with pytest.raises(psycopg.errors.UndefinedTable):
        consumer.ingest_batch()
    execute(database_url, "ALTER TABLE somewhere_else RENAME TO accounting")
    assert [consumer.ingest_batch().records for _ in range(11)] == [*[8] * 9, 16, 12]


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
