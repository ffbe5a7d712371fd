"""The models of one state of the catalog, by name and by rank: computed once for all requests of that state."""

from typing import Final, NamedTuple

from msgspec.structs import replace

from centralcloud.contracts import NO_ESTIMATE
from centralcloud.contracts.model_choice.selection import Candidate
from instance_agent.catalog.catalog import CatalogSnapshot
from instance_agent.catalog.learned_scores import LearnedScore
from instance_agent.catalog.model import Model
from instance_agent.routing.decision import Preference

# Weights of the score beside speed and cost (docs/reference/specification.md).
_SPEED_SCORE_WEIGHT: Final = 0.7
_SPEED_WEIGHT: Final = 0.3
_SPEED_REFERENCE_TOKENS: Final = 5000
_COST_SCORE_WEIGHT: Final = 0.6
_COST_WEIGHT: Final = 0.4
SCORE_WEIGHTS: Final = {None: 1.0, "speed": _SPEED_SCORE_WEIGHT, "cost": _COST_SCORE_WEIGHT}


class Entry(NamedTuple):
    """A candidate model with its current score."""

    model: Model
    score: float
    value: float
    learned: LearnedScore | None


class Ranking:
    """The models of one state of the catalog. Thread-safe: two threads that miss an order compute the same one.

    Attributes:
        by_name: the entries of each name, of several providers.
    """

    by_name: dict[str, list[Model]]

    def __init__(self, snapshot: CatalogSnapshot, earlier: "Ranking | None" = None) -> None:
        """Index a state of the catalog; `earlier`, of the same models, shares its index of names."""
        self.snapshot = snapshot
        self._orders: dict[tuple[str, Preference | None], tuple[Entry, ...]] = {}
        self._by_task_type: dict[str, Ranking] = {}
        if earlier is not None and earlier.snapshot.models is snapshot.models:
            self.by_name = earlier.by_name
        else:
            self.by_name = {}
            for model in snapshot.models:
                self.by_name.setdefault(model.name, []).append(model)

    def for_task_type(self, name: str | None) -> "Ranking":
        """Return the ranking by the scores for tasks of one type; the same object for None."""
        if name is None:
            return self
        found = self._by_task_type.get(name)
        if found is None:
            found = self._by_task_type[name] = Ranking(self.snapshot.for_task_type(name), self)
        return found

    def order(self, scored_as: str, prefer: Preference | None) -> tuple[Entry, ...]:
        """Return every active model for text that has a score for a complexity, best value first."""
        key = scored_as, prefer
        found = self._orders.get(key)
        if found is None:
            snapshot = self.snapshot
            entries = [
                Entry(model, score, preferred_value(model, score, prefer), snapshot.learned.of(model.name, scored_as))
                for model in snapshot.models
                if model.status == "active"
                and model.model_type != "embedding"
                and (score := snapshot.score(model, scored_as)) is not None
            ]
            found = self._orders[key] = tuple(sorted(entries, key=lambda entry: -entry.value))
        return found


def preferred_value(model: Model, score: float, prefer: Preference | None) -> float:
    """Return the value to rank a model by (docs/reference/specification.md). An unknown length or price is the worst."""
    if prefer == "speed":
        speed = _SPEED_REFERENCE_TOKENS / model.max_output_tokens if model.max_output_tokens else 0.0
        return _SPEED_SCORE_WEIGHT * score + _SPEED_WEIGHT * speed
    if prefer == "cost":
        cheapness = 0.0 if model.pricing is None else 1 / (1 + model.pricing.average)
        return _COST_SCORE_WEIGHT * score + _COST_WEIGHT * cheapness
    return score


def candidate_of(entry: Entry, *, probing: bool) -> Candidate:
    """Return an entry as a candidate of a selection; without `probing` it is never probed."""
    learned = entry.learned
    estimate = learned.estimate if learned else NO_ESTIMATE
    return Candidate(
        model=entry.model.name,
        score=entry.score,
        value=entry.value,
        learned=learned is not None,
        estimate=estimate if probing or estimate.probe_share is None else replace(estimate, probe_share=None),
    )
