"""A set of targets with the probabilities of their models, computed once for all requests that have the same set. Pure."""

import random
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate, groupby
from typing import Final

from centralcloud.contracts.model_choice.selection import Selection, SelectionMode, method_for
from instance_agent.catalog.catalog import CatalogSnapshot
from instance_agent.catalog.configuration import Target
from instance_agent.routing.decision import Preference, RankedModel
from instance_agent.routing.explanation import TargetOrder
from instance_agent.routing.plan import PlannedTarget
from instance_agent.routing.ranking import SCORE_WEIGHTS, Entry, candidate_of, preferred_value

#: Models of a plan whose endpoints are drawn by weight; those after them are in the order of weight. Few plans get there.
_DRAWN_MODELS: Final = 4


class ModelTargets:
    """The targets of one model: by type, and by weight within a type.

    Attributes:
        ranked: the model's score, value and chance, by its best entry; None when it has none.
        name: of the model.
        fixed: whether every plan has them in the same order.
    """

    def __init__(self, ranked: RankedModel | None, targets: Sequence[Target], note: str | None = None) -> None:
        """Create it; `note`: its place in words, for plans that begin with another model."""
        self.ranked = ranked
        self.name = targets[0].model.name
        self._note = note
        if len(targets) == 1:
            self._groups = [tuple(targets)]
            self._in_order: tuple[PlannedTarget, ...] = (PlannedTarget(targets[0], "fallback", ranked, note),)
            self.fixed = True
            return
        by_rank = sorted(targets, key=lambda target: (target.rank, -target.endpoint.weight))
        self._groups = [tuple(group) for _, group in groupby(by_rank, key=lambda target: target.rank)]
        self._in_order = tuple([PlannedTarget(target, "fallback", ranked, note) for target in by_rank])
        self.fixed = len(self._groups) == len(self._in_order)

    def first(self, code: str, rng: random.Random, note: str | None = None) -> list[PlannedTarget]:
        """Return the targets for a plan that begins with this model, for the reason `code`, in words `note`."""
        order = [target for number in range(len(self._groups)) for target in self._drawn(number, rng)]
        return [
            PlannedTarget(target, "endpoint", self.ranked) if number else PlannedTarget(target, code, self.ranked, note)
            for number, target in enumerate(order)
        ]

    def fallbacks(self, rng: random.Random | None) -> Sequence[PlannedTarget]:
        """Return the targets for a plan that begins with another model; without `rng` the heavier ones first."""
        if self.fixed or rng is None:
            return self._in_order
        order = [target for number in range(len(self._groups)) for target in self._drawn(number, rng)]
        return [PlannedTarget(target, "fallback", self.ranked, self._note) for target in order]

    def _drawn(self, number: int, rng: random.Random) -> Sequence[Target]:
        """Return the targets of one type: each place is drawn by the weights of those that remain."""
        group = self._groups[number]
        if len(group) == 1:
            return group
        remaining, order = list(group), []
        while len(remaining) > 1:
            starts = list(accumulate([target.endpoint.weight for target in remaining]))
            position = bisect_right(starts, rng.random() * starts[-1])
            order.append(remaining.pop(min(position, len(remaining) - 1)))
        return order + remaining


class ScoredModel(ModelTargets):
    """The targets of a model that has a score."""

    ranked: RankedModel


class PreparedSet:
    """The models of a set of targets, best value first, and the probabilities of each. Immutable, but for its cached plans.

    Attributes:
        models: best value first.
        selection: the probabilities, by the position in `models`.
        positions: of each model, by name.
    """

    def __init__(
        self,
        targets: Sequence[Target],
        scored_as: str,
        prefer: Preference | None,
        snapshot: CatalogSnapshot,
        *,
        mode: SelectionMode,
        exploration: float,
        probing: bool,
        tail: Sequence[Target] = (),
    ) -> None:
        """Compute the probabilities.

        Args:
            targets: with a score for `scored_as`; at least one.
            scored_as: the complexity.
            prefer: ``speed``, ``cost`` or None.
            snapshot: the scores.
            mode, exploration: as for `ModelRouter`.
            probing: whether models are probed as their scores ask for.
            tail: targets that follow in every order, by their value for simple tasks.
        """
        by_name: dict[str, list[Target]] = {}
        for target in targets:
            by_name.setdefault(target.model.name, []).append(target)
        best = [
            max([_entry(each, scored_as, prefer, snapshot) for each in group], key=_value)
            if len(group) > 1
            else _entry(group[0], scored_as, prefer, snapshot)
            for group in by_name.values()
        ]
        best.sort(key=lambda entry: -entry.value)
        candidates = [candidate_of(entry, probing=probing) for entry in best]
        self.selection = Selection(
            candidates, method_for(mode, candidates), scale=SCORE_WEIGHTS[prefer], exploration=exploration
        )
        self.models = tuple(
            ScoredModel(
                RankedModel(entry.model, entry.score, entry.value, entry.learned, candidate.penalty, chance),
                by_name[entry.model.name],
            )
            for entry, candidate, chance in zip(best, candidates, self.selection.chances, strict=True)
        )
        self.positions = {model.ranked.model.name: number for number, model in enumerate(self.models)}
        self._orders: dict[tuple[int, str], TargetOrder] = {}
        self._tail: list[PlannedTarget] = []
        if tail:
            after = PreparedSet(tail, "simple", prefer, snapshot, mode=mode, exploration=0.0, probing=False)
            self._tail = [
                PlannedTarget(planned.target, "unscored", model.ranked)
                for model in after.models
                for planned in model.fallbacks(None)
            ]
        self._fixed = all(model.fixed for model in self.models)

    def order(self, first: int, code: str, rng: random.Random) -> tuple[PlannedTarget, ...]:
        """Return the targets of a plan: those of the first model, then the others by value.

        Args:
            first: the position of the first model.
            code: the reason for it.
            rng: draws among endpoints of the same type.
        """
        if self._fixed:
            key = first, code
            found = self._orders.get(key)
            if found is None:
                found = self._orders[key] = TargetOrder(self._order(first, code, rng))
            return found
        return self._order(first, code, rng)

    def _order(self, first: int, code: str, rng: random.Random) -> tuple[PlannedTarget, ...]:
        planned = self.models[first].first(code, rng)
        others = [model for number, model in enumerate(self.models) if number != first]
        for number, model in enumerate(others, start=1):
            planned += model.fallbacks(rng if number < _DRAWN_MODELS else None)
        return tuple(planned + self._tail)


def _entry(target: Target, scored_as: str, prefer: Preference | None, snapshot: CatalogSnapshot) -> Entry:
    model = target.model
    score = snapshot.score(model, scored_as)
    assert score is not None, "targets without a score are struck"
    return Entry(model, score, preferred_value(model, score, prefer), snapshot.learned.of(model.name, scored_as))


def _value(entry: Entry) -> float:
    return entry.value
