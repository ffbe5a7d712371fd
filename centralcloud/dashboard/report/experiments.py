"""The experiments of a report: those that ran or were decided in its time, with what is known about them now."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

import psycopg

from centralcloud.contracts.fleet_configuration import Experiment
from centralcloud.dashboard.pages.experiment_words import kind_words, reason_of, stage_words, verdict_words
from centralcloud.dashboard.sources.experiments import read_configured
from centralcloud.experiments.results import ComparisonResult, Verdict, read_results
from centralcloud.experiments.statements import facts_by_treatment, price_of, statement_of
from centralcloud.runtime.postgres.query import Query

_NOTHING: Final = "no outcome of it counts yet"
_LIST_VERDICTS = Query(__package__, "list_experiment_verdicts", row=Verdict)


class ReportedTreatment(NamedTuple):
    """A treatment of an experiment.

    Attributes:
        success: a sentence on its success against control.
        extra_failures: about so many requests failed for it; negative: it has saved so many; None: not known.
    """

    name: str
    outcomes: int
    success: str
    extra_failures: int | None


class ReportedExperiment(NamedTuple):
    """An experiment that ran or was decided in the time.

    Attributes:
        name: its id where it was removed.
        kind: "canary".
        stands: where it stands now, or the last verdict on one that was removed: "was promoted".
        since: since when.
    """

    id: str
    name: str
    kind: str
    stands: str
    since: datetime
    treatments: tuple[ReportedTreatment, ...]


def read_reported(
    connection: psycopg.Connection[Any], since: datetime, until: datetime
) -> tuple[ReportedExperiment, ...]:
    """Read the experiments that ran or were decided from `since` to `until`, the newest change first."""
    configured = read_configured(connection).configured
    results = read_results(connection)
    found = [
        _reported(each.experiment, results)
        for each in configured
        if each.experiment.stage.began < until and (each.experiment.is_open or each.experiment.stage.since >= since)
    ]
    known = {each.experiment.id for each in configured}
    verdicts = _LIST_VERDICTS.all(connection, {"since": since, "until": until})
    removed = {each.experiment_id: each for each in verdicts if each.experiment_id not in known}
    found += [_removed(each) for each in removed.values()]
    return tuple(sorted(found, key=lambda each: (each.since, each.id), reverse=True))


def _reported(experiment: Experiment, results: Sequence[ComparisonResult]) -> ReportedExperiment:
    mine = [each for each in results if each.experiment_id == experiment.id]
    facts = facts_by_treatment(mine)
    at = max((each.updated_at for each in mine), default=experiment.stage.began)
    treatments = []
    for number, treatment in enumerate(experiment.treatments):
        of_treatment = facts.get((experiment.id, number), {})
        stated = statement_of(experiment, number, "success", of_treatment, at)
        price = price_of(experiment, of_treatment)
        is_known = stated is not None and stated.outcomes > 0
        treatments.append(
            ReportedTreatment(
                treatment.name,
                stated.outcomes if stated else 0,
                stated.sentence if stated and is_known else _NOTHING,
                None if price is None else round(price.extra_failures),
            )
        )
    stage = experiment.stage
    return ReportedExperiment(
        experiment.id, experiment.name, kind_words(experiment), stage_words(experiment), stage.since, tuple(treatments)
    )


def _removed(verdict: Verdict) -> ReportedExperiment:
    reason = reason_of(verdict.facts)
    stands = f"{verdict_words(verdict.verdict)[1]}{f': {reason}' if reason else ''}, and was removed since"
    return ReportedExperiment(verdict.experiment_id, verdict.experiment_id, "experiment", stands, verdict.at, ())
