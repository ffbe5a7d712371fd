"""The operations of analytics and their schemas, for the OpenAPI document."""

from collections.abc import Mapping
from typing import Any, Final

from centralcloud.contracts import COMPLEXITIES
from instance_agent.gateway.openapi.operation import Operation

_OWN: Final = "A key of a workspace sees its own workspace alone."
_SUMS: Final = "From sums by quarter-hours, which are made about every minute: `summedUntil` says through when."
_RANGE: Final = "A number with m, h, d or w, at most 400d; the default is "
_MODEL: Final = "Only of this model."
_BY: Final = "Groups with commas: workspace, key, policy, worker, task, model; the default is model."


def _report(summary: str, answer: str, text: str = "", **fields: Any) -> Operation:
    fields = {"errors": ("422",), **fields}
    words = " ".join(filter(None, [text, _OWN]))
    return Operation(tag="analytics", summary=summary, text=words, role="viewer", answer=answer, **fields)


ANALYTICS_OPERATIONS: Final[Mapping[tuple[str, str], Operation]] = {
    ("GET", "/api/metrics/requests"): _report(
        "List the newest requests",
        "RequestMetrics",
        "Once their events are ingested, usually after a second.",
        query={"limit": "1 to 1000; the default is 100."},
    ),
    ("GET", "/api/analytics/models"): _report(
        "Show the use and the performance of each model",
        "ModelAnalytics",
        _SUMS,
        query={"timeRange": f"{_RANGE}24h.", "modelId": _MODEL},
    ),
    ("GET", "/api/analytics/workspaces/{workspaceId}"): _report(
        "Show the use of a workspace",
        "WorkspaceAnalytics",
        _SUMS,
        query={"timeRange": f"{_RANGE}7d."},
        errors=("404", "422"),
    ),
    ("GET", "/api/analytics/recommendations"): _report(
        "Recommend models and warn of budgets that end early",
        "Recommendations",
        "Each with the numbers that it is computed from. Models are compared at tasks of one complexity.",
        query={"timeRange": f"{_RANGE}30d."},
    ),
    ("GET", "/api/analytics/budgets"): _report(
        "Show what is spent and left of each budget now",
        "BudgetsInUse",
        "As gateways have reported it, about once a second. Limits of each task have no row.",
    ),
    ("GET", "/api/routing/costs"): _report(
        "Show costs by day, week or month",
        "CostStatistics",
        _SUMS,
        query={
            "period": "day, week (from Monday on) or month; the default is day.",
            "by": _BY,
            "timezone": "An IANA name; its midnight begins a period. The default is UTC.",
            "timeRange": f"{_RANGE}30d; the first period is a whole one.",
            "modelId": _MODEL,
        },
    ),
    ("GET", "/api/routing/performance"): _report(
        "Show success, latency, tokens, errors and satisfaction",
        "PerformanceStatistics",
        f"{_SUMS} `policies` has the policies in which learned scores have moved models, with the reasons.",
        query={"timeRange": f"{_RANGE}24h.", "by": _BY, "modelId": _MODEL},
    ),
    ("GET", "/api/health/overview"): Operation(
        tag="health",
        summary="Show the health of all models and providers",
        text="As this replica sees them, without the database.",
        role="viewer",
        answer="HealthOverview",
    ),
}

_TEXT: Final = {"type": "string"}
_NUMBER: Final = {"type": "number"}
_WHOLE: Final = {"type": "integer"}
_YES_NO: Final = {"type": "boolean"}
_TIME: Final = {"type": "string", "format": "date-time"}
_USAGE: Final = {"$ref": "#/components/schemas/Usage"}


def _object(required: str, **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": required.split()}


def _list(items: Any) -> dict[str, Any]:
    return {"type": "array", "items": items}


def _nullable(schema: dict[str, Any], text: str = "") -> dict[str, Any]:
    described = {"description": text} if text else {}
    return {**schema, "type": [schema["type"], "null"], **described}


_COST: Final = {
    "cost": {**_NUMBER, "description": "In USD."},
    "costNanoUsd": {**_WHOLE, "description": "The same, exact, in 1e-9 USD."},
}
_USAGE_FIELDS: Final = {
    **dict.fromkeys(("workspaceId", "keyId", "policy", "worker", "taskType", "modelId", "provider"), _TEXT),
    "requests": _WHOLE,
    "attempts": {**_WHOLE, "description": "Calls of models: a request has several where some failed."},
    "successes": _WHOLE,
    "failures": {**_WHOLE, "description": "That speak of the model."},
    "blameless": {**_WHOLE, "description": "Failures for which the caller or a rule is the reason."},
    "successRate": _nullable(_NUMBER, "0 to 1; blameless failures do not count."),
    "averageLatency": _nullable(_NUMBER, "In milliseconds."),
    "promptTokens": _WHOLE,
    "completionTokens": _WHOLE,
    "totalTokens": _WHOLE,
    "tokensPerSecond": _nullable(_NUMBER, "Output tokens, from the first one on where its time is known."),
    **_COST,
    "withoutCost": {**_WHOLE, "description": "Successes whose cost is not known: they are not in it."},
    "feedback": _object(
        "count successes satisfaction",
        count=_WHOLE,
        successes=_WHOLE,
        satisfaction=_nullable(_NUMBER, "Mean reward, 0 to 1."),
    ),
}
_HEAD: Final = {
    "since": _TIME,
    "until": _TIME,
    "summedUntil": _nullable(_TIME, "Through when the sums have the records."),
}
_BOUNDED: Final = {"count": _WHOLE, "truncated": {**_YES_NO, "description": "There are more rows."}}
_ESCALATIONS: Final = {
    "escalations": _list(
        _object(
            "reason fromModelId toModelId requests", reason=_TEXT, fromModelId=_TEXT, toModelId=_TEXT, requests=_WHOLE
        )
    )
}
_PERIOD: Final = _object(
    "periodStart periodEnd requests cost costNanoUsd", periodStart=_TIME, periodEnd=_TIME, **_USAGE_FIELDS
)

ANALYTICS_SCHEMAS: Final[Mapping[str, Any]] = {
    "BudgetsInUse": _object(
        "budgets count",
        budgets=_list(
            _object(
                "budgetId scope period limit spent left periodStart periodEnd",
                **dict.fromkeys(("budgetId", "scope", "of", "period"), _TEXT),
                limit={**_NUMBER, "description": "In USD, as the other amounts."},
                spent=_NUMBER,
                spentNanoUsd=_WHOLE,
                estimated={**_NUMBER, "description": "Part of `spent`: answers whose cost no provider has named."},
                lost={
                    **_NUMBER,
                    "description": "Held by gateways that have not answered for a minute: counts as spent.",
                },
                left=_NUMBER,
                leftNanoUsd=_WHOLE,
                held={**_NUMBER, "description": "Part of `left` that gateways have leased."},
                periodStart=_TIME,
                periodEnd=_TIME,
                alertedAt=_nullable(_TIME, "When the alert of this period was given."),
            )
        ),
        count=_WHOLE,
    ),
    "Usage": _object("requests attempts cost costNanoUsd feedback", **_USAGE_FIELDS),
    "RequestMetrics": _object(
        "requests count limit",
        requests=_list(
            _object(
                "requestId status",
                requestId=_TEXT,
                timestamp=_TIME,
                **dict.fromkeys(
                    ("modelId", "provider", "workspaceId", "keyId", "agentType", "taskType", "policy", "rule"), _TEXT
                ),
                **dict.fromkeys(("worker", "taskId", "errorKind"), _TEXT),
                attempts=_WHOLE,
                status={"enum": ["success", "failure", "no_outcome"]},
                latency={**_NUMBER, "description": "In milliseconds, of all attempts."},
                promptTokens=_WHOLE,
                completionTokens=_WHOLE,
                **_COST,
            )
        ),
        count=_WHOLE,
        limit=_WHOLE,
    ),
    "ModelAnalytics": _object("models count", **_HEAD, models=_list(_USAGE), **_ESCALATIONS, **_BOUNDED),
    "WorkspaceAnalytics": _object(
        "workspaceId total models",
        **_HEAD,
        workspaceId=_TEXT,
        total=_USAGE,
        **dict.fromkeys(("models", "keys", "policies", "workers", "tasks"), _list(_USAGE)),
        **_ESCALATIONS,
    ),
    "CostStatistics": _object(
        "period timezone by costs periods total",
        **_HEAD,
        period=_TEXT,
        timezone=_TEXT,
        by=_list(_TEXT),
        costs=_list(_PERIOD),
        periods=_list(_PERIOD),
        total=_object("cost costNanoUsd", **_COST),
        **_BOUNDED,
    ),
    "PerformanceStatistics": _object(
        "by total performance escalationsByReason policies",
        **_HEAD,
        by=_list(_TEXT),
        total=_USAGE,
        performance=_list(_USAGE),
        escalationsByReason={"type": "object", "additionalProperties": _WHOLE},
        policies=_list(
            _object(
                "policy complexity order demoted promoted scoredAt",
                policy=_TEXT,
                complexity={"enum": ["simple", "medium", "complex"]},
                order=_list(_TEXT),
                demoted=_list(
                    _object("modelId code reason", modelId=_TEXT, code={"enum": ["failing", "fallen"]}, reason=_TEXT)
                ),
                promoted=_list(_object("modelId reason", modelId=_TEXT, reason=_TEXT)),
                scoredAt=_TIME,
            )
        ),
        **_ESCALATIONS,
        **_BOUNDED,
    ),
    "Recommendations": _object(
        "recommendations count",
        **_HEAD,
        recommendations=_list(
            _object(
                "kind text numbers",
                kind={"enum": ["cheaper_model", "better_model", "budget_ends"]},
                text=_TEXT,
                complexity={"enum": list(COMPLEXITIES)},
                modelId=_TEXT,
                insteadModelId=_TEXT,
                saving=_NUMBER,
                savingNanoUsd=_WHOLE,
                budgetId=_TEXT,
                endsAt=_TIME,
                numbers={"type": "object"},
            )
        ),
        count=_WHOLE,
    ),
    "HealthOverview": _object(
        "status timestamp models providers problems",
        status={"enum": ["healthy", "degraded", "unhealthy"]},
        timestamp=_TIME,
        configVersion=_WHOLE,
        models=_object("total", **dict.fromkeys(("total", "healthy", "degraded", "unhealthy", "inactive"), _WHOLE)),
        providers=_list(_object("provider status models", provider=_TEXT, status=_TEXT, models=_WHOLE)),
        problems=_list(_object("modelId provider status", modelId=_TEXT, provider=_TEXT, status=_TEXT, reason=_TEXT)),
        targets={"type": "object"},
    ),
}
