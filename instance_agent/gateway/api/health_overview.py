"""GET /api/health/overview: the health of the models and providers as this replica sees them."""

import time
from collections import Counter
from datetime import UTC, datetime
from typing import Any, Literal

from aiohttp import web

from instance_agent.gateway.api.configuration.entry_api import readable
from instance_agent.gateway.api.configuration_writer import parts_of
from instance_agent.gateway.api.requests import api_handler, json_answer
from instance_agent.gateway.parts import GatewayParts
from instance_agent.gateway.target_problem import problem_of

Status = Literal["healthy", "degraded", "unhealthy", "inactive"]


def overview_routes() -> list[web.RouteDef]:
    """Return the route of the overview."""
    return [web.get("/api/health/overview", api_handler(_overview))]


async def _overview(request: web.Request) -> web.Response:
    fleet = readable(request)
    parts = parts_of(request)
    models = _models(parts)
    counts = Counter(each["status"] for each in models)
    providers: dict[str, Counter[str]] = {}
    for each in models:
        providers.setdefault(each["provider"], Counter())[each["status"]] += 1
    body = {
        "status": _overall(counts),
        "timestamp": datetime.now(UTC),
        "configVersion": fleet.version,
        "models": {
            "total": len(models),
            **{name: counts[name] for name in ("healthy", "degraded", "unhealthy", "inactive")},
        },
        "providers": [
            {"provider": name, "status": _overall(found), "models": found.total()}
            for name, found in sorted(providers.items())
        ],
        "problems": [each for each in models if each["status"] in ("degraded", "unhealthy")][:100],
        "targets": parts.fleet_health.summary(),
    }
    return json_answer(body)


def _models(parts: GatewayParts) -> list[dict[str, Any]]:
    """Return each model with its status: degraded, if some of its targets can be used and others cannot."""
    state = parts.state
    view, now = parts.health.view(state.targets, parts.clock()), time.monotonic()
    found = []
    for name, targets in sorted(state.catalog.configuration.targets.items()) if state.catalog.configuration else ():
        posted = state.fleet.health_of(name, now)
        problems = [problem_of(target, view, posted, in_full=False) for target in targets]
        status: Status
        if all(target.model.status == "inactive" for target in targets):
            status = "inactive"
        elif all(problems):
            status = "unhealthy"
        elif any(problems) or (posted is not None and posted.report.status == "degraded"):
            status = "degraded"
        else:
            status = "healthy"
        reason = next((problem for problem in problems if problem), None)
        shown = {"modelId": name, "provider": targets[0].model.provider if targets else "", "status": status}
        found.append({**shown, "reason": reason} if reason is not None else shown)
    return found


def _overall(counts: Counter[str]) -> str:
    """Return the status of all together; inactive models do not count."""
    active = sum(count for status, count in counts.items() if status != "inactive")
    if active and counts["unhealthy"] == active:
        return "unhealthy"
    return "degraded" if counts["unhealthy"] or counts["degraded"] else "healthy"
