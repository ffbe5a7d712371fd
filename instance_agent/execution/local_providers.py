"""Questions to local providers: LM Studio and Ollama list their models, which costs nothing."""

import asyncio
from typing import Final

from centralcloud.runtime.logs import get_logger
from instance_agent.catalog.configuration import CatalogConfiguration, ReadyProvider
from instance_agent.chat.errors import ChatError
from instance_agent.providers.calls import ProviderCalls
from instance_agent.providers.installed import UnknownDialectError
from instance_agent.providers.upstream import Limits, Secret, Upstream

log = get_logger(__name__)

#: A local service answers at once, or does not run.
_LIMITS: Final = Limits(connect=1.0, first_byte=3.0, idle=3.0, total=5.0, max_answer_bytes=4 * 1024 * 1024)


async def look(calls: ProviderCalls, configuration: CatalogConfiguration) -> dict[str, frozenset[str] | None]:
    """Ask every local provider once; return the models of each by its name, None for one that does not answer."""
    local = [each for each in configuration.providers.values() if each.local]
    listed = await asyncio.gather(*(_models(calls, provider) for provider in local))
    return {provider.name: models for provider, models in zip(local, listed, strict=True)}


async def _models(calls: ProviderCalls, provider: ReadyProvider) -> frozenset[str] | None:
    """Return the models that a provider lists; None while it does not answer."""
    upstream = Upstream(
        provider=provider.name,
        dialect=provider.dialect,
        base_url=provider.base_url,
        api_key=Secret(provider.api_key or ""),
        headers=provider.headers,
        limits=_LIMITS,
    )
    try:
        return frozenset(entry.id for entry in await calls.list_models(upstream))
    except (ChatError, UnknownDialectError) as error:
        log.debug("local_provider_silent", provider=provider.name, reason=str(error))
        return None
