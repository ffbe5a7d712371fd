"""The checks of `instance-agent doctor` for the catalog: which models there are, and which of them can be called."""

import os
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Final

from centralcloud.contracts import SettingsError
from centralcloud.runtime.diagnostics import Check, CheckResult, ok, warn
from centralcloud.runtime.settings import load_settings
from centralcloud.runtime.terminal.output import print_line
from centralcloud.runtime.wording import counted, listed
from instance_agent.catalog.catalog_file import built_in_entries, read_catalog_file, read_entries
from instance_agent.catalog.configuration import CatalogConfiguration
from instance_agent.catalog.source import CatalogSource
from instance_agent.effective_catalog import gateway_configuration
from instance_agent.settings import AgentSettings, GatewaySettings
from instance_agent.sync.configuration_file import ConfigurationFile

_GATEWAY_VARIABLES: Final = "INSTANCE_AGENT_GATEWAY_"
_MOST_NAMED: Final = 6


def settings_to_check() -> AgentSettings:
    """Return the settings of a gateway where one is set up or has run with this state folder, else those of an instance.

    Raises:
        SettingsError: a setting is not valid.
    """
    settings = load_settings(AgentSettings)
    return load_settings(GatewaySettings) if _is_gateway(settings) else settings


def print_gateway_refusal(settings: AgentSettings) -> None:
    """Print on standard error that `serve` refuses a catalog that a router may use, for a provider that it does not know.

    Only where a gateway is set up or has run here, or where the provider seems to be misspelt: routers may name any.
    """
    try:
        CatalogSource(settings.catalog).build()
    except SettingsError as error:
        if settings.catalog is not None and (_is_gateway(settings) or _misspelled(settings.catalog)):
            print_line(f"(a gateway refuses this catalog; a router of your own may use it: {error})", err=True)


def _is_gateway(settings: AgentSettings) -> bool:
    is_set_up = any(name.startswith(_GATEWAY_VARIABLES) for name in os.environ)
    return is_set_up or ConfigurationFile(settings.state_folder).touched_at() is not None


def _misspelled(path: Path) -> list[tuple[str, str]]:
    """Return the providers of models that are nearly those that are known; a router may use any other name."""
    entries = read_entries(path)
    known = [each.provider for each in (*entries.providers, *built_in_entries().providers)]
    names = dict.fromkeys(model.provider for model in entries.models if model.provider not in known)
    near = {name: get_close_matches(name, known, n=1, cutoff=0.75) for name in names}
    return [(name, found[0]) for name, found in near.items() if found]


class CatalogChecks:
    """The checks: for a gateway with the catalog that it would use, for an instance with the file alone."""

    def __init__(self, settings: AgentSettings) -> None:
        """Read nothing yet."""
        self._settings = settings
        self._of_gateway = settings if isinstance(settings, GatewaySettings) else None

    def checks(self) -> list[Check]:
        """Return the checks in their order."""
        providers = [Check("providers", self._providers, "catalog")] if self._of_gateway else []
        return [Check("catalog", self._catalog), *providers]

    def models(self) -> set[str] | None:
        """Return the names of the models; None: there is no catalog."""
        if self._of_gateway is not None:
            return set(self._configuration.targets)
        path = self._settings.catalog
        return None if path is None else {model.name for model in read_catalog_file(path)}

    @cached_property
    def _configuration(self) -> CatalogConfiguration:
        assert self._of_gateway is not None
        ask_local = bool(self._of_gateway.gateway_discovery_seconds)
        return gateway_configuration(self._of_gateway, ask_local=ask_local)[0]

    def _catalog(self) -> CheckResult:
        path = self._settings.catalog
        where = str(path or "the built-in catalog")
        if self._of_gateway is not None:
            found = counted(len(self._configuration.targets), "model")
            return ok(f"{found} in {where}, with those of the registry and of local providers")
        if path is None:
            return warn(
                "INSTANCE_AGENT_CATALOG is not set: a router of your own cannot choose a model; a gateway uses the built-in "
                "catalog",
                "set it to a YAML file with models",
            )
        models = read_catalog_file(path)
        if not models:
            return warn(f"{path} has no models", "add models")
        if near := _misspelled(path):
            return warn(
                f"{path}: " + listed([f"found the provider {a} (did you mean {b}?)" for a, b in near], _MOST_NAMED),
                "write the name of the provider as in `providers`",
            )
        return ok(f"{counted(len(models), 'model')} in {path}")

    def _providers(self) -> CheckResult:
        configuration = self._configuration
        if (problem := configuration.no_provider()) is not None:
            return warn(
                f"a gateway with this environment could not call any model: {problem}",
                "set one of these variables, or name the file of the key in the catalog; a service has its own environment",
            )
        targets = [each for group in configuration.targets.values() for each in group]
        usable = sum(each.problem is None and each.model.status != "inactive" for each in targets)
        ready = [each.name for each in configuration.providers.values() if each.problem is None]
        others = [
            f"{each.name} ({each.problem})" for each in configuration.providers.values() if each.problem is not None
        ]
        found = f"{usable} of {counted(len(targets), 'target')} can be called, of {listed(ready, _MOST_NAMED)}"
        if others:
            found += f"; not {listed(others, _MOST_NAMED)}"
        if not usable:
            return warn(found, "add models of a provider that can be called: until then auto is answered 503")
        return ok(found)
