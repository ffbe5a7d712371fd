"""The score tables that experiments have promoted, published to the fleet under versions, as a rollback publishes scores."""

import socket
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any, Final

import psycopg

from centralcloud.administration.overtaken_canaries import overtaken_promotion
from centralcloud.administration.score_overrides import hold_scores
from centralcloud.contracts.fleet_configuration import Experiment, TableScore
from centralcloud.experiments.ramp import DAEMON, store_verdict
from centralcloud.learning.current_scores import CurrentScore, read_current_scores
from centralcloud.learning.publication import (
    Change,
    Publication,
    manual_score,
    newest_version,
    publish,
    score_transaction,
    scores_after,
    scores_before,
)
from centralcloud.learning.rule import Rule, as_score
from centralcloud.runtime.configuration.experiments import read_usable_experiments
from centralcloud.runtime.logs import get_logger
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.query import Query
from centralcloud.store.operator_actions import Action, Operator, record_action
from centralcloud.store.slices import References, close_slice

log = get_logger(__name__)

#: The source of the scores, in their messages and their history.
SOURCE: Final = "experiment"
_UNPUBLISHED_TABLES = Query(__package__, "unpublished_tables", row=str)


def publish_promoted(
    database: Database, rules: Sequence[Rule], references: References, operator: Operator | None = None
) -> dict[str, list[Change]]:
    """Publish the score tables that experiments have promoted and that are not published yet, each once.

    Every rule continues from these scores, as after a rollback: evidence up to now does not count against them. Those that
    the learner has proposed (`learned_by`) are its own: its rules go on as they are. Pins and retirements stay, and so does
    a pair that the fleet has never heard of.

    Args:
        rules: of the fleet, the active one first.
        operator: who promoted; None: the daemon publishes what was promoted.

    Scores of the learner that something has overtaken meanwhile (`overtaken_canaries`) are not published any more.

    Returns:
        The changes that were published, by the id of the experiment.
    """
    with database.transaction() as connection:
        if not has_unpublished(connection):
            return {}
    through_slice = close_slice(database, references)
    done = {}
    with score_transaction(database) as (connection, now):
        author = operator or Operator(who=DAEMON, via="daemon", source=socket.gethostname())
        for experiment in _waiting(connection):
            overtaken = overtaken_promotion(connection, experiment, rules[0].name)
            publications = _publications(connection, experiment) if overtaken is None else []
            if experiment.learned_by is None:
                hold_scores(connection, rules, [each.score for each in publications], through_slice)
            changes = publish(connection, publications, rule=SOURCE, run_id=None, now=now) if publications else []
            version = newest_version(changes)
            known = {"version": version, "scores": len(changes), **({"overtaken": overtaken} if overtaken else {})}
            store_verdict(connection, experiment, "published", now, more=known, once=True)
            if changes:
                reason = f"promoted by the experiment {experiment.id}"
                record_action(
                    connection,
                    replace(author, reason=author.reason or reason),
                    Action.PROMOTE_SCORES,
                    "scores",
                    before=scores_before(changes),
                    after={"experiment": experiment.id, **scores_after(changes)},
                    version=version,
                )
            log.info(
                "experiment_scores_published",
                experiment=experiment.id,
                scores=len(changes),
                version=version,
                overtaken=overtaken,
            )
            done[experiment.id] = changes
    return done


def has_unpublished(connection: psycopg.Connection[Any]) -> bool:
    """Return whether an experiment has promoted a score table that is not published yet."""
    return bool(_waiting(connection))


def is_published(connection: psycopg.Connection[Any], experiment: Experiment) -> bool:
    """Return whether the score table that an experiment has promoted is published."""
    return not _UNPUBLISHED_TABLES.all(connection, {"ids": [experiment.id]})


def _waiting(connection: psycopg.Connection[Any]) -> list[Experiment]:
    """Return the experiments whose promoted score table is not published yet."""
    usable, _ = read_usable_experiments(connection)
    promoted = {each.experiment.id: each.experiment for each in usable if _table(each.experiment)}
    if not promoted:
        return []
    return [promoted[each] for each in _UNPUBLISHED_TABLES.all(connection, {"ids": list(promoted)})]


def _table(experiment: Experiment) -> tuple[TableScore, ...]:
    """Return the score table that an experiment has promoted; an empty one where it has not."""
    winners = [each for each in experiment.treatments if each.name == experiment.stage.winner]
    return winners[0].score_table if experiment.stage.status == "promoted" and winners else ()


def _publications(connection: psycopg.Connection[Any], experiment: Experiment) -> list[Publication]:
    known = {each.pair: each for each in read_current_scores(connection)}
    found = []
    for each in _table(experiment):
        current = known.get((each.model_id, each.complexity))
        if current is None or current.pinned_score is not None or current.retired_at is not None:
            continue
        score = as_score(each.score)
        if current.version is not None and (score, each.mean) == (current.score, current.mean):
            continue
        found.append(_publication(current, each, score, experiment))
    return found


def _publication(current: CurrentScore, each: TableScore, score: Decimal, experiment: Experiment) -> Publication:
    reason = f"promoted by the experiment {experiment.id}: {current.old_score} -> {score}"
    proposed = replace(
        manual_score(current, score, SOURCE, reason), estimate=each.estimate, task_types=each.task_scores
    )
    return Publication(current, proposed)
