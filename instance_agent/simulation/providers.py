"""The simulated providers in a process: their service in a thread of its own, and their entries for the catalog.

The service is a real one on a loopback port, not a replaced transport: dialects, connections, time limits, breakers and
cancellation all take part, and two instances can share one world. That costs some 0.3 ms of processor time a request, in
this process; measurements of the gateway use an upstream of their own.
"""

import asyncio
import os
import threading
from types import TracebackType
from typing import Final, Self

from aiohttp import web

from centralcloud.contracts import COMPLEXITIES, CentralCloudError
from centralcloud.runtime.logs import get_logger
from instance_agent.catalog.catalog_file import CatalogEntries
from instance_agent.catalog.model import Model, Pricing, TimeLimits
from instance_agent.catalog.provider import Provider
from instance_agent.simulation.behaviour import Behaviour
from instance_agent.simulation.service import SimulationService
from instance_agent.simulation.world import World, built_in_world

log = get_logger(__name__)
_ADDRESS: Final = "127.0.0.1"
_STOP_SECONDS: Final = 0.25
_JOIN_SECONDS: Final = 2.0
_ALIASES: Final = {"claude-*": "auto", "gemini-*": "auto", "gpt-*": "auto"}
#: A time limit is not scaled below this: the machine itself needs time.
_MIN_LIMIT_SECONDS: Final = 1.0


class SimulatedProviders:
    """The service and its entries. Use it as a context, or `start` and `stop` it.

    Attributes:
        behaviour: of the models, now.
    """

    def __init__(self, world: World | None = None, *, seed: int = 1, speed: float = 1.0, port: int = 0) -> None:
        """Create it.

        Args:
            world: None: the built-in one.
            seed: of all outcomes and times.
            speed: divides all times of models.
            port: on loopback; 0 takes a free one.
        """
        self.behaviour = Behaviour(world or built_in_world(), seed=seed, speed=speed)
        self._speed = speed
        self._port = port
        self._ready = threading.Event()
        self._error: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._run, name="simulated-providers", daemon=True)

    @property
    def url(self) -> str:
        """The address of the service; its control is at ``/simulation``."""
        return f"http://{_ADDRESS}:{self._port}"

    def start(self) -> None:
        """Open the port and serve. Raises CentralCloudError when the port cannot be opened."""
        self._thread.start()
        self._ready.wait()
        if self._error is not None:
            self._thread.join()
            number = self._error.errno if isinstance(self._error, OSError) else None
            # The text of asyncio repeats the address.
            reason = os.strerror(number) if number else self._error
            raise CentralCloudError(
                f"the simulated providers cannot listen on {self.url}: {reason}; expected a free port: set "
                "--simulate-port, or 0 for any"
            )
        log.info("simulated_providers_started", url=self.url, control=f"{self.url}/simulation")

    def stop(self) -> None:
        """Close the port and every connection. Safe to call twice."""
        if self._loop is not None and self._stopping is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join(_JOIN_SECONDS)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def providers(self) -> list[Provider]:
        """Return the entries of the providers, once started."""
        return [
            Provider(
                provider=each.name,
                dialect=each.dialect,
                base_url=f"{self.url}/{each.name}/v1",
                time_limits=TimeLimits(
                    first_byte_seconds=None
                    if each.first_byte_seconds is None
                    else max(_MIN_LIMIT_SECONDS, each.first_byte_seconds / self._speed)
                ),
            )
            for each in self.behaviour.world.providers
        ]

    def models(self) -> list[Model]:
        """Return the entries of the models, with the scores that mislead."""
        return [
            Model(
                name=each.name,
                provider=each.provider,
                pricing=Pricing(input=each.price[0], output=each.price[1]),
                capabilities=each.capabilities,
                context_window=each.context_window,
                complexity_scores=dict(zip(COMPLEXITIES, each.scores, strict=True)),
            )
            for each in self.behaviour.world.models
        ]

    def entries(self) -> CatalogEntries:
        """Return the whole catalog: models, providers, and aliases for clients with fixed names."""
        return CatalogEntries(models=tuple(self.models()), providers=tuple(self.providers()), aliases=_ALIASES)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except OSError as error:
            self._error = error
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        app = SimulationService(self.behaviour).application()
        # The handler of a client that goes is cancelled: a model that hangs must not keep its connection.
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=_STOP_SECONDS)
        await runner.setup()
        try:
            await web.TCPSite(runner, _ADDRESS, self._port).start()
            self._port = runner.addresses[0][1]
            self._loop = asyncio.get_running_loop()
            self._stopping = asyncio.Event()
            self._ready.set()
            await self._stopping.wait()
        finally:
            await runner.cleanup()
