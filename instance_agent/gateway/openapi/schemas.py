"""Schemas of requests and answers in the OpenAPI document that no type describes."""

from typing import Any, Final

_TEXT: Final = {"type": "string"}
_NUMBER: Final = {"type": "number"}
_WHOLE: Final = {"type": "integer"}
_YES_NO: Final = {"type": "boolean"}
_TIME: Final = {"type": "string", "format": "date-time"}
_OBJECT: Final = {"type": "object"}


def _object(required: str = "", **properties: Any) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "object", "properties": properties}
    return {**schema, "required": required.split()} if required else schema


def _list(items: Any) -> dict[str, Any]:
    return {"type": "array", "items": items}


def _nullable(schema: dict[str, Any]) -> dict[str, Any]:
    return {**schema, "type": [schema["type"], "null"]}


def _reference(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


_METADATA: Final = _object(requestType={"enum": ["completion", "chat"]}, priority=_TEXT, tags=_list(_TEXT))
_ROUTE: Final[dict[str, Any]] = {
    "agentType": _TEXT,
    "workspaceId": _TEXT,
    "userId": _TEXT,
    "prompt": _TEXT,
    "parameters": {**_OBJECT, "description": "Parameters of a chat in camelCase, such as temperature and maxTokens."},
    "metadata": _METADATA,
    "model": {**_TEXT, "description": "A model, an alias, auto (the default), auto:complex or policy:NAME."},
}
_USAGE: Final = _object(
    "promptTokens completionTokens totalTokens cost",
    promptTokens=_nullable(_WHOLE),
    completionTokens=_nullable(_WHOLE),
    totalTokens=_nullable(_WHOLE),
    cost={**_nullable(_NUMBER), "description": "In USD; null when it is not known."},
    estimated={**_YES_NO, "description": "Tokens were estimated, because the provider reported none."},
)
_TARGET: Final = _object(
    target=_TEXT,
    modelId=_TEXT,
    provider=_TEXT,
    code=_TEXT,
    reason=_TEXT,
    score=_nullable(_NUMBER),
    scoreVersion=_nullable(_WHOLE),
    although=_list(_object(code=_TEXT, reason=_TEXT)),
)
_STRUCK: Final = _object(target=_TEXT, code=_TEXT, reason=_TEXT)

SCHEMAS: Final[dict[str, Any]] = {
    "Error": _object(
        "error",
        error=_object("code message requestId", code=_TEXT, message=_TEXT, field=_TEXT, requestId=_TEXT),
        leftOut=_list(_STRUCK),
    ),
    "OpenAIError": _object("error", error=_object("message type", message=_TEXT, type=_TEXT, request_id=_TEXT)),
    "AnthropicError": _object(
        "type error", type={"const": "error"}, error=_object("type message", type=_TEXT, message=_TEXT)
    ),
    "ModelList": _object("models count", models=_list(_reference("RegisteredModel")), count=_WHOLE),
    "Deleted": _object("modelId deleted", modelId=_TEXT, endpointId=_TEXT, deleted=_YES_NO),
    "StatusChange": _object("status", status={"enum": ["active", "inactive"]}),
    "BatchReport": _object(
        "results configVersion",
        results=_list(_object("modelId status result", modelId=_TEXT, status=_TEXT, result=_TEXT)),
        configVersion=_WHOLE,
    ),
    "ModelHealth": _object(
        "modelId status targets",
        modelId=_TEXT,
        status={"enum": ["healthy", "degraded", "unhealthy", "unknown"]},
        responseTime=_NUMBER,
        errorRate=_NUMBER,
        availability=_NUMBER,
        reportedAt=_TIME,
        expiresAt=_TIME,
        targets=_list(
            _object(
                "target usable",
                target=_TEXT,
                provider=_TEXT,
                type=_TEXT,
                usable=_YES_NO,
                reason=_TEXT,
                breaker=_object(
                    "state",
                    state={"enum": ["closed", "open", "half_open", "cooling", "misconfigured"]},
                    reason=_TEXT,
                    secondsLeft=_NUMBER,
                ),
                suspected={**_YES_NO, "description": "It is tried last, for a hint of another replica."},
                hints=_list(
                    _object(
                        "state reportedBy reportedAt", state=_TEXT, reason=_TEXT, reportedBy=_TEXT, reportedAt=_TIME
                    )
                ),
                check=_object(
                    "status checkedAt checkedBy",
                    status={"enum": ["healthy", "unhealthy", "unknown"]},
                    reason=_TEXT,
                    checkedAt=_TIME,
                    checkedBy=_TEXT,
                ),
            )
        ),
    ),
    "EndpointList": _object("modelId endpoints", modelId=_TEXT, endpoints=_list(_reference("RegisteredEndpoint"))),
    "RouteRequest": _object("prompt", id=_TEXT, **_ROUTE),
    "RouteAnswer": _object(
        "id requestId modelId response usage latency status timestamp",
        id=_TEXT,
        requestId=_TEXT,
        modelId=_TEXT,
        response=_TEXT,
        usage=_USAGE,
        latency={**_WHOLE, "description": "In milliseconds."},
        status={"const": "success"},
        timestamp=_TIME,
    ),
    "RouteBatch": _object(
        "requests",
        requests={**_list(_reference("RouteRequest")), "minItems": 1, "maxItems": 100},
        concurrency={**_WHOLE, "minimum": 1, "maximum": 16, "default": 4},
    ),
    "RouteBatchAnswer": _object(
        "batchId results total succeeded failed",
        batchId=_TEXT,
        results=_list(
            _object(
                "index status",
                index=_WHOLE,
                requestId=_TEXT,
                group={**_WHOLE, "description": "Similar tasks have the same number, and one model."},
                status={"enum": ["success", "error"]},
                answer=_reference("RouteAnswer"),
                httpStatus=_WHOLE,
                error=_object("code message", code=_TEXT, message=_TEXT, field=_TEXT, requestId=_TEXT),
            )
        ),
        total=_WHOLE,
        succeeded=_WHOLE,
        failed=_WHOLE,
    ),
    "RoutingTest": _object(id=_TEXT, requestType=_TEXT, **_ROUTE),
    "RoutingPlan": _object(
        "requestId modelId provider kind reason targets leftOut",
        requestId=_TEXT,
        modelId=_TEXT,
        provider=_TEXT,
        rule=_nullable(_TEXT),
        policy=_nullable(_TEXT),
        policyFrom={"enum": ["client", "rule", "task type", "workspace", "experiment", None]},
        experiment=_nullable(_TEXT),
        arm=_nullable(_TEXT),
        armShare=_nullable(_NUMBER),
        armReason=_nullable(_TEXT),
        agent=_nullable(_TEXT),
        kind=_TEXT,
        reason=_TEXT,
        propensity=_nullable(_NUMBER),
        method=_nullable(_TEXT),
        task=_OBJECT,
        targets=_list(_TARGET),
        leftOut=_list(_STRUCK),
        relaxed=_list(_object(code=_TEXT, reason=_TEXT)),
        passedOver=_list(_TEXT),
        demoted=_list(_object(modelId=_TEXT, code={"enum": ["failing", "fallen"]}, reason=_TEXT)),
        promoted=_list(_object(modelId=_TEXT, reason=_TEXT)),
        alias=_nullable(_TEXT),
        configVersion=_WHOLE,
    ),
    "SelectRequest": _object(
        task_type=_TEXT,
        complexity={"description": "simple, medium, complex, or 1 to 10."},
        agent_type=_TEXT,
        prompt=_TEXT,
        estimated_tokens={**_WHOLE, "description": "Tokens of the prompt; without it they are estimated."},
        max_tokens={**_WHOLE, "description": "Most tokens of the answer."},
        worker=_TEXT,
        task_id=_TEXT,
    ),
    "Selection": _object(
        "policy model provider reason estimated_cost skipped",
        policy=_TEXT,
        experiment=_nullable(_TEXT),
        arm=_nullable(_TEXT),
        model=_TEXT,
        provider=_TEXT,
        reason=_TEXT,
        estimated_cost={**_nullable(_NUMBER), "description": "In USD; null when the price is not known."},
        estimated_tokens=_object(input=_WHOLE, output=_WHOLE),
        task_type=_nullable(_TEXT),
        complexity=_nullable(_WHOLE),
        level=_TEXT,
        alternatives=_list(_object(model=_TEXT, provider=_TEXT, reason=_TEXT, estimated_cost=_nullable(_NUMBER))),
        skipped=_list(_object(model=_TEXT, provider=_nullable(_TEXT), code=_TEXT, reason=_TEXT)),
        demoted=_list(_object(model=_TEXT, code=_TEXT, reason=_TEXT)),
        promoted=_list(_object(model=_TEXT, reason=_TEXT)),
        limits=_object(
            max_cost_per_task=_nullable(_NUMBER), max_tokens=_nullable(_WHOLE), temperature=_nullable(_NUMBER)
        ),
        worker=_nullable(_TEXT),
        task_id=_nullable(_TEXT),
    ),
    "Explanation": _object(
        "requestId status attempts source",
        requestId=_TEXT,
        status={"enum": ["success", "failure", "waiting_for_feedback", "no_outcome"]},
        modelId=_TEXT,
        provider=_TEXT,
        timestamp=_TIME,
        latency={**_WHOLE, "description": "In milliseconds, of all attempts."},
        cost={**_NUMBER, "description": "In USD, of all attempts; absent when it is not known."},
        workspaceId=_TEXT,
        keyId=_TEXT,
        userId=_TEXT,
        agentType=_TEXT,
        task=_OBJECT,
        plan={**_OBJECT, "description": "How the router decided, see docs/reference/messages.md."},
        attempts=_list(_OBJECT),
        feedback=_OBJECT,
        source={"enum": ["database", "memory"]},
    ),
    "Feedback": _object(
        "request_id",
        request_id=_TEXT,
        success=_YES_NO,
        reward={**_NUMBER, "minimum": 0, "maximum": 1},
        comment={**_TEXT, "maxLength": 2000},
        user_id={**_TEXT, "maxLength": 200},
    ),
    "FeedbackAnswer": _object(
        "request_id status learned",
        request_id=_TEXT,
        status={"enum": ["learned", "stored", "ignored", "waiting"]},
        learned={**_nullable(_YES_NO), "description": "null: the request is not ingested yet."},
    ),
    "OpenAIRequest": {**_object("model", model=_TEXT), "description": "As OpenAI documents it."},
    "AnthropicRequest": {
        **_object("model messages", model=_TEXT, messages=_list(_OBJECT)),
        "description": "As Anthropic documents it.",
    },
    "ProviderAnswer": {**_OBJECT, "description": "As the protocol of the client documents it."},
    "Health": _object(
        "status timestamp service version",
        status={"enum": ["healthy", "ready", "not_ready"]},
        timestamp=_TIME,
        service={"const": "model-router"},
        version=_TEXT,
        reasons=_list(_TEXT),
    ),
    "OpenAPI": {**_OBJECT, "description": "This document."},
}
