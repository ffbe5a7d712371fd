"""The experiments of the configuration, what is known about each treatment, and what was decided."""

from datetime import datetime
from typing import Any, Final, NamedTuple

import psycopg

from centralcloud.contracts.authorship import way_of
from centralcloud.dashboard.reader.source import Lookup, Source, Tier
from centralcloud.experiments.results import ComparisonResult, Verdict, read_results, read_verdicts
from centralcloud.runtime.configuration.experiments import ConfiguredExperiment, read_usable_experiments
from centralcloud.runtime.postgres.query import Query


class Experiments(NamedTuple):
    """The experiments.

    Attributes:
        configured: those of the configuration, by id.
        problems: a line for each that this version cannot read.
    """

    configured: tuple[ConfiguredExperiment, ...]
    problems: tuple[str, ...]


class ExperimentChange(NamedTuple):
    """A change of an experiment.

    Attributes:
        who: the operator, " as ", the database role.
        via: as in the log of actions.
        before, after: the status; None: the experiment did not exist, or its entry was too large for the log.
    """

    id: int
    at: datetime
    who: str
    via: str
    source: str
    reason: str | None
    before: str | None
    after: str | None

    @property
    def way(self) -> str:
        """How it was made: `via`, or ``migration``."""
        return way_of(self.who, self.via, self.source) or self.via


class ExperimentPast(NamedTuple):
    """The past of an experiment: its verdicts, oldest first, and its changes, newest first."""

    verdicts: tuple[Verdict, ...]
    changes: tuple[ExperimentChange, ...]


_SEEN: Query[Any] = Query(__package__, "read_experiments_seen", row=datetime)
_NEWEST_VERDICTS = Query(__package__, "list_newest_verdicts", row=Verdict)
_LIST_CHANGES = Query(__package__, "list_experiment_actions", row=ExperimentChange)


def read_configured(connection: psycopg.Connection[Any]) -> Experiments:
    """Read the experiments of the configuration."""
    usable, problems = read_usable_experiments(connection)
    return Experiments(tuple(usable), tuple(problems.values()))


def _results(connection: psycopg.Connection[Any]) -> tuple[ComparisonResult, ...]:
    return tuple(read_results(connection))


def _past(connection: psycopg.Connection[Any], experiment: str) -> ExperimentPast:
    changes = _LIST_CHANGES.all(connection, {"experiment_id": experiment})
    return ExperimentPast(tuple(read_verdicts(connection, experiment)), tuple(changes))


EXPERIMENTS: Final = Source("experiments", Tier.QUARTER, read_configured)
#: The results of all treatments: seven small rows each.
RESULTS: Final = Source("experiment_results", Tier.QUARTER, _results)
#: The newest verdict on each experiment and treatment, and all of the last day, newest first.
VERDICTS: Final = Source(
    "experiment_verdicts", Tier.QUARTER, lambda connection: tuple(_NEWEST_VERDICTS.all(connection))
)
#: When the daemon last looked after the experiments; None: never.
SEEN_AT: Final[Source[datetime | None]] = Source(
    "experiments_seen", Tier.QUARTER, lambda connection: _SEEN.one(connection)
)
#: By the id of the experiment.
PAST: Final = Lookup("experiment_past", _past, keep_seconds=10.0)
