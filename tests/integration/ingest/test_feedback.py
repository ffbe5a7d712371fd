"""Feedback on requests: it becomes the outcome of a request that waits for it, exactly once, and is stored otherwise."""

import threading
from typing import Any

import psycopg
import pytest
from support.events import send
from support.history import pretend_all_came
from support.ingest import ingest_all
from support.maintenance import maintain
from support.requests import a_request_id, an_attempt, in_minutes, report_feedback, waiting
from support.servers import execute

from centralcloud.administration.verification import verify
from centralcloud.ingest.batch_ingest import BatchResult
from centralcloud.maintenance.maintenance import Maintenance
from centralcloud.runtime.postgres.database import Database


def outcomes_of(url: str) -> list[Any]:
    return execute(
        url,
        "SELECT model, outcome, reward, response_time_ms FROM routing_records WHERE outcome <> 'routed' ORDER BY id",
    )


@pytest.mark.parametrize(
    ("success", "reward", "outcome"),
    [(None, 0.5, "success"), (None, 0.49, "failure"), (True, None, "success"), (False, 0.9, "failure")],
)
def test_feedback_that_a_request_waits_for_becomes_its_outcome(
    database: Database, database_url: str, success: bool | None, reward: float | None, outcome: str
) -> None:
    request_id = a_request_id()
    answered = {"response_time_ms": 840, "output_tokens": 9, "cost_nano_usd": 5_000, "finish_reason": "stop"}
    send(database_url, [waiting(request_id, task_type="code", feedback_outcome=answered)])
    ingest_all(database)
    assert outcomes_of(database_url) == [], "without feedback there is no outcome"
    assert report_feedback(database_url, request_id, success, reward) == ("learned", True)
    assert ingest_all(database) == BatchResult(records=1)
    assert outcomes_of(database_url) == [("gpt-4o", outcome, reward, 840)]
    columns = (
        "instance_id, decision_id, request_id::text, attempt, task_type, output_tokens, cost_usd, finish_reason, extra"
    )
    assert execute(database_url, f"SELECT {columns} FROM routing_records WHERE outcome <> 'routed'") == [
        ("gateway-1", f"{request_id}-1", request_id, 1, "code", 9, 0.000005, "stop", None)
    ]
    assert execute(database_url, "SELECT usage_count, response_time_count FROM model_routing_metrics") == [(1, 1)]
    assert verify(database).ok


def test_the_same_feedback_again_changes_nothing_and_other_feedback_is_ignored(
    database: Database, database_url: str
) -> None:
    request_id = a_request_id()
    send(database_url, [waiting(request_id)])
    ingest_all(database)
    assert report_feedback(database_url, request_id, reward=0.8) == ("learned", True)
    assert report_feedback(database_url, request_id, reward=0.8) == ("learned", True)
    assert report_feedback(database_url, request_id, reward=0.1) == ("ignored", False)
    assert ingest_all(database) == BatchResult(records=1)
    assert report_feedback(database_url, request_id, reward=0.8) == ("learned", True)
    assert ingest_all(database) == BatchResult()
    assert execute(database_url, "SELECT reward, learned FROM feedback") == [(0.8, True)]


def test_many_reports_at_the_same_time_send_one_outcome(database: Database, database_url: str) -> None:
    request_id = a_request_id()
    send(database_url, [waiting(request_id)])
    ingest_all(database)
    start = threading.Barrier(8)
    answers: list[Any] = []

    def one() -> None:
        start.wait()
        answers.append(report_feedback(database_url, request_id, success=True))

    threads = [threading.Thread(target=one) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [("learned", True)] * 8
    assert execute(database_url, "SELECT count(*) FROM pgmq.q_model_routing_decisions") == [(1,)]


def test_feedback_after_an_outcome_is_stored_and_not_learned(database: Database, database_url: str) -> None:
    request_id = a_request_id()
    send(database_url, [an_attempt(request_id, 1, "routed"), an_attempt(request_id, 1, "success")])
    ingest_all(database)
    assert report_feedback(database_url, request_id, success=False, comment="wrong", user="jane") == ("stored", False)
    assert report_feedback(database_url, request_id, reward=0.9) == ("stored", False)
    assert ingest_all(database) == BatchResult()
    columns = "success, reward, learned, model_name, complexity_level, comment"
    assert execute(database_url, f"SELECT {columns} FROM feedback") == [(True, 0.9, False, "gpt-4o", "complex", None)]


def test_feedback_after_the_time_limit_is_stored_and_not_learned(database: Database, database_url: str) -> None:
    request_id = a_request_id()
    send(database_url, [waiting(request_id, feedback_until=in_minutes(-1))])
    ingest_all(database)
    assert report_feedback(database_url, request_id, success=True) == ("stored", False)
    assert ingest_all(database) == BatchResult()


def test_feedback_of_a_request_that_does_not_wait_is_stored(database: Database, database_url: str) -> None:
    request_id = a_request_id()
    send(database_url, [an_attempt(request_id, 1, "routed")])
    ingest_all(database)
    assert report_feedback(database_url, request_id, success=True) == ("stored", False)
    send(database_url, [an_attempt(request_id, 1, "success")])
    assert ingest_all(database) == BatchResult(records=1)


def test_feedback_that_arrives_before_its_record_waits_for_it(database: Database, database_url: str) -> None:
    early, without_wait = a_request_id(), a_request_id()
    for request_id in (early, without_wait):
        assert report_feedback(database_url, request_id, reward=0.7) == ("waiting", None)
        assert report_feedback(database_url, request_id, reward=0.7) == ("waiting", None)
    send(database_url, [waiting(early), an_attempt(without_wait, 1, "success")])
    assert ingest_all(database) == BatchResult(records=3), "both records, and the outcome of one"
    assert outcomes_of(database_url) == [("gpt-4o", "success", None, None), ("gpt-4o", "success", 0.7, None)]
    stored = "SELECT request_id::text, learned FROM feedback ORDER BY learned DESC"
    assert execute(database_url, stored) == [(early, True), (without_wait, False)]
    assert execute(database_url, "SELECT count(*) FROM waiting_feedback") == [(0,)]
    assert verify(database).ok


def test_feedback_that_missed_the_ingest_of_its_record_is_applied_by_maintenance(
    database: Database, database_url: str
) -> None:
    request_id = a_request_id()
    send(database_url, [waiting(request_id)])
    with psycopg.connect(database_url) as reporter:
        reporter.execute("SELECT centralcloud.report_feedback(%s, true)", (request_id,))
        ingest_all(database)  # does not see the report, which did not see the record
    assert execute(database_url, "SELECT count(*) FROM waiting_feedback") == [(1,)]
    Maintenance(database).run_once()
    assert ingest_all(database) == BatchResult(records=1)
    assert outcomes_of(database_url) == [("gpt-4o", "success", None, None)]


def test_feedback_belongs_to_the_last_attempt(database: Database, database_url: str) -> None:
    request_id = a_request_id()
    failed = an_attempt(request_id, 1, "failure", "small", error_kind="timeout")
    send(database_url, [waiting(request_id, 1, "small"), failed])
    ingest_all(database)
    assert report_feedback(database_url, request_id, success=True) == ("waiting", None), (
        "the attempt that was answered is missing"
    )
    send(database_url, [waiting(request_id, 2, "large")])
    ingest_all(database)
    assert outcomes_of(database_url) == [("small", "failure", None, None), ("large", "success", None, None)]


def test_feedback_is_found_in_old_partitions(database: Database, database_url: str) -> None:
    request_id = a_request_id()
    send(database_url, [an_attempt(request_id, 1, "routed"), an_attempt(request_id, 1, "success")])
    ingest_all(database)
    pretend_all_came(database_url, 40)
    assert report_feedback(database_url, request_id, reward=0.2) == ("stored", False)


def test_old_feedback_expires(database: Database, database_url: str) -> None:
    known, unknown, fresh = a_request_id(), a_request_id(), a_request_id()
    send(database_url, [an_attempt(known, 1, "success")])
    ingest_all(database)
    for request_id in (known, unknown, fresh):
        report_feedback(database_url, request_id, success=True)
    execute(database_url, "UPDATE feedback SET created_at = now() - interval '91 days'")
    age = "UPDATE waiting_feedback SET reported_at = now() - interval '25 hours' WHERE request_id = %s"
    execute(database_url, age, (unknown,))
    maintain(database)
    assert execute(database_url, "SELECT count(*) FROM feedback") == [(0,)]
    assert execute(database_url, "SELECT request_id::text FROM waiting_feedback") == [(fresh,)]


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ({"request_id": None, "success": True}, "request_id: found NULL, expected a UUID"),
        ({}, "success, reward: found neither, expected one of them or both"),
        ({"reward": 1.5}, "reward: found 1.5, expected a number from 0 to 1"),
        ({"reward": float("nan")}, "reward: found NaN, expected a number from 0 to 1"),
        ({"success": True, "comment": "x" * 2001}, "comment: found 2001 characters, expected at most 2000"),
        ({"success": True, "user": "x" * 201}, "user_id: found 201 characters, expected at most 200"),
    ],
)
def test_invalid_feedback_is_refused_in_one_line(database_url: str, values: dict[str, Any], error: str) -> None:
    with pytest.raises(psycopg.errors.InvalidParameterValue, match=f"^{error}"):
        report_feedback(database_url, **{"request_id": a_request_id(), **values})


def submit(url: str, request_id: str, key_id: str | None, workspace: str | None = None) -> Any:
    statement = "SELECT * FROM centralcloud.submit_feedback(%s, true, NULL, NULL, NULL, %s, %s)"
    with psycopg.connect(url) as connection:
        return connection.execute(statement, (request_id, workspace, key_id)).fetchone()


def test_the_feedback_that_waits_is_bounded_for_each_key(database: Database, database_url: str) -> None:
    known, waits = a_request_id(), a_request_id()
    send(database_url, [waiting(known, workspace="acme")])
    ingest_all(database)
    assert submit(database_url, waits, "key-1") == ("waiting", None)
    execute(
        database_url,
        "INSERT INTO waiting_feedback (request_id, success, key_id) "
        "SELECT gen_random_uuid(), true, 'key-1' FROM generate_series(1, 9999)",
    )

    assert submit(database_url, a_request_id(), "key-1") == ("refused", None)
    assert submit(database_url, waits, "key-1") == ("waiting", None), "a repetition takes no more room"
    assert submit(database_url, a_request_id(), "key-2") == ("waiting", None)
    assert submit(database_url, a_request_id(), None) == ("waiting", None)
    assert submit(database_url, known, "key-1", "other") == ("unknown", None)
    assert submit(database_url, known, "key-1", "acme") == ("learned", True), "this does not wait"


def test_reports_for_requests_that_do_not_exist_keep_no_others_waiting(database: Database, database_url: str) -> None:
    execute(
        database_url,
        "INSERT INTO waiting_feedback (request_id, reported_at, success) "
        "SELECT gen_random_uuid(), now() - interval '10 minutes', true FROM generate_series(1, 1000)",
    )
    request_id = a_request_id()
    report_feedback(database_url, request_id, success=True)
    send(database_url, [waiting(request_id)])
    ingest_all(database)  # the outcome
    execute(database_url, "DELETE FROM feedback")
    report_feedback(database_url, a_request_id(), success=True)
    settle = "SELECT centralcloud.settle_feedback()"
    looked_for = "SELECT count(*) FROM waiting_feedback WHERE tried_at IS NOT NULL"

    assert execute(database_url, settle) == [(0,)]
    assert execute(database_url, looked_for) == [(1000,)], "the oldest"
    assert execute(database_url, settle) == [(0,)]
    assert execute(database_url, looked_for) == [(1001,)], (
        "the others, and none of those before for as long as they waited"
    )
    tried = "UPDATE waiting_feedback SET tried_at = now() - interval '3 minutes', reported_at = now() - interval '5 minutes'"
    execute(database_url, tried)
    execute(database_url, settle)
    again = "SELECT count(*) FROM waiting_feedback WHERE tried_at > now() - interval '1 minute'"
    assert execute(database_url, again) == [(1000,)]


def test_feedback_on_a_request_whose_attempts_all_failed_is_stored_after_half_a_day(
    database: Database, database_url: str
) -> None:
    request_id = a_request_id()
    until = in_minutes(60 * 24)
    failed = an_attempt(request_id, 1, "failure", error_kind="timeout")
    send(database_url, [waiting(request_id, feedback_until=until), failed])
    ingest_all(database)
    assert report_feedback(database_url, request_id, success=False) == ("waiting", None)
    Maintenance(database).run_once()
    assert execute(database_url, "SELECT count(*) FROM feedback") == [(0,)], "an answer may still come"

    execute(database_url, "UPDATE waiting_feedback SET reported_at = now() - interval '13 hours', tried_at = NULL")
    Maintenance(database).run_once()
    assert execute(database_url, "SELECT success, learned FROM feedback") == [(False, False)]
