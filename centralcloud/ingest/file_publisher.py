"""The file publisher: sends routing events from JSON lines to the queue."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import BinaryIO, Final, NamedTuple

import psycopg

from centralcloud.contracts.limits import MAX_MESSAGE_BYTES
from centralcloud.ingest.batch_limits import DEFAULT_BATCH_BYTES
from centralcloud.runtime.postgres.batch_send import send_isolating_rejects
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.query import Query

_SEND_MESSAGES = Query(__package__, "send_messages")
#: A line may be longer than a message: spaces do not count, and ingest makes a message that is too long a dead letter, which
#: keeps it. Beyond this, it cannot be meant as an event: the input has no ends of lines.
MAX_LINE_BYTES: Final = 16 * MAX_MESSAGE_BYTES


class Line(NamedTuple):
    """One line of the input; numbers begin at 1."""

    number: int
    text: str


class Refusal(NamedTuple):
    """A line that was not sent, with the reason."""

    number: int
    reason: str


class Published(NamedTuple):
    """Numbers of sent and of refused lines."""

    sent: int
    refused: int


def publish_lines(
    database: Database,
    lines: Iterable[bytes],
    *,
    batch_size: int = 1000,
    batch_bytes: int = DEFAULT_BATCH_BYTES,
    on_refusal: Callable[[Refusal], None],
    on_progress: Callable[[int, int, int], None] | None = None,
) -> Published:
    """Send each line as one message, unchanged, in batches of one transaction each. Skip empty lines.

    A batch has at most `batch_size` lines and, except for its last line, `batch_bytes` bytes. A line that is longer than
    `MAX_LINE_BYTES`, that is not a JSON object, or that PostgreSQL refuses as jsonb, is passed to `on_refusal`; the other
    lines are sent. After each batch, `on_progress` receives its number of lines, its number of bytes, and how many of its
    lines were sent.

    Raises:
        psycopg.OperationalError: the connection was lost; the lines up to the last progress report have been sent.
    """
    sent = refused = 0
    for batch, size in _batches(lines, batch_size, batch_bytes):
        read = [_read(number, raw) for number, raw in batch]
        candidates = [line for line in read if isinstance(line, Line) and line.text]
        unreadable = [line for line in read if isinstance(line, Refusal)]
        refused_by_server = _send(database, candidates)
        for refusal in sorted(unreadable + refused_by_server):
            on_refusal(refusal)
        sent += len(candidates) - len(refused_by_server)
        refused += len(unreadable) + len(refused_by_server)
        if on_progress:
            on_progress(len(batch), size, len(candidates) - len(refused_by_server))
    return Published(sent, refused)


def bounded_lines(stream: BinaryIO) -> Iterator[bytes]:
    """Yield the lines of `stream`; of a line that is longer than `MAX_LINE_BYTES`, only its beginning, one byte too long."""
    while line := stream.readline(MAX_LINE_BYTES + 1):
        yield line
        while len(line) > MAX_LINE_BYTES and not line.endswith(b"\n"):
            line = stream.readline(MAX_LINE_BYTES + 1)


def _batches(
    lines: Iterable[bytes], batch_size: int, batch_bytes: int
) -> Iterator[tuple[list[tuple[int, bytes]], int]]:
    batch: list[tuple[int, bytes]] = []
    size = 0
    for number, raw in enumerate(lines, start=1):
        batch.append((number, raw))
        size += len(raw)
        if len(batch) == batch_size or size >= batch_bytes:
            yield batch, size
            batch, size = [], 0
    if batch:
        yield batch, size


def _read(number: int, raw: bytes) -> Line | Refusal:
    """Decode a line. PostgreSQL checks whether text that begins like an object is valid JSON."""
    if len(raw) > MAX_LINE_BYTES:
        return Refusal(
            number, f"found more than {MAX_LINE_BYTES} bytes, expected at most {MAX_MESSAGE_BYTES} bytes of JSON"
        )
    try:
        text = raw.decode("utf-8-sig" if number == 1 else "utf-8").strip()
    except UnicodeDecodeError as error:
        return Refusal(number, f"found a byte that is not UTF-8 (at position {error.start}), expected a JSON object")
    if text and not text.startswith("{"):
        return Refusal(number, f"found {text[:40]!r}, expected a JSON object")
    if "\0" in text:
        return Refusal(number, "found a NUL character, expected a JSON object")
    return Line(number, text)


def _send(database: Database, lines: list[Line]) -> list[Refusal]:
    """Send the lines, and return those that PostgreSQL refuses as jsonb."""

    def send(batch: Sequence[Line]) -> None:
        with database.transaction() as connection:
            _SEND_MESSAGES.run(connection, {"messages": [line.text for line in batch]})

    return [
        Refusal(line.number, f"PostgreSQL refuses it as jsonb: {_reason(error)}")
        for line, error in send_isolating_rejects(lines, send)
    ]


def _reason(error: psycopg.Error) -> str:
    parts = [error.diag.message_primary, error.diag.message_detail]
    return " ".join(": ".join(part for part in parts if part).split())
