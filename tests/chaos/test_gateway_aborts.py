"""Clients that go away in every phase of every kind of request: nothing of them is left."""

import os
import time
from pathlib import Path

import pytest
from support.gateway_aborts import AbortingClients
from support.gateways import Gateway, a_key, start_gateway
from support.programs import Program
from support.upstream.process import FakeUpstream, a_fake_upstream
from support.waiting import eventually

_SECONDS = 8.0
#: The gateway keeps this many requests for explanations; memory is flat only after that.
_WARM_UP = 2_000
_WARM_UP_SECONDS = 10.0
_GROWTH_MIB = 10.0
_RELEASED_SECONDS = 1.0


def resident_mib(program: Program) -> float:
    pages = int(Path(f"/proc/{program.process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def descriptors(program: Program) -> int:
    return sum(1 for _ in Path(f"/proc/{program.process.pid}/fd").iterdir())


def in_flight(gateway: Gateway) -> int:
    return int(gateway.call("GET", "/health/detailed", key=None).json()["inFlight"])


@pytest.mark.parametrize("requests", [20_000, pytest.param(200_000, marks=pytest.mark.soak)])
def test_requests_whose_clients_go_away_leave_nothing_behind(
    request: pytest.FixtureRequest, start, tmp_path: Path, database_url: str, requests: int
) -> None:
    """Memory, descriptors, tasks and connections to providers, over as many requests as the seconds allow."""
    seconds = request.config.option.soak_seconds or _SECONDS
    with a_fake_upstream() as upstream:
        key = a_key(database_url)
        # Without the events of the last seconds, which are as many as the machine is fast.
        gateway = start_gateway(start, tmp_path, upstream, database_url, key=key, INSTANCE_AGENT_RESEND_SECONDS="0")
        clients = AbortingClients(gateway.port, key)
        warm_up = clients.run(max(_WARM_UP, requests // 20), _WARM_UP_SECONDS + seconds / 4)
        released(gateway, upstream)
        memory, files = resident_mib(gateway.program), descriptors(gateway.program)

        sent = clients.run(requests, seconds * 3 / 4)
        waited = released(gateway, upstream)
        growth = resident_mib(gateway.program) - memory

    print(f"{warm_up.total} + {sent.total} requests: {memory:.1f} MiB {growth:+.1f}, {files} files, {waited:.2f} s")  # noqa: T201
    assert sent.problems() == {}
    assert growth < _GROWTH_MIB
    assert waited < _RELEASED_SECONDS
    assert descriptors(gateway.program) <= files + 32, "connections that are not used"


def released(gateway: Gateway, upstream: FakeUpstream) -> float:
    """Wait until no request is under way, at the gateway and at the providers; return the seconds."""
    began = time.monotonic()
    eventually(lambda: in_flight(gateway) == 0 and upstream.state()["open"] == 0, what="the end of every request")
    return time.monotonic() - began
