"""GET /v1/models and /v1/models/{id}: the names that this key may use now, in OpenAI's form, or in Anthropic's."""

from typing import Any, Final

import msgspec
from aiohttp import web

from instance_agent.catalog.aliases import AUTO_NAMES
from instance_agent.catalog.configuration import Target
from instance_agent.gateway.context import context_of
from instance_agent.gateway.errors import GatewayError
from instance_agent.gateway.state import GatewayState
from instance_agent.routing.rules import POLICY_PREFIX

_ENCODER: Final = msgspec.json.Encoder()
#: The catalog does not know when a model was made.
_CREATED: Final = 0
_CREATED_TEXT: Final = "1970-01-01T00:00:00Z"
_OWNER: Final = "centralcloud"


async def list_models(request: web.Request) -> web.Response:
    """List the models."""
    of_anthropic = "anthropic-version" in request.headers
    entries = [_entry(name, owner, shown, of_anthropic=of_anthropic) for name, owner, shown in _own(request)]
    if of_anthropic:
        ids = [entry["id"] for entry in entries]
        body = {
            "data": entries,
            "has_more": False,
            "first_id": ids[0] if ids else None,
            "last_id": ids[-1] if ids else None,
        }
    else:
        body = {"object": "list", "data": entries}
    return _json(body)


async def get_model(request: web.Request) -> web.Response:
    """Show one model."""
    wanted = request.match_info["id"]
    for name, owner, shown in _own(request):
        if name == wanted:
            return _json(_entry(name, owner, shown, of_anthropic="anthropic-version" in request.headers))
    raise GatewayError(
        "found no model of this name that can be used, expected one of /v1/models", status=404, code="model_not_found"
    )


def _own(request: web.Request) -> list[tuple[str, str, str]]:
    context = context_of(request)
    context.principal.require("viewer")
    return _usable(context.state, context.principal.workspace)


def _usable(state: GatewayState, workspace: str | None = None) -> list[tuple[str, str, str]]:
    """Return name, provider and text of what a request of a workspace may name and can be answered.

    Choices, policies, models and plain aliases.
    """
    configuration = state.catalog.configuration
    if configuration is None:
        return []
    restrictions = state.rules.workspaces.get(workspace) if workspace is not None else None

    def can_answer(target: Target) -> bool:
        return _can_answer(target) and (restrictions is None or restrictions.strike(target) is None)

    models, choice = [], False
    for name, targets in sorted(configuration.targets.items()):
        first = next((each for each in targets if can_answer(each)), None)
        if first is not None:
            models.append((name, first.model.provider, first.model.display_name or name))
            choice = choice or (first.model.model_type != "embedding" and first.model.status == "active")
    found = [(name, _OWNER, "The best model for the task") for name in AUTO_NAMES if choice]
    found += [
        (f"{POLICY_PREFIX}{name}", _OWNER, f"A model of the policy {name}")
        for name in state.rules.policies
        if any(map(can_answer, state.rules.named(name).targets))
    ]
    found += models
    for name, target in sorted(configuration.aliases.plain().items()):
        final = configuration.resolve(name)[0]
        if choice if final in AUTO_NAMES else any(map(can_answer, configuration.targets_of(final))):
            found.append((name, _OWNER, f"An alias of {target}"))
    return found


def _can_answer(target: Target) -> bool:
    return target.problem is None and target.model.status != "inactive"


def _entry(name: str, owner: str, shown: str, *, of_anthropic: bool) -> dict[str, Any]:
    if of_anthropic:
        return {"type": "model", "id": name, "display_name": shown, "created_at": _CREATED_TEXT}
    return {"id": name, "object": "model", "created": _CREATED, "owned_by": owner}


def _json(body: dict[str, Any]) -> web.Response:
    return web.Response(body=_ENCODER.encode(body), headers={"content-type": "application/json"})
