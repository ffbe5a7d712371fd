"""Clients that go away in every phase of every kind of request: nothing of them is left."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.gateway_aborts import AbortingClients
from support.gateways import Gateway, a_key, start_gateway
from support.memory_meter import MemoryMeter, is_possible
from support.programs import Program
from support.upstream.process import FakeUpstream, a_fake_upstream
from support.waiting import eventually

#: Bytes that a request may leave in use. The smallest leak to be found is 300 bytes a request.
_BYTES_PER_REQUEST = 150
#: Bytes that take their final size in the first thousand requests: buffers, tables, caches.
_STILL_GROWING_BYTES = 60_000
_WARM_UP = 600
_REQUESTS = 800
_ROUNDS = 3
_SECONDS = 5.0
_RELEASED_SECONDS = 1.0
#: Resident memory takes its final size in about 40,000 requests. With 200,000, the bound is 10 MiB. A leak of 300 bytes
#: exceeds it from 20,000 requests on; with fewer, the test above finds it.
_STILL_GROWING_MIB = 5.0
_MIB_PER_REQUEST = 5.0 / 200_000


def resident_mib(program: Program) -> float:
    pages = int(Path(f"/proc/{program.process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def descriptors(program: Program) -> int:
    return sum(1 for _ in Path(f"/proc/{program.process.pid}/fd").iterdir())


def released(gateway: Gateway, upstream: FakeUpstream) -> float:
    """Wait until no request is under way, at the gateway and at the providers; return the seconds."""

    def none_is_left() -> bool:
        return gateway.details()["inFlight"] == 0 and upstream.state()["open"] == 0

    began = time.monotonic()
    eventually(none_is_left, what="the end of every request")
    return time.monotonic() - began


def in_use_at_rest(gateway: Gateway, meter: MemoryMeter, files: int) -> int:
    """Return the bytes in use once the events are sent and the idle connections to the providers are closed."""
    eventually(lambda: gateway.details()["events"]["waiting"] == 0, what="the end of the queue of events")
    eventually(lambda: descriptors(gateway.program) <= files, what="the end of idle connections")
    return meter.read(gateway.program)


@pytest.mark.skipif(not is_possible(), reason="the C library does not count its memory")
@pytest.mark.parametrize(
    ("fault", "leaks"), [("metered_memory", False), pytest.param("leaking_memory", True, marks=pytest.mark.soak)]
)
def test_requests_whose_clients_go_away_leave_nothing_behind(
    start, tmp_path: Path, database_url: str, fault: str, leaks: bool
) -> None:
    """Memory, descriptors, tasks and connections to providers. A leak of 300 bytes in each request is found."""
    meter = MemoryMeter(tmp_path / "memory")
    with a_fake_upstream() as upstream:
        key = a_key(database_url)
        variables = {"INSTANCE_AGENT_RESEND_SECONDS": "0", **meter.variables}
        gateway = start_gateway(start, tmp_path, upstream, database_url, key=key, fault=fault, **variables)
        files = descriptors(gateway.program) + 4  # connections to the database
        clients = AbortingClients(gateway.port, key)
        warm_up = clients.run(_WARM_UP, _SECONDS)
        released(gateway, upstream)
        # A buffer that grew for one large batch of events is not a leak, which grows in each round.
        for _ in range(_ROUNDS):
            before = in_use_at_rest(gateway, meter, files)
            sent = clients.run(_REQUESTS, _SECONDS)
            waited = released(gateway, upstream)
            growth = in_use_at_rest(gateway, meter, files) - before
            print(f"{warm_up.total} + {sent.total} requests: {growth:+,} bytes, {growth / sent.total:.0f} a request")  # noqa: T201
            assert sent.problems() == {}
            assert waited < _RELEASED_SECONDS
            found = growth > _STILL_GROWING_BYTES + _BYTES_PER_REQUEST * sent.total
            if not found:
                break

    assert found == leaks


@pytest.mark.soak
def test_memory_stays_the_same_over_200000_requests_whose_clients_go_away(
    request: pytest.FixtureRequest, start, tmp_path: Path, database_url: str
) -> None:
    """Resident memory, with the gateway as it is; over as many requests as the seconds allow."""
    seconds = request.config.option.soak_seconds
    with a_fake_upstream() as upstream:
        key = a_key(database_url)
        # Without the events of the last seconds, which are as many as the machine is fast.
        gateway = start_gateway(start, tmp_path, upstream, database_url, key=key, INSTANCE_AGENT_RESEND_SECONDS="0")
        clients = AbortingClients(gateway.port, key)
        warm_up = clients.run(10_000, 10.0 + seconds / 4)
        released(gateway, upstream)
        memory, files = resident_mib(gateway.program), descriptors(gateway.program)

        sent = clients.run(200_000, seconds * 3 / 4)
        waited = released(gateway, upstream)
        growth = resident_mib(gateway.program) - memory

    print(f"{warm_up.total} + {sent.total} requests: {memory:.1f} MiB {growth:+.1f}, {files} files, {waited:.2f} s")  # noqa: T201
    assert sent.problems() == {}
    assert growth < _STILL_GROWING_MIB + _MIB_PER_REQUEST * sent.total
    assert waited < _RELEASED_SECONDS
    assert descriptors(gateway.program) <= files + 32, "connections that are not used"


@pytest.mark.soak
@pytest.mark.skipif(not is_possible(), reason="the C library gives memory back by itself")
def test_memory_of_large_requests_is_given_back(start, tmp_path: Path, database_url: str) -> None:
    """Bodies of 4 MiB, 16 at a time; some seconds later the process is small again, though connections are kept."""
    with a_fake_upstream() as upstream:
        key = a_key(database_url)
        variables = {"INSTANCE_AGENT_RESEND_SECONDS": "0", "INSTANCE_AGENT_LOG_LEVEL": "debug"}
        gateway = start_gateway(start, tmp_path, upstream, database_url, key=key, **variables)
        gateway.chat("alpha/m")
        before = resident_mib(gateway.program)
        with ThreadPoolExecutor(16) as pool:
            statuses = set(pool.map(lambda _: gateway.chat("alpha/m", "x" * 4_000_000).status, range(64)))
        gateway.program.wait_for("memory_trimmed")
        eventually(lambda: resident_mib(gateway.program) < before + 64, what="the old size", within_seconds=45)

    assert statuses == {200}
