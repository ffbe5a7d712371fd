"""Producers that send during a fault, and the check that nothing was lost or counted twice."""

import json
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from centralcloud.administration.verification import verify
from centralcloud.runtime.postgres.database import Database
from support.events import an_event
from support.servers import execute
from support.waiting import eventually

_MODELS = ("atlas", "borealis", "cirrus")
_RETRY_SECONDS = 0.1


class Producers:
    """Threads that send a number of events with decision ids, in batches.

    When the database is unavailable they resend the same batch, as a client does that cannot know whether it arrived. So
    more messages than decisions may be sent; the others are duplicates.
    """

    def __init__(
        self, url: str, *, producers: int = 3, events: int = 3000, pause_seconds: float = 0.0, name: str = "d"
    ) -> None:
        self.decisions = producers * (events // producers)
        self._url = url
        self._name = name
        self._pause_seconds = pause_seconds
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._produce, args=(number, events // producers)) for number in range(producers)
        ]

    def __enter__(self) -> "Producers":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        if error[0] is not None:
            self._stop.set()
        for thread in self._threads:
            thread.join()

    @property
    def busy(self) -> bool:
        return any(thread.is_alive() for thread in self._threads)

    def _produce(self, number: int, count: int) -> None:
        rng = random.Random(number)
        events = [
            json.dumps(
                an_event(
                    f"instance-{number}",
                    selected_model=rng.choice(_MODELS),
                    outcome=rng.choice(("routed", "success", "success", "failure")),
                    response_time_ms=rng.choice((None, 300, 2500)),
                    decision_id=f"{self._name}-{number}-{nth}",
                )
            )
            for nth in range(count)
        ]
        while events and not self._stop.is_set():
            size = rng.randrange(1, 60)
            self._send(events[:size])
            del events[:size]
            time.sleep(self._pause_seconds)

    def _send(self, texts: list[str]) -> None:
        while not self._stop.is_set():
            try:
                with psycopg.connect(self._url) as connection:
                    connection.execute("SELECT pgmq.send_batch('model_routing_decisions', %s::jsonb[])", (texts,))
                return
            except psycopg.OperationalError:
                time.sleep(_RETRY_SECONDS)
            except psycopg.errors.ReadOnlySqlTransaction:
                time.sleep(_RETRY_SECONDS)


def queued(url: str) -> int:
    return int(execute(url, "SELECT count(*) FROM pgmq.q_model_routing_decisions")[0][0])


def records(url: str) -> int:
    return int(execute(url, "SELECT count(*) FROM routing_records")[0][0])


def has_newest_scores(url: str) -> bool:
    """Whether there are scores, and every instance has applied them all."""
    newest = "(SELECT max(version) FROM model_scores)"
    return execute(url, f"SELECT bool_and(applied_version = {newest}) FROM instances") == [(True,)]


def assert_all_ingested(url: str, decisions: int, *, within_seconds: float = 30.0, dead_letters: int = 0) -> None:
    """Wait for an empty queue, then assert that every decision was recorded once and all counts agree."""
    eventually(lambda: queued(url) == 0, within_seconds=within_seconds, what="an empty queue")
    with Database(url, application_name="tests") as database:
        verification = verify(database)
    ledger = verification.ledger
    assert verification.differences == []
    assert ledger["records"] == decisions
    assert ledger["dead_letters_open"] == dead_letters
    assert ledger["sent"] == ledger["records"] + ledger["duplicates"] + ledger["dead_letters_open"]
    distinct = "SELECT count(DISTINCT (instance_id, decision_id)) FROM routing_records"
    assert execute(url, distinct) == [(decisions,)]


@contextmanager
def load(
    url: str, *, decisions: int = 3000, pause_seconds: float = 0.0, within_seconds: float = 30.0, dead_letters: int = 0
) -> Iterator[Producers]:
    """Run producers during the block, then assert that everything was ingested in time."""
    with Producers(url, events=decisions, pause_seconds=pause_seconds) as producers:
        yield producers
    assert_all_ingested(url, producers.decisions, within_seconds=within_seconds, dead_letters=dead_letters)
