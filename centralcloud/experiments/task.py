"""The background task of experiments: folds their records, and brings them to their next stages. One replica does it.

An experiment whose records cannot be folded has no guards: it is paused, so that nothing is treated, and the others go on.
"""

import socket
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple, Protocol

import psycopg
from msgspec.structs import replace

from centralcloud.contracts.experiment_changes import moved
from centralcloud.contracts.fleet_configuration import Experiment
from centralcloud.experiments.folding import Folded, fold
from centralcloud.experiments.ramp import DAEMON, advance_experiment, store_verdict
from centralcloud.experiments.watermark import SteadyClock, beat
from centralcloud.runtime.configuration.experiments import (
    ConfiguredExperiment,
    UnknownExperimentError,
    change_stage,
    read_usable_experiments,
)
from centralcloud.runtime.configuration.writing import Author, ConfigurationConflictError
from centralcloud.runtime.logs import get_logger
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.errors import summarize_error
from centralcloud.runtime.postgres.query import Query
from centralcloud.runtime.process.background import BackgroundTask
from centralcloud.store.leases import acquire_lease, release_lease

log = get_logger(__name__)

_LEASE: Final = "experiments"
#: A fold takes seconds, when it has much to catch up.
_FOLD_SECONDS: Final = 60.0
#: Rounds without a sign after which another daemon takes over, and the shortest such time; one that stops leaves at once.
#: A fold may take longer: it holds the lease's row until it ends, and a second one after it would do no harm.
_ROUNDS_OF_LEASE: Final = 3
_LEAST_LEASE_SECONDS: Final = 10.0
#: An experiment whose folds fail for so long is paused: before gateways take it for one without a daemon, after 15 minutes.
_UNFOLDED_SECONDS: Final = 300.0
_UNFOLDED_TIMES: Final = 3
#: Its reason.
UNFOLDED: Final = "its records cannot be counted"
#: Sessions of ended experiments that a round deletes.
_MOST_DELETED: Final = 20_000


class _Known(NamedTuple):
    experiment_id: str
    began: datetime
    has_sessions: bool


_LIST_PROGRESS = Query(__package__, "list_progress", row=_Known)
_DELETE_PROGRESS = Query(__package__, "delete_progress")
_DELETE_SESSIONS_OF = Query(__package__, "delete_sessions_of")


class Advance(Protocol):
    """Brings an experiment to its next stage, in the connection's transaction; `ramp.advance_experiment` is one."""

    def __call__(
        self, connection: psycopg.Connection[Any], experiment: Experiment, evidence: Folded, now: datetime, /
    ) -> Experiment | None:
        """Return the experiment in its new stage; None: it stays."""
        ...


class ExperimentTask(BackgroundTask):
    """Folds each open experiment, and advances it in the same transaction. Without experiments it only looks for one."""

    def __init__(
        self,
        database: Database,
        *,
        interval_seconds: float = 5.0,
        advance: Advance = advance_experiment,
        after_round: Callable[[], None] | None = None,
        clock: Callable[[], datetime] | None = None,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        """Create the task.

        Args:
            database: that has the records.
            interval_seconds: how often it looks, at most 30: gateways do not treat sessions while it is silent for long.
            advance: what follows from the evidence.
            after_round: called after each round in which there was an experiment, without a transaction.
            clock: for tests, in place of the server's.
            seconds: for tests, in place of the clock that never jumps.
        """
        super().__init__("experiments", database, interval_seconds=interval_seconds)
        self._lease_seconds = max(_LEAST_LEASE_SECONDS, _ROUNDS_OF_LEASE * interval_seconds)
        self._advance = advance
        self._after_round = after_round
        self._clock = clock
        self._seconds = seconds
        self._steady = SteadyClock(seconds) if clock is None or seconds is not time.monotonic else None
        #: Since when, and how often, each fold of an experiment has failed.
        self._failing: dict[str, tuple[float, int]] = {}
        self._logged_unreadable: dict[str, str] = {}

    def run_once(self) -> bool:
        """Fold every open experiment once. True: one is behind, so that the next round begins at once."""
        with self.database.transaction() as connection:
            experiments, unreadable = read_usable_experiments(connection)
            known = _LIST_PROGRESS.all(connection)
            if not experiments and not known and not unreadable:
                return False
            if not acquire_lease(connection, _LEASE, seconds=self._lease_seconds):
                return False
            readable = [each for each in known if each.experiment_id not in unreadable]
            is_behind = _forget(connection, {each.experiment.id: each.experiment for each in experiments}, readable)
        self._log_unreadable(unreadable)
        failed: Exception | None = None
        for configured in experiments:
            experiment = configured.experiment
            if experiment.is_open and not self.stopping:
                try:
                    is_behind |= self._fold(experiment)
                    self._failing.pop(experiment.id, None)
                except Exception as error:  # noqa: BLE001 - of this one alone, whatever it is: the others go on
                    log.warning("experiment_not_folded", experiment=experiment.id, error=summarize_error(error))
                    failed = failed or error
                    self._pause_unfolded(configured, error)
        if experiments and self._after_round is not None:
            self._after_round()
        if failed is not None:
            raise failed
        return is_behind

    def on_stop(self) -> None:
        """Release the lease."""
        release_lease(self.database, _LEASE)

    def _log_unreadable(self, unreadable: dict[str, str]) -> None:
        """Log each experiment that this version cannot read, once for each reason. Its evidence is kept."""
        for experiment_id, error in unreadable.items():
            if self._logged_unreadable.get(experiment_id) != error:
                effect = "it has no guards: while it runs, gateways serve every session by control after 15 minutes"
                log.error("experiment_unreadable", experiment=experiment_id, error=error, effect=effect)
        self._logged_unreadable = unreadable

    def _fold(self, experiment: Experiment) -> bool:
        with self.database.transaction(limit_seconds=_FOLD_SECONDS) as connection:
            if not acquire_lease(connection, _LEASE, seconds=self._lease_seconds):
                return False
            found = beat(connection, self._clock() if self._clock else None, self._steady)
            folded = fold(connection, experiment, found.ingested_until(experiment), now=found.clock)
            self._advance(connection, experiment, folded, found.now)
        if folded.decisions:
            log.debug("experiment_folded", experiment=experiment.id, decisions=folded.decisions)
        return folded.is_behind

    def _pause_unfolded(self, configured: ConfiguredExperiment, error: Exception) -> None:
        """Pause an experiment whose folds have failed for long, in a transaction of its own."""
        experiment, moment = configured.experiment, self._seconds()
        since, times = self._failing.get(experiment.id, (moment, 0))
        self._failing[experiment.id] = since, times + 1
        # Several times: the first fold after an outage that was as long may still fail.
        if experiment.stage.status != "running" or moment - since < _UNFOLDED_SECONDS or times < _UNFOLDED_TIMES:
            return
        now = self._clock() if self._clock else datetime.now(UTC)
        after = replace(experiment, stage=moved(experiment.stage, now, "paused", UNFOLDED))
        reason = f"{UNFOLDED}: {summarize_error(error)}"
        try:
            with self.database.transaction() as connection:
                change_stage(
                    connection, after, configured.version, Author(DAEMON, "daemon", socket.gethostname(), reason)
                )
                store_verdict(connection, after, "paused", now, more={"error": summarize_error(error)})
        except (
            ConfigurationConflictError,
            UnknownExperimentError,
        ):  # an operator was faster: the next round looks again
            return
        except psycopg.Error as refused:
            log.warning("experiment_not_paused", experiment=experiment.id, error=summarize_error(refused))
            return
        log.info("experiment_stage", experiment=experiment.id, status="paused", share=0.0, reason=reason)


def _forget(
    connection: psycopg.Connection[Any], experiments: Mapping[str, Experiment], known: Sequence[_Known]
) -> bool:
    """Forget the evidence of experiments that were removed, and the sessions of those that have ended.

    Returns:
        Whether there are more sessions to delete: an experiment may have had millions.
    """
    most, removed = _MOST_DELETED, []
    for each in known:
        experiment = experiments.get(each.experiment_id)
        is_other = experiment is None or experiment.stage.began != each.began
        if each.has_sessions and (is_other or (experiment is not None and not experiment.is_open)):
            most -= _DELETE_SESSIONS_OF.run(connection, {"experiment_id": each.experiment_id, "most": most})
            if most <= 0:
                break
        if is_other:
            removed.append(each.experiment_id)
    if removed:
        _DELETE_PROGRESS.run(connection, {"experiment_ids": removed})
    return most <= 0
