"""References between entries of the configuration: of policies to each other, and of anything to a model. Pure."""

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from centralcloud.contracts.errors import ContractError, quote

if TYPE_CHECKING:
    from centralcloud.contracts.fleet_configuration.configuration import FleetConfiguration

_MOST_NAMED: Final = 10


def path_in(section: str, entry_id: str) -> str:
    """Return the path of an entry in messages: ``models["gpt-4o"]``."""
    return f"{section}[{quote(entry_id)}]"


def check_policies(entries: Mapping[str, Mapping[str, Any]]) -> None:
    """Check every reference to a policy.

    Args:
        entries: of each kind, by id.

    Raises:
        ContractError: a policy does not exist, or follows itself after its fallbacks; names the path of the field.
    """
    policies = entries["policy"]
    for path, name in _policy_references(entries):
        if name not in policies:
            raise ContractError(path, quote(name), f"the name of a policy in routingPolicies: {_named(policies)}")
    for name in policies:
        chain = [name]
        while (following := policies[chain[-1]].fallback) is not None:
            chain.append(following)
            if following in chain[:-1]:
                path = f"{path_in('routingPolicies', name)}.fallback"
                found = f"a cycle: {' -> '.join(map(quote, chain[chain.index(following) :]))}"
                raise ContractError(path, found, "policies that end")


def _named(policies: Mapping[str, Any]) -> str:
    names = sorted(policies)
    more = f" and {len(names) - _MOST_NAMED:,} more" if len(names) > _MOST_NAMED else ""
    return f"{', '.join(names[:_MOST_NAMED])}{more}" if names else "there is none yet"


def _policy_references(entries: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    fields = (
        ("policy", "routingPolicies", "fallback"),
        ("task", "taskMapping", "policy"),
        ("rule", "routingRules", "policy"),
        ("workspace", "workspaceConfigs", "policy"),
    )
    for kind, section, field in fields:
        for entry_id, entry in entries[kind].items():
            if (name := getattr(entry, field)) is not None:
                yield f"{path_in(section, entry_id)}.{field}", name
    for experiment in entries["experiment"].values():
        path = path_in("experiments", experiment.id)
        if experiment.is_routed:
            for position, each in enumerate(experiment.treatments):
                if each.policy is not None:
                    yield f"{path}.treatments[{position}].policy", each.policy


def check_models(before: "FleetConfiguration", after: "FleetConfiguration", is_known: Callable[[str], bool]) -> None:
    """Check the models that a change adds references to, and those that it removes.

    A reference that was there before stays valid: gateways with other catalogs may know its model.

    Args:
        is_known: whether a name that is not registered is one of a model, such as an alias or one of a catalog file.

    Raises:
        ContractError: a reference that was added names no model, or a model that was removed is still named.
    """
    removed = before.models.keys() - after.models.keys()
    earlier = {name for _, name in model_references(before)}
    for path, name in model_references(after):
        if name in after.models or is_known(name):
            continue
        if name in removed:
            raise ContractError(path, f"{quote(name)}, which is removed", "no entry that names a removed model")
        if name not in earlier:
            raise ContractError(path, quote(name), "a model that is registered or in the catalog")


def model_references(configuration: "FleetConfiguration") -> Iterator[tuple[str, str]]:
    """Return every reference to a model, with its path."""
    for rule in configuration.rules:
        for position, target in enumerate(rule.target_models):
            yield f"{path_in('routingRules', rule.id)}.targetModels[{position}].modelId", target.model_id
    for policy in configuration.policies.values():
        for position, each in enumerate(policy.models):
            yield f"{path_in('routingPolicies', policy.name)}.models[{position}].model", each.reference
    for agent in configuration.agents.values():
        path = path_in("agentPreferences", agent.id)
        yield from _listed(f"{path}.preferredModels", agent.preferred_models)
        yield from _listed(f"{path}.fallbackModels", agent.fallback_models)
    for workspace in configuration.workspaces.values():
        path = path_in("workspaceConfigs", workspace.id)
        yield from _listed(f"{path}.modelRestrictions", workspace.model_restrictions)
        yield from _listed(f"{path}.deniedModels", workspace.denied_models)
        yield from _listed(f"{path}.cheapModels", workspace.cheap_models)
    for experiment in configuration.experiments:
        if experiment.is_routed:
            path = path_in("experiments", experiment.id)
            for position, treatment in enumerate(experiment.treatments):
                if treatment.model is not None:
                    yield f"{path}.treatments[{position}].model", treatment.model
    of_workspaces = {each.id for workspace in configuration.workspaces.values() for each in workspace.budgets()}
    for budget in configuration.budgets.values():
        if budget.id in of_workspaces:
            continue
        yield from _listed(f"{path_in('budgets', budget.id)}.cheapModels", budget.cheap_models)


def _listed(path: str, names: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for position, name in enumerate(names):
        yield f"{path}[{position}]", name


def still_named(error: ContractError) -> str:
    """Return the message for the removal of an entry that another one names: the path of that one is in `error`."""
    return f"{str(error).removesuffix(error.expected)}no entry that names it; nothing was changed"
