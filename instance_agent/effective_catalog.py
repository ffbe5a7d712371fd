"""The catalog as the commands see it: the one that `serve` would use with these settings, without asking the database."""

import asyncio

from centralcloud.contracts import ContractError, SettingsError
from centralcloud.contracts.fleet_configuration import FleetConfiguration, read_configuration
from instance_agent.catalog.catalog import ModelCatalog
from instance_agent.catalog.catalog_file import built_in_entries
from instance_agent.catalog.configuration import CatalogConfiguration
from instance_agent.catalog.learned_scores_file import LearnedScoresFile
from instance_agent.catalog.registry import registry_layer
from instance_agent.catalog.source import CatalogSource
from instance_agent.settings import AgentSettings, GatewaySettings
from instance_agent.sync.configuration_file import ConfigurationFile

#: Shown with a catalog that no setting names.
BUILT_IN_NOTE = (
    "(the built-in catalog, which a gateway uses: INSTANCE_AGENT_CATALOG is not set; a router of your own has no models "
    "without it)"
)


def gateway_configuration(
    settings: GatewaySettings, *, ask_local: bool = False, any_provider: bool = False
) -> tuple[CatalogConfiguration, FleetConfiguration]:
    """Return the catalog that a gateway has at its start, and the fleet's configuration that it has received last.

    The catalog is the file or the built-in one, with the registry.

    Args:
        ask_local: ask local providers for their models, as a gateway does; takes up to some seconds.
        any_provider: as for `CatalogSource`.

    Raises:
        SettingsError: the catalog file, or the copy of the fleet's configuration, is not valid.
    """
    source = CatalogSource(settings.catalog, any_provider=any_provider)
    received = ConfigurationFile(settings.state_folder).read()
    try:
        fleet = read_configuration(received.version, received.bodies)
    except ContractError as error:
        raise SettingsError(f"{ConfigurationFile(settings.state_folder).path}: {error}") from None
    source.use_registry(registry_layer(fleet, private=settings.gateway_private_endpoints), fleet.version)
    configuration = source.build()
    if ask_local and any(each.local for each in configuration.providers.values()):
        source.use_found(asyncio.run(_answering(configuration)))
        configuration = source.build()
    return configuration, fleet


def router_catalog(settings: AgentSettings) -> ModelCatalog:
    """Return the catalog with the learned scores of the state folder; without a file, the models of the built-in one.

    Raises:
        SettingsError: the YAML cannot be read or is not valid, for a gateway as well: an alias of no model is an error.
    """
    if settings.catalog is None:
        models, scores = built_in_entries().models, LearnedScoresFile(settings.state_folder)
        return ModelCatalog(models, file=scores, ignore_learned=settings.ignore_learned)
    catalog = ModelCatalog.load(settings.catalog, settings.state_folder, ignore_learned=settings.ignore_learned)
    CatalogSource(settings.catalog, any_provider=True).build()
    return catalog


async def _answering(configuration: CatalogConfiguration) -> dict[str, frozenset[str]]:
    from instance_agent.execution.local_providers import look
    from instance_agent.providers.calls import ProviderCalls
    from instance_agent.providers.transport import Transport

    async with Transport() as transport:
        listed = await look(ProviderCalls(transport), configuration)
    return {name: models for name, models in listed.items() if models is not None}
