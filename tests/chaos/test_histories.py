"""A failover to a standby that lacks the newest commits: nothing that a daemon remembers of the old history is used."""

import math
from collections.abc import Callable, Iterator
from typing import ClassVar

import pytest
from support.events import outcomes, send
from support.servers import execute
from support.standby import Pair, a_pair
from support.tcp_proxy import TcpProxy

from centralcloud.administration.verification import verify
from centralcloud.ingest.drain import drain
from centralcloud.ingest.worker_registry import WorkerRegistry
from centralcloud.learning.evidence import Evidence
from centralcloud.learning.learner import Learner
from centralcloud.learning.rule import RuleResult
from centralcloud.learning.rules import AdaptiveRule
from centralcloud.monitoring.doctor import Expectations, examine
from centralcloud.monitoring.history_monitor import HistoryMonitor
from centralcloud.runtime.diagnostics import Verdict
from centralcloud.runtime.postgres.database import Database
from centralcloud.store.partitions import ensure_partitions
from centralcloud.store.schema import migrate
from centralcloud.store.slices import close_slice


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    """Two servers after a failover that lost the newest commits, and without fencing: both accept writes."""
    with a_pair() as pair:
        with Database(pair.primary.url, application_name="tests") as database:
            migrate(database)
            ensure_partitions(database)
        pair.wait_until_replayed()
        pair.disconnect()
        pair.promote()
        yield pair


@pytest.fixture
def proxy(pair: Pair) -> Iterator[TcpProxy]:
    with TcpProxy(pair.primary.url) as proxy:
        yield proxy


@pytest.fixture
def through(proxy: TcpProxy) -> Iterator[Database]:
    """The database as a daemon sees it: the URL stays, and the server behind it changes."""
    with Database(proxy.url, application_name="tests") as database:
        yield database


def ingest(url: str, successes: int, failures: int) -> None:
    send(url, outcomes(successes, failures))
    with Database(url, application_name="tests") as database:
        drain(database, batch_size=500)
        close_slice(database)


class _FailoverRule(AdaptiveRule):
    """Lets the database fail over once, after a run has read its evidence and before it publishes."""

    fail_overs: ClassVar[list[Callable[[], None]]] = []

    def evaluate(self, evidence: Evidence, states: dict) -> RuleResult:
        while self.fail_overs:
            self.fail_overs.pop()()
        return AdaptiveRule.evaluate(self, evidence, states)


def test_evidence_of_the_lost_history_is_neither_learned_from_nor_published(
    pair: Pair, proxy: TcpProxy, through: Database
) -> None:
    rule = _FailoverRule()
    learner = Learner(through, [rule])
    registry = WorkerRegistry(through, batch_size=1)
    registry.register()
    ingest(pair.primary.url, 0, 300)
    ingest(pair.primary.url, 0, 1200)
    ingest(pair.standby.url, 1000, 0)
    ingest(pair.standby.url, 200, 0)

    def fail_over() -> None:
        proxy.lead_to(pair.standby.url)
        proxy.cut()

    # The revisions of both histories are the same: only the history itself tells them apart.
    rule.fail_overs.append(fail_over)
    (change,) = learner.learn().changes
    assert (change.based_on_samples, change.success_rate) == (1200, 1.0)
    with Database(pair.standby.url, application_name="tests") as database:
        assert verify(database).ok
    (stored,) = execute(pair.standby.url, "SELECT based_on_samples, mean FROM model_scores")
    assert stored[0] == 1200
    assert math.isclose(stored[1], 1.0, abs_tol=0.01)
    assert execute(pair.primary.url, "SELECT count(*) FROM model_scores") == [(0,)]

    # The row of this worker was lost with the old history; its number is that of another one now.
    other = "INSERT INTO ingest_workers (worker_id, host, process, batch_size) VALUES (%s, 'other', '1:1', 1)"
    execute(pair.standby.url, "DELETE FROM ingest_workers")
    execute(pair.standby.url, other, (registry.worker_id,))
    registry.deregister()
    assert execute(pair.standby.url, "SELECT host FROM ingest_workers") == [("other",)]


def test_an_old_primary_that_comes_back_is_noticed(pair: Pair, proxy: TcpProxy, through: Database) -> None:
    monitor = HistoryMonitor(through)
    monitor.run_once()
    proxy.lead_to(pair.standby.url)
    proxy.cut()
    monitor.run_once()
    assert not monitor.alternating, "a failover"
    proxy.lead_to(pair.primary.url)
    monitor._connected_at = 0.0
    monitor.run_once()
    assert monitor.alternating, "pooled connections stay with the new primary, new ones lead to the old one"
    ((message,),) = execute(pair.primary.url, "SELECT message FROM findings WHERE kind = 'two_histories'")
    assert "timeline 1 answered after one with timeline 2" in message
    with Database(proxy.url, application_name="tests") as old:
        (check,) = [each for each in examine(old, Expectations()) if each.check == "database history"]
    assert (check.verdict, message in check.found) == (Verdict.FAIL, True)
