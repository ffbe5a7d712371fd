"""Sending routing events from JSON lines to the queue."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import psycopg

from centralcloud.contracts import DECISIONS_CHANNEL, DECISIONS_QUEUE
from centralcloud.runtime.postgres.batch_send import send_isolating_rejects
from centralcloud.runtime.postgres.database import Database

_SEND = "SELECT count(*) FROM pgmq.send_batch(%s, %s::jsonb[])"
_NOTIFY = "SELECT pg_notify(%s, '')"


class Line(NamedTuple):
    """One line of the input, by its number from 1."""

    number: int
    text: str


class Refusal(NamedTuple):
    """A line that was not sent, and why."""

    number: int
    reason: str


class Published(NamedTuple):
    """What became of the lines."""

    sent: int
    refused: int


def publish_lines(
    database: Database,
    lines: Iterable[bytes],
    *,
    batch_size: int = 1000,
    on_refusal: Callable[[Refusal], None],
    on_progress: Callable[[int, int, int], None] | None = None,
) -> Published:
    """Send each line as one message, unchanged, in batches of one transaction each. Empty lines are passed over.

    A line that is no JSON object, or that PostgreSQL refuses as jsonb, is handed to `on_refusal`; the rest is sent.
    `on_progress` gets, of each batch that is done, its lines, its bytes, and how many of its lines were sent.

    Raises:
        psycopg.OperationalError: the database went away; the lines up to the last progress report have been sent.
    """
    sent = refused = 0
    for batch, size in _batches(lines, batch_size):
        read = [_read(number, raw) for number, raw in batch]
        candidates = [line for line in read if isinstance(line, Line) and line.text]
        unreadable = [line for line in read if isinstance(line, Refusal)]
        unacceptable = _send(database, candidates)
        for refusal in sorted(unreadable + unacceptable):
            on_refusal(refusal)
        sent += len(candidates) - len(unacceptable)
        refused += len(unreadable) + len(unacceptable)
        if on_progress:
            on_progress(len(batch), size, len(candidates) - len(unacceptable))
    return Published(sent, refused)


def _batches(lines: Iterable[bytes], batch_size: int) -> Iterator[tuple[list[tuple[int, bytes]], int]]:
    batch: list[tuple[int, bytes]] = []
    size = 0
    for number, raw in enumerate(lines, start=1):
        batch.append((number, raw))
        size += len(raw)
        if len(batch) == batch_size:
            yield batch, size
            batch, size = [], 0
    if batch:
        yield batch, size


def _read(number: int, raw: bytes) -> Line | Refusal:
    """The line as text. Whether what begins like an object is JSON, PostgreSQL decides: it knows best what it takes."""
    try:
        text = raw.decode("utf-8-sig" if number == 1 else "utf-8").strip()
    except UnicodeDecodeError as error:
        return Refusal(number, f"found a byte that is no UTF-8 (at position {error.start}), expected a JSON object")
    if text and not text.startswith("{"):
        return Refusal(number, f"found {text[:40]!r}, expected a JSON object")
    if "\0" in text:
        return Refusal(number, "found a NUL character, expected a JSON object")
    return Line(number, text)


def _send(database: Database, lines: list[Line]) -> list[Refusal]:
    """Send the lines; those that PostgreSQL does not take as jsonb are found one by one."""

    def send(batch: Sequence[Line]) -> None:
        with database.transaction() as connection:
            connection.execute(_SEND, (DECISIONS_QUEUE, [line.text for line in batch]))
            connection.execute(_NOTIFY, (DECISIONS_CHANNEL,))

    return [
        Refusal(line.number, f"PostgreSQL refuses it as jsonb: {_reason(error)}")
        for line, error in send_isolating_rejects(lines, send)
    ]


def _reason(error: psycopg.Error) -> str:
    parts = [error.diag.message_primary, error.diag.message_detail]
    return " ".join(": ".join(part for part in parts if part).split())
