"""Outages of the database that bring more events than memory has room for, and a producer that is killed meanwhile."""

import json
import logging
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.commands import environment
from support.events import an_event
from support.servers import execute
from support.tcp_proxy import TcpProxy
from support.waiting import eventually

from centralcloud.ingest.drain import drain
from centralcloud.runtime.postgres.database import Database

log = logging.getLogger(__name__)

_IN_MEMORY = 1000
_SENT = (
    "SELECT (message #>> '{routing_decision,decision_id}')::int, count(*) "
    "FROM pgmq.q_model_routing_decisions GROUP BY 1"
)
_QUEUED = "SELECT count(*) FROM pgmq.q_model_routing_decisions"
_TEXT = json.dumps(an_event("m", outcome="routed", decision_id="NUMBER"))
_PROGRAM = f"""
import json, sys
from centralcloud.runtime.postgres.database import Database
from instance_agent.publisher_assembly import make_publisher
from instance_agent.settings import AgentSettings

def kilobytes():
    return int(open("/proc/self/statm").read().split()[1]) * 4

settings = AgentSettings()
first, last = map(int, sys.argv[1:])
with Database(settings.database, application_name="tests", own_connections=1) as database:
    publisher = make_publisher(settings, database)
    publisher.start()
    for number in range(first, last):
        if number == first + settings.publish_queue_size:
            before = kilobytes()
        publisher.publish_text({_TEXT!r}.replace('NUMBER', str(number)))
    grown = kilobytes() - before
    print(json.dumps([publisher.waiting, publisher.waiting_on_disk, publisher.dropped, grown]), flush=True)
    sys.stdin.read()
    publisher.stop()
    publisher.join(30)
"""


class Producer:
    """A program that publishes the events of a range, and sends them until it is ended.

    Attributes:
        waiting: events in memory after the last one was published.
        on_disk: events that are only on disk then.
        dropped: events lost by then.
        grown_kilobytes: of its memory, while it published those for which memory had no room.
    """

    def __init__(self, url: str, spool: Path, first: int, last: int) -> None:
        env = environment(
            DATABASE_URL=url,
            INSTANCE_ID="i",
            INSTANCE_AGENT_SPOOL_DIR=str(spool),
            INSTANCE_AGENT_PUBLISH_QUEUE_SIZE=str(_IN_MEMORY),
            INSTANCE_AGENT_STATE_DIR=str(spool / "state"),
        )
        command = [sys.executable, "-c", _PROGRAM, str(first), str(last)]
        self._process = subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.lines: list[str] = []
        while not (line := self._process.stdout.readline()).startswith("["):  # a log is in between
            assert line, self.lines
            self.lines.append(line)
        self.waiting, self.on_disk, self.dropped, self.grown_kilobytes = json.loads(line)

    def kill(self) -> None:
        self._process.kill()
        self.end(-signal.SIGKILL)

    def end(self, code: int = 0) -> None:
        output, _ = self._process.communicate(timeout=60)
        self.lines += output.splitlines()
        assert self._process.returncode == code, self.lines

    def end_anyway(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.communicate()


@pytest.fixture
def produce(proxy: TcpProxy, tmp_path: Path) -> Iterator[Callable[[int, int], Producer]]:
    producers: list[Producer] = []

    def start(first: int, last: int) -> Producer:
        producers.append(Producer(proxy.url, tmp_path, first, last))
        return producers[-1]

    yield start
    for producer in producers:
        producer.end_anyway()


def records_by_file(spool: Path) -> list[int]:
    """Return the number of records of each file, in the order in which they were created."""
    return [path.read_bytes().count(b"\n") for path in sorted(spool.glob("i/*.events"))]


def records_in(spool: Path) -> int:
    return sum(records_by_file(spool))


def cut_off(proxy: TcpProxy) -> None:
    proxy.pause()
    proxy.cut()


def test_events_beyond_memory_are_sent_once_after_a_kill_and_the_return_of_the_database(
    database_url: str, proxy: TcpProxy, tmp_path: Path, produce: Callable[[int, int], Producer]
) -> None:
    """Those of the killed program, and those of the next one, which runs when the database is back."""
    cut_off(proxy)
    killed = produce(0, 3 * _IN_MEMORY)
    assert (killed.waiting, killed.on_disk, killed.dropped) == (_IN_MEMORY, 2 * _IN_MEMORY, 0)
    # The first two files have the newest events until they are in another one: those of a kill before are sent twice.
    written = [0, 0, 2 * _IN_MEMORY, _IN_MEMORY]
    eventually(lambda: records_by_file(tmp_path) == written, what="each event in one file")
    killed.kill()
    running = produce(3 * _IN_MEMORY, 6 * _IN_MEMORY)
    assert running.dropped == 0
    proxy.resume()
    eventually(lambda: execute(database_url, _QUEUED) >= [(6 * _IN_MEMORY,)], what="the events")
    eventually(lambda: not list(tmp_path.glob("i/*.events")) or records_in(tmp_path) == 0, what="an empty spool")
    running.end()
    sent = Counter(dict(execute(database_url, _SENT)))
    assert not (sent - Counter(range(6 * _IN_MEMORY))), "sent twice"
    assert not (Counter(range(6 * _IN_MEMORY)) - sent), ("lost", running.lines)
    assert list(tmp_path.glob("i/*")) == []


@pytest.mark.parametrize("events", [20_000, pytest.param(200_000, marks=pytest.mark.soak)])
def test_a_kill_while_a_long_outage_is_made_up_for_loses_nothing(
    database: Database, database_url: str, proxy: TcpProxy, produce: Callable[[int, int], Producer], events: int
) -> None:
    """At most the batch in flight, and what was in memory, is sent twice, and counts once."""
    cut_off(proxy)
    killed = produce(0, events)
    assert (killed.waiting, killed.on_disk, killed.dropped) == (_IN_MEMORY, events - _IN_MEMORY, 0)
    log.info("%d events on disk: memory has grown by %d kB", killed.on_disk, killed.grown_kilobytes)
    assert killed.grown_kilobytes < 10_000, "events on disk are not in memory"
    proxy.resume()
    eventually(lambda: execute(database_url, _QUEUED) > [(events // 4,)], what="a part of the events")
    killed.kill()
    cut_off(proxy)
    assert execute(database_url, _QUEUED) < [(events,)], "the kill came too late"
    again = produce(events, events + 2 * _IN_MEMORY)
    proxy.resume()
    every = range(events + 2 * _IN_MEMORY)
    eventually(lambda: sent(database_url).keys() == set(every), what="the events", within_seconds=30 + events / 2000)
    again.end()
    twice = [number for number, count in sent(database_url).items() if count > 1]
    assert len([number for number in twice if number >= _IN_MEMORY]) <= 500
    result = drain(database, batch_size=1000).result
    assert (result.records, result.duplicates, result.dead_letters) == (len(every), len(twice), 0)


def sent(url: str) -> Counter[int]:
    return Counter(dict(execute(url, _SENT)))
