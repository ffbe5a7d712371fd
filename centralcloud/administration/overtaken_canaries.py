"""Canaries of learned scores that something has overtaken: an operator, an alarm, or another setting. They are stopped.

The learner publishes no score that a canary judges. So a newer published version of one is an operator's change, or a fall
that must not wait; the canary's frozen table must not undo it for a part of the sessions.
"""

import socket
from collections.abc import Sequence
from typing import Any, NamedTuple

import psycopg
from msgspec.structs import replace

from centralcloud.contracts.experiment_changes import OVERTAKEN, moved
from centralcloud.contracts.fleet_configuration import Experiment
from centralcloud.contracts.fleet_configuration.values import MAX_LABEL_LENGTH
from centralcloud.experiments.ramp import DAEMON, store_verdict
from centralcloud.learning.current_scores import read_current_scores
from centralcloud.learning.publication import read_clock
from centralcloud.learning.run_input import read_control
from centralcloud.learning.settings import PublicationMode
from centralcloud.runtime.configuration.experiments import (
    ConfiguredExperiment,
    UnknownExperimentError,
    change_stage,
    read_usable_experiments,
)
from centralcloud.runtime.configuration.writing import Author, ConfigurationConflictError
from centralcloud.runtime.logs import get_logger
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.query import Query

log = get_logger(__name__)


class _Newer(NamedTuple):
    model: str
    complexity: str
    source: str
    version: int


_PUBLISHED_SINCE = Query(__package__, "published_since", row=_Newer)


def stop_overtaken(database: Database, publication: PublicationMode, rule: str) -> list[str]:
    """Stop every open canary of learned scores that was overtaken, and return their ids.

    Args:
        publication, rule: the settings of the fleet.
    """
    done = []
    with database.transaction() as connection:
        found, _ = read_usable_experiments(connection)
        for each in found:
            experiment = each.experiment
            if experiment.learned_by is not None and experiment.is_open:
                reason = _why(connection, [one.experiment for one in found], experiment, publication, rule)
                if reason is not None and _stop(connection, each, reason):
                    done.append(experiment.id)
    return done


def newer_score(connection: psycopg.Connection[Any], experiment: Experiment) -> str | None:
    """Return which score of a canary of learned scores was published after it began, in words; None: none was."""
    table = experiment.treatments[0].score_table if experiment.learned_by is not None else ()
    if not table:
        return None
    values = {
        "models": [each.model_id for each in table],
        "complexities": [each.complexity for each in table],
        "after": experiment.learned_after,  # not by time: the server's clock may have been set back
    }
    newer = _PUBLISHED_SINCE.maybe(connection, values)
    if newer is not None:
        return f"{newer.model} ({newer.complexity}) was published meanwhile, version {newer.version} by {newer.source}"
    known = {each.pair for each in read_current_scores(connection)}
    gone = next((each for each in table if (each.model_id, each.complexity) not in known), None)
    return None if gone is None else f"{gone.model_id} ({gone.complexity}) is no longer known"


def overtaken_promotion(connection: psycopg.Connection[Any], experiment: Experiment, rule: str) -> str | None:
    """Return why the scores of a promoted canary must not be published, in words; None: they may.

    Between the promotion and the publication an operator may have frozen the scores, or changed the rule. Experiments of
    operators go on: they promote what an operator has chosen.

    Args:
        rule: the active one.
    """
    if experiment.learned_by is None:
        return None
    return _of_settings(connection, experiment, rule) or newer_score(connection, experiment)


def has_complexity(experiment: Experiment, complexity: str) -> bool:
    """Return whether an open experiment of an operator has all the requests of a complexity.

    One of a part of them leaves the others to a canary. One that has ended would hold scores for as long as it is kept.
    """
    scope = experiment.scope
    levels: Sequence[str] = scope.complexities
    is_part = scope.task_types or scope.policies or scope.workspaces or scope.requested_models
    is_whole = not is_part and (not levels or complexity in levels)
    return experiment.learned_by is None and experiment.is_open and is_whole


def _why(
    connection: psycopg.Connection[Any],
    experiments: Sequence[Experiment],
    canary: Experiment,
    publication: PublicationMode,
    rule: str,
) -> str | None:
    if publication == "direct":
        return "the setting publication is direct"
    if (reason := _of_settings(connection, canary, rule)) is not None:
        return reason
    for each in experiments:
        if any(has_complexity(each, complexity) for complexity in canary.scope.complexities):
            return f"the experiment {each.id} has its tasks"
    return newer_score(connection, canary)


def _of_settings(connection: psycopg.Connection[Any], canary: Experiment, rule: str) -> str | None:
    """Return which setting of the fleet is against the scores of a canary, in words; None: none is."""
    if canary.learned_by != rule:
        return f"the rule is {rule}"
    return None if read_control(connection).frozen_reason is None else "scores are frozen"


def _stop(connection: psycopg.Connection[Any], canary: ConfiguredExperiment, reason: str) -> bool:
    now = read_clock(connection)
    before, version = canary
    after = replace(before, stage=moved(before.stage, now, "stopped", f"{OVERTAKEN}{reason}"[:MAX_LABEL_LENGTH]))
    author = Author(who=DAEMON, via="daemon", source=socket.gethostname(), reason=after.stage.reason)
    try:
        change_stage(connection, after, version, author)
    except (ConfigurationConflictError, UnknownExperimentError):
        return False
    store_verdict(connection, after, "stopped", now)
    log.info("score_canary_overtaken", experiment=before.id, reason=reason)
    return True
