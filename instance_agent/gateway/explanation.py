"""The explanation of a request: its plan, its attempts, its outcome and its cost, from its events or their records. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from centralcloud.contracts import RequestEvent
from instance_agent.execution.cost import NANO

#: Fields of an attempt in JSON, and their columns.
_ATTEMPT: Final = {
    "attempt": "attempt",
    "decisionId": "decision_id",
    "timestamp": "timestamp",
    "instanceId": "instance_id",
    "modelId": "model",
    "provider": "provider",
    "modelVersion": "model_version",
    "errorKind": "error_kind",
    "latency": "response_time_ms",
    "firstToken": "first_token_ms",
    "finishReason": "finish_reason",
    "reward": "reward",
    "score": "score",
    "scoreVersion": "score_version",
    "propensity": "propensity",
    "feedbackUntil": "feedback_until",
}
#: Fields of the request in JSON, and their columns.
_REQUEST: Final = {
    "workspaceId": "workspace",
    "keyId": "key_id",
    "userId": "user_id",
    "session": "session",
    "agentType": "agent_type",
    "askedModel": "user_model_request",
    "policy": "policy",
    "rule": "rule",
    "experiment": "experiment",
    "arm": "arm",
}
_TASK: Final = {"type": "task_type", "level": "complexity", "complexity": "complexity_level_10"}
_FEEDBACK: Final = {
    "success": "success",
    "reward": "reward",
    "learned": "learned",
    "comment": "comment",
    "userId": "user_id",
    "timestamp": "timestamp",
}
_COLUMNS: Final = sorted({*_ATTEMPT.values(), *_REQUEST.values(), *_TASK.values(), "outcome"} - {"score"})
_NUMBERS: Final = ("input_tokens", "output_tokens", "cost_nano_usd", "cost_usd")

Row = Mapping[str, Any]


def rows_of(events: Iterable[RequestEvent]) -> list[Row]:
    """Return the rows that the records of these events will have, as `explain` reads them."""
    rows: list[Row] = []
    for event in events:
        row: dict[str, Any] = {name: _plain(getattr(event, name)) for name in (*_COLUMNS, *_NUMBERS)}
        row["score"] = event.complexity_score
        row["feedback_outcome"] = event.extra.get("feedback_outcome")
        rows.append(row)
    return rows


def plan_of(events: Iterable[RequestEvent]) -> Any:
    """Return the plan that the events of a request carry; None without one."""
    plan: Any = next((event.plan for event in events if event.plan is not None), None)
    return msgspec.json.decode(plan) if isinstance(plan, msgspec.Raw) else plan


def explain(
    request_id: str, rows: Sequence[Row], plan: Any, feedback: Row | None = None, *, source: str
) -> dict[str, Any]:
    """Return the explanation of a request in the JSON form of /api.

    Args:
        rows: of its events: for each attempt the decision, and the outcome where it has one. At least one.
        source: ``database`` or ``memory``.
    """
    decisions: dict[Any, dict[str, Any]] = {}
    outcomes: dict[Any, str] = {}
    for row in rows:
        key = row.get("decision_id") or row.get("attempt")
        known = {name: value for name, value in row.items() if value is not None}
        waiting = known.pop("feedback_outcome", None)
        merged = decisions.setdefault(key, {})
        began = merged.get("timestamp", known.get("timestamp"))
        merged |= {**(waiting or {}), **known, "timestamp": began}
        if known.get("outcome") != "routed":
            outcomes[key] = known["outcome"]
    attempts, statuses = [], []
    for key, merged in sorted(decisions.items(), key=lambda each: each[1].get("attempt", 0)):
        until = merged.get("feedback_until")
        status = outcomes.get(key) or ("waiting_for_feedback" if until and until > _now() else "no_outcome")
        statuses.append(status)
        attempts.append(_attempt(merged, status))
    whole = {name: value for merged in decisions.values() for name, value in merged.items()}
    costs = [cost for merged in decisions.values() if (cost := _nano(merged)) is not None]
    times = [merged["response_time_ms"] for merged in decisions.values() if "response_time_ms" in merged]
    last = attempts[-1]
    found = {
        "requestId": request_id,
        "status": statuses[-1],
        "modelId": last.get("modelId"),
        "provider": last.get("provider"),
        "timestamp": attempts[0].get("timestamp"),
        "latency": sum(times) if times else None,
        "cost": sum(costs) / NANO if costs else None,
        **{name: whole.get(column) for name, column in _REQUEST.items()},
        "task": _picked(whole, _TASK),
        "plan": plan,
        "attempts": attempts,
        "feedback": None if feedback is None else _picked(feedback, _FEEDBACK),
        "source": source,
    }
    return {name: value for name, value in found.items() if value is not None}


def _attempt(merged: Row, status: str) -> dict[str, Any]:
    usage = _picked(merged, {"promptTokens": "input_tokens", "completionTokens": "output_tokens"})
    nano = _nano(merged)
    return {
        **_picked(merged, _ATTEMPT),
        "status": status,
        **({"usage": usage} if usage else {}),
        **({} if nano is None else {"cost": nano / NANO}),
    }


def _nano(merged: Row) -> int | None:
    nano, usd = merged.get("cost_nano_usd"), merged.get("cost_usd")
    return nano if nano is not None or usd is None else round(usd * NANO)


def _picked(row: Row, names: Mapping[str, str]) -> dict[str, Any]:
    return {name: row[column] for name, column in names.items() if row.get(column) is not None}


def _plain(value: Any) -> Any:
    return _text(value) if isinstance(value, datetime) else value


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _now() -> str:
    return _text(datetime.now(UTC))
