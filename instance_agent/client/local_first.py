"""The policy ``local_first`` of a catalog, and the names that stand for the best model of a provider. Pure.

Simple tasks go to local models; after failures of local models in a row others come first; complex tasks go to the reasoning
models; else the preferences of the task type count.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from centralcloud.contracts.fleet_configuration import PolicyModel, RoutingPolicy
from instance_agent.catalog.catalog import CatalogSnapshot
from instance_agent.catalog.configuration import Target
from instance_agent.client.task_type import TaskType
from instance_agent.routing.plan import PlannedTarget

POLICY: Final = "local_first"
#: After so many failures of local models in a row, others come first.
LOCAL_FAILURES: Final = 2
LOCAL: Final = "local_mlx"
#: The providers of each name that `force_model` takes beside models. The local ones are those that the catalog calls local.
FAMILIES: Final[Mapping[str, str]] = {"claude": "anthropic", "openai": "openai", "gemini": "gemini"}
ALIASES: Final = (LOCAL, *FAMILIES)
#: Complex tasks of every type.
REASONING: Final = ("claude", "gemini")
PREFERENCES: Final[Mapping[TaskType, tuple[str, ...]]] = {
    TaskType.CODE_GENERATION: (LOCAL, "openai"),
    TaskType.CODE_REFACTOR: (LOCAL, "claude"),
    TaskType.REASONING: ("claude", "gemini"),
    TaskType.ANALYSIS: ("claude", "gemini"),
    TaskType.COMPLETION: ("openai", LOCAL),
    TaskType.CREATIVE: ("claude", "gemini"),
}


def best_model(snapshot: CatalogSnapshot, alias: str, level: str) -> str | None:
    """Return the best model for an alias: by its score for a complexity, and among those that can be used, if any can be.

    Args:
        snapshot: of the catalog.
        alias: one of `ALIASES`.
        level: ``simple``, ``medium`` or ``complex``.

    Returns:
        The name of the model; None: the catalog has none of that provider.
    """
    ranked = _ranked(snapshot, alias, level)
    return ranked[0] if ranked else None


def local_first(snapshot: CatalogSnapshot) -> RoutingPolicy | None:
    """Return the policy for a catalog; None for one without a model for chats."""
    best = {alias: best_model(snapshot, alias, "medium") for alias in ALIASES}
    strongest = [best_model(snapshot, alias, "complex") for alias in REASONING]
    local = _ranked(snapshot, LOCAL, "simple")
    families = [name for name in (best[alias] for alias in FAMILIES) if name is not None]
    others = _by_score(snapshot, _chat_targets(snapshot), "medium")
    names = list(dict.fromkeys([*families, *local, *others]))
    if not names:
        return None
    return RoutingPolicy(
        name=POLICY,
        description="local models for simple tasks, then by the type of the task",
        models=tuple(PolicyModel(model=name, priority=number) for number, name in enumerate(names, start=1)),
        order="local_first",
        reasoning_models=_present(strongest),
        task_preferences={
            task_type.value: _present(best[alias] for alias in aliases) for task_type, aliases in PREFERENCES.items()
        },
        local_failures=LOCAL_FAILURES,
    )


def spread(targets: Iterable[PlannedTarget]) -> tuple[PlannedTarget, ...]:
    """Return the targets of a plan with the first one of each provider before the others.

    A provider that is down so costs one attempt of a request, and not one for each of its models: with three attempts a
    request has an answer while two providers are down.
    """
    first: dict[str, PlannedTarget] = {}
    others = [each for each in targets if first.setdefault(each.target.model.provider, each) is not each]
    return (*first.values(), *others)


def local_providers(snapshot: CatalogSnapshot) -> frozenset[str]:
    """Return the names of the local providers."""
    configuration = snapshot.configuration
    return (
        frozenset(each.name for each in configuration.providers.values() if each.local)
        if configuration
        else frozenset()
    )


def _ranked(snapshot: CatalogSnapshot, alias: str, level: str) -> list[str]:
    targets = [each for each in _chat_targets(snapshot) if _is_of(each, alias)]
    usable = [each for each in targets if each.problem is None]
    return _by_score(snapshot, usable or targets, level)


def _is_of(target: Target, alias: str) -> bool:
    if alias == LOCAL:
        return target.provider is not None and target.provider.local
    return target.model.provider == FAMILIES[alias]


def _chat_targets(snapshot: CatalogSnapshot) -> list[Target]:
    groups = snapshot.configuration.targets.values() if snapshot.configuration is not None else ()
    return [each for group in groups for each in group if each.model.model_type != "embedding"]


def _by_score(snapshot: CatalogSnapshot, targets: Sequence[Target], level: str) -> list[str]:
    """Return the names of the models, the best one first; those without a score for the complexity come last."""

    def place(target: Target) -> tuple[bool, float]:
        score = snapshot.score(target.model, level)
        known = score if score is not None else snapshot.score(target.model, "simple")
        return score is None, -(known or 0.0)

    active = [each for each in targets if each.model.status == "active"]
    return list(dict.fromkeys(each.model.name for each in sorted(active or targets, key=place)))


def _present(names: Iterable[str | None]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for name in names if name is not None))
