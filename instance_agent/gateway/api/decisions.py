"""GET /api/decisions/{request_id} explains a request; POST /v1/feedback reports how good its answer was."""

from typing import Any, Final

import msgspec
from aiohttp import web

from centralcloud.contracts.errors import quote
from centralcloud.contracts.validators import is_number
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.query import Query
from instance_agent.chat.errors import InvalidRequestError
from instance_agent.chat.json_body import decode
from instance_agent.gateway.api.database_work import LIMIT_SECONDS, DatabaseWork
from instance_agent.gateway.api.requests import api_handler, json_answer, request_id_of
from instance_agent.gateway.context import context_of
from instance_agent.gateway.decision_memory import DecisionMemory
from instance_agent.gateway.errors import GatewayError
from instance_agent.gateway.explanation import explain, plan_of, rows_of

_EXPLAIN_REQUEST: Query[Any] = Query(__package__, "explain_request", row=str)
_SUBMIT_FEEDBACK = Query(__package__, "submit_feedback", row=dict)
_FIELDS: Final = ("request_id", "success", "reward", "comment", "user_id")
_ANY: Final = msgspec.json.Decoder()
_LONGEST: Final = {"comment": 2000, "user_id": 200}
#: Records are ingested within seconds, unless the workers are stopped.
_RETRY_AFTER_SECONDS: Final = 60


class DecisionsApi:
    """The handlers of explanations and feedback."""

    def __init__(self, work: DatabaseWork, memory: DecisionMemory) -> None:
        """Create them; `memory` has the newest requests of this replica."""
        self._work = work
        self._memory = memory

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [
            web.get("/api/decisions/{request_id}", api_handler(self._explain)),
            web.post("/v1/feedback", self._feedback),
        ]

    async def _explain(self, request: web.Request) -> web.Response:
        principal = context_of(request).principal
        principal.require("viewer")
        request_id = request_id_of(request.match_info["request_id"], "request_id")
        events = self._memory.find(request_id)
        if events and not _is_own(principal.workspace, events[0].workspace):
            raise _unknown(request_id)
        found = None
        try:
            found = await self._work.run(lambda database: _stored(database, request_id, principal.workspace))
        except GatewayError:
            if not events:
                raise
        # Until every event of the request is ingested, the memory knows more.
        if found is not None and len(found["records"]) >= len(events):
            body = explain(request_id, found["records"], found["plan"], found["feedback"], source="database")
        elif events:
            body = explain(
                request_id,
                rows_of(events),
                plan_of(events),
                found["feedback"] if found else None,
                source="memory",
            )
        else:
            raise _unknown(request_id)
        return json_answer(body)

    async def _feedback(self, request: web.Request) -> web.Response:
        principal = context_of(request).principal
        principal.require("user")
        values = _feedback_of(await request.read())
        request_id, workspace = values["request_id"], principal.workspace
        events = self._memory.find(request_id)
        if events and not _is_own(workspace, events[0].workspace):
            raise _unknown(request_id)
        user_id = principal.user_id or values["user_id"]
        sent = {**values, "workspace": workspace, "key_id": principal.key_id, "user_id": user_id}
        row = await self._work.run(lambda database: _submit(database, sent))
        if row["status"] == "unknown":
            raise _unknown(request_id)
        if row["status"] == "refused":
            raise GatewayError(
                "found too much feedback of this key on requests that are not known yet, expected less: send it again when "
                "their records are ingested",
                status=429,
                code="too_much_waiting_feedback",
                retry_after_seconds=_RETRY_AFTER_SECONDS,
            )
        return json_answer({"request_id": request_id, **row}, 202)


def _stored(database: Database, request_id: str, workspace: str | None) -> dict[str, Any] | None:
    with database.transaction(limit_seconds=LIMIT_SECONDS) as connection:
        text = _EXPLAIN_REQUEST.one(connection, {"request_id": request_id, "workspace": workspace})
    return None if text is None else msgspec.json.decode(text, type=dict[str, Any])


def _submit(database: Database, values: dict[str, Any]) -> dict[str, Any]:
    with database.transaction(limit_seconds=LIMIT_SECONDS) as connection:
        found: dict[str, Any] = _SUBMIT_FEEDBACK.one(connection, values)
        return found


def _feedback_of(body: bytes) -> dict[str, Any]:
    """Return the fields of feedback; raise InvalidRequestError for an invalid one."""
    value = decode(body, _ANY)
    if not isinstance(value, dict):
        raise InvalidRequestError(f"body: found {quote(value)}, expected a JSON object")
    for name in value:
        if name not in _FIELDS:
            raise _invalid(name, value[name], f"one of the fields {', '.join(_FIELDS)}")
    success, reward = value.get("success"), value.get("reward")
    if success is not None and not isinstance(success, bool):
        raise _invalid("success", success, "true or false")
    if reward is not None and not (is_number(reward) and 0 <= reward <= 1):
        raise _invalid("reward", reward, "a number from 0 to 1")
    if success is None and reward is None:
        raise InvalidRequestError("success, reward: found neither, expected one of them or both", param="success")
    for name, longest in _LONGEST.items():
        text = value.get(name)
        if text is not None and not (isinstance(text, str) and len(text) <= longest and "\0" not in text):
            raise _invalid(name, text, f"a text of at most {longest:,} characters")
    request_id = request_id_of(value.get("request_id"), "request_id")
    return {**dict.fromkeys(_FIELDS), **value, "request_id": request_id}


def _invalid(name: str, value: Any, expected: str) -> InvalidRequestError:
    return InvalidRequestError(f"{name}: found {quote(value)}, expected {expected}", param=name)


def _is_own(workspace: str | None, of_request: str | None) -> bool:
    """Whether a key of this workspace may know of a request; a key without a workspace speaks for all of them."""
    return workspace is None or workspace == of_request


def _unknown(request_id: str) -> GatewayError:
    return GatewayError(
        f"found no request {request_id}: expected the id of one that called a model, as long as its records are kept; a "
        "request of another replica is found once its events are ingested, usually after a second",
        status=404,
        code="request_not_found",
    )
