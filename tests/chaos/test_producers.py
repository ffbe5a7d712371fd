"""Faults that take events from a producer, or from a database that has confirmed them."""

import json
import logging
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from support.commands import environment
from support.events import an_event, outcomes
from support.fleet import a_fleet
from support.operators import OPERATOR
from support.programs import Program
from support.servers import OwnServer, embedded_folder, execute
from support.tcp_proxy import TcpProxy
from support.waiting import eventually

from centralcloud.administration.grants import Login, apply_login
from centralcloud.administration.verification import verify
from centralcloud.contracts import RoutingEvent
from centralcloud.runtime.postgres.database import Database
from centralcloud.store.schema import migrate
from instance_agent.sync.confirmed_events import ConfirmedEvents
from instance_agent.sync.event_publisher import EventPublisher

log = logging.getLogger(__name__)

_COUNT = (
    "SELECT count(*), count(DISTINCT message #>> '{routing_decision,decision_id}') FROM pgmq.q_model_routing_decisions"
)
_UNREACHABLE = "postgresql://user@127.0.0.1:1/none"
_PROGRAM = """
import sys
from instance_agent import AgentSettings, InstanceAgent
from support.waiting import eventually

with InstanceAgent(AgentSettings()) as agent:
    for _ in range(int(sys.argv[1])):
        agent.router.report_outcome(agent.router.route("simple"), True, 10)
    eventually(lambda: agent.publisher.sent >= 40, within_seconds=60, what="the end of the sending")
"""


def test_a_producer_killed_during_an_outage_leaves_its_events_in_the_spool(database_url: str, tmp_path: Path) -> None:
    """Records that are damaged are skipped and counted."""
    catalog, program, spool = tmp_path / "catalog.yaml", tmp_path / "program.py", tmp_path / "spool"
    catalog.write_text("models: [{name: m, provider: p, complexity_scores: {simple: 2}}]")
    program.write_text(_PROGRAM)

    def start(url: str, decisions: int) -> subprocess.Popen[str]:
        env = environment(
            PYTHONPATH=str(Path(__file__).parents[1]),
            DATABASE_URL=url,
            INSTANCE_ID="i",
            INSTANCE_AGENT_CATALOG=str(catalog),
            INSTANCE_AGENT_STATE_DIR=str(tmp_path / "state"),
            INSTANCE_AGENT_SPOOL_DIR=str(spool),
        )
        command = [sys.executable, str(program), str(decisions)]
        return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    killed = start(_UNREACHABLE, 20)
    files = eventually(lambda: [path for path in spool.glob("i/*") if path.read_text().count("\n") == 40])
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
    assert (spool / "i").stat().st_mode & 0o777 == 0o700
    killed.kill()
    killed.communicate(timeout=20)
    with files[0].open("ab") as damaged:
        damaged.write(b"00000000 {}\n12345678 {cut")
    output, _ = start(database_url, 0).communicate(timeout=90)
    assert execute(database_url, _COUNT) == [(40, 20)], output
    (skipped,) = [line for line in output.splitlines() if line.startswith("spool_records_skipped ")]
    assert " count=2 " in skipped
    assert list(spool.glob("i/*")) == [files[0].with_name(f"{files[0].name}.damaged")]


def test_an_asynchronous_failover_loses_nothing_that_a_producer_still_has() -> None:
    """A standby without the newest commits is promoted, while the producer has nothing new to send."""
    with embedded_folder() as folder:
        primary = OwnServer(f"{folder}/primary")
        with Database(primary.url, application_name="tests") as database:
            migrate(database)
        primary.stop()
        subprocess.run(["cp", "-a", f"{folder}/primary", f"{folder}/standby"], check=True)
        (folder / "standby/postgresql/standby.signal").touch()
        primary.start()
        standby = OwnServer(f"{folder}/standby")
        try:
            with TcpProxy(primary.url) as proxy, Database(proxy.url, application_name="producer") as database:
                publisher = EventPublisher(database, confirmed=ConfirmedEvents(seconds=1))
                publisher.start()
                for number in range(1000):
                    event = RoutingEvent(
                        timestamp=datetime.now(UTC), instance_id="i", complexity="simple", model="m", provider="p",
                        complexity_score=1.0, decision_id=f"d-{number}",
                    )  # fmt: skip
                    publisher.publish(event)
                eventually(lambda: publisher.sent == 1000)
                primary.crash()
                assert execute(standby.url, "SELECT pg_promote()") == [(True,)]
                proxy.lead_to(standby.url)
                proxy.cut()
                assert execute(standby.url, _COUNT) == [(0, 0)]
                eventually(lambda: publisher.resent == 1000, within_seconds=40, what="the resend")
                assert execute(standby.url, _COUNT) == [(1000, 1000)]
                publisher.stop()
                assert publisher.join(5)
        finally:
            standby.stop()


@pytest.mark.parametrize("events", [20_000, pytest.param(200_000, marks=pytest.mark.soak)])
def test_very_many_events_of_one_login(server: str, start_worker: Callable[..., Program], events: int) -> None:
    """All are counted, as this instance's; another login's events are ingested behind them, and learned from."""
    with a_fleet(server) as fleet:
        with Database(fleet.owner, application_name="tests") as database:
            for instance_id in ("loud", "quiet"):
                role = f"{fleet.roles.instance}_{instance_id}"
                apply_login(database, Login(role, instance_id, fleet.roles.instance), OPERATOR)
                fleet.let_in(role)
        worker = start_worker(fleet.worker, CENTRALCLOUD_RULE="threshold", CENTRALCLOUD_BATCH_SIZE="1000")
        loud, quiet = (fleet.url(f"{fleet.roles.instance}_{name}") for name in ("loud", "quiet"))
        started = time.monotonic()
        with psycopg.connect(loud, autocommit=True) as connection:
            for first in range(0, events, 1000):
                texts = [
                    json.dumps(an_event("loud", outcome="success", decision_id=str(number)))
                    for number in range(first, first + 1000)
                ]
                connection.execute("SELECT centralcloud.publish_decisions(%s::jsonb[])", (texts,))
        texts = [json.dumps(each) for each in outcomes(150, 0, selected_model="rare")]
        texts = [text.replace("singularity-1", "quiet") for text in texts]
        execute(quiet, "SELECT centralcloud.publish_decisions(%s::jsonb[])", (texts,))
        sent = time.monotonic() - started
        score = "SELECT count(*) FROM model_scores WHERE model_name = 'rare'"
        eventually(lambda: execute(fleet.admin, score) == [(1,)], within_seconds=20 + events / 2000, what="a score")
        log.info("%d events of one login: sent in %.1f s, ingested in %.1f s", events, sent, time.monotonic() - started)
        counted = "SELECT instance_id, count(*), count(DISTINCT decision_id) FROM routing_records GROUP BY 1 ORDER BY 1"
        assert execute(fleet.admin, counted) == [("loud", events, events), ("quiet", 150, 0)]
        with Database(fleet.admin, application_name="tests") as database:
            assert verify(database).ok
        assert worker.process.poll() is None
        worker.end()
