"""All faults at once for a given time: `make soak`. At the end every count adds up, and no worker uses more memory."""

import os
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support.load import Producers, assert_all_ingested, has_newest_scores, records
from support.programs import Program
from support.servers import OwnServer, execute
from support.waiting import eventually, passes

StartProgram = Callable[..., Program]

_WARM_UP_SHARE = 0.25
_GROWTH_MB = 20.0


def resident_mb(program: Program) -> float:
    pages = int(Path(f"/proc/{program.process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


@pytest.mark.soak
def test_a_long_run_under_random_faults(
    request: pytest.FixtureRequest, start_worker: StartProgram, start_agent: StartProgram, own_server: OwnServer
) -> None:
    seconds = request.config.option.soak_seconds
    rng = random.Random(13)
    steady = start_worker(own_server.url, CENTRALCLOUD_MAINTENANCE_INTERVAL_SECONDS="5")
    agent = start_agent(own_server.url)
    victim = start_worker(own_server.url)

    def kill_a_worker() -> None:
        nonlocal victim
        victim.kill()
        victim = start_worker(own_server.url)

    def restart_the_database() -> None:
        own_server.crash()
        own_server.start()

    def terminate_backends() -> None:
        execute(
            own_server.url,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name ~ '^(centralcloud|instance)'",
        )

    faults = [kill_a_worker, kill_a_worker, terminate_backends, restart_the_database]
    memory: list[tuple[float, float]] = []
    started = time.monotonic()
    decisions = 0
    while (elapsed := time.monotonic() - started) < seconds:
        with Producers(own_server.url, events=3000, pause_seconds=0.02, name=f"round-{decisions}") as producers:
            while producers.busy:
                if not passes(lambda: not producers.busy, within_seconds=rng.uniform(0.5, 3)):
                    rng.choice(faults)()
        decisions += producers.decisions
        memory.append((elapsed, resident_mb(steady)))
        print(f"{elapsed:6.0f} s: {records(own_server.url):9,} records, worker {memory[-1][1]:.1f} MB")  # noqa: T201
    assert_all_ingested(own_server.url, decisions, within_seconds=60)
    eventually(lambda: has_newest_scores(own_server.url), within_seconds=60)
    for program in (steady, agent, victim):
        assert program.process.poll() is None
    warm = [megabytes for at, megabytes in memory if at >= _WARM_UP_SHARE * seconds]
    assert warm[-1] - warm[0] < _GROWTH_MB, memory
