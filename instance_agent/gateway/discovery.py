"""Finding local providers: LM Studio and Ollama are asked for their models, which costs nothing, and is quiet."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

from centralcloud.runtime.logs import get_logger
from instance_agent.catalog.configuration import CatalogConfiguration, ReadyProvider
from instance_agent.chat.errors import ChatError
from instance_agent.providers.calls import ProviderCalls
from instance_agent.providers.installed import UnknownDialectError
from instance_agent.providers.upstream import Limits, Secret, Upstream

log = get_logger(__name__)

Found = Mapping[str, frozenset[str]]

#: A local service answers at once, or does not run.
_LIMITS: Final = Limits(connect=1.0, first_byte=3.0, idle=3.0, total=5.0, max_answer_bytes=4 * 1024 * 1024)


async def discover(
    calls: ProviderCalls,
    configuration: Callable[[], CatalogConfiguration | None],
    on_found: Callable[[Found], object],
    *,
    seconds: float,
    on_looked: Callable[[str, bool], object] = lambda _name, _answers: None,
    on_first_look: Callable[[Found], object] = lambda _found: None,
) -> None:
    """Ask the local providers again and again; call `on_found` with the models of those that answer, when they change.

    `on_looked` is called with the name of each that was asked, and whether it has answered; `on_first_look` once, with the
    first result.
    """
    known: Found = {}
    first = True
    while True:
        current = configuration()
        listed = await look(calls, current) if current else {}
        for name, models in listed.items():
            on_looked(name, models is not None)
        found = {name: models for name, models in listed.items() if models is not None}
        if found != known:
            for name in found.keys() - known.keys():
                log.info("local_provider_found", provider=name, models=len(found[name]))
            for name in known.keys() - found.keys():
                log.info("local_provider_gone", provider=name)
            known = found
            on_found(found)
        if first:
            first = False
            on_first_look(found)
        await asyncio.sleep(seconds)


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
