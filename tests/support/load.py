"""Producers that send during a fault, and the check that nothing was lost or counted twice."""

import json
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count, islice

import psycopg

from centralcloud.administration.verification import verify
from centralcloud.runtime.postgres.database import Database
from support.events import an_event
from support.servers import execute
from support.waiting import eventually

_MODELS = ("atlas", "borealis", "cirrus")
_RETRY_SECONDS = 0.1


class Producers:
    """Threads that send events with decision ids, in batches: a number of them, or until `enough`.

    When the database is unavailable they resend the same batch, as a client does that cannot know whether it arrived. So
    more messages than decisions may be sent; the others are duplicates.

    Attributes:
        decisions: how many events are sent in all; None: until `enough`, for a fault whose length is not known before.
        confirmed: how many of them the database has accepted; complete after the block.
    """

    def __init__(
        self, url: str, *, producers: int = 3, events: int | None = 3000, pause_seconds: float = 0.0, name: str = "d"
    ) -> None:
        each = None if events is None else events // producers
        self.decisions = None if each is None else producers * each
        self._url = url
        self._name = name
        self._pause_seconds = pause_seconds
        self._stop = threading.Event()
        self._enough = threading.Event()
        self._confirmed = [0] * producers
        self._threads = [threading.Thread(target=self._produce, args=(number, each)) for number in range(producers)]

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

    @property
    def confirmed(self) -> int:
        return sum(self._confirmed)

    def enough(self) -> None:
        """Send no more than the batches of this moment."""
        self._enough.set()

    def _produce(self, number: int, events_to_send: int | None) -> None:
        rng = random.Random(number)
        events = (
            json.dumps(
                an_event(
                    f"instance-{number}",
                    selected_model=rng.choice(_MODELS),
                    outcome=rng.choice(("routed", "success", "success", "failure")),
                    response_time_ms=rng.choice((None, 300, 2500)),
                    decision_id=f"{self._name}-{number}-{nth}",
                )
            )
            for nth in (count() if events_to_send is None else range(events_to_send))
        )
        while not self._stop.is_set() and not self._enough.is_set():
            batch = list(islice(events, rng.randrange(1, 60)))
            if not batch:
                break
            self._confirmed[number] += self._send(batch)
            self._enough.wait(self._pause_seconds)

    def _send(self, texts: list[str]) -> int:
        """Send until the database confirms; return how many it has confirmed."""
        while not self._stop.is_set():
            try:
                with psycopg.connect(self._url) as connection:
                    connection.execute("SELECT pgmq.send_batch('model_routing_decisions', %s::jsonb[])", (texts,))
                return len(texts)
            except psycopg.OperationalError:
                self._stop.wait(_RETRY_SECONDS)
            except psycopg.errors.ReadOnlySqlTransaction:
                self._stop.wait(_RETRY_SECONDS)
        return 0


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
    url: str,
    *,
    decisions: int | None = 3000,
    pause_seconds: float = 0.0,
    within_seconds: float = 30.0,
    dead_letters: int = 0,
) -> Iterator[Producers]:
    """Run producers during the block, then assert that everything was ingested in time."""
    with Producers(url, events=decisions, pause_seconds=pause_seconds) as producers:
        yield producers
    assert producers.confirmed == producers.decisions or producers._enough.is_set()
    assert_all_ingested(url, producers.confirmed, within_seconds=within_seconds, dead_letters=dead_letters)
