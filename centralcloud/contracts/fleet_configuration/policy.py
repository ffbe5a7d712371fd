"""A policy: a named list of models with limits, and the tasks that it is for."""

from typing import Annotated, Any, Final, Literal

import msgspec

from centralcloud.contracts.errors import ContractError, quote
from centralcloud.contracts.fleet_configuration.condition import check_labels
from centralcloud.contracts.fleet_configuration.model import check_model_name
from centralcloud.contracts.fleet_configuration.money import Amount
from centralcloud.contracts.fleet_configuration.values import (
    MAX_LABEL_LENGTH,
    Entry,
    Label,
    Name,
    Tokens,
    check_name,
    check_size,
    convert,
    plain,
)

#: The policy of tasks that no other is for, where a policy must be chosen.
NORMAL: Final = "normal"
MAX_POLICY_NAME: Final = 50
DEFAULT_LOCAL_FAILURES: Final = 2
_MAX_MODELS: Final = 100
_MAX_TASK_TYPES: Final = 100

PolicyName = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_POLICY_NAME)]
PolicyOrder = Literal["priority", "learned", "local_first"]
Seconds = Annotated[float, msgspec.Meta(ge=0, le=31_536_000)]


class PolicyModel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A model of a policy.

    Attributes:
        model: any name of a model that a client could send, but ``auto``.
        provider: only the targets of this provider; None: all of them.
        priority: the least first; models of equal priority in the order of the list.
    """

    model: Name
    provider: Name | None = None
    priority: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 1

    @property
    def reference(self) -> str:
        """The name in messages: ``PROVIDER/MODEL``, or the model alone."""
        return self.model if self.provider is None else f"{self.provider}/{self.model}"


class RoutingPolicy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A policy. Its JSON has the names of seed 004, with underscores.

    Attributes:
        name: 1 to 50 characters; clients ask for ``policy:NAME``.
        description: text for people.
        models: its candidates.
        order: ``priority``: as listed; ``learned``: the learned selection among them; ``local_first``: local models for
            simple tasks, `reasoning_models` for complex ones, else the preferences of the task's type.
        max_cost_per_task: the most that one request may cost in USD, estimated before it is sent; None: no limit.
        max_tokens: the most tokens of an answer; None: as the client asks.
        temperature: for requests that set none; None: as the provider has it.
        fallback: the policy whose models follow when all of this one have failed or are struck; None: none.
        reasoning_models: for ``local_first``: names of `models` for complexities from 7 on.
        task_preferences: for ``local_first``: names of `models` by task type, the first one first.
        local_failures: for ``local_first``: after so many failures of local models in a row, others are first.
        cache_seconds: how long the answer to the same request is kept; 0: not at all; None: as the workspace says.
        learn_from: ``outcome``, or ``feedback``: the outcome waits for it, a day where the client says no time.
        cut_off_is_failure: whether an answer that is cut off by its length is a failure of the model, of kind ``provider``.
        is_active: one that is not active is passed over.
    """

    name: PolicyName
    models: tuple[PolicyModel, ...]
    description: str = ""
    order: PolicyOrder = "priority"
    max_cost_per_task: Amount | None = None
    max_tokens: Tokens | None = None
    temperature: Annotated[float, msgspec.Meta(ge=0, le=2)] | None = None
    fallback: PolicyName | None = None
    reasoning_models: tuple[Name, ...] = ()
    task_preferences: dict[str, tuple[Name, ...]] = msgspec.field(default_factory=dict)
    local_failures: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = DEFAULT_LOCAL_FAILURES
    cache_seconds: Seconds | None = None
    learn_from: Literal["outcome", "feedback"] = "outcome"
    cut_off_is_failure: bool = False
    is_active: bool = True

    @property
    def id(self) -> str:
        """The name."""
        return self.name

    def in_order(self) -> tuple[PolicyModel, ...]:
        """Return the models by priority."""
        return tuple(sorted(self.models, key=lambda each: each.priority))


class TaskPolicy(Entry, frozen=True):
    """The policy of a task type.

    Attributes:
        id: the task type, such as ``fix_bug``.
        policy: its name.
    """

    id: Label
    policy: PolicyName


def parse_policy(value: Any, field: str = "policy") -> RoutingPolicy:
    """Parse the JSON form of a policy.

    Raises:
        ContractError: a field is invalid, unknown or missing, a list names a model that `models` does not have, or the order
            of the policy does not use it.
    """
    if isinstance(value, dict):
        value = plain(value, "name", "fallback")
    policy = convert(value, RoutingPolicy, field)
    check_name(policy.name, f"{field}.name", MAX_POLICY_NAME)
    if not 1 <= len(policy.models) <= _MAX_MODELS:
        raise ContractError(f"{field}.models", f"{len(policy.models)} items", f"1 to {_MAX_MODELS}")
    for position, each in enumerate(policy.models):
        path = f"{field}.models[{position}]"
        check_model_name(each.model, f"{path}.model")
        if each.provider is not None:
            check_name(each.provider, f"{path}.provider")
        if each.reference in {before.reference for before in policy.models[:position]}:
            raise ContractError(f"{path}.model", f"{quote(each.reference)} a second time", "each model once")
    _check_preferences(policy, field)
    if policy.order != "local_first":
        _check_unused(policy, field)
    check_size(policy, field)
    return policy


def _check_preferences(policy: RoutingPolicy, field: str) -> None:
    if len(policy.task_preferences) > _MAX_TASK_TYPES:
        found = f"{len(policy.task_preferences)} task types"
        raise ContractError(f"{field}.task_preferences", found, f"at most {_MAX_TASK_TYPES}")
    lists = {f"{field}.reasoning_models": policy.reasoning_models}
    for task_type, names in policy.task_preferences.items():
        path = f"{field}.task_preferences[{quote(task_type)}]"
        check_name(task_type, path, MAX_LABEL_LENGTH)
        lists[path] = names
    known = {each.model for each in policy.models}
    for path, names in lists.items():
        check_labels(names, path)
        for position, name in enumerate(names):
            if name not in known:
                raise ContractError(f"{path}[{position}]", quote(name), f"a model of {field}.models")


def _check_unused(policy: RoutingPolicy, field: str) -> None:
    """Refuse the fields that only ``local_first`` uses: they would have no effect."""
    for name, value, default in (
        ("reasoning_models", policy.reasoning_models, ()),
        ("task_preferences", policy.task_preferences, {}),
        ("local_failures", policy.local_failures, DEFAULT_LOCAL_FAILURES),
    ):
        if value != default:
            found = f"a value, and order {quote(policy.order)}"
            raise ContractError(f"{field}.{name}", found, 'none without order "local_first", which alone uses it')


def parse_task_policy(value: Any, field: str = "taskMapping") -> TaskPolicy:
    """Parse the JSON form of a task type with its policy.

    Raises:
        ContractError: a field is invalid, unknown or missing.
    """
    if isinstance(value, dict):
        value = plain(value, "id", "policy")
    mapped = convert(value, TaskPolicy, field)
    check_name(mapped.id, f"{field}.id", MAX_LABEL_LENGTH)
    check_size(mapped, field)
    return mapped
