"""Errors of the database: which are an outage, which are retried, and which concern one item of a batch."""

import psycopg
import pytest

from centralcloud.runtime.postgres.batch_send import send_isolating_rejects
from centralcloud.runtime.postgres.errors import is_outage, retry_on_contention


def test_a_command_retries_when_another_transaction_is_in_the_way() -> None:
    failures: list[Exception] = [psycopg.errors.LockNotAvailable("busy")] * 3

    def work() -> str:
        if failures:
            raise failures.pop()
        return "done"

    assert retry_on_contention(work) == "done"
    failures = [psycopg.errors.LockNotAvailable("busy")] * 99
    with pytest.raises(psycopg.errors.LockNotAvailable):
        retry_on_contention(work)
    failures = [psycopg.errors.UndefinedTable("gone")]
    with pytest.raises(psycopg.errors.UndefinedTable):
        retry_on_contention(work)


@pytest.mark.parametrize("error", [psycopg.errors.ProgramLimitExceeded, psycopg.errors.UntranslatableCharacter])
def test_a_batch_is_sent_without_the_items_that_the_database_rejects(error: type[psycopg.Error]) -> None:
    sent: list[int] = []

    def send(batch) -> None:
        if 7 in batch or 12 in batch:
            raise error("rejected")
        sent.extend(batch)

    rejected = send_isolating_rejects(list(range(20)), send)
    assert [item for item, _ in rejected] == [7, 12]
    assert sent == [item for item in range(20) if item not in (7, 12)]


def test_an_outage_is_not_a_rejection() -> None:
    def send(batch) -> None:
        raise psycopg.OperationalError("gone")

    with pytest.raises(psycopg.OperationalError):
        send_isolating_rejects([1, 2], send)


@pytest.mark.parametrize(
    ("error", "outage"),
    [
        (psycopg.errors.AdminShutdown("57P01"), True),
        (psycopg.errors.DiskFull("53100"), True),
        (psycopg.errors.ReadOnlySqlTransaction("25006"), True),
        (psycopg.errors.UniqueViolation("23505"), False),
        (psycopg.errors.NumericValueOutOfRange("22003"), False),
        (psycopg.errors.UndefinedTable("42P01"), False),
        (psycopg.errors.ProgramLimitExceeded("54000"), False),
        (ValueError("x"), False),
    ],
)
def test_which_errors_count_as_an_outage(error: Exception, outage: bool) -> None:
    assert is_outage(error) is outage
