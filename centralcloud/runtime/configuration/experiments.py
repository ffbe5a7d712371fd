"""Experiments in the configuration: read by roles that may not see the rest of it, and their stages changed by them."""

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

import msgspec
import psycopg
from psycopg.types.json import Jsonb

from centralcloud.contracts import CentralCloudError, ContractError
from centralcloud.contracts.errors import quote
from centralcloud.contracts.fleet_configuration import Experiment, ExperimentScope, parse_experiment, to_body
from centralcloud.contracts.fleet_configuration.configuration import entry_path
from centralcloud.contracts.new_experiment import Traffic
from centralcloud.runtime.configuration.writing import Author, ConfigurationConflictError
from centralcloud.runtime.postgres.query import Query

_MINUTES_OF_A_DAY: Final = 1440
#: SQLSTATE of the function for an experiment that does not exist, and for one that has changed.
_UNKNOWN: Final = "CC404"
_CONFLICT: Final = "CC409"


class UnknownExperimentError(CentralCloudError):
    """The experiment does not exist."""

    def __init__(self, experiment: str) -> None:
        super().__init__(f"found no experiment {quote(experiment)}, expected the id or the name of one")


class ConfiguredExperiment(NamedTuple):
    """An experiment, and the version of the configuration in which it changed last."""

    experiment: Experiment
    version: int


class _Row(NamedTuple):
    id: str
    body: dict[str, Any]
    version: int


class _EarlierRow(NamedTuple):
    id: str
    body: dict[str, Any]


class _TrafficRow(NamedTuple):
    requests: int
    successes: int
    failures: int
    mean_ms: float | None
    mean_cost_usd: float | None


_CURRENT_EXPERIMENTS = Query(__package__, "current_experiments", row=_Row)
_SET_EXPERIMENT_STAGE = Query(__package__, "set_experiment_stage", row=int)
_START_SCORE_CANARY = Query(__package__, "start_score_canary", row=int)
_EXPERIMENTS_EVER = Query(__package__, "experiments_ever", row=_EarlierRow)
_MODELS_HEARD_OF = Query(__package__, "models_heard_of", row=str)
_SCOPE_TRAFFIC = Query(__package__, "scope_traffic", row=_TrafficRow)
_EXPERIMENT_REPORT: Query[Any] = Query(__package__, "experiment_report", row=str)


def read_experiments(connection: psycopg.Connection[Any]) -> list[ConfiguredExperiment]:
    """Return all experiments, by id.

    Raises:
        ContractError: this version cannot read one; names the path.
    """
    rows = _CURRENT_EXPERIMENTS.all(connection)
    return [
        ConfiguredExperiment(parse_experiment(row.body, entry_path("experiment", row.id)), row.version) for row in rows
    ]


def read_usable_experiments(
    connection: psycopg.Connection[Any],
) -> tuple[list[ConfiguredExperiment], dict[str, str]]:
    """Return the experiments that this version can read, by id, and for the id of each other one why it cannot."""
    usable, problems = [], {}
    for row in _CURRENT_EXPERIMENTS.all(connection):
        try:
            experiment = parse_experiment(row.body, entry_path("experiment", row.id))
        except ContractError as error:
            problems[row.id] = str(error)
        else:
            usable.append(ConfiguredExperiment(experiment, row.version))
    return usable, problems


def find_experiment(connection: psycopg.Connection[Any], name: str) -> ConfiguredExperiment:
    """Return an experiment by its id, or by its name where only one has it.

    Raises:
        UnknownExperimentError: there is none that this version can read.
        CentralCloudError: several have the name, or this version cannot read the one with the id.
    """
    usable, problems = read_usable_experiments(connection)
    if name in problems:
        raise CentralCloudError(problems[name])
    found = find_in([each.experiment for each in usable], name)
    return next(each for each in usable if each.experiment.id == found.id)


def find_in(experiments: Iterable[Experiment], name: str) -> Experiment:
    """Return an experiment by its id, or by its name where only one has it.

    Raises:
        UnknownExperimentError: there is none.
        CentralCloudError: several have the name.
    """
    known = list(experiments)
    by_id = [each for each in known if each.id == name]
    found = by_id or [each for each in known if each.name == name]
    if len(found) > 1:
        ids = ", ".join(each.id for each in found)
        raise CentralCloudError(f"found {len(found)} experiments {quote(name)}, expected the id of one: {ids}")
    if not found:
        raise UnknownExperimentError(name)
    return found[0]


def change_stage(
    connection: psycopg.Connection[Any], experiment: Experiment, expected_version: int, author: Author
) -> int:
    """Store the stage of an experiment, in the connection's transaction; return the new version of the configuration.

    The rest of the experiment stays. After an error the transaction goes on without the change.

    Args:
        expected_version: in which the experiment changed last, as the caller has read it.

    Raises:
        ConfigurationConflictError: it has changed since.
        UnknownExperimentError: it was removed.
    """
    values = {
        "expected_version": expected_version,
        "experiment_id": experiment.id,
        "stage": Jsonb(to_body(experiment.stage)),
        "who": author.who,
        "via": author.via,
        "source": author.source,
        "reason": author.reason,
    }
    try:
        with connection.transaction():
            return _SET_EXPERIMENT_STAGE.one(connection, values)
    except psycopg.Error as error:
        if error.sqlstate == _UNKNOWN:
            raise UnknownExperimentError(experiment.id) from None
        if error.sqlstate == _CONFLICT:
            raise ConfigurationConflictError(
                f"the experiment {quote(experiment.id)} has changed since it was read: read it again, and repeat the change"
            ) from None
        raise


def start_score_canary(connection: psycopg.Connection[Any], experiment: Experiment, author: Author) -> int:
    """Add an experiment with scores of the learner, in place of its rule's earlier ones; return the new version.

    After an error the transaction goes on without it.

    Raises:
        ConfigurationConflictError: one of its rule is open.
    """
    values = {
        "experiment_id": experiment.id,
        "body": Jsonb(to_body(experiment)),
        "who": author.who,
        "source": author.source,
        "reason": author.reason,
    }
    try:
        with connection.transaction():
            return _START_SCORE_CANARY.one(connection, values)
    except psycopg.Error as error:
        if error.sqlstate == _CONFLICT:
            raise ConfigurationConflictError(
                f"another canary of the scores of {quote(experiment.learned_by or '')} is open"
            ) from None
        raise


def read_experiments_ever(connection: psycopg.Connection[Any]) -> Sequence[Experiment]:
    """Return every experiment that there was, as it was last; those that this version cannot read are left out."""
    found = []
    for row in _EXPERIMENTS_EVER.all(connection):
        try:
            found.append(parse_experiment(row.body))
        except ContractError:
            continue
    return found


def read_models_heard_of(connection: psycopg.Connection[Any]) -> frozenset[str]:
    """Return the models that gateways have sent events of, or that have a score."""
    return frozenset(_MODELS_HEARD_OF.all(connection))


def read_traffic(connection: psycopg.Connection[Any], scope: ExperimentScope) -> Traffic | None:
    """Return the traffic in a scope in the last day; None where the fleet's sums of use have no request of it."""
    row = _SCOPE_TRAFFIC.one(
        connection,
        {
            "complexities": list(scope.complexities),
            "task_types": list(scope.task_types),
            "policies": list(scope.policies),
            "workspaces": list(scope.workspaces),
        },
    )
    if not row.requests:
        return None
    outcomes = row.successes + row.failures
    return Traffic(
        row.requests / _MINUTES_OF_A_DAY,
        row.successes / outcomes if outcomes else None,
        mean_ms=row.mean_ms,
        mean_cost_usd=row.mean_cost_usd,
    )


def read_report(connection: psycopg.Connection[Any], experiment: str | None = None) -> dict[str, Any]:
    """Return the results of experiments as of now and their verdicts; of one experiment or of all."""
    report: dict[str, Any] = msgspec.json.decode(_EXPERIMENT_REPORT.one(connection, {"experiment_id": experiment}))
    return report
