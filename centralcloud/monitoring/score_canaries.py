"""Learned scores that wait for a canary, and those that one has withdrawn, as operators see them."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

import psycopg

from centralcloud.contracts import ContractError
from centralcloud.contracts.experiment_changes import is_withdrawn, status_words
from centralcloud.contracts.fleet_configuration import Experiment, TableScore, parse_experiment
from centralcloud.contracts.fleet_configuration.configuration import entry_path
from centralcloud.learning.settings import CanarySettings
from centralcloud.runtime.diagnostics import CheckResult, ok, warn
from centralcloud.runtime.postgres.query import Query
from centralcloud.runtime.wording import counted, percent
from centralcloud.store.gateways import HAS_GATEWAYS, count_gateways

_DIRECT: Final = "direct"


class ScoreCanary(NamedTuple):
    """A canary that judges learned scores, or has withdrawn them.

    Attributes:
        again_at: from when on its leaders are proposed again; None: it is open.
    """

    experiment: Experiment
    again_at: datetime | None

    @property
    def scores(self) -> Sequence[TableScore]:
        """The scores that it judges."""
        return self.experiment.treatments[0].score_table

    def __str__(self) -> str:
        stage, rule = self.experiment.stage, self.experiment.learned_by
        number = counted(len(self.scores), "score")
        if self.again_at is None:
            wait = "waits" if len(self.scores) == 1 else "wait"
            share = f" with {percent(stage.share)} of the sessions" if stage.status == "running" else ""
            by_hand = " by hand, until it is resumed or stopped" if stage.status == "paused" and stage.by_hand else ""
            return (
                f"{number} of {rule} {wait} for the canary {self.experiment.id} ({status_words(stage)}{share}{by_hand}): "
                f"{self.experiment.name}"
            )
        return (
            f"{number} of {rule} withdrawn: the canary {self.experiment.id} is {status_words(stage)} "
            f"({stage.reason}); proposed again from {self.again_at:%Y-%m-%d %H:%M} UTC on"
        )


class ScoreCanaries(NamedTuple):
    """The canaries that keep scores waiting.

    Attributes:
        publication: the setting of the fleet.
    """

    publication: str
    waiting: Sequence[ScoreCanary]

    def of(self, model: str, complexity: str) -> tuple[ScoreCanary, TableScore] | None:
        """Return the canary that keeps the score of a pair waiting, with that score; None: none does."""
        for canary in self.waiting:
            for score in canary.scores:
                if (score.model_id, score.complexity) == (model, complexity):
                    return canary, score
        return None


class _Row(NamedTuple):
    publication: str | None
    again_hours: float | None
    now: datetime
    id: str | None
    body: dict[str, Any] | None


_SCORE_CANARIES = Query(__package__, "score_canaries", row=_Row)


def read_score_canaries(connection: psycopg.Connection[Any]) -> ScoreCanaries:
    """Read the canaries that are open, and those whose leaders are not proposed again yet."""
    rows = _SCORE_CANARIES.all(connection)
    return ScoreCanaries(rows[0].publication or _DIRECT, [found for row in rows for found in _canaries(row)])


def check_publication(connection: psycopg.Connection[Any]) -> CheckResult | None:
    """Check that canaries can judge learned scores. None: `publication` is direct, and no canary keeps scores waiting."""
    found = read_score_canaries(connection)
    if found.publication != _DIRECT and not count_gateways(connection):
        effect = "wait" if count_gateways(connection, HAS_GATEWAYS) else "are published at once"
        return warn(
            f"publication is canary, and no gateway is alive: scores that change who leads {effect}",
            "start `instance-agent serve`, or `centralcloud settings set publication direct`",
        )
    if found.waiting:
        return ok("; ".join(map(str, found.waiting)))
    return None if found.publication == _DIRECT else ok("publication is canary; no score waits")


def as_json(found: ScoreCanaries) -> list[dict[str, Any]]:
    """Return the canaries for programs. Times are ISO 8601, shares 0 to 0.5."""
    return [
        {
            "experiment": each.experiment.id,
            "rule": each.experiment.learned_by,
            "status": each.experiment.stage.status,
            "share": each.experiment.split.share,
            "scores": len(each.scores),
            "again_at": each.again_at.isoformat() if each.again_at else None,
            "found": str(each),
        }
        for each in found.waiting
    ]


def _canaries(row: _Row) -> Iterator[ScoreCanary]:
    if row.id is None:
        return
    try:
        experiment = parse_experiment(row.body, entry_path("experiment", row.id))
    except ContractError:
        return  # of a newer version: the check of experiments says so
    if experiment.is_open:
        yield ScoreCanary(experiment, None)
    elif is_withdrawn(experiment):
        hours = CanarySettings().again_hours if row.again_hours is None else row.again_hours
        again_at = experiment.stage.since + timedelta(hours=hours)
        if row.now < again_at:
            yield ScoreCanary(experiment, again_at)
