"""The site's own traffic as a world to simulate in: what the log of the routers tells, and what it cannot tell.

Only the outcome of the model that was chosen is known. The outcome of another model is drawn from those that it had at other
tasks of the same complexity, each weighed with 1 / the probability with which the router chose it (the propensity that it
recorded): Hajek's estimator of what the model would have done with all tasks. Each seed weighs the outcomes anew, together
with one success and one failure (Rubin's Bayesian bootstrap), so the spread over the seeds contains what the log leaves
open.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NamedTuple

import numpy as np
import psycopg

from centralcloud.contracts import COMPLEXITIES, SettingsError
from centralcloud.learning.rule import wilson_interval
from centralcloud.runtime.arrays import Floats, Integers
from centralcloud.runtime.postgres.query import Query
from centralcloud.runtime.wording import counted, percent
from centralcloud.simulate.ground_truth import GroundTruth, make_ground_truth, share_of
from centralcloud.simulate.outcome_table import OutcomeTable
from centralcloud.simulate.scenario import Scenario, Weights

#: Outcomes that are read at most, the newest ones: a few seconds.
MOST_OUTCOMES: Final = 200_000
#: Outcomes that weigh equally, to which those of a pair must be worth.
LEAST_EFFECTIVE: Final = 30.0
#: Share of the outcomes of a complexity that must have a propensity; else none is weighed.
LEAST_WEIGHED: Final = 0.9
#: The limits of any log.
_NEVER_KNOWN: Final = (
    "models that were not chosen in this time are missing",
    "changes of a model within this time are averaged: the simulated models change only where the scenario says so",
    "the outcomes of two models at one and the same task are not known: they are drawn independently",
)
#: Tasks of a complexity in a drawn world.
_ITEMS: Final = 2000


class Outcome(NamedTuple):
    """One recorded outcome. `propensity` is the probability of the choice, or None."""

    complexity: str
    model: str
    reward: float
    latency_ms: float | None
    cost_usd: float | None
    propensity: float | None


_READ_NEWEST_OUTCOMES = Query(__package__, "read_newest_outcomes", row=Outcome)


@dataclass(frozen=True, slots=True)
class Pool:
    """The outcomes of one pair.

    Attributes:
        values: reward, latency in ms, cost in USD of each; NaN where unknown; shape (outcomes, 3).
        weights: 1 / propensity, or 1.
        rewarded: mean reward, by these weights.
        effective: outcomes of equal weight that say as much about it.
    """

    values: Floats
    weights: Floats

    @property
    def rewarded(self) -> float:
        return float(self.weights @ self.values[:, 0] / self.weights.sum())

    @property
    def effective(self) -> float:
        return float(self.weights.sum() ** 2 / (self.weights @ self.weights))


@dataclass(frozen=True, slots=True)
class Records:
    """The recorded outcomes of a time; a source of tables.

    Attributes:
        models: those that are known well enough at some complexity.
        complexities: those at which some model is.
        shares: the share of the outcomes that each complexity had.
        pools: by (model, complexity), of the pairs that are known well enough.
        pairs: a JSON object for every pair that has outcomes.
        unknown: what this log cannot tell, in sentences.
    """

    models: tuple[str, ...]
    complexities: tuple[str, ...]
    shares: dict[str, float]
    outcomes: tuple[Outcome, ...] = field(repr=False)
    pools: dict[tuple[str, str], Pool] = field(repr=False)
    pairs: list[dict[str, Any]]
    unknown: list[str]

    def table(self, models: Iterable[str] | None = None) -> OutcomeTable:
        """Return a table in which every pair has its estimated mean reward: to rank models by."""
        return self._drawn(self.models if models is None else tuple(models), None)

    def drawn(self, models: Iterable[str], rng: np.random.Generator) -> OutcomeTable:
        """Return a table of one of the worlds that the log allows."""
        return self._drawn(tuple(models), rng)

    def as_it_was(self, weights: Weights) -> dict[str, Any]:
        """Return the means of the recorded outcomes, as a JSON object; None where no outcome has the value."""
        values = _values(self.outcomes)
        reward = values[:, 0] - weights.latency * share_of(values[:, 1], weights.latency_ref_ms)
        reward -= weights.cost * share_of(values[:, 2], weights.cost_ref_usd)
        latency_ms, cost_usd = (_mean_of_known(values[:, part]) for part in (1, 2))
        return {
            "reward": float(reward.mean()),
            "success_rate": float(values[:, 0].mean()),
            "mean_latency_ms": latency_ms,
            "mean_cost_usd": cost_usd,
        }

    def _drawn(self, models: tuple[str, ...], rng: np.random.Generator | None) -> OutcomeTable:
        items, count = _ITEMS if rng else 1, len(self.complexities)
        values = np.full((len(models), count * items, 3), np.nan)
        recorded = np.zeros((len(models), count), dtype=np.int64)
        for row, model in enumerate(models):
            for column, complexity in enumerate(self.complexities):
                pool = self.pools.get((model, complexity))
                if pool is None:
                    continue
                recorded[row, column] = round(pool.effective)
                cells = slice(column * items, (column + 1) * items)
                if rng is None:
                    values[row, cells, 0] = pool.rewarded
                else:
                    values[row, cells] = _bootstrap(pool, items, rng)
        known = ~np.isnan(values[:, :, 0])
        return OutcomeTable(
            models,
            self.complexities,
            (),
            np.repeat(np.arange(count), items),
            np.zeros(count * items, dtype=np.int64),
            np.where(known, values[:, :, 0], 0.0),
            values[:, :, 1],
            values[:, :, 2],
            np.zeros(known.shape, dtype=bool),
            recorded,
        )


@dataclass(frozen=True, slots=True)
class RecordedWorld:
    """A scenario in the worlds that a log allows, one for each seed."""

    scenario: Scenario
    records: Records

    def for_seed(self, seed: int) -> GroundTruth:
        """Return the truth of the run with this seed."""
        table = self.records.drawn(self.scenario.answering, np.random.default_rng([seed, 5]))
        return make_ground_truth(self.scenario, table)


def read_records(connection: psycopg.Connection[Any], since: datetime, until: datetime) -> Records:
    """Read the newest outcomes of a time.

    Raises:
        SettingsError: no model has enough outcomes.
    """
    time = {"since": since, "until": until, "most": MOST_OUTCOMES}
    return records_of(_READ_NEWEST_OUTCOMES.all(connection, time))


def records_of(outcomes: Sequence[Outcome]) -> Records:
    """Return what these outcomes tell.

    Raises:
        SettingsError: no model has enough outcomes.
    """
    by_complexity: dict[str, dict[str, list[Outcome]]] = {complexity: {} for complexity in COMPLEXITIES}
    for one in outcomes:
        by_complexity[one.complexity].setdefault(one.model, []).append(one)
    pools: dict[tuple[str, str], Pool] = {}
    pairs, unknown = [], list(_NEVER_KNOWN)
    for complexity, by_model in by_complexity.items():
        found = sum(map(len, by_model.values()))
        weighed = sum(one.propensity is not None for own in by_model.values() for one in own)
        use_weights = weighed >= LEAST_WEIGHED * found
        if not use_weights:
            unknown.append(
                f"{complexity}: {percent(weighed / found)} of the outcomes have a propensity, so none is weighed: a "
                "model that was given easier tasks looks better than it is"
            )
        for model, own in sorted(by_model.items()):
            usable = [one for one in own if one.propensity is not None] if use_weights else own
            pool = _pool(usable, weighed=use_weights) if usable else None
            known = pool is not None and pool.effective >= LEAST_EFFECTIVE
            pairs.append(_pair(model, complexity, len(own), pool, known=known))
            if pool is not None and known:
                pools[model, complexity] = pool
            else:
                worth = pool.effective if pool else 0.0
                unknown.append(
                    f"{model}, {complexity}: {counted(len(own), 'outcome')}, worth {worth:.0f} that weigh equally; "
                    f"expected {LEAST_EFFECTIVE:.0f}. It is not chosen there"
                )
    if not pools:
        raise SettingsError(
            f"--from-records: found {counted(len(outcomes), 'outcome')}, and no model with {LEAST_EFFECTIVE:.0f} at one "
            "complexity, expected one at least"
        )
    if len(outcomes) >= MOST_OUTCOMES:
        unknown.append(f"the time before the newest {MOST_OUTCOMES:,} outcomes was not read")
    complexities = tuple(each for each in COMPLEXITIES if any(complexity == each for _, complexity in pools))
    kept = tuple(one for one in outcomes if one.complexity in complexities)
    return Records(
        models=tuple(sorted({model for model, _ in pools})),
        complexities=complexities,
        shares={each: sum(map(len, by_complexity[each].values())) / len(kept) for each in complexities},
        outcomes=kept,
        pools=pools,
        pairs=pairs,
        unknown=unknown,
    )


def _pair(model: str, complexity: str, outcomes: int, pool: Pool | None, *, known: bool) -> dict[str, Any]:
    rate, effective = (pool.rewarded, pool.effective) if pool else (0.0, 0.0)
    low, high = wilson_interval(rate * effective, effective)
    return {
        "model": model,
        "complexity": complexity,
        "outcomes": outcomes,
        "worth": round(effective, 1),
        "reward": round(rate, 4) if pool else None,
        "low": round(low, 4),
        "high": round(high, 4),
        "simulated": known,
    }


def _pool(outcomes: Sequence[Outcome], *, weighed: bool) -> Pool:
    weights = [1 / (one.propensity or 1.0) if weighed else 1.0 for one in outcomes]
    return Pool(_values(outcomes), np.array(weights))


def _values(outcomes: Sequence[Outcome]) -> Floats:
    return np.array([(one.reward, one.latency_ms, one.cost_usd) for one in outcomes], dtype=np.float64)


def _mean_of_known(values: Floats) -> float | None:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else None


def _bootstrap(pool: Pool, items: int, rng: np.random.Generator) -> Floats:
    """Return the outcomes of a pair for the tasks of a drawn world."""
    # The weights of one more success and one more failure are those of a usual outcome.
    usual = float(pool.weights.sum() / pool.effective)
    invented = np.array([[1.0, np.nan, np.nan], [0.0, np.nan, np.nan]])
    values = np.concatenate([pool.values, invented])
    weights = np.concatenate([pool.weights, [usual, usual]]) * rng.exponential(size=len(values))
    until = np.cumsum(weights) / weights.sum()
    # Equally spaced: the drawn outcomes have the mean of the weighed ones, apart from rounding.
    chosen: Integers = np.searchsorted(until, (np.arange(items) + rng.random()) / items, side="right")
    drawn: Floats = values[np.minimum(rng.permutation(chosen), len(values) - 1)]
    return drawn
