"""Run one of the programs with one fault in it: `python -m support.sabotage FAULT PROGRAM [ARGUMENTS]`.

The faults act like a crash in C code or a power cut: the process exits between two instructions. Nothing else of the
program is changed.
"""

import io
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

#: A message that contains this kills the process that decodes it, or blocks it for ever.
DEADLY = "deadly"


#: With `short_time_limits`: the longest transaction. A third of `LIMIT_SECONDS`, as are those of the server's session.
SHORT_LIMIT_SECONDS = 5.0


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def short_leases() -> None:
    """Let a lease expire after two seconds, so that a test need not wait for ten."""
    from centralcloud.ingest import slow_path

    slow_path._LEASE_SECONDS = 2  # type: ignore[misc]


def frequent_fleet_minutes() -> None:
    """Renew the row of the running minute five times a second, so that a test need not wait for minutes."""
    from centralcloud import daemon

    recorder = daemon.FleetMinuteRecorder
    daemon.FleetMinuteRecorder = lambda database, **_: recorder(database, interval_seconds=0.2)  # type: ignore[assignment, misc]


def short_time_limits() -> None:
    """Give up a silent connection after a third of the time, on both of its sides, so that a test waits seconds only."""
    from centralcloud.ingest import consumer
    from centralcloud.runtime.postgres import database, session

    consumer.LIMIT_SECONDS = database.LIMIT_SECONDS = SHORT_LIMIT_SECONDS  # type: ignore[misc]
    database.POOL_LOCK_TIMEOUT = "'4s'"  # type: ignore[misc]
    session.OVERRIDDEN.update(idle_in_transaction_session_timeout="'5s'", tcp_user_timeout="'5s'")


def deadly_message() -> None:
    """Die in a message. A lease expires after two seconds here, so that a test need not wait for ten."""
    short_leases()
    deadly_message_and_the_whole_lease()


def deadly_message_and_the_whole_lease() -> None:
    """Die in a message."""
    from centralcloud.ingest import batch

    parse = batch.parse_routing_event

    def parse_or_die(text: str | None, *arguments: Any, **options: Any) -> Any:
        if text and DEADLY in text:
            die()
        return parse(text, *arguments, **options)

    batch.parse_routing_event = parse_or_die


def hanging_message() -> None:
    """Hang in a message. A task counts as stalled after a second here, so that a test need not wait for a minute."""
    from centralcloud.ingest import batch
    from centralcloud.runtime.process import background

    background.GRACE_SECONDS = 1.0  # type: ignore[misc]
    parse = batch.parse_routing_event

    def parse_or_hang(text: str | None, *arguments: Any, **options: Any) -> Any:
        if text and DEADLY in text:
            threading.Event().wait()
        return parse(text, *arguments, **options)

    batch.parse_routing_event = parse_or_hang


def learner_before_publishing() -> None:
    from centralcloud.learning import learner

    learner.publish = lambda *_arguments, **_options: die()  # type: ignore[assignment]


def learner_before_commit() -> None:
    from centralcloud.learning import learner

    publish = learner.publish

    def publish_and_die(*arguments: Any, **options: Any) -> Any:
        publish(*arguments, **options)
        die()

    learner.publish = publish_and_die


def half_written_file() -> None:
    """Exit in the middle of writing the learned scores, once there are some."""
    from centralcloud.runtime import bounded_file

    class DeadlyStream(io.BufferedWriter):
        def write(self, content: bytes) -> int:  # type: ignore[override]
            if b'"scores": [{' not in content:
                return super().write(content)
            super().write(content[: len(content) // 2])
            self.flush()
            die()
            return 0

    bounded_file.os.fdopen = lambda descriptor, _mode: DeadlyStream(io.FileIO(descriptor, "wb"))


def unmoved_file() -> None:
    """Exit when the new file is written but not yet renamed."""
    replace = Path.replace

    def die_instead(self: Path, target: Any) -> Any:
        if "learned_scores" in self.name and '"scores": []' not in self.read_text():
            die()
        return replace(self, target)

    Path.replace = die_instead  # type: ignore[method-assign,assignment]


def metered_memory() -> None:
    """Report the memory in use on request, and remember 50 requests for explanations, not 2,000: they are there soon."""
    from instance_agent.gateway import decision_memory
    from instance_agent.providers import transport
    from support.memory_meter import report_on_signal

    decision_memory.DecisionMemory.__init__.__defaults__ = (50,)
    transport._KEEPALIVE_SECONDS = 0.3  # type: ignore[misc]
    report_on_signal()


def leaking_memory() -> None:
    """Lose 300 bytes in each request, and report the memory in use."""
    from instance_agent.gateway import request_log

    metered_memory()
    add, lost = request_log.EndedRequests.add, []

    def add_and_lose(*arguments: Any) -> None:
        lost.append(bytes(300))
        add(*arguments)

    request_log.EndedRequests.add = add_and_lose  # type: ignore[method-assign]


FAULTS: dict[str, Callable[[], None]] = {
    fault.__name__: fault
    for fault in (
        short_leases,
        frequent_fleet_minutes,
        short_time_limits,
        deadly_message,
        deadly_message_and_the_whole_lease,
        hanging_message,
        learner_before_publishing,
        learner_before_commit,
        half_written_file,
        unmoved_file,
        metered_memory,
        leaking_memory,
    )
}


def main() -> None:
    fault, program, *arguments = sys.argv[1:]
    FAULTS[fault]()
    sys.argv = [program, *arguments]
    if program == "centralcloud":
        from centralcloud.cli import main as run
    else:
        from instance_agent.cli import main as run
    run()


if __name__ == "__main__":
    main()
