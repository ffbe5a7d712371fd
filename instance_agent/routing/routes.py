"""Routes: the candidates of a policy, of a rule or of an agent, in stages, as a catalog knows them. Pure.

The stages of a policy are its own models and then those of its fallbacks, each in the order of its own policy.
"""

import hashlib
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Final, Literal

from centralcloud.contracts.errors import quote
from centralcloud.contracts.fleet_configuration import (
    AgentPreferences,
    PolicyModel,
    RoutingPolicy,
    RoutingRule,
    to_nano_usd,
)
from instance_agent.catalog.configuration import CatalogConfiguration, Target
from instance_agent.routing.spend import CostLimit, PriceOf, limits_of
from instance_agent.routing.struck import Struck

Order = Literal["listed", "priority", "learned", "local_first", "weighted"]
RouteKind = Literal["policy", "rule", "agent"]
_2_64: Final = 1 << 64


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A model of a route.

    Attributes:
        name: as the configuration has it.
        targets: of this catalog; none only for a target of a rule that the catalog does not have: its share is drawn, too.
        note: its place in words.
        share: of the requests that draw it first, 0 to 1, for a rule.
        canary: whether it gets the canary's share.
        local: whether a provider on this side of the network serves it.
    """

    name: str
    targets: tuple[Target, ...]
    note: str
    share: float = 0.0
    canary: bool = False
    local: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Stage:
    """Candidates with one order.

    Attributes:
        policy: whose models they are; None for a rule's targets and an agent's models.
        starts: for ``weighted``: where the part of each candidate of (0, 1) begins.
    """

    order: Order
    candidates: tuple[Candidate, ...]
    policy: RoutingPolicy | None = None
    starts: tuple[float, ...] = ()

    def drawn(self, point: float) -> Candidate:
        """Return the candidate that a point of (0, 1) belongs to."""
        return self.candidates[max(0, bisect_right(self.starts, point) - 1)]


@dataclass(frozen=True, slots=True, eq=False)
class Route:
    """A route. Immutable; compare by identity.

    Attributes:
        kind: what made it: the policy, the rule or the agent's preferences.
        policy, rule, agent: the names of those that it follows.
        settings: the policy with its limits; None for a rule's targets and an agent's models.
        stages: each with candidates; empty when this catalog has none of the models.
        targets: of all candidates, each once.
        scored: keys of the targets that need a score for the complexity: they are selected by it.
        missing: models that this catalog does not have.
        limits: of the cost of a request.
    """

    kind: RouteKind
    stages: tuple[Stage, ...]
    targets: tuple[Target, ...]
    scored: frozenset[str]
    missing: tuple[Struck, ...]
    limits: tuple[CostLimit, ...] = ()
    policy: str | None = None
    rule: str | None = None
    agent: str | None = None
    settings: RoutingPolicy | None = None

    def serves(self, model_type: str) -> bool:
        """Whether it has a model for this type of requests, or none at all: then that is the error."""
        embedding = model_type == "embedding"
        return not self.targets or any((each.model.model_type == "embedding") == embedding for each in self.targets)


def policy_route(
    policy: RoutingPolicy,
    policies: Mapping[str, RoutingPolicy],
    configuration: CatalogConfiguration,
    price_of: PriceOf,
) -> Route:
    """Return the route of a policy, with those that follow it. Its limit of cost holds for all of them."""
    stages: list[Stage] = []
    missing: list[Struck] = []
    limits: dict[str, int] = {}
    own = None if policy.max_cost_per_task is None else to_nano_usd(policy.max_cost_per_task)
    for each in _chain(policy, policies):
        candidates = []
        for listed in each.in_order():
            targets = _listed_targets(listed, configuration)
            if not targets:
                missing.append(_missing(listed.reference))
                continue
            note = f"priority {listed.priority} of the policy {quote(each.name)}"
            candidates.append(Candidate(listed.reference, targets, note, local=_is_local(targets)))
        if candidates:
            stages.append(Stage(each.order, tuple(candidates), each))
        theirs = None if each.max_cost_per_task is None else to_nano_usd(each.max_cost_per_task)
        limit = min((found for found in (own, theirs) if found is not None), default=None)
        if limit is not None:
            for candidate in candidates:
                for target in candidate.targets:
                    limits.setdefault(target.key, limit)
    targets = _once(stages)
    return Route(
        kind="policy",
        stages=tuple(stages),
        targets=targets,
        scored=_scored(stages),
        missing=tuple(missing),
        limits=limits_of(limits, targets, price_of),
        policy=policy.name,
        settings=policy,
    )


def rule_route(rule: RoutingRule, policy: Route | None, configuration: CatalogConfiguration) -> Route:
    """Return the route of a rule; `policy`: that of the policy that it names.

    Without a split each target is drawn by its weight. With one, the canary is drawn with its percentage, and the others
    share the rest by weight. After a failure the others follow by fallback order, those without one last, by weight.
    """
    if policy is not None:
        return replace(policy, kind="rule", rule=rule.id)
    canary, split = rule.canary, rule.traffic_split
    weighing = sum(target.weight for target in rule.target_models if target is not canary)
    candidates, missing, shares = [], [], []
    for target in rule.target_models:
        if split is not None and target is canary:
            share = split.canary / 100
        else:
            share = (target.weight / weighing if weighing else 0.0) * (1.0 if split is None else split.primary / 100)
        targets = _targets(target.model_id, configuration)
        if not targets:
            missing.append(_missing(target.model_id))
        words = "the canary of" if target is canary else "a target of"
        note = f"{words} the rule {quote(rule.name)} with {100 * share:.3g}% of its requests"
        local = _is_local(targets)
        candidates.append(Candidate(target.model_id, targets, note, share, target is canary, local))
        shares.append(share)
    orders = {target.model_id: target for target in rule.target_models}

    def place(candidate: Candidate) -> tuple[bool, int, float]:
        target = orders[candidate.name]
        return target.fallback_order is None, target.fallback_order or 0, -target.weight

    candidates.sort(key=place)
    starts = tuple(accumulate((candidate.share for candidate in candidates[:-1]), initial=0.0))
    stage = Stage("weighted", tuple(candidates), None, _without_empty(candidates, starts))
    targets = _once([stage])
    return Route(
        kind="rule",
        stages=(stage,) if targets else (),
        targets=targets,
        scored=frozenset(),
        missing=tuple(missing),
        rule=rule.id,
    )


def agent_route(agent: AgentPreferences, configuration: CatalogConfiguration) -> Route | None:
    """Return the route of an agent's models: the preferred ones, then its fallbacks; None where it names none."""
    candidates, missing = [], []
    lists = (("preferred by", agent.preferred_models), ("a fallback of", agent.fallback_models))
    for words, names in lists:
        for name in names:
            targets = _targets(name, configuration)
            if not targets:
                missing.append(_missing(name))
                continue
            note = f"{words} the agent type {quote(agent.id)}"
            candidates.append(Candidate(name, targets, note, local=_is_local(targets)))
    if not candidates and not missing:
        return None
    stages = (Stage("listed", tuple(candidates)),) if candidates else ()
    return Route(
        kind="agent",
        stages=stages,
        targets=_once(stages),
        scored=frozenset(),
        missing=tuple(missing),
        agent=agent.id,
    )


def point_of(rule: str, identity: str) -> float:
    """Return the point of (0, 1) of a session or request under a rule: the same in every replica, without shared state."""
    digest = hashlib.blake2b(f"{rule}\n{identity}".encode(errors="replace"), digest_size=8).digest()
    return int.from_bytes(digest) / _2_64


def _chain(policy: RoutingPolicy, policies: Mapping[str, RoutingPolicy]) -> Iterable[RoutingPolicy]:
    """Return a policy and those that follow it; one that is not active is passed over."""
    seen: set[str] = set()
    found: RoutingPolicy | None = policy
    while found is not None and found.name not in seen:
        seen.add(found.name)
        if found is policy or found.is_active:
            yield found
        found = policies.get(found.fallback) if found.fallback is not None else None


def _targets(name: str, configuration: CatalogConfiguration) -> tuple[Target, ...]:
    return configuration.targets_of(configuration.resolve(name)[0])


def _listed_targets(listed: PolicyModel, configuration: CatalogConfiguration) -> tuple[Target, ...]:
    """Return the targets of a model of a policy.

    An alias counts behind a provider, too (``anthropic/claude-3-5-sonnet``, and ``anthropic/claude-3.5-sonnet`` of a
    provider that serves models of others): policies are written once, and their models are shut down meanwhile.
    """
    provider, name = listed.provider, listed.model
    if provider is None:
        if _known(name, configuration):
            return _known(name, configuration)
        provider, separator, name = name.partition("/")
        if not separator or provider not in configuration.providers:
            return _targets(listed.model, configuration)
    vendor, separator, plain = name.partition("/")
    found = _known(name, configuration)
    if not found and separator:
        found = _known(plain, configuration)
        found = found if any(target.model.provider == vendor for target in found) else ()
    found = tuple(target for target in found if target.model.provider == provider)
    return found or _targets(f"{provider}/{name}", configuration)


def _known(name: str, configuration: CatalogConfiguration) -> tuple[Target, ...]:
    """Return the targets of a model of the catalog or of an alias; none for another model of a known provider."""
    final, alias = configuration.resolve(name)
    return configuration.targets.get(final, ()) if alias is None else configuration.targets_of(final)


def _missing(name: str) -> Struck:
    return Struck(name, "not_in_catalog", "the catalog of this gateway does not have it")


def _is_local(targets: Sequence[Target]) -> bool:
    return any(target.provider is not None and target.provider.local for target in targets)


def _once(stages: Iterable[Stage]) -> tuple[Target, ...]:
    found = {target.key: target for stage in stages for candidate in stage.candidates for target in candidate.targets}
    return tuple(found.values())


def _scored(stages: Iterable[Stage]) -> frozenset[str]:
    """Return the keys of targets that only stages with a learned order have."""
    keys: dict[bool, set[str]] = {True: set(), False: set()}
    for stage in stages:
        keys[stage.order == "learned"].update(each.key for one in stage.candidates for each in one.targets)
    return frozenset(keys[True] - keys[False])


def _without_empty(candidates: Sequence[Candidate], starts: tuple[float, ...]) -> tuple[float, ...]:
    """Return the starts with those of candidates without a share where no point of (0, 1) leads to them."""
    found = list(starts)
    for position in range(len(found) - 1, -1, -1):
        if candidates[position].share == 0.0:
            found[position] = 2.0 if position == len(found) - 1 else found[position + 1]
    return tuple(found)
