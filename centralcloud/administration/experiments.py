"""Experiments by an operator: start, pause, resume, stop, promote and remove them.

A change of the stage goes through the one function that operators and workers may call; to start and to remove an experiment
changes the rest of the configuration, too, and needs the role for that. The database writes the log of operators' actions.
"""

import secrets
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypeAlias

from centralcloud.contracts import ContractError
from centralcloud.contracts.errors import quote
from centralcloud.contracts.experiment_changes import check_removable
from centralcloud.contracts.experiment_overlaps import overlap_notes
from centralcloud.contracts.fleet_configuration import (
    Change,
    Experiment,
    FleetConfiguration,
    put,
    remove,
)
from centralcloud.contracts.new_experiment import Begun, begin, scope_of, with_rule
from centralcloud.contracts.treatment_models import check_treatment_models
from centralcloud.runtime.configuration.experiments import (
    change_stage,
    find_experiment,
    find_in,
    read_experiments_ever,
    read_models_heard_of,
    read_report,
    read_traffic,
)
from centralcloud.runtime.configuration.writing import (
    Author,
    ConfigurationConflictError,
    Current,
    change_configuration,
    read_whole,
    rights,
)
from centralcloud.runtime.postgres.database import Database
from centralcloud.store.operator_actions import Operator

#: From an experiment, the time and the operator's reason to the experiment after a change; may raise to refuse.
StageChange: TypeAlias = Callable[[Experiment, datetime, str | None], Experiment]

_BYTES_OF_TOKEN = 8


class Started(NamedTuple):
    """An experiment that has started.

    Attributes:
        version: of the configuration, with it; of a dry run the version now.
        notes: what was derived, in sentences.
    """

    experiment: Experiment
    version: int
    notes: tuple[str, ...]


class Changed(NamedTuple):
    """An experiment after a change, and the version of the configuration with it."""

    experiment: Experiment
    version: int


def start(
    database: Database,
    asked: Mapping[str, Any],
    operator: Operator,
    *,
    field: str,
    rule: str | None = None,
    any_model: bool = False,
    dry_run: bool = False,
) -> Started:
    """Start an experiment.

    Args:
        asked: its JSON, as `centralcloud.contracts.new_experiment.begin` takes it.
        field: path of it, which begins the path in an error.
        rule: the id or the name of a rule, whose traffic split becomes the experiment; `asked` then changes what it likes.
        any_model: accept models that nothing is known of here: they may be in the catalog of a gateway.
        dry_run: validate it, and write nothing.

    Raises:
        ContractError: the experiment is not valid, there is no such rule or model, or the configuration would not be valid;
            names the path.
        ConfigurationRightError, ConfigurationMissingError: as for `change_configuration`.
    """
    token = secrets.token_hex(_BYTES_OF_TOKEN)
    value, _ = with_rule(read_whole(database).configuration.rules, rule, asked)
    with rights("start an experiment", "centralcloud_configurator"), database.transaction() as connection:
        earlier = read_experiments_ever(connection)
        traffic = read_traffic(connection, scope_of(value, field))
        heard_of = read_models_heard_of(connection)
    found: list[Begun] = []

    def decide(current: Current) -> Sequence[Change]:
        value, changed_rule = with_rule(current.configuration.rules, rule, asked)
        begun = begin(value, field, now=datetime.now(UTC), token=token, earlier=earlier, traffic=traffic)
        found[:] = [begun]
        if not any_model:
            _check_models(begun.experiment, current.configuration, heard_of, field)
        return [put(begun.experiment), *([] if changed_rule is None else [put(changed_rule)])]

    written = change_configuration(database, author_of(operator), decide, is_known=_may_be_known, dry_run=dry_run)
    begun = found[0]
    fleet = written.configuration
    notes = [*begun.notes, *_about_models(begun.experiment, fleet), *overlap_notes(begun.experiment, fleet.experiments)]
    return Started(begun.experiment, fleet.version, tuple(notes))


def change(
    database: Database, name: str, to: StageChange, operator: Operator, *, expected_version: int | None = None
) -> Changed:
    """Change the stage of an experiment: pause, resume, stop or promote it.

    Args:
        name: its id, or its name where only one has it.
        expected_version: in which it changed last, as the operator has seen it; None: whichever it is now.

    Raises:
        UnknownExperimentError: there is no such experiment.
        ExperimentStateError: its state does not allow the change.
        ConfigurationConflictError: it has changed at the same moment.
    """
    with rights("change an experiment", "centralcloud_operator"), database.transaction() as connection:
        found = find_experiment(connection, name)
        if expected_version not in (None, found.version):
            raise ConfigurationConflictError(
                f"the experiment {quote(found.experiment.id)} has changed since it was read"
            )
        after = to(found.experiment, datetime.now(UTC), operator.reason)
        return Changed(after, change_stage(connection, after, found.version, author_of(operator)))


def remove_experiment(database: Database, name: str, operator: Operator) -> Changed:
    """Remove an experiment that has ended; one that was promoted no longer routes then. Its verdicts stay.

    Raises:
        UnknownExperimentError: there is no such experiment.
        ExperimentStateError: it has not ended, or its promoted score table is not published yet.
        ConfigurationRightError, ConfigurationMissingError: as for `change_configuration`.
    """
    removed: list[Experiment] = []
    found = find_in(read_whole(database).configuration.experiments, name)
    with rights("remove an experiment", "centralcloud_configurator"), database.transaction() as connection:
        verdicts = {each["verdict"] for each in read_report(connection, found.id)["verdicts"]}

    def decide(current: Current) -> Sequence[Change]:
        experiment = find_in(current.configuration.experiments, found.id)
        check_removable(experiment, is_published="published" in verdicts)
        removed[:] = [experiment]
        return [remove("experiment", experiment.id)]

    written = change_configuration(database, author_of(operator), decide, is_known=_may_be_known)
    return Changed(removed[0], written.configuration.version)


def author_of(operator: Operator) -> Author:
    """Return an operator as the author of a version of the configuration."""
    return Author(who=operator.who, via=operator.via, source=operator.source, reason=operator.reason)


def _check_models(experiment: Experiment, fleet: FleetConfiguration, heard_of: frozenset[str], field: str) -> None:
    """Check that the models of an experiment are those of the fleet: a mistyped one would be no treatment at all."""
    of_rules = {target.model_id for rule in fleet.rules for target in rule.target_models}
    inactive = {each.id for each in fleet.models.values() if each.status != "active"}
    try:
        check_treatment_models(experiment, heard_of | of_rules | fleet.models.keys(), field, inactive=inactive)
    except ContractError as error:
        hint = "; --any-model where only the catalog of a gateway has it"
        raise ContractError(error.field, error.found, f"{error.expected}{hint}") from None


def _about_models(experiment: Experiment, fleet: FleetConfiguration) -> list[str]:
    return [
        f"the model {each.model} is not registered: gateways whose catalog does not have it leave the experiment out"
        for each in experiment.treatments
        if each.model is not None and each.model not in fleet.models
    ]


def _may_be_known(_name: str) -> bool:
    """Accept any name of a model: gateways have catalogs, which know more than are registered; this program has none."""
    return True
