"""Alerts of budgets: a finding while the period lasts, and a signed webhook that is repeated until it is accepted."""

import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from pydantic import ValidationError
from support.servers import execute
from support.spending import put_budgets, spend_before

from centralcloud.contracts import SettingsError
from centralcloud.monitoring.alert_sender import AlertSender
from centralcloud.monitoring.finding_detector import FindingDetector
from centralcloud.monitoring.webhook import signature_of
from centralcloud.runtime.postgres.database import Database
from centralcloud.settings import Settings

BUDGET = {"scope": "workspace", "of": "acme", "period": "daily", "limit": 0.002}
SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()


def reach_the_threshold(url: str) -> None:
    put_budgets(url, BUDGET)
    spend_before(url, "budget/workspace:acme:daily", 1_600_000)


@contextmanager
def a_receiver(*statuses: int) -> Iterator[tuple[str, list[tuple[dict[str, str], bytes]]]]:
    """A server that answers with these statuses, the last one again and again; and what it has received."""
    received: list[tuple[dict[str, str], bytes]] = []
    answers = list(statuses)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            received.append(({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(answers.pop(0) if len(answers) > 1 else answers[0])
            self.send_header("location", "/elsewhere")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            return

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/hook?to=ops", received
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_budget_at_its_threshold_is_a_finding_until_its_period_ends(database: Database, database_url: str) -> None:
    reach_the_threshold(database_url)
    detector = FindingDetector(database)
    detector.run_once()
    query = "SELECT subject, message, closed_at IS NULL FROM findings WHERE kind = 'budget_alert'"
    ((subject, message, is_open),) = execute(database_url, query)
    assert (subject, is_open) == ("workspace:acme:daily", True)
    assert message.startswith("budget workspace:acme:daily: 0.0016 USD of 0.002 USD are spent (80.0%), until 20")
    assert message.endswith("UTC: expected less than 80.0%")
    execute(database_url, "UPDATE spend_alerts SET period_end = now()")
    detector.run_once()
    assert execute(database_url, query)[0][2] is False
    detector.on_stop()


def test_an_alert_is_delivered_once_with_a_signature(database: Database, database_url: str) -> None:
    reach_the_threshold(database_url)
    with a_receiver(204) as (address, received):
        for _ in range(3):
            AlertSender(database, address, SECRET).run_once()
    ((headers, body),) = received
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.new(b"0123456789abcdef0123456789abcdef", signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    message = json.loads(body)
    assert message["type"] == "budget.alert"
    assert {name: message["data"][name] for name in ("budget", "threshold", "spent_nano_usd", "limit_nano_usd")} == {
        "budget": "workspace:acme:daily", "threshold": 0.8, "spent_nano_usd": 1_600_000, "limit_nano_usd": 2_000_000,
    }  # fmt: skip
    assert execute(database_url, "SELECT delivered_at IS NOT NULL, attempts, problem FROM spend_alerts") == [
        (True, 1, None)
    ]


def test_an_alert_that_is_not_accepted_is_repeated_later_with_the_same_id(
    database: Database, database_url: str
) -> None:
    reach_the_threshold(database_url)
    with a_receiver(503, 307, 200) as (address, received):
        sender = AlertSender(database, address, None)
        for attempt, problem in ((1, "status 503, expected 200 to 299"), (2, "status 307, expected 200 to 299")):
            sender.run_once()
            sender.run_once()
            rows = execute(
                database_url, "SELECT attempts, problem, next_attempt_at > now() + interval '5 s' FROM spend_alerts"
            )
            assert rows == [(attempt, problem, True)], "the next attempt is later"
            execute(database_url, "UPDATE spend_alerts SET next_attempt_at = now()")
        sender.run_once()
    assert len({headers["webhook-id"] for headers, _ in received}) == 1
    assert [headers.get("webhook-signature") for headers, _ in received] == [None] * 3
    assert execute(database_url, "SELECT delivered_at IS NOT NULL, attempts FROM spend_alerts") == [(True, 3)]


def test_a_receiver_that_does_not_answer_leaves_the_reason(database: Database, database_url: str) -> None:
    reach_the_threshold(database_url)
    with a_receiver(200) as (address, _):
        pass
    AlertSender(database, address, SECRET).run_once()
    ((delivered, problem),) = execute(database_url, "SELECT delivered_at, problem FROM spend_alerts")
    assert delivered is None
    assert problem.startswith("ConnectionRefusedError")


def test_the_signature_of_the_specification() -> None:
    # The example of https://github.com/standard-webhooks/standard-webhooks (libraries, Python tests).
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    body = b'{"test": 2432232314}'
    found = signature_of(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body)
    assert found == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("http://hooks.example/x", "expected https://"),
        ("ftp://hooks.example", "expected an address with https://"),
        ("https://user:secret@hooks.example", "without a user and a password"),
        ("https://hooks.example:port/", "Port could not be cast"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused_at_the_start(address: str, expected: str) -> None:
    with pytest.raises((SettingsError, ValidationError), match=expected) as refused:
        Settings(webhook_url=address)
    assert "secret" not in str(refused.value)
