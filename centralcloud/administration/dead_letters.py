"""Messages that could not be taken in: looking at them, sending them again, giving them up."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, NamedTuple

import psycopg
from psycopg.rows import dict_row

from centralcloud.contracts import DECISIONS_CHANNEL, CentralCloudError
from centralcloud.contracts.json_text import encode_array
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.errors import is_refusal, summarize_error
from centralcloud.runtime.postgres.query import Query

_LIST = Query(__package__, "list_dead_letters")
_OPEN = Query(__package__, "open_dead_letter_ids")
_REPLAY = Query(__package__, "replay_dead_letter")
_DISCARD = Query(__package__, "discard_dead_letters")
_NOTIFY = "SELECT pg_notify(%s, '')"


class DeadLetterError(CentralCloudError):
    """There is no such dead letter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which dead letters are meant; what is None takes all.

    Attributes:
        ids: these and no others.
        field: the path of the field that was refused, exactly.
        reason: words of the reason, in any case.
        since, until: when the message was put aside.
    """

    ids: list[int] | None = None
    field: str | None = None
    reason: str | None = None
    since: datetime | None = None
    until: datetime | None = None


class Edit(NamedTuple):
    """A field of the message that gets another value before it is sent again."""

    path: list[str]
    value: Any


class NotReplayed(NamedTuple):
    """A dead letter that stays open, and why."""

    id: int
    reason: str


class Replayed(NamedTuple):
    """What became of the dead letters that were to be sent again."""

    sent: int
    refused: list[NotReplayed]


def list_dead_letters(
    connection: psycopg.Connection[Any],
    which: Filter,
    *,
    limit: int,
    with_resolved: bool = False,
    with_message: bool = True,
) -> list[dict[str, Any]]:
    """The newest `limit` dead letters, newest first: the columns of ``list_dead_letters.sql``. A message may be large."""
    parameters = {**asdict(which), "limit": limit, "with_resolved": with_resolved, "with_message": with_message}
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(_LIST.text, parameters).fetchall()


def get_dead_letter(connection: psycopg.Connection[Any], letter_id: int) -> dict[str, Any]:
    """One dead letter, resolved or not.

    Raises:
        DeadLetterError: there is none with that id.
    """
    letters = list_dead_letters(connection, Filter(ids=[letter_id]), limit=1, with_resolved=True)
    if not letters:
        raise DeadLetterError(f"dead letter {letter_id}: found nothing, expected an id that `dead-letters list` shows")
    return letters[0]


def replay(database: Database, which: Filter, edits: list[Edit]) -> Replayed:
    """Send open dead letters to the queue again, each in a transaction of its own, in which it also stops being open.

    So each is sent once, whoever else does the same, and whenever this is interrupted.
    """
    encoded = encode_array([edit._asdict() for edit in edits])
    sent = 0
    refused = []
    for letter_id in _ids_to_replay(database, which):
        try:
            with database.transaction() as connection:
                row = connection.execute(_REPLAY.text, {"id": letter_id, "edits": encoded}).fetchone()
                reason = None if row else _why_not(connection, letter_id)
        except DeadLetterError:
            reason = "there is no such dead letter"
        except psycopg.Error as error:
            if not is_refusal(error):
                raise
            reason = summarize_error(error)
        if reason is None:
            sent += 1
        else:
            refused.append(NotReplayed(letter_id, reason))
    if sent:
        with database.transaction() as connection:
            connection.execute(_NOTIFY, (DECISIONS_CHANNEL,))
    return Replayed(sent, refused)


def discard(database: Database, which: Filter) -> int:
    """Give open dead letters up; they are kept for a while as discarded. Returns how many."""
    ids = _open_ids(database, which)
    with database.transaction() as connection:
        row = connection.execute(_DISCARD.text, {"ids": ids}).fetchone()
    return int(row[0]) if row else 0


def _ids_to_replay(database: Database, which: Filter) -> list[int]:
    """With nothing but ids given each of them, so that one that is not open is reported."""
    return which.ids if which.ids and which == Filter(ids=which.ids) else _open_ids(database, which)


def _open_ids(database: Database, which: Filter) -> list[int]:
    with database.transaction() as connection:
        return [row[0] for row in connection.execute(_OPEN.text, asdict(which))]


def _why_not(connection: psycopg.Connection[Any], letter_id: int) -> str:
    letter = get_dead_letter(connection, letter_id)
    if letter["resolution"]:
        return f"already {letter['resolution']}"
    if letter["message"] is None:
        return "it has no message that could be sent again"
    return "an --edit names a field inside something that is not there, or is no object"
