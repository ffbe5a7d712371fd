"""A gateway whose disk is full, and one whose clock is set, while clients send requests."""

import os
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.disks import a_small_disk, fill
from support.faked_clock import a_faked_clock
from support.gateway_clients import GatewayClients
from support.gateways import Gateway, a_key, start_gateway
from support.programs import Program
from support.servers import execute
from support.tcp_proxy import TcpProxy
from support.upstream.process import FakeUpstream, a_fake_upstream
from support.waiting import eventually

StartProgram = Callable[..., Program]

_HOUR = 3600.0
_QUEUED = (
    "SELECT message #>> '{routing_decision,decision_id}', count(*), "
    "count(*) FILTER (WHERE message #>> '{routing_decision,outcome}' <> 'routed') "
    "FROM pgmq.q_model_routing_decisions GROUP BY 1"
)
_TIMES = (
    "SELECT message #>> '{routing_decision,decision_id}', (message ->> 'timestamp')::timestamptz, "
    "(message #>> '{routing_decision,response_time_ms}')::int FROM pgmq.q_model_routing_decisions ORDER BY msg_id"
)


@pytest.fixture(scope="module")
def running_upstream():
    with a_fake_upstream() as upstream:
        yield upstream


@pytest.fixture
def upstream(running_upstream: FakeUpstream) -> FakeUpstream:
    running_upstream.reset()
    return running_upstream


def metric(gateway: Gateway, name: str) -> float:
    found = re.search(
        rf"^centralcloud_gateway_{name} (\S+)$", gateway.call("GET", "/metrics").body.decode(), re.MULTILINE
    )
    assert found is not None, name
    return float(found[1])


def events_of(gateway: Gateway) -> dict:
    events: dict = gateway.call("GET", "/health/detailed", key=None).json()["events"]
    return events


def test_a_full_disk_under_the_spool_fails_no_request_and_is_shown(
    start: StartProgram, tmp_path: Path, upstream: FakeUpstream, database_url: str, proxy: TcpProxy
) -> None:
    """Events that are not on disk wait in memory. With the database away as well, nothing is lost unless it is killed."""
    key = a_key(database_url, "operator")
    with a_small_disk("2m") as disk:
        if not os.path.ismount(disk):
            pytest.skip("only root may mount the small file system that this test fills")
        gateway = start_gateway(
            start, tmp_path, upstream, proxy.url, key=key, INSTANCE_AGENT_STATE_DIR=str(disk / "state")
        )
        with GatewayClients([gateway.url], key) as clients:
            proxy.pause()
            proxy.cut()
            eventually(lambda: clients.answered > 50, what="requests without the database")
            fill(disk, disk / "ballast")
            gateway.program.wait_for("spool_not_written")
            before = clients.answered
            eventually(lambda: clients.answered > before + 50, what="requests without a disk")
            shown = eventually(lambda: events if (events := events_of(gateway))["notSpooled"] else None)
            counted = metric(gateway, "spool_not_written_total")
            (disk / "ballast").unlink()
            gateway.program.wait_for("spool_written_again")
            proxy.resume()
            eventually(lambda: events_of(gateway)["sent"] > 0, what="events after the return", within_seconds=40)
        eventually(lambda: events_of(gateway)["waiting"] == 0, what="all events sent")

        assert dict(clients.seen.errors) == {}
        assert not shown["spoolWritable"]
        eventually(lambda: events_of(gateway)["spoolWritable"], what="a spool that is writable, also without requests")
        assert shown["dropped"] == events_of(gateway)["dropped"] == 0
        assert counted >= 1
        # Again where the end of a short file has made room for a moment.
        reasons = [each["reason"] for each in gateway.program.log() if each["event"] == "spool_not_written"]
        assert {*reasons} == {"No space left on device"}
        queued = {decision: (events, outcomes) for decision, events, outcomes in execute(database_url, _QUEUED)}
        assert {queued.get(decision) for decision in clients.seen.decisions} == {(2, 1)}
        gateway.program.kill()


def test_a_clock_that_is_set_neither_locks_clients_out_nor_holds_a_provider_back(
    start: StartProgram, tmp_path: Path, upstream: FakeUpstream, database_url: str
) -> None:
    """An hour ahead and an hour back, with half an hour of grace for keys: only what the clock itself says has expired."""
    clock, faked = a_faked_clock(tmp_path)
    key, short = a_key(database_url, "admin"), a_key(database_url, valid_for=timedelta(minutes=30))
    gateway = start_gateway(
        start, tmp_path, upstream, database_url, key=key, INSTANCE_AGENT_GATEWAY_KEY_GRACE_SECONDS="1800",
        INSTANCE_AGENT_RECONCILE_INTERVAL_SECONDS="3600", **faked,
    )  # fmt: skip
    assert registered(gateway, "extra")

    def models(use: str = key) -> int:
        return gateway.call("GET", "/v1/models", key=use).status

    assert (models(), models(short)) == (200, 200)
    answered = []
    for hours in (1, -1):
        clock.set(hours * _HOUR)
        assert models() == 200
        assert models(short) == (401 if hours > 0 else 200)
        assert gateway.call("GET", "/health/ready", key=None).status == 200
        answered.append((hours, gateway.chat("gpt")))
    clock.set(0)

    # A wait that began before a step of the clock ends by the seconds that have passed.
    upstream.behave("status=429+retry-after=2", model="gpt", times=1)
    assert gateway.chat().headers["x-centralcloud-model"] == "extra"
    report = {"status": "unhealthy", "ttlSeconds": 2}
    assert gateway.call("POST", "/api/models/extra/health", report).status < 300
    eventually(lambda: gateway.chat().headers["x-centralcloud-model"] == "opus", what="the report at the gateway")
    clock.set(-_HOUR)
    back = {"gpt", "extra"}
    eventually(lambda: gateway.chat().headers["x-centralcloud-model"] in back, what="a model back", within_seconds=8)
    eventually(lambda: gateway.chat("extra").status == 200)
    shown = gateway.call("GET", "/api/models/extra/health").json()
    assert shown["status"] == "unknown"

    rows = eventually(lambda: all_of(database_url, answered))
    for hours, times in rows:
        (routed, _), (ended, milliseconds) = times
        assert abs((routed - datetime.now(UTC)).total_seconds() - hours * _HOUR) < 60
        assert ended - routed == timedelta(milliseconds=milliseconds)
        assert 0 <= milliseconds < 10_000


def registered(gateway: Gateway, model_id: str) -> bool:
    """Register a model that is better than those of the catalog, and wait until it is used."""
    scores = {"complexityScores": {"simple": 5, "medium": 5, "complex": 5}}
    body = {"id": model_id, "name": model_id, "version": "m", "provider": "alpha", **scores}
    assert gateway.call("POST", "/api/models", body).status == 201
    return eventually(lambda: gateway.chat().headers["x-centralcloud-model"] == model_id, what="the registered model")


def all_of(url: str, answered: list) -> list | None:
    """Return the time and the milliseconds of both events of each answer; None while they have not arrived."""
    found: dict[str, list] = {}
    for decision, at, milliseconds in execute(url, _TIMES):
        found.setdefault(decision, []).append((at, milliseconds))
    rows = [(hours, found.get(reply.headers["x-centralcloud-decision-id"], [])) for hours, reply in answered]
    return rows if all(len(times) == 2 for _, times in rows) else None
