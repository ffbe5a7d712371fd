"""The OpenAPI document of all routes: GET /openapi.json. `openapi_operations` has a description of each."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from aiohttp import web

from centralcloud import __version__
from centralcloud.contracts.fleet_configuration import (
    AgentPreferences,
    Budget,
    Experiment,
    HealthReport,
    RegisteredEndpoint,
    RegisteredModel,
    RoutingPolicy,
    RoutingRule,
    Workspace,
)
from instance_agent.gateway.api.registry_changes import StatusBatch
from instance_agent.gateway.api.requests import json_answer
from instance_agent.gateway.context import context_of
from instance_agent.gateway.openapi.analytics import ANALYTICS_SCHEMAS
from instance_agent.gateway.openapi.configuration import CONFIGURATION_SCHEMAS
from instance_agent.gateway.openapi.experiments import EXPERIMENT_SCHEMAS
from instance_agent.gateway.openapi.operations import OPERATIONS, Operation
from instance_agent.gateway.openapi.schemas import SCHEMAS

_ENTRIES: Final = (RoutingRule, RoutingPolicy, AgentPreferences, Workspace, Budget, Experiment)
_REFERENCES: Final = "#/components/schemas/{name}"
_OPEN: Final = ("/health", "/health/ready", "/health/detailed", "/docs")
_FORMS: Final = {"/v1/messages": "AnthropicError", "/v1": "OpenAIError"}
#: Errors that any operation with a key can answer with.
_COMMON_ERRORS: Final = {
    "401": "The request has no valid key.",
    "403": "The role of the key does not suffice, or its workspace is another one, or may use no suitable model.",
    "503": "The gateway is stopping, or cannot know keys; or the database, or every model, is unavailable.",
}
_ERRORS: Final = {
    "400": "The request is invalid.",
    "402": "Each model that could be used is too dear for the policy or a budget.",
    "404": "Nothing has this id or name.",
    "409": "It is there already; where it is to be removed, another entry names it; or its state does not allow it.",
    "422": "A field is invalid; `field` is its path.",
    "429": "Too much waits already, or the rate limit of the key is reached; `retry-after` says when to send it again.",
    "501": "The provider does not speak this operation.",
    "502": "Every attempt failed.",
}
_INFO: Final = """The gateway of CentralCloud. `/v1` speaks the protocols of OpenAI and Anthropic, `/api` that of the model \
router service. Every answer has the header `x-centralcloud-request-id`, every error names it, too."""


def openapi_routes() -> list[web.RouteDef]:
    """Return the route of the document."""
    return [web.get("/openapi.json", _serve)]


async def _serve(request: web.Request) -> web.Response:
    context_of(request).principal.require("viewer")
    return json_answer(document())


def document() -> dict[str, Any]:
    """Return the OpenAPI document."""
    paths: dict[str, dict[str, Any]] = {}
    for (method, path), operation in OPERATIONS.items():
        paths.setdefault(path, {})[method.lower()] = _operation(method, path, operation)
    return {
        "openapi": "3.1.0",
        "info": {"title": "CentralCloud gateway", "version": __version__, "description": _INFO},
        "paths": paths,
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "A key of `instance-agent keys create`."},
                "apiKey": {"type": "apiKey", "in": "header", "name": "x-api-key"},
            },
        },
        "security": [{"bearer": []}, {"apiKey": []}],
    }


def _operation(method: str, path: str, operation: Operation) -> dict[str, Any]:
    words = [word for word in path.replace("{", "").replace("}", "").replace(".", "_").split("/") if word]
    described: dict[str, Any] = {
        "operationId": "_".join([method.lower(), *words]),
        "tags": [operation.tag],
        "summary": operation.summary,
        "description": " ".join(filter(None, [operation.text, _role_text(operation)])),
        "responses": {**_answers(operation), **_errors(path, operation)},
    }
    parameters = [_path_parameter(word[1:-1]) for word in path.split("/") if word.startswith("{")]
    parameters += [
        {"name": name, "in": "query", "required": False, "schema": {"type": "string"}, "description": text}
        for name, text in operation.query.items()
    ]
    parameters += [
        {"name": name, "in": "header", "required": False, "schema": {"type": "string"}, "description": text}
        for name, text in operation.headers.items()
    ]
    if parameters:
        described["parameters"] = parameters
    if operation.body is not None:
        content: dict[str, Any] = {"schema": _reference(operation.body)}
        if operation.example is not None:
            content["example"] = operation.example
        described["requestBody"] = {"required": True, "content": {"application/json": content}}
    if path in _OPEN:
        described["security"] = []
    return described


def _role_text(operation: Operation) -> str:
    if operation.role is None:
        return ""
    above = "" if operation.role == "admin" else ", or one above it"
    return f"Needs the role {operation.role}{above}."


def _answers(operation: Operation) -> dict[str, Any]:
    answers = {operation.status: _answer(operation)}
    if operation.created:
        answers["201"] = {**answers[operation.status], "description": "The entry is new."}
    return answers


def _answer(operation: Operation) -> dict[str, Any]:
    content: dict[str, Any] = {"schema": {"type": "string"}}
    if operation.answer is not None:
        content = {"schema": _reference(operation.answer)}
    answered: dict[str, Any] = {operation.media_type: content}
    if operation.streams:
        answered["text/event-stream"] = {"schema": {"type": "string"}}
    return {"description": operation.answer_text, "content": answered}


def _errors(path: str, operation: Operation) -> dict[str, Any]:
    form = next((name for prefix, name in _FORMS.items() if path.startswith(prefix)), "Error")
    described = dict(_COMMON_ERRORS) if operation.role else {}
    described |= {status: _ERRORS[status] for status in operation.errors}
    return {
        status: {"description": text, "content": {"application/json": {"schema": _reference(form)}}}
        for status, text in sorted(described.items())
    }


def _path_parameter(name: str) -> dict[str, Any]:
    texts = {
        "id": "The id of the model, the rule, the budget or the experiment; a / in it is written as %2F.",
        "name": "The name of the policy.",
        "agentType": "The agent type.",
        "workspaceId": "The workspace.",
        "endpoint": "The id of the endpoint.",
        "request_id": "The UUID in the header x-centralcloud-request-id, or the id of an answer of /api/route.",
    }
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}, "description": texts[name]}


def _schemas() -> Mapping[str, Any]:
    """Return the schemas: those of the registry from its types, the others as they are written."""
    types = (RegisteredModel, RegisteredEndpoint, HealthReport, StatusBatch, *_ENTRIES)
    _, made = msgspec.json.schema_components(types, ref_template=_REFERENCES)
    schemas: dict[str, Any] = {**made, **SCHEMAS, **CONFIGURATION_SCHEMAS, **EXPERIMENT_SCHEMAS, **ANALYTICS_SCHEMAS}
    # The path, the version or the URL give what a client leaves out.
    for name, optional in (("RegisteredModel", {"id"}), ("RegisteredEndpoint", {"id", "modelId"})):
        required = [field for field in schemas[name]["required"] if field not in optional]
        schemas[f"New{name.removeprefix('Registered')}"] = {**schemas[name], "title": "New", "required": required}
    for entry in (RoutingRule, AgentPreferences, Workspace, Budget):
        name = entry.__name__
        required = [field for field in schemas[name]["required"] if field != "id"]
        schemas[f"New{name}"] = {**schemas[name], "title": f"New{name}", "required": required}
    report = schemas["HealthReport"]
    ttl = {"type": "number", "minimum": 1, "maximum": 86_400, "default": 300, "description": "How long it counts."}
    schemas["HealthReport"] = {**report, "properties": {**report["properties"], "ttlSeconds": ttl}}
    return schemas


def _reference(name: str) -> dict[str, str]:
    return {"$ref": _REFERENCES.format(name=name)}
