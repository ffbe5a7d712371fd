"""An experiment in running gateways: arms, headers, events, a pause that reaches every replica, and a silent daemon."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.experiment_entries import an_experiment
from support.gateways import Gateway, Reply, a_key, start_gateway
from support.ingest import ingest_all
from support.programs import Program
from support.registry import write
from support.servers import execute
from support.upstream.process import FakeUpstream
from support.waiting import eventually

from centralcloud.contracts.experiment_arms import Split, assign, position_of
from centralcloud.contracts.fleet_configuration import parse_experiment, put
from centralcloud.runtime.postgres.database import Database
from instance_agent.routing.affinity import session_key

POLL_SECONDS = 3
SESSIONS = [f"session-{number}" for number in range(8)]


def expected_arm(session: str) -> str:
    position = position_of("e1", "salt", session_key("acme", session))
    return "new" if assign(position, Split(1, 0.5)).treatment == 0 else "control"


ARMS = {session: expected_arm(session) for session in SESSIONS}
TREATED, CONTROL = (next(each for each, arm in ARMS.items() if arm == name) for name in ("new", "control"))


@pytest.fixture
def gateways(
    start: Callable[..., Program], tmp_path: Path, fake_upstream: FakeUpstream, database_url: str
) -> list[Gateway]:
    key = a_key(database_url, "user", workspace="acme")
    (tmp_path / "second").mkdir()
    return [
        start_gateway(
            start,
            folder,
            fake_upstream,
            database_url,
            key=key,
            INSTANCE_ID=name,
            INSTANCE_AGENT_POLL_INTERVAL_SECONDS=str(POLL_SECONDS),
            INSTANCE_AGENT_GATEWAY_CACHE_BYTES="0",
        )
        for name, folder in (("gateway-1", tmp_path), ("gateway-2", tmp_path / "second"))
    ]


def put_experiment(database: Database, status: str = "running", **fields: Any) -> None:
    """Write the experiment e1: opus, which scores less than gpt, for half of the sessions."""
    value = an_experiment({"name": "new", "model": "opus"}, stage={"status": status, **fields})
    write(database, put(parse_experiment(value)))


def see_daemon(database_url: str) -> None:
    """Write the sign of life of the daemon."""
    execute(database_url, "UPDATE experiment_heartbeat SET seen_at = now()")


def arm_of(gateway: Gateway, session: str = TREATED) -> tuple[str | None, str]:
    """Return the arm of a request of a session, and its model."""
    headers = gateway.chat(headers={"x-centralcloud-session": session}).headers
    assert (headers.get("x-centralcloud-experiment") == "e1") is ("x-centralcloud-arm" in headers)
    return headers.get("x-centralcloud-arm"), headers["x-centralcloud-model"]


def test_treatment_sessions_go_to_the_model_and_headers_and_events_say_so(
    gateways: list[Gateway], fake_upstream: FakeUpstream, database_url: str, database: Database
) -> None:
    see_daemon(database_url)
    put_experiment(database)
    for gateway in gateways:
        eventually(lambda gateway=gateway: arm_of(gateway) == ("new", "opus"))
    for number in range(10):
        for session, arm in ARMS.items():
            found = arm_of(gateways[number % 2], session)
            assert found == (arm, "opus" if arm == "new" else "gpt"), (session, number)

    shown = (
        gateways[0]
        .call("POST", "/api/routing/test", {"prompt": "hi"}, headers={"x-centralcloud-session": TREATED})
        .json()
    )
    assert {
        "experiment": "e1",
        "arm": "new",
        "armShare": 0.5,
        "kind": "experiment",
        "modelId": "opus",
    }.items() <= shown.items()
    streamed = gateways[0].chat(headers={"x-centralcloud-session": TREATED}, stream=True)
    assert streamed.headers["x-centralcloud-arm"] == "new"
    assert b'"experiment":"e1","arm":"new"' in streamed.body

    # A model that is down fails in its arm each time, however often it has; other requests answer for it.
    fake_upstream.behave("status=500", model="opus")
    calls = len(fake_upstream.requests("opus"))
    for _ in range(12):
        assert arm_of(gateways[0]) == ("new", "gpt")
    assert len(fake_upstream.requests("opus")) == calls + 12

    def events() -> list[tuple[Any, ...]]:
        ingest_all(database)
        return execute(
            database_url,
            "SELECT experiment, arm, arm_share, attempt, model, outcome, count(*)::int FROM routing_records "
            "WHERE experiment IS NOT NULL AND outcome <> 'routed' GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY 2, 4, 6",
        )

    attempts = {("e1", "new", 0.5, 1, "opus", "failure", 12), ("e1", "new", None, 2, "gpt", "success", 12)}
    eventually(lambda: attempts <= set(events()))
    found = {row[:6]: row[6] for row in events()}
    assert found["e1", "control", 0.5, 1, "gpt", "success"] >= 10
    assert {row[:5] for row in found} == {
        ("e1", "new", 0.5, 1, "opus"), ("e1", "new", None, 2, "gpt"), ("e1", "control", 0.5, 1, "gpt"),
    }  # fmt: skip
    decisions = execute(
        database_url,
        "SELECT DISTINCT d.experiment, d.arm, d.arm_share, d.attempt FROM routing_records AS d JOIN routing_records AS o "
        "USING (decision_id) WHERE d.session IS NOT NULL AND d.outcome = 'routed' AND o.outcome <> 'routed' "
        "AND (d.experiment, d.arm, d.attempt) = (o.experiment, o.arm, o.attempt) ORDER BY 2, 4",
    )
    assert decisions == [("e1", "control", 0.5, 1), ("e1", "new", 0.5, 1), ("e1", "new", None, 2)]
    plans = execute(
        database_url,
        "SELECT DISTINCT plan->>'experiment', plan->>'arm' FROM request_plans WHERE plan ? 'arm' ORDER BY 2",
    )
    assert plans == [("e1", "control"), ("e1", "new")]


def first_attempts(database: Database, database_url: str) -> dict[tuple[Any, ...], int]:
    """Return how many first attempts there are of each arm, share, mark, model, outcome and kind."""
    ingest_all(database)
    rows = execute(
        database_url,
        "SELECT arm, arm_share, extra->>'not_made', model, outcome, error_kind, count(*)::int FROM routing_records "
        "WHERE experiment = 'e1' AND attempt = 1 AND outcome <> 'routed' GROUP BY 1, 2, 3, 4, 5, 6",
    )
    return {row[:6]: row[6] for row in rows}


def test_requests_whose_arms_first_choice_is_not_called_stay_in_their_arm(
    gateways: list[Gateway], fake_upstream: FakeUpstream, database_url: str, database: Database
) -> None:
    see_daemon(database_url)
    put_experiment(database)
    first = gateways[0]
    eventually(lambda: arm_of(first) == ("new", "opus"))
    fake_upstream.behave("status=429+retry-after=600", model="opus")
    for _ in range(4):
        assert arm_of(first) == ("new", "gpt")
    assert len(fake_upstream.requests("opus")) <= 3, "the wait is kept"
    for name in ("gpt", "flash"):
        fake_upstream.behave("status=429+retry-after=600", model=name)
    eventually(lambda: is_unserved(ask(first, CONTROL)), what="the wait of every model")
    assert all(is_unserved(ask(first, session)) for session in (TREATED, CONTROL) for _ in range(3))
    assert is_unserved(ask(first, TREATED, stream=True))

    def found() -> dict[tuple[Any, ...], int]:
        return first_attempts(database, database_url)

    unserved = {("new", 0.5, "unserved", "opus", "failure", "policy"): 4}
    eventually(lambda: unserved.items() <= found().items())
    attempts = found()
    assert attempts["new", 0.5, "waits", "gpt", "success", None] == 3
    assert attempts["new", 0.5, None, "opus", "failure", "provider"] == 1
    assert sum(number for key, number in attempts.items() if key[:3] == ("control", 0.5, "unserved")) >= 3


def is_unserved(reply: Reply) -> bool:
    """Whether no model was called for a request."""
    return reply.status == 429 and bool(reply.error["code"] == "no_target_available")


def ask(gateway: Gateway, session: str, **fields: Any) -> Reply:
    return gateway.chat(headers={"x-centralcloud-session": session}, **fields)


def test_a_client_chooses_neither_its_arm_nor_what_its_events_say_of_it(
    gateways: list[Gateway], database_url: str, database: Database
) -> None:
    see_daemon(database_url)
    put_experiment(database)
    first = gateways[0]
    eventually(lambda: arm_of(first) == ("new", "opus"))
    words = {"experiment": "e1", "arm": "new", "arm_share": 0.9, "armShare": 0.9, "not_made": "waits"}
    headers = {f"x-centralcloud-{name.replace('_', '-')}": str(value) for name, value in words.items()}
    headers |= {"experiment": "e1", "arm": "new", "x-centralcloud-session": CONTROL}
    texts = {name: str(value) for name, value in words.items()}
    metadata = {**texts, "extra": texts, "routing_decision": texts}
    replies = [
        first.chat(headers=headers, metadata=texts),
        first.call("POST", "/api/route", {"prompt": "hi", "metadata": metadata}, headers=headers),
    ]
    assert [each.status for each in replies] == [200, 200]
    ids = [each.headers["x-centralcloud-request-id"] for each in replies]
    assert {each.headers["x-centralcloud-arm"] for each in replies} == {"control"}
    beside = first.call("POST", "/api/route", {"prompt": "hi", **texts}, headers=headers)
    assert (beside.status, "experiment" in beside.body.decode()) == (422, True)
    refused = first.call("POST", "/v1/feedback", {"request_id": ids[0], "reward": 1, "arm": "new"})
    assert refused.status == 400
    # A name of an experiment that the request is not in.
    named = first.chat("gpt", headers=headers, metadata=texts)
    assert "x-centralcloud-arm" not in named.headers
    ids.append(named.headers["x-centralcloud-request-id"])

    def stored() -> list[tuple[Any, ...]]:
        ingest_all(database)
        return execute(
            database_url,
            "SELECT experiment, arm, arm_share, extra FROM routing_records WHERE request_id = ANY (%s::uuid[])",
            (ids,),
        )

    eventually(lambda: len(stored()) == 6)
    assert {row[:3] for row in stored()} == {("e1", "control", 0.5), (None, None, None)}
    assert not any(name in (row[3] or {}) for row in stored() for name in words)


def test_a_pause_reaches_every_replica_within_a_second_and_without_notifications_within_a_poll(
    gateways: list[Gateway], database_url: str, database: Database
) -> None:
    see_daemon(database_url)
    put_experiment(database)
    for gateway in gateways:
        eventually(lambda gateway=gateway: arm_of(gateway) == ("new", "opus"))
    put_experiment(database, "paused")
    began = time.monotonic()
    for gateway in gateways:
        eventually(lambda gateway=gateway: arm_of(gateway) == ("control", "gpt"))
    assert time.monotonic() - began < 1.5, "notified, not polled"

    # A session whose cache holds the treatment's prompt goes back, too; and nothing of it is compared.
    shown = (
        gateways[0]
        .call("POST", "/api/routing/test", {"prompt": "hi"}, headers={"x-centralcloud-session": TREATED})
        .json()
    )
    assert (shown["arm"], shown["armShare"], shown["modelId"]) == ("control", None, "gpt")

    (definition,) = execute(database_url, "SELECT pg_get_functiondef('centralcloud.write_configuration'::regproc)")[0]
    execute(database_url, definition.replace("'centralcloud_configuration'", "'not_listened_to'"))
    put_experiment(database, "promoted", winner="new")
    began = time.monotonic()
    other = next(session for session, arm in ARMS.items() if arm == "control")
    for gateway in gateways:
        eventually(lambda gateway=gateway: arm_of(gateway, other) == ("new", "opus"))
    assert time.monotonic() - began < POLL_SECONDS + 2


def test_without_a_sign_of_the_daemon_nothing_is_treated(
    gateways: list[Gateway], database_url: str, database: Database
) -> None:
    put_experiment(database)
    first = gateways[0]
    eventually(lambda: arm_of(first) == ("control", "gpt"))
    assert "centralcloud_gateway_experiments_daemon_silent 1.0" in first.call("GET", "/metrics").body.decode()
    see_daemon(database_url)
    eventually(lambda: arm_of(first) == ("new", "opus"))
    eventually(lambda: any(line["event"] == "experiments_daemon_seen" for line in first.program.log()))
    assert "centralcloud_gateway_experiments_daemon_silent 0.0" in first.call("GET", "/metrics").body.decode()
    assert "experiments_daemon_silent" not in first.program.events(), "the experiment has just begun"
    execute(database_url, "UPDATE experiment_heartbeat SET seen_at = now() - interval '16 minutes'")
    eventually(lambda: arm_of(first) == ("control", "gpt"))
    first.program.wait_for("experiments_daemon_silent")
