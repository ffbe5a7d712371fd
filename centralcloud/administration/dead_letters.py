"""Messages that could not be ingested: list them, send them again, discard them."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

import psycopg

from centralcloud.administration.conflict import ChangedMeanwhileError
from centralcloud.administration.message_edits import Edit, compute
from centralcloud.contracts import CentralCloudError, ContractError
from centralcloud.contracts.json_text import decode_value, encode_array
from centralcloud.runtime.postgres.database import LONG_LIMIT_SECONDS, Database
from centralcloud.runtime.postgres.errors import is_refusal, summarize_error
from centralcloud.runtime.postgres.query import Query
from centralcloud.runtime.wording import counted
from centralcloud.store.message_ledger import LedgerMissingError
from centralcloud.store.operator_actions import Action, Operator, record_action


class _FieldOfMessage(NamedTuple):
    """A field of a dead letter's message, as JSON text; None when the message lacks it."""

    value: str | None
    enqueued_at: datetime


class OpenLetters(NamedTuple):
    """The open dead letters of a selection, as an operator has seen them.

    Attributes:
        number: how many there are.
        newest: the highest id; 0: there is none.
    """

    number: int
    newest: int


_LIST_DEAD_LETTERS = Query(__package__, "list_dead_letters", row=dict)
_OPEN_LETTERS = Query(__package__, "count_open_dead_letters", row=OpenLetters)
_OPEN_IDS = Query(__package__, "open_dead_letter_ids", row=int)
_READ_FIELD = Query(__package__, "read_dead_letter_field", row=_FieldOfMessage)
_REPLAY = Query(__package__, "replay_dead_letter", row=int)
_COUNT_REPLAYED = Query(__package__, "count_replayed")
_DISCARD = Query(__package__, "discard_dead_letters")
_REASON_NOT_REPLAYED = Query(__package__, "reason_not_replayed", row=str)
_NOTIFY: Final = "SELECT centralcloud.notify_decisions()"
#: Dead letters in one transaction, and in one row of the log.
_PAGE_SIZE: Final = 100
#: Dead letters, and bytes of their messages, that one read of the list returns.
_ROWS_PER_READ: Final = 1000
_BYTES_PER_READ: Final = 4 * 2**20
_SUBJECT: Final = "dead-letters"


class DeadLetterError(CentralCloudError):
    """The dead letter does not exist."""


class _NoResultError(CentralCloudError):
    """The function of an edit has no result for a message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """A selection of dead letters; an attribute that is None selects all.

    Attributes:
        ids: these and no others.
        field: the path of the field that was refused, exactly.
        reason: words of the reason, in upper or lower case.
        since, until: when the message was dead-lettered.
    """

    ids: list[int] | None = None
    field: str | None = None
    reason: str | None = None
    since: datetime | None = None
    until: datetime | None = None


class NotReplayed(NamedTuple):
    """A dead letter that stays open, and why."""

    id: int
    reason: str


class Replayed(NamedTuple):
    """The result of a replay: how many were sent again, and those that were not."""

    sent: int
    refused: list[NotReplayed]


def read_open_letters(connection: psycopg.Connection[Any], which: Filter) -> OpenLetters:
    """Return how many open dead letters a selection has, and the highest id of them."""
    return _OPEN_LETTERS.one(connection, asdict(which))


def list_dead_letters(
    database: Database, which: Filter, *, limit: int, with_resolved: bool = False, with_message: bool = True
) -> Iterator[dict[str, Any]]:
    """Yield the newest `limit` dead letters, newest first: columns of ``list_dead_letters.sql``.

    Messages may be large, and are read some megabytes at a time. No transaction is open while the caller uses a dead letter.
    """
    before: int | None = None
    while limit > 0:
        parameters = {
            **asdict(which),
            "before": before,
            "limit": min(limit, _ROWS_PER_READ),
            "max_bytes": _BYTES_PER_READ,
            "with_resolved": with_resolved,
            "with_message": with_message,
        }
        with database.transaction() as connection:
            page = _LIST_DEAD_LETTERS.all(connection, parameters)
        if not page:
            return
        yield from page
        limit -= len(page)
        before = page[-1]["id"]


def get_dead_letter(database: Database, letter_id: int) -> dict[str, Any]:
    """Return one dead letter, resolved or not.

    Raises:
        DeadLetterError: there is none with that id.
    """
    for letter in list_dead_letters(database, Filter(ids=[letter_id]), limit=1, with_resolved=True):
        return letter
    raise DeadLetterError(f"dead letter {letter_id}: found nothing, expected an id that `dead-letters list` shows")


def replay(
    database: Database, which: Filter, edits: list[Edit], operator: Operator, *, expected: OpenLetters | None = None
) -> Replayed:
    """Send open dead letters to the queue again. Each is sent in the transaction in which it stops being open.

    So each is sent once, even if several replays run at the same time or one is interrupted. One transaction, and one row of
    the log, for up to 100 dead letters.

    Args:
        expected: the open dead letters of the selection that the operator has seen; None: any. Later ones stay open.

    Raises:
        ChangedMeanwhileError: some of the expected ones are not open any more.
    """
    ids = sorted(_ids_to_replay(database, which)) if expected is None else _seen(_open_ids(database, which), expected)
    sent = 0
    refused: list[NotReplayed] = []
    for start in range(0, len(ids), _PAGE_SIZE):
        page = _replay_page(database, ids[start : start + _PAGE_SIZE], edits, operator)
        sent += page.sent
        refused += page.refused
    return Replayed(sent, refused)


def discard(database: Database, which: Filter, operator: Operator, *, expected: OpenLetters | None = None) -> int:
    """Discard open dead letters, all in one transaction; they are kept for a while. Return how many.

    Args:
        expected: the open dead letters of the selection that the operator has seen; None: any. Later ones stay open.

    Raises:
        ChangedMeanwhileError: some of the expected ones are not open any more.
    """
    with database.transaction() as connection:
        ids = _seen(_OPEN_IDS.all(connection, asdict(which)), expected)
        row = _DISCARD.maybe(connection, {"ids": ids})
        if row is None:
            raise LedgerMissingError
        (discarded,) = row
        if discarded:
            after = {"discarded": len(discarded), "ids": discarded[:_PAGE_SIZE]}
            record_action(connection, operator, Action.DISCARD_DEAD_LETTERS, _SUBJECT, after=after)
    return len(discarded)


def _replay_page(database: Database, ids: Sequence[int], edits: list[Edit], operator: Operator) -> Replayed:
    with database.transaction(
        limit_seconds=LONG_LIMIT_SECONDS
    ) as connection:  # a page of large messages takes its time
        refused = list(_send(connection, ids, edits))
        stays_open = {each.id for each in refused}
        sent = [letter_id for letter_id in ids if letter_id not in stays_open]
        if sent:
            if not _COUNT_REPLAYED.run(connection, {"sent": len(sent)}):
                raise LedgerMissingError
            after = {"sent": len(sent), "ids": sent, "edits": [edit.to_json() for edit in edits]}
            record_action(connection, operator, Action.REPLAY_DEAD_LETTERS, _SUBJECT, after=after)
            connection.execute(_NOTIFY)
    return Replayed(len(sent), refused)


def _send(connection: psycopg.Connection[Any], ids: Sequence[int], edits: list[Edit]) -> Iterator[NotReplayed]:
    """Send each of `ids` again, and yield those that stay open."""
    for letter_id in ids:
        try:
            with connection.transaction():
                values = [_computed(connection, letter_id, edit).to_json() for edit in edits]
                msg_id = _REPLAY.maybe(connection, {"id": letter_id, "edits": encode_array(values)})
            if msg_id is None:
                yield NotReplayed(letter_id, _why_not(connection, letter_id))
        except _NoResultError as error:
            yield NotReplayed(letter_id, str(error))
        except psycopg.Error as error:
            if not is_refusal(error):
                raise
            yield NotReplayed(letter_id, summarize_error(error))


def _computed(connection: psycopg.Connection[Any], letter_id: int, edit: Edit) -> Edit:
    """Return an edit with its value, computed from the message as it was received.

    Raises:
        _NoResultError: its function has no result for the message.
    """
    if edit.function is None:
        return edit
    field = _READ_FIELD.maybe(connection, {"id": letter_id, "path": list(edit.argument)})
    if field is None:  # the replay finds no message, either, and says why
        return Edit(edit.path)
    try:
        place = f"--edit {edit}: {'.'.join(edit.argument)}"
        argument = None if field.value is None else decode_value(field.value, place)
        return compute(edit, argument, field.enqueued_at, present=field.value is not None)
    except (ValueError, ContractError) as error:
        raise _NoResultError(str(error)) from None


def _ids_to_replay(database: Database, which: Filter) -> list[int]:
    """Return the ids themselves if nothing else is given, so that one that is not open is reported."""
    return list(set(which.ids)) if which.ids and which == Filter(ids=which.ids) else _open_ids(database, which)


def _seen(ids: list[int], expected: OpenLetters | None) -> list[int]:
    """Return those of the open ids that the operator has seen: others may come all the time."""
    if expected is None:
        return ids
    seen = [each for each in ids if each <= expected.newest]
    if OpenLetters(len(seen), max(seen, default=0)) != expected:
        now = f"{counted(len(seen), 'dead letter')} of those {'is' if len(seen) == 1 else 'are'} open now"
        raise ChangedMeanwhileError(f"{now if seen else 'no dead letter of those is open now'}: they changed")
    return seen


def _open_ids(database: Database, which: Filter) -> list[int]:
    with database.transaction() as connection:
        return _OPEN_IDS.all(connection, asdict(which))


def _why_not(connection: psycopg.Connection[Any], letter_id: int) -> str:
    reason = _REASON_NOT_REPLAYED.maybe(connection, {"id": letter_id})
    return reason or "it does not exist"
