"""A rule of routing: which requests go to which models."""

import hashlib
from typing import Annotated, Any, Final

import msgspec

from centralcloud.contracts.errors import ContractError, quote
from centralcloud.contracts.fleet_configuration.condition import Condition, check_condition
from centralcloud.contracts.fleet_configuration.model import check_model_name
from centralcloud.contracts.fleet_configuration.policy import PolicyName
from centralcloud.contracts.fleet_configuration.values import (
    MAX_LABEL_LENGTH,
    Entry,
    Label,
    Name,
    check_name,
    check_size,
    convert,
    plain,
)

_MAX_TARGETS: Final = 100
DEFAULT_PRIORITY: Final = 100

Share = Annotated[float, msgspec.Meta(ge=0, le=100)]
Priority = Annotated[int, msgspec.Meta(ge=-1_000_000, le=1_000_000)]


class RuleTarget(Entry, frozen=True):
    """A model that a rule sends requests to.

    Attributes:
        model_id: any name of a model that a client could send, but ``auto``.
        weight: its share of the requests among the targets; 0: it is only tried after a failure.
        fallback_order: after a failure the other targets are tried in this order; None: after those that have one.
    """

    model_id: Name
    weight: Annotated[float, msgspec.Meta(ge=0, le=1_000_000)] = 1.0
    fallback_order: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] | None = None


class TrafficSplit(Entry, frozen=True):
    """Shares of the requests in percent; together 100.

    Attributes:
        primary: for the targets by their weights, without the canary.
        canary: for the target with the greatest fallback order.
    """

    primary: Share
    canary: Share


class RoutingRule(Entry, frozen=True):
    """A rule. Among the rules whose condition a request fulfils, the greatest priority counts, then the least id.

    Attributes:
        id: without one in the JSON, derived from the name.
        name, description: text for people.
        condition: without one, every request fulfils it.
        target_models: with weights and the order after a failure; empty: the policy says it.
        policy: the name of a policy, in place of targets.
        traffic_split: None: all targets by their weights.
        priority: the greatest first.
        enabled: a rule that is not enabled is passed over.
    """

    id: Label
    name: Label
    description: str = ""
    condition: Condition = Condition()
    target_models: tuple[RuleTarget, ...] = ()
    policy: PolicyName | None = None
    traffic_split: TrafficSplit | None = None
    priority: Priority = DEFAULT_PRIORITY
    enabled: bool = True

    @property
    def canary(self) -> RuleTarget | None:
        """The target that gets the canary's share; None without a split."""
        if self.traffic_split is None:
            return None
        return max(self.target_models, key=lambda target: target.fallback_order or 0)


def rule_id(name: str) -> str:
    """Return the id of a rule: ``rule-`` and 12 hexadecimal digits."""
    return f"rule-{hashlib.sha256(name.encode(errors='replace')).hexdigest()[:12]}"


def parse_rule(value: Any, field: str = "rule") -> RoutingRule:
    """Parse the JSON form of a rule.

    Raises:
        ContractError: a field is invalid, unknown or missing, the shares are not 100 together, or there is nothing to route
            to.
    """
    if isinstance(value, dict):
        value = plain(value, "id", "name", "policy")
        if isinstance(value.get("name"), str):
            value.setdefault("id", rule_id(value["name"]))
    rule = convert(value, RoutingRule, field)
    check_name(rule.id, f"{field}.id", MAX_LABEL_LENGTH)
    check_name(rule.name, f"{field}.name", MAX_LABEL_LENGTH)
    check_condition(rule.condition, f"{field}.condition")
    _check_targets(rule, field)
    if rule.traffic_split is not None:
        _check_split(rule, rule.traffic_split, field)
    check_size(rule, field)
    return rule


def _check_targets(rule: RoutingRule, field: str) -> None:
    if bool(rule.target_models) == (rule.policy is not None):
        found = "both targetModels and policy" if rule.policy is not None else "neither targetModels nor policy"
        raise ContractError(field, found, "one of them")
    if len(rule.target_models) > _MAX_TARGETS:
        raise ContractError(f"{field}.targetModels", f"{len(rule.target_models)} items", f"at most {_MAX_TARGETS}")
    seen: set[str] = set()
    for position, target in enumerate(rule.target_models):
        path = f"{field}.targetModels[{position}].modelId"
        check_model_name(target.model_id, path)
        if target.model_id in seen:
            raise ContractError(path, f"{quote(target.model_id)} a second time", "each model once")
        seen.add(target.model_id)
    if rule.target_models and not any(target.weight for target in rule.target_models):
        raise ContractError(f"{field}.targetModels", "only weights of 0", "at least one that is greater")


def _check_split(rule: RoutingRule, split: TrafficSplit, field: str) -> None:
    path = f"{field}.trafficSplit"
    if abs(split.primary + split.canary - 100) > 1e-9:
        found = f"{split.primary:g} and {split.canary:g}, together {split.primary + split.canary:g}"
        raise ContractError(path, found, "shares that are 100 together")
    if len(rule.target_models) < 2:
        raise ContractError(path, "a split without two targetModels", "at least two, of which one is the canary")
    orders = [target.fallback_order or 0 for target in rule.target_models]
    if orders.count(max(orders)) > 1:
        expected = "one target with the greatest fallbackOrder, which is the canary"
        raise ContractError(path, "several targets with the greatest fallbackOrder", expected)
    canary = rule.canary
    if split.primary and not any(target.weight for target in rule.target_models if target is not canary):
        raise ContractError(path, "no target but the canary with a weight", "one for the primary share")
