"""The restrictions of a workspace. Firm: neither a fallback nor a name that a client sends crosses them. Pure."""

from collections.abc import Iterable
from typing import Final

from centralcloud.contracts.errors import quote
from centralcloud.contracts.fleet_configuration import Workspace
from instance_agent.catalog.configuration import CatalogConfiguration, Target
from instance_agent.routing.struck import Struck

#: Codes of the reasons that a workspace gives.
RESTRICTIONS: Final = frozenset({"workspace_restriction", "compliance"})


class WorkspaceRules:
    """A workspace with its models, as a catalog knows them. Immutable; compare by identity.

    Attributes:
        workspace: the entry of the configuration.
    """

    __slots__ = ("_allowed", "_denied", "_required", "workspace")

    def __init__(self, workspace: Workspace, configuration: CatalogConfiguration) -> None:
        self.workspace = workspace
        self._allowed = _Models(workspace.model_restrictions, configuration) if workspace.model_restrictions else None
        self._denied = _Models(workspace.denied_models, configuration) if workspace.denied_models else None
        self._required = frozenset(workspace.compliance_requirements)

    def strike(self, target: Target) -> Struck | None:
        """Return why the workspace may not use a target; None: it may."""
        name = quote(self.workspace.id)
        if self._denied is not None and (self._denied.has(target) or self._denied.has_variant(target)):
            return Struck(target.key, "workspace_restriction", f"the workspace {name} denies it")
        if self._allowed is not None and not self._allowed.has(target):
            return Struck(target.key, "workspace_restriction", f"the workspace {name} may use other models only")
        if missing := self._required - target.model.tags:
            tags = ", ".join(map(quote, sorted(missing)))
            return Struck(
                target.key, "compliance", f"the workspace {name} requires the tag {tags}, which it does not have"
            )
        return None


class _Models:
    """Models by the names that a client could send, and by what their providers are sent: both name the same model."""

    __slots__ = ("_folded", "_keys", "_names", "_sent")

    def __init__(self, names: Iterable[str], configuration: CatalogConfiguration) -> None:
        targets = [target for name in names for target in configuration.targets_of(configuration.resolve(name)[0])]
        self._names = frozenset(names)
        self._folded: frozenset[object] = frozenset(name.casefold() for name in self._names) | {
            (target.model.provider, target.model.sent_as.casefold()) for target in targets
        }
        self._keys = frozenset(target.key for target in targets)
        self._sent = frozenset((target.model.provider, target.model.sent_as) for target in targets)

    def has_variant(self, target: Target) -> bool:
        """Whether one of the models is meant by a name with other letter case, or with a variant, such as NAME:latest.

        Some services read such names as the same model.
        """
        name, provider = target.model.sent_as.casefold(), target.model.provider
        return any(each in self._folded or (provider, each) in self._folded for each in (name, name.partition(":")[0]))

    def has(self, target: Target) -> bool:
        model = target.model
        return (
            target.key in self._keys
            or (model.provider, model.sent_as) in self._sent
            or model.name in self._names
            or model.sent_as in self._names
        )
