"""Finding local providers: LM Studio and Ollama are asked for their models, which costs nothing, and is quiet."""

import asyncio
from collections.abc import Callable, Mapping

from centralcloud.runtime.logs import get_logger
from instance_agent.catalog.configuration import CatalogConfiguration
from instance_agent.execution.local_providers import look
from instance_agent.providers.calls import ProviderCalls

log = get_logger(__name__)

Found = Mapping[str, frozenset[str]]


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
