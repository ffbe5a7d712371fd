"""One request: its events, its plan, the feedback on it, and what the rules say of its candidates."""

import json
from datetime import datetime
from typing import Any, Final, NamedTuple

import psycopg

from centralcloud.dashboard.reader.source import Lookup
from centralcloud.maintenance.retention import Retention
from centralcloud.runtime.postgres.query import Query

_KEEP_SECONDS: Final = 5.0


class RequestRecord(NamedTuple):
    """An event of a request: the decision of an attempt (`outcome` is ``routed``), or its outcome.

    Attributes:
        timestamp: when the attempt began, or its outcome was known, by the clock of the instance.
        created_at: when the event was ingested.
        model_version: the name that the provider was sent.
        estimated_ms, estimated_nano_usd: what the gateway expected of a whole answer.
        complexity_of_10: 1 to 10; None where only the level was known.
        feedback_until: the outcome is the feedback that arrives until then.
    """

    timestamp: datetime
    created_at: datetime
    instance_id: str
    decision_id: str | None
    attempt: int | None
    outcome: str
    model: str
    provider: str
    model_version: str | None
    error_kind: str | None
    estimated_ms: int | None
    response_time_ms: int | None
    first_token_ms: int | None
    input_tokens: int | None
    output_tokens: int | None
    cost_nano_usd: int | None
    estimated_nano_usd: int | None
    finish_reason: str | None
    reward: float | None
    score: float
    score_version: int | None
    propensity: float | None
    complexity: str
    complexity_of_10: int | None
    task_type: str | None
    agent_type: str | None
    workspace: str | None
    policy: str | None
    rule: str | None
    classifier: str | None
    experiment: str | None
    arm: str | None
    feedback_until: datetime | None


class StoredPlan(NamedTuple):
    """The plan of a request. `plan`: JSON of at most 2 kB, as the gateway wrote it."""

    created_at: datetime
    plan: str

    @property
    def value(self) -> dict[str, Any]:
        """The plan, as a value."""
        found = json.loads(self.plan)
        return found if isinstance(found, dict) else {}


class RequestFeedback(NamedTuple):
    """The feedback on a request. `learned`: it is the outcome of the decision."""

    created_at: datetime
    success: bool
    learned: bool
    reward: float | None
    decision_id: str | None


class RuleScore(NamedTuple):
    """The score that a rule gives a model for a complexity. `published`: it is the one that routers use."""

    rule: str
    model: str
    score: float
    low: float | None
    high: float | None
    samples: int
    evaluated_at: datetime
    published: bool


class KeptDays(NamedTuple):
    """For how many days records and plans are kept. 0: records for ever, plans not at all."""

    records: int
    plans: int


class FoundRequest(NamedTuple):
    """A request, as far as the database has it."""

    records: tuple[RequestRecord, ...]
    plan: StoredPlan | None
    feedback: RequestFeedback | None
    scores: tuple[RuleScore, ...]
    kept: KeptDays


class _Kept(NamedTuple):
    records_days: int | None
    plans_days: int | None


_RECORDS = Query(__package__, "find_request_records", row=RequestRecord)
_PLAN = Query(__package__, "find_request_plan", row=StoredPlan)
_FEEDBACK = Query(__package__, "find_request_feedback", row=RequestFeedback)
_SCORES = Query(__package__, "list_shadow_scores", row=RuleScore)
_KEPT = Query(__package__, "read_retention", row=_Kept)


def _read(connection: psycopg.Connection[Any], request_id: str) -> FoundRequest:
    asked = {"request_id": request_id}
    records = tuple(_RECORDS.all(connection, asked))
    plan = _PLAN.maybe(connection, asked)
    complexity = records[0].complexity if records else None
    scores = tuple(_SCORES.all(connection, {"complexity": complexity})) if complexity else ()
    kept, default = _KEPT.one(connection), Retention()
    return FoundRequest(
        records,
        plan,
        _FEEDBACK.maybe(connection, asked),
        scores,
        KeptDays(
            default.records_days if kept.records_days is None else kept.records_days,
            default.request_plans_days if kept.plans_days is None else kept.plans_days,
        ),
    )


#: A request, by its id: a UUID.
REQUEST: Final = Lookup("request", _read, keep_seconds=_KEEP_SECONDS)
