"""The order of a stage that lists its candidates: by priority, local models first, or drawn for a rule. Pure."""

import random
from collections.abc import Hashable, Iterable, Sequence
from typing import Final, NamedTuple

from centralcloud.contracts.fleet_configuration import RoutingPolicy
from centralcloud.contracts.model_choice.selection import Chance
from instance_agent.catalog.catalog import CatalogSnapshot
from instance_agent.catalog.configuration import Target
from instance_agent.routing.conditions import MIDDLE
from instance_agent.routing.decision import RankedModel
from instance_agent.routing.demotion import Demotion, Promotion, demotions, promotions
from instance_agent.routing.explanation import TargetOrder
from instance_agent.routing.plan import PlannedTarget
from instance_agent.routing.prepared import ModelTargets
from instance_agent.routing.routes import Candidate, Stage
from instance_agent.routing.spend import PriceOf
from instance_agent.routing.task import Task

#: Complexities of 1 to 10 for which local models are first, and from which reasoning models are.
LOCAL_UP_TO: Final = 3
REASONING_FROM: Final = 7
_CERTAIN: Final = Chance(1.0, 0.0, 1.0)
_FREE: Final = (0, 0)


class Case(NamedTuple):
    """A case of ``local_first``: all requests of one case have the same order.

    Attributes:
        band: ``local``, ``reasoning`` or ``other``, by the complexity.
        task_type: that the policy has preferences for; None: none.
        escalated: whether too many local models have failed in a row.
    """

    band: str
    task_type: str | None
    escalated: bool


def case_of(policy: RoutingPolicy, task: Task, failures: int) -> Case:
    """Return the case of a request.

    Args:
        failures: of local models in a row under the policy.
    """
    number = task.complexity or MIDDLE[task.level]
    band = "local" if number <= LOCAL_UP_TO else "reasoning" if number >= REASONING_FROM else "other"
    task_type = task.task_type if task.task_type in policy.task_preferences else None
    return Case(band, task_type, failures >= policy.local_failures)


def tree_order(policy: RoutingPolicy, candidates: Sequence[Candidate], case: Case) -> list[tuple[Candidate, str]]:
    """Return the candidates in the order of seed 002's tree, each with the words for its place.

    After too many failures of local models the others come first. Else a simple task goes to local models, a complex one to
    the reasoning models; then come the preferences of the task's type, then the others as listed.
    """
    preferred = policy.task_preferences.get(case.task_type, ()) if case.task_type is not None else ()
    lists: list[tuple[Iterable[Candidate], str]] = []
    if case.band == "reasoning":
        lists.append(
            (_named(policy, candidates, policy.reasoning_models), "a reasoning model, for complexities from 7 on")
        )
    lists.append((_named(policy, candidates, preferred), f"preferred for the task type {case.task_type}"))
    lists.append((candidates, "as the policy lists it"))
    local = [each for each in candidates if each.local]
    if case.escalated:
        others = [each for each in candidates if not each.local]
        words = "not a local one, after failures of local models in a row"
        lists = [([each for each in found if not each.local], f"{text}; {words}") for found, text in lists]
        lists += [(others, words), (local, "a local model, after the others")]
    elif case.band == "local":
        lists.insert(0, (local, "a local model, for complexities up to 3"))
    placed: dict[Candidate, str] = {}
    for found, text in lists:
        for candidate in found:
            placed.setdefault(candidate, text)
    return list(placed.items())


def _named(policy: RoutingPolicy, candidates: Sequence[Candidate], names: Sequence[str]) -> list[Candidate]:
    """Return the candidates of these models of the policy, in the order of the names."""
    references: dict[str, list[str]] = {}
    for each in policy.in_order():
        references.setdefault(each.model, []).append(each.reference)
    by_name = {candidate.name: candidate for candidate in candidates}
    return [by_name[each] for name in names for each in references.get(name, ()) if each in by_name]


class ListedStage:
    """A stage with the targets of it that can be used, for one complexity. Immutable, but for the orders that it remembers.

    Attributes:
        demoted: models that are tried last.
        promoted: models that are tried earlier for that.
    """

    def __init__(
        self, stage: Stage, usable: frozenset[str], level: str, snapshot: CatalogSnapshot, price_of: PriceOf
    ) -> None:
        """Create it; `usable`: keys of targets, at least one of the stage's."""
        self.stage = stage
        self._price_of = price_of
        self._notes: dict[Candidate, str] = {}
        found: dict[Candidate, list[Target]] = {}
        taken: set[str] = set()
        for candidate in stage.candidates:
            targets = [each for each in candidate.targets if each.key in usable and each.key not in taken]
            if targets:
                taken.update(each.key for each in targets)
                found[candidate] = targets
        names = dict.fromkeys(targets[0].model.name for targets in found.values())
        scores = [(name, snapshot.learned.of(name, level)) for name in names] if stage.order == "priority" else []
        demoted = demotions(scores)
        self.demoted: tuple[Demotion, ...] = tuple(demoted.values())
        self.promoted: tuple[Promotion, ...] = promotions(list(names), demoted) if demoted else ()
        self._models: dict[Candidate, ModelTargets] = {}
        if stage.order == "learned":  # after another stage, where nothing is drawn
            found = dict(sorted(found.items(), key=lambda each: -(snapshot.score(each[1][0].model, level) or 0.0)))
        # Demoted models last; the order among them and among the others stays.
        for candidate, targets in sorted(found.items(), key=lambda each: each[1][0].model.name in demoted):
            demotion = demoted.get(targets[0].model.name)
            note = candidate.note if demotion is None else f"{candidate.note}, demoted: {demotion.words}"
            self._models[candidate] = ModelTargets(ranked_target(targets[0], level, snapshot), targets, note)
            self._notes[candidate] = note
        self._candidates = list(self._models)
        self.fixed = all(each.fixed for each in self._models.values())
        self._orders: dict[Hashable, TargetOrder] = {}

    def order(
        self,
        case: Hashable,
        code: str,
        prefix: str,
        rng: random.Random,
        later: "Sequence[tuple[ListedStage, Hashable]]",
    ) -> tuple[PlannedTarget, ...]:
        """Return the targets of a plan that begins with this stage.

        Args:
            case: a `Case` for ``local_first``, the candidate that was drawn for ``weighted``, else None.
            code: for the first target.
            prefix: for the words of the first target.
            rng: draws among endpoints of the same type.
            later: the stages that follow, each with its case.
        """
        key = (case, *(theirs for _, theirs in later)) if later else case
        found = self._orders.get(key)
        if found is None:
            own = self._order(case, code, prefix, rng)
            found = TargetOrder(with_downgrades(own + after(own, later) if later else own, self._price_of))
            if self.fixed:
                self._orders[key] = found
        return found

    def fallbacks(self, case: Hashable) -> list[PlannedTarget]:
        """Return the targets for a plan that begins with another stage, with the heavier endpoints first."""
        return [each for candidate, _ in self._sequence(case) for each in self._models[candidate].fallbacks(None)]

    def _order(self, case: Hashable, code: str, prefix: str, rng: random.Random) -> tuple[PlannedTarget, ...]:
        sequence = self._sequence(case)
        first, words = sequence[0]
        if self.stage.order == "weighted":
            if first.canary and first is case:
                code = "canary"
            elif first is not case:
                words = f"{words}; it follows {case.name}, which was drawn" if isinstance(case, Candidate) else words
        planned = self._models[first].first(code, rng, prefix + words)
        for candidate, _ in sequence[1:]:
            planned += self._models[candidate].fallbacks(rng)
        return tuple(planned)

    def _sequence(self, case: Hashable) -> list[tuple[Candidate, str]]:
        if isinstance(case, Case):
            assert self.stage.policy is not None
            return tree_order(self.stage.policy, self._candidates, case)
        found = list(self._notes.items())
        if isinstance(case, Candidate):
            found.sort(key=lambda each: each[0] is not case)
        return found


def ranked_target(target: Target, level: str, snapshot: CatalogSnapshot) -> RankedModel | None:
    """Return a target's model with its score, for a plan in which nothing was drawn by it; None without a score."""
    score = snapshot.score(target.model, level)
    if score is None:
        return None
    return RankedModel(target.model, score, score, snapshot.learned.of(target.model.name, level), None, _CERTAIN)


def with_downgrades(targets: Sequence[PlannedTarget], price_of: PriceOf) -> list[PlannedTarget]:
    """Return targets with the code ``downgrade`` for the fallbacks that are cheaper than the first one.

    Cheaper: no price of its tokens is higher, and one is lower. Where a price is not known, the code stays.
    """
    first = targets[0].target
    dear = price_of(first)
    if dear is None or dear == _FREE:
        return list(targets)
    found = []
    for each in targets:
        prices = price_of(each.target) if each.code == "fallback" else None
        if prices is not None and prices != dear and prices[0] <= dear[0] and prices[1] <= dear[1]:
            each = PlannedTarget(each.target, "downgrade", each.ranked, f"{each.note}, cheaper than {first.model.name}")
        found.append(each)
    return found


def after(targets: Sequence[PlannedTarget], later: Sequence[tuple[ListedStage, Hashable]]) -> tuple[PlannedTarget, ...]:
    """Return the targets of the stages that follow, each with its case, without those that the plan has already."""
    keys = {each.target.key for each in targets}
    found = []
    for stage, case in later:
        for each in stage.fallbacks(case):
            if each.target.key not in keys:
                keys.add(each.target.key)
                found.append(each)
    return tuple(found)
