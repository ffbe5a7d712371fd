"""Processor time of the server for notifications of new events: prints JSON.

    python benchmarks/notifications.py [--listeners 100] [--publishers 10] [--batches 100] [--seconds 4] [--rounds 3]

Publishers send batches of one event at a fixed rate, over a connection each. Sessions of the same database listen, all but
one on the channel of scores, as instances do. Three methods in turns, in the same run: `silent` (no notification),
`each_batch` (`pg_notify` in the transaction of each batch) and `shared` (`publish_decisions` with the hint: one notification
in 100 ms for all publishers). Printed for each, the median of the rounds: `batches_per_second` that were reached,
`notifications_per_second` that a consumer would receive, and `server_cores`, the processor time of all processes of the
server in a second; `notification_cores` is that beyond `silent`. Needs Linux, because it reads /proc.
"""

import argparse
import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any, Final

import psycopg
from _shared import a_database, machine, progress, routing_events
from support.servers import a_server

from centralcloud.contracts import DECISIONS_CHANNEL
from centralcloud.contracts.limits import UPDATES_CHANNEL

_METHODS: Final = {
    "silent": "SELECT centralcloud.publish_decisions(ARRAY[%s::jsonb], false)",
    "each_batch": (
        f"SELECT centralcloud.publish_decisions(ARRAY[%s::jsonb], false), pg_notify('{DECISIONS_CHANNEL}', '')"
    ),
    "shared": "SELECT centralcloud.publish_decisions(ARRAY[%s::jsonb], true)",
}
_TICKS: Final = os.sysconf("SC_CLK_TCK")


def server_seconds(postmaster: int) -> float:
    """Return the processor time of a server, its processes that have ended included, in seconds."""
    ticks = 0
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(folder.name) == postmaster:
            ticks += sum(map(int, fields[11:15]))
        elif int(fields[1]) == postmaster:
            ticks += sum(map(int, fields[11:13]))
    return ticks / _TICKS


class Consumer(threading.Thread):
    """Counts the notifications of new events."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self.received = 0
        self._ended = threading.Event()
        self._url = url

    def run(self) -> None:
        with psycopg.connect(self._url, autocommit=True) as connection:
            connection.execute(f"LISTEN {DECISIONS_CHANNEL}")
            while not self._ended.is_set():
                self.received += len(list(connection.notifies(timeout=0.2)))

    def end(self) -> None:
        """End the thread."""
        self._ended.set()
        self.join()


@contextmanager
def listening(url: str, listeners: int) -> Iterator[Consumer]:
    """Open the sessions that listen."""
    with ExitStack() as stack:
        for _ in range(listeners - 1):
            connection = stack.enter_context(psycopg.connect(url, autocommit=True))
            connection.execute(f"LISTEN {UPDATES_CHANNEL}")
        consumer = Consumer(url)
        consumer.start()
        stack.callback(consumer.end)
        yield consumer


def publish(connection: psycopg.Connection[Any], query: str, batches: int, until: float) -> int:
    """Send `batches` batches a second until a moment of `time.monotonic`; return how many were sent."""
    (event,) = routing_events(1, with_ids=False)
    sent, due = 0, time.monotonic()
    while (now := time.monotonic()) < until:
        if now < due:
            time.sleep(due - now)
        connection.execute(query, (event,))
        sent += 1
        due += 1 / batches
    return sent


def measure(url: str, postmaster: int, consumer: Consumer, query: str, options: argparse.Namespace) -> dict[str, float]:
    """Let the publishers send with one method, and return its figures of a second."""
    sent = [0] * options.publishers
    with ExitStack() as stack:
        connections = [stack.enter_context(psycopg.connect(url, autocommit=True, prepare_threshold=1)) for _ in sent]
        for connection in connections:
            publish(connection, query, 1000, time.monotonic() + 0.02)
        begun, before, received = time.monotonic(), server_seconds(postmaster), consumer.received

        def run(number: int) -> None:
            sent[number] = publish(connections[number], query, options.batches, begun + options.seconds)

        threads = [threading.Thread(target=run, args=(number,)) for number in range(options.publishers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        took = time.monotonic() - begun
        used = server_seconds(postmaster) - before
    time.sleep(0.5)
    return {
        "batches_per_second": round(sum(sent) / took),
        "notifications_per_second": round((consumer.received - received) / took, 1),
        "server_cores": round(used / took, 3),
    }


def main() -> None:
    """Measure, and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--listeners", type=int, default=100, help="sessions that listen (default 100)")
    parser.add_argument("--publishers", type=int, default=10, help="sessions that publish (default 10)")
    parser.add_argument("--batches", type=int, default=100, help="that each of them sends in a second (default 100)")
    parser.add_argument("--seconds", type=float, default=4, help="of each round (default 4)")
    parser.add_argument("--rounds", type=int, default=3, help="of each method (default 3)")
    options = parser.parse_args()
    rounds: dict[str, list[dict[str, float]]] = {method: [] for method in _METHODS}
    with a_server() as server, a_database(server) as url, listening(url, options.listeners) as consumer:
        with psycopg.connect(url) as connection:
            measured_on = machine(connection)
            row = connection.execute("SELECT current_setting('data_directory')").fetchone()
        assert row is not None
        postmaster = int((Path(row[0]) / "postmaster.pid").read_text().split()[0])
        for number in range(options.rounds):
            for method, query in _METHODS.items():
                rounds[method].append(measure(url, postmaster, consumer, query, options))
                progress(f"round {number + 1}, {method}: {rounds[method][-1]}")
    found = {
        method: {figure: median(each[figure] for each in measured) for figure in measured[0]}
        for method, measured in rounds.items()
    }
    for figures in found.values():
        figures["notification_cores"] = round(figures["server_cores"] - found["silent"]["server_cores"], 3)
    print(json.dumps({"benchmark": "notifications", **measured_on, **vars(options), **found}, indent=2))


if __name__ == "__main__":
    main()
