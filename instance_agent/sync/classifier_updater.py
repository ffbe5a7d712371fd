"""The classifier updater: brings the trained classifier that the fleet uses from the database to this process.

A poll asks which version is in use, and its checksum; the weights are read only when one of the two is another one. A
classifier that is damaged, or that this version of the program cannot read, is refused, and the last good one stays. Routing
works without any: the table of words answers.
"""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import psycopg

from centralcloud.contracts.task_classifier.trained import ClassifierError, TrainedClassifier
from centralcloud.runtime.http.metrics import CallbackMetrics
from centralcloud.runtime.logs import get_logger
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.errors import NOT_MIGRATED, summarize_error
from centralcloud.runtime.postgres.query import Query
from instance_agent.sync.classifier_file import ClassifierFile, ReceivedClassifier
from instance_agent.sync.follower import Follower
from instance_agent.sync.token_bucket import TokenBucket

log = get_logger(__name__)

_WOKEN_PER_SECOND: Final = 1.0
_WOKEN_BURST: Final = 5
#: The state is compared at each poll: there is nothing that a snapshot could repair.
_NEVER: Final = float("inf")


class _InUse(NamedTuple):
    version: int | None
    sha256: str | None


_IN_USE: Final = Query(__package__, "classifier_in_use", row=_InUse)
_MODEL: Final = Query(__package__, "classifier_model")
_NONE: Final = _InUse(None, None)


class ClassifierUpdater(Follower[ReceivedClassifier]):
    """Polls for another trained classifier, stores it in a file, and passes it to `on_change`.

    Attributes:
        classifier: in use; None: the table of words answers.
        on_change: called in the task's thread with each new classifier, and with None when none is in use any more.
        problem: why the version that the fleet uses is not used here, in one line; None: it is.
        refused: versions that were refused since the start.
    """

    def __init__(
        self,
        database: Database,
        *,
        file: ClassifierFile,
        poll_interval_seconds: float = 5.0,
        on_change: Callable[[TrainedClassifier | None], None] | None = None,
    ) -> None:
        """Create an updater. `classifier` is that of the file until the first poll.

        Args:
            database: that has the classifiers.
            file: the classifier of the last run, and where it is stored.
            poll_interval_seconds: longest wait before the next poll.
            on_change: called with each change.
        """
        super().__init__(
            "classifier-updater",
            database,
            file=file,
            state=None,
            poll_interval_seconds=poll_interval_seconds,
            reconcile_interval_seconds=_NEVER,
            wakes=TokenBucket(per_second=_WOKEN_PER_SECOND, burst=_WOKEN_BURST),
        )
        self.on_change = on_change
        self.problem: str | None = None
        self.refused = 0
        self._refused: _InUse | None = None
        self.classifier = self._state.parse()

    def run_once(self) -> bool:
        """Poll once: use, and store, the classifier that the fleet uses now."""
        self._wait_in_a_storm()
        try:
            self._poll()
        # Neither is an outage: everything else works on a schema, or with rights, of an earlier version.
        except NOT_MIGRATED as error:
            reason = f"the database does not offer trained classifiers ({summarize_error(error)})"
            self._report(f"{reason}: run `centralcloud migrate` on it")
        except psycopg.errors.InsufficientPrivilege as error:
            reason = f"this login may not read the trained classifier ({summarize_error(error)})"
            self._report(f"{reason}: `centralcloud grants --apply` gives gateways the right")
        self._store()
        return False

    def log_file_changed(self) -> None:
        """Log that another program has changed the file: it is written again."""
        log.warning("classifier_file_changed", path=str(self._file.path), effect="it is written again")

    def log_not_written(self, reason: str) -> None:
        """Log that the file cannot be written: the classifier is used anyway."""
        log.error("classifier_file_not_written", path=str(self._file.path), reason=reason)

    def log_written_again(self) -> None:
        """Log that the file can be written again."""
        log.info("classifier_file_written_again", path=str(self._file.path))

    def _poll(self) -> None:
        with self.database.connection() as connection:
            in_use = _IN_USE.one(connection)
            if in_use == _InUse(self._state.version, self._state.sha256 or None):
                self.problem = self._refused = None
                return
            if in_use == self._refused:
                return
            received = _received(connection, in_use)
        try:
            if received is None:
                raise ClassifierError("the database has no weights of it")
            classifier = received.parse()
        except ClassifierError as error:
            self.refused += 1
            self._refused = in_use
            self._report(f"version {in_use.version}: {error}")
            return
        self.problem = self._refused = None
        self._state, self.classifier = received, classifier
        log.info("classifier_applied", version=in_use.version, bytes=len(received.data))
        if self.on_change is not None:
            self.on_change(classifier)

    def _report(self, problem: str) -> None:
        """Keep the last good classifier. Logged once for each reason, not at each poll."""
        if problem == self.problem:
            return
        self.problem = problem
        using = "the table of words answers" if self.classifier is None else f"{self.classifier.name} stays in use"
        log.error("classifier_refused", reason=problem, effect=using)


def _received(connection: psycopg.Connection[Any], in_use: _InUse) -> ReceivedClassifier | None:
    if in_use == _NONE:
        return ReceivedClassifier()
    (data,) = _MODEL.one(connection, {"version": in_use.version}, binary=True)
    if data is None or in_use.sha256 is None:
        return None
    return ReceivedClassifier(version=in_use.version, sha256=in_use.sha256, data=bytes(data))


def show_classifier(metrics: CallbackMetrics, updater: ClassifierUpdater) -> None:
    """Show which trained classifier is in use, and whether the one that the fleet uses was refused."""
    metrics.gauge(
        "classifier_version",
        "Version of the trained classifier in use; 0: none",
        lambda: 0 if updater.classifier is None else updater.classifier.version,
    )
    metrics.gauge(
        "classifier_invalid", "1: the version that the fleet uses is refused", lambda: updater.problem is not None
    )
    metrics.counter("classifiers_refused", "Trained classifiers refused since the start", lambda: updater.refused)
