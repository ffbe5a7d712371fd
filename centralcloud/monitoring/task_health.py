"""The tasks that fail alone: shown to other processes as findings, and to Prometheus as a gauge."""

import socket
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

import psycopg
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from centralcloud.runtime.diagnostics import CheckResult, ok, warn
from centralcloud.runtime.logs import get_logger
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.errors import is_database_error, summarize_error
from centralcloud.runtime.postgres.query import Query
from centralcloud.runtime.process.background import BackgroundTask
from centralcloud.runtime.process.identity import this_process
from centralcloud.runtime.wording import age
from centralcloud.store.findings import Finding
from centralcloud.store.urgent_findings import open_urgent_finding

log = get_logger(__name__)

#: The kind of the findings.
TASK_DEGRADED: Final = "task_degraded"
_METRIC: Final = "centralcloud_background_task_degraded"


class DegradedTask(NamedTuple):
    """A task of some process whose runs fail, with the newest reason, and for how many seconds they have failed."""

    task: str
    host: str
    reason: str
    seconds: float


_DEGRADED_TASKS = Query(__package__, "degraded_tasks", row=DegradedTask)
_CLOSE_FINDING = Query(__package__, "close_finding")


class TaskHealthReporter:
    """Keeps a finding open for each degraded task of this process. `centralcloud doctor` and `status` show it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def report(self, task: BackgroundTask) -> None:
        """Open, confirm or close the finding of `task`. A database that cannot store it is logged."""
        host, process = socket.gethostname(), this_process()
        subject = f"{task.name} of {host}/{process}"
        degradation = task.degradation
        try:
            with self._database.transaction() as connection:
                if degradation is None or task.stopping:
                    _CLOSE_FINDING.run(connection, {"kind": TASK_DEGRADED, "subject": subject})
                    return
                details = {"task": task.name, "host": host, "process": process, "reason": degradation.reason}
                message = f"the background task {task.name} on {host} fails: {degradation.reason}"
                open_urgent_finding(connection, Finding(TASK_DEGRADED, subject, message, details))
        except Exception as error:
            if not is_database_error(error):
                raise
            log.warning("task_state_not_stored", task=task.name, reason=summarize_error(error))


class TaskHealthMetrics(Collector):
    """Shows 1 for each degraded task of this process, and 0 for the others that may degrade."""

    def __init__(self, tasks: Sequence[BackgroundTask]) -> None:
        self._tasks = tasks

    def collect(self) -> Iterator[Metric]:
        """Read the state of every task."""
        family = GaugeMetricFamily(_METRIC, "1: the runs of the task fail, while the others go on", labels=["task"])
        for task in self._tasks:
            family.add_metric([task.name], float(task.degradation is not None))
        yield family


def read_degraded_tasks(connection: psycopg.Connection[Any]) -> list[DegradedTask]:
    """Read the tasks of all processes whose runs fail now, the oldest first."""
    return _DEGRADED_TASKS.all(connection)


def check_tasks(degraded: Iterable[DegradedTask]) -> CheckResult:
    """Check that no background task fails alone."""
    lines = [f"{each.task} on {each.host} for {age(each.seconds)}: {each.reason}" for each in degraded]
    if lines:
        return warn(
            f"degraded, while ingest goes on: {'; '.join(lines)}",
            "fix the cause: the task repeats its run by itself; the log of its daemon has more (background_task_degraded)",
        )
    return ok("no background task is degraded")
