"""The background task of experiments: folds their records, and brings them to their next stages. One replica does it."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final, Protocol

import psycopg

from centralcloud.contracts import CentralCloudError
from centralcloud.contracts.fleet_configuration import Experiment
from centralcloud.experiments.folding import Folded, fold
from centralcloud.experiments.ramp import advance_experiment
from centralcloud.experiments.watermark import beat
from centralcloud.runtime.configuration.experiments import read_experiments
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

_LIST_PROGRESS = Query(__package__, "list_progress")
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
    ) -> None:
        """Create the task.

        Args:
            database: that has the records.
            interval_seconds: how often it looks, at most 30: gateways do not treat sessions while it is silent for long.
            advance: what follows from the evidence.
            after_round: called after each round in which there was an experiment, without a transaction.
            clock: for tests, in place of the server's.
        """
        super().__init__("experiments", database, interval_seconds=interval_seconds)
        self._lease_seconds = max(_LEAST_LEASE_SECONDS, _ROUNDS_OF_LEASE * interval_seconds)
        self._advance = advance
        self._after_round = after_round
        self._clock = clock

    def run_once(self) -> bool:
        """Fold every open experiment once. True: one is behind, so that the next round begins at once."""
        with self.database.transaction() as connection:
            experiments = [each.experiment for each in read_experiments(connection)]
            known = dict(_LIST_PROGRESS.all(connection))
            if not experiments and not known:
                return False
            if not acquire_lease(connection, _LEASE, seconds=self._lease_seconds):
                return False
            _forget(connection, experiments, known)
        is_behind = False
        failed: Exception | None = None
        for experiment in experiments:
            if experiment.is_open and not self.stopping:
                try:
                    is_behind |= self._fold(experiment)
                except (CentralCloudError, psycopg.Error) as error:  # of this one alone: the others go on
                    log.warning("experiment_not_folded", experiment=experiment.id, error=summarize_error(error))
                    failed = failed or error
        if experiments and self._after_round is not None:
            self._after_round()
        if failed is not None:
            raise failed
        return is_behind

    def on_stop(self) -> None:
        """Release the lease."""
        release_lease(self.database, _LEASE)

    def _fold(self, experiment: Experiment) -> bool:
        with self.database.transaction(limit_seconds=_FOLD_SECONDS) as connection:
            if not acquire_lease(connection, _LEASE, seconds=self._lease_seconds):
                return False
            found = beat(connection, self._clock() if self._clock else None)
            folded = fold(connection, experiment, found.ingested_until(experiment))
            self._advance(connection, experiment, folded, found.now)
        if folded.decisions:
            log.debug("experiment_folded", experiment=experiment.id, decisions=folded.decisions)
        return folded.is_behind


def _forget(connection: psycopg.Connection[Any], experiments: Sequence[Experiment], known: dict[str, bool]) -> None:
    """Forget the evidence of experiments that were removed, and the sessions of those that have ended."""
    open_ones = {each.id for each in experiments if each.is_open}
    removed = sorted(known.keys() - {each.id for each in experiments})
    ended = sorted(key for key, has_sessions in known.items() if has_sessions and key not in open_ones)
    if removed:
        _DELETE_PROGRESS.run(connection, {"experiment_ids": removed})
    if ended:
        _DELETE_SESSIONS_OF.run(connection, {"experiment_ids": ended})
