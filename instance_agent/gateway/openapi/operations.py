"""The operations of the gateway, as the OpenAPI document describes them. A test compares them with the routes."""

from collections.abc import Mapping
from typing import Any, Final

from instance_agent.gateway.openapi.analytics import ANALYTICS_OPERATIONS
from instance_agent.gateway.openapi.configuration import CONFIGURATION_OPERATIONS
from instance_agent.gateway.openapi.experiments import EXPERIMENT_OPERATIONS
from instance_agent.gateway.openapi.operation import OF_FLEET
from instance_agent.gateway.openapi.operation import Operation as Operation

_CHAT_HEADERS: Final = {
    "x-centralcloud-complexity": "simple, medium, complex, 1 to 10, or a word such as easy or hard.",
    "x-centralcloud-task-type": "The type of the task.",
    "x-centralcloud-agent-type": "The type of the agent.",
    "x-centralcloud-prefer": "speed or cost.",
    "x-centralcloud-capabilities": "Capabilities that the model must have, separated by commas.",
    "x-centralcloud-tags": "Labels for the rules of routing, separated by commas.",
    "x-centralcloud-session": "Requests of one conversation stay with their model.",
    "x-centralcloud-worker": "The caller's worker, for records; at most 200 characters.",
    "x-centralcloud-task-id": "The caller's task, for records; at most 200 characters.",
    "x-centralcloud-feedback": "Wait so long for feedback, at most 7 days, such as 10m: it becomes the outcome.",
    "idempotency-key": "The same key within 10 minutes is one upstream call.",
}


def _chat(summary: str, body: str, **fields: Any) -> Operation:
    fields = {"errors": ("400", "402", "404", "429", "502"), "headers": _CHAT_HEADERS, "streams": True, **fields}
    return Operation(tag="models", summary=summary, role="user", body=body, answer="ProviderAnswer", **fields)


def _registry(summary: str, role: str, **fields: Any) -> Operation:
    text = fields.pop("text", "")
    if role != "viewer":
        text = f"{text} {OF_FLEET}".strip()
    return Operation(tag="registry", summary=summary, text=text, role=role, **fields)


def _health(summary: str, text: str) -> Operation:
    return Operation(tag="health", summary=summary, text=text, role=None, answer="Health")


_MODEL_EXAMPLE: Final = {
    "name": "GPT-4 Turbo",
    "version": "gpt-4-1106-preview",
    "provider": "openai",
    "modelType": "chat",
    "capabilities": [{"type": "text-generation", "maxTokens": 4096}],
    "parameters": {"temperature": 0.7, "maxTokens": 4096},
    "status": "active",
    "tags": ["gpt-4", "high-quality", "reasoning"],
}
_ROUTE_EXAMPLE: Final = {
    "id": "req-12345",
    "agentType": "creative",
    "workspaceId": "ws-marketing-001",
    "userId": "user-123",
    "prompt": "Generate a creative marketing message for our new product",
    "parameters": {"temperature": 0.8, "maxTokens": 500},
    "metadata": {"requestType": "completion", "priority": "normal"},
}

OPERATIONS: Final[Mapping[tuple[str, str], Operation]] = {
    ("POST", "/v1/chat/completions"): _chat("Chat Completions of OpenAI", "OpenAIRequest"),
    ("POST", "/v1/messages"): _chat("Messages of Anthropic", "AnthropicRequest"),
    ("POST", "/v1/messages/count_tokens"): _chat("Count the tokens of a request", "AnthropicRequest", streams=False),
    ("POST", "/v1/embeddings"): _chat("Embeddings of OpenAI", "OpenAIRequest", streams=False),
    ("POST", "/v1/responses"): _chat(
        "Responses of OpenAI",
        "OpenAIRequest",
        errors=("400", "402", "404", "429", "501", "502"),
        text="Passed through.",
    ),
    ("GET", "/v1/models"): Operation(
        tag="models", summary="The names that a request may have", role="viewer", answer="ProviderAnswer"
    ),
    ("GET", "/v1/models/{id}"): Operation(
        tag="models", summary="One of these names", role="viewer", answer="ProviderAnswer", errors=("404",)
    ),
    ("POST", "/v1/feedback"): Operation(
        tag="feedback",
        summary="Report how good an answer was",
        text="`success`, or a `reward`, or both. It is stored when the answer arrives; 429 and 503 mean that it is not.",
        role="user",
        body="Feedback",
        example={"request_id": "0199f3f4-5a7e-7c3a-9b1e-2f6d8c4a1b90", "reward": 0.8, "comment": "concise"},
        answer="FeedbackAnswer",
        status="202",
        errors=("400", "404", "429"),
    ),
    ("POST", "/api/route"): Operation(
        tag="routing",
        summary="Route a prompt and answer it",
        text="The same `id` of the same key within 10 minutes is one upstream call within one replica.",
        role="user",
        body="RouteRequest",
        example=_ROUTE_EXAMPLE,
        answer="RouteAnswer",
        errors=("400", "402", "404", "422", "429", "502"),
        headers={name: text for name, text in _CHAT_HEADERS.items() if name.startswith("x-")},
    ),
    ("POST", "/api/route/batch"): Operation(
        tag="routing",
        summary="Route many prompts, with an outcome for each",
        text="Similar tasks stay with one model. The answer is 200 also where requests of the batch fail.",
        role="user",
        body="RouteBatch",
        example={"requests": [{"prompt": "Summarize: ..."}, {"prompt": "Translate: ..."}], "concurrency": 4},
        answer="RouteBatchAnswer",
        errors=("400", "422"),
        headers={name: text for name, text in _CHAT_HEADERS.items() if name.startswith("x-")},
    ),
    ("POST", "/api/routing/test"): Operation(
        tag="routing",
        summary="Show how a request would be routed",
        text="Calls no provider and stores nothing. Where the choice is drawn, each test draws anew.",
        role="viewer",
        body="RoutingTest",
        example={"agentType": "creative", "requestType": "completion", "prompt": "Test prompt"},
        answer="RoutingPlan",
        errors=("400", "402", "404", "422"),
    ),
    ("POST", "/api/routing/select"): Operation(
        tag="routing",
        summary="Select a model for a task by its policy",
        text="The policy of the task type, else that of `*`, else `normal`. Calls no provider and stores nothing.",
        role="viewer",
        body="SelectRequest",
        example={"task_type": "fix_bug", "complexity": 6, "estimated_tokens": 2000, "worker": "worker-7"},
        answer="Selection",
        errors=("400", "402", "404", "422"),
    ),
    ("GET", "/api/decisions/{request_id}"): Operation(
        tag="routing",
        summary="Explain one request",
        text="Its plan, its attempts, its outcome and its cost. A key of a workspace sees its own requests only.",
        role="viewer",
        answer="Explanation",
        errors=("404", "422"),
    ),
    ("GET", "/api/models"): _registry(
        "List the registered models",
        "viewer",
        answer="ModelList",
        errors=("422",),
        query={
            "provider": "Only of this provider; may be repeated.",
            "status": "active or inactive.",
            "modelType": "Such as chat; may be repeated.",
        },
    ),
    ("POST", "/api/models"): _registry(
        "Register a model",
        "admin",
        body="NewModel",
        example=_MODEL_EXAMPLE,
        answer="RegisteredModel",
        status="201",
        errors=("400", "409", "422"),
    ),
    ("PATCH", "/api/models/batch/status"): _registry(
        "Set the status of many models",
        "operator",
        text="All of them, or, where an item is invalid, none: `results` says which.",
        body="StatusBatch",
        example={"updates": [{"modelId": "model-1", "status": "active"}, {"modelId": "model-2", "status": "inactive"}]},
        answer="BatchReport",
        errors=("400", "422"),
    ),
    ("GET", "/api/models/{id}"): _registry("Show a model", "viewer", answer="RegisteredModel", errors=("404",)),
    ("DELETE", "/api/models/{id}"): _registry(
        "Remove a model with its endpoints", "admin", answer="Deleted", errors=("404", "409")
    ),
    ("PATCH", "/api/models/{id}/status"): _registry(
        "Set the status of a model",
        "operator",
        text="An inactive model gets no request: at once on this replica, within a second on the others.",
        body="StatusChange",
        example={"status": "inactive"},
        answer="RegisteredModel",
        errors=("400", "404", "422"),
    ),
    ("GET", "/api/models/{id}/health"): _registry(
        "Show the health of a model",
        "viewer",
        text="The report that was posted, while it counts, and of each target whether this replica can use it, its breaker, "
        "hints of other replicas, and its newest check.",
        answer="ModelHealth",
        errors=("404",),
    ),
    ("POST", "/api/models/{id}/health"): _registry(
        "Report the health of a model",
        "operator",
        text="An unhealthy model gets no request until the report expires, unless no other can be used.",
        body="HealthReport",
        example={"status": "healthy", "responseTime": 500, "errorRate": 0.01, "availability": 99.9},
        answer="ModelHealth",
        errors=("400", "404", "422"),
    ),
    ("GET", "/api/models/{id}/endpoints"): _registry(
        "List the endpoints of a model", "viewer", answer="EndpointList", errors=("404",)
    ),
    ("POST", "/api/models/{id}/endpoints"): _registry(
        "Register an endpoint of a model",
        "admin",
        text="Link-local addresses and metadata services are refused, private networks unless they are allowed, and hosts "
        "that get no key of the provider.",
        body="NewEndpoint",
        example={
            "url": "https://api.openai.com/v1/chat/completions",
            "type": "primary",
            "weight": 1.0,
            "healthCheckUrl": "https://api.openai.com/v1/models",
        },
        answer="RegisteredEndpoint",
        status="201",
        errors=("400", "404", "409", "422"),
    ),
    ("DELETE", "/api/models/{id}/endpoints/{endpoint}"): _registry(
        "Remove an endpoint", "admin", answer="Deleted", errors=("404",)
    ),
    **CONFIGURATION_OPERATIONS,
    **EXPERIMENT_OPERATIONS,
    **ANALYTICS_OPERATIONS,
    ("GET", "/health"): _health("Whether the process runs", "200 as long as it does."),
    ("GET", "/health/ready"): _health("Whether it takes requests", "503 with the reasons while it does not."),
    ("GET", "/health/detailed"): _health("The state of each part", "503 with the reasons while it takes no requests."),
    ("GET", "/metrics"): Operation(
        tag="health",
        summary="Metrics for Prometheus",
        text="Clients of this machine need no key.",
        role="operator",
        media_type="text/plain",
    ),
    ("GET", "/docs"): Operation(
        tag="documentation", summary="This document as a page", role=None, media_type="text/html"
    ),
    ("GET", "/openapi.json"): Operation(tag="documentation", summary="This document", role="viewer", answer="OpenAPI"),
}
