"""GET /health, /health/ready, /health/detailed and /metrics. The first three need no key: they name no model and no host."""

import json
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from centralcloud import __version__
from centralcloud.runtime.http.threads import PageThreads
from instance_agent.gateway.auth import is_local
from instance_agent.gateway.exchange import authenticated
from instance_agent.gateway.parts import KEY, GatewayParts

SERVICE: Final = "model-router"
#: Returns one line for each reason why the gateway is not ready; it must not wait.
NotReady = Callable[[], list[str]]
#: Returns the state of each part; likewise.
Details = Callable[[], Mapping[str, Any]]


class HealthPages:
    """The pages of health and metrics."""

    def __init__(self, not_ready: NotReady, details: Details, registry: CollectorRegistry) -> None:
        self._not_ready = not_ready
        self._details = details
        self._registry = registry
        self._threads = PageThreads()
        self._began = time.monotonic()

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [
            web.get("/health", self._health),
            web.get("/health/ready", self._ready),
            web.get("/health/detailed", self._detailed),
            web.get("/metrics", self._metrics),
        ]

    async def _health(self, _request: web.Request) -> web.Response:
        return _page("healthy")

    async def _ready(self, request: web.Request) -> web.Response:
        if reasons := self._reasons(request):
            return _page("not_ready", 503, reasons=reasons)
        return _page("ready")

    async def _detailed(self, request: web.Request) -> web.Response:
        reasons = self._reasons(request)
        parts: GatewayParts = request.app[KEY]
        details = {
            "uptimeSeconds": round(time.monotonic() - self._began, 1),
            "inFlight": len(parts.in_flight),
            "health": parts.fleet_health.summary(),
            "exploration": parts.admission.exploration.state,
            **self._details(),
        }
        return _page("not_ready" if reasons else "healthy", 503 if reasons else 200, reasons=reasons, **details)

    async def _metrics(self, request: web.Request) -> web.Response:
        parts: GatewayParts = request.app[KEY]
        peer = request.transport.get_extra_info("peername") if request.transport else None
        if not is_local(request.headers, peer[0] if isinstance(peer, tuple) else None):
            authenticated(parts, request).require("operator")
        body = await self._threads.run(lambda: generate_latest(self._registry))
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})

    def _reasons(self, request: web.Request) -> list[str]:
        parts: GatewayParts = request.app[KEY]
        return (["stopping"] if parts.draining else []) + self._not_ready()


def _page(status: str, code: int = 200, **fields: Any) -> web.Response:
    body = {
        "status": status,
        "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "service": SERVICE,
        "version": __version__,
        **{name: value for name, value in fields.items() if value != []},
    }
    return web.json_response(body, status=code, dumps=lambda value: json.dumps(value, default=str))
