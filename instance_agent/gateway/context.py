"""The context of one request: its id, its principal, the state that it uses, and what its events say about it."""

import time
from collections.abc import Mapping
from typing import Any, Final

import uuid_utils
from aiohttp import web

from centralcloud.runtime.http.request_keys import request_key
from instance_agent.chat.protocol import RequestHead
from instance_agent.gateway.auth import Principal
from instance_agent.gateway.state import GatewayState
from instance_agent.routing.plan import Plan
from instance_agent.routing.request import RoutingRequest
from instance_agent.spend.reservation import Reservation

#: Where a request of aiohttp keeps its context.
KEY: Final = request_key("gateway_context", object)
_NO_LABELS: Final[Mapping[str, Any]] = {}


class RequestContext:
    """One request from its first byte to its events.

    Attributes:
        request_id: UUIDv7.
        principal: who sent it.
        state: used for all of it, whatever changes meanwhile.
        began: in seconds of `time.perf_counter`.
        head, routing, plan: once they are known.
        user_id, worker, task_id: of the caller's own user, worker and task; None: not said.
        objective: the begin of the request's text; None unless it is stored.
        labels: more fields for the events, with values of JSON.
        feedback_seconds: how long the outcome waits for feedback, as the client says; None: as the policy says.
        status: of the answer.
        cut: whether the stop of the gateway has ended it.
        probing: whether the request may be a probe.
        unpaid: whether limits of money have refused the first choice of its plan, so that it has another plan.
        rate: its reservation of the rate limits of its key; None: there are none.
        open_attempts, was_sent, used_tokens, spent_nano: of the attempts that limits count: how many are under way, whether
            one was made, and the tokens and the cost of all.
    """

    __slots__ = (
        "began", "cut", "feedback_seconds", "head", "labels", "model", "objective", "open_attempts", "operation", "plan",
        "principal", "probing", "provider", "rate", "request_id", "routing", "spent_nano", "state", "status", "task_id",
        "unpaid", "used_tokens", "user_id", "was_sent", "worker",
    )  # fmt: skip

    def __init__(self, principal: Principal, state: GatewayState, request_id: str | None = None) -> None:
        self.request_id = request_id or new_request_id()
        self.principal = principal
        self.state = state
        self.began = time.perf_counter()
        self.operation = ""
        self.head: RequestHead | None = None
        self.routing: RoutingRequest | None = None
        self.plan: Plan | None = None
        self.user_id: str | None = None
        self.worker: str | None = None
        self.task_id: str | None = None
        self.objective: str | None = None
        self.labels: Mapping[str, Any] = _NO_LABELS
        self.feedback_seconds: float | None = None
        self.model: str | None = None
        self.provider: str | None = None
        self.status = 0
        self.cut = False
        self.probing = True
        self.unpaid = False
        self.rate: Reservation | None = None
        self.open_attempts = 0
        self.was_sent = False
        self.used_tokens = 0
        self.spent_nano = 0


def new_request_id() -> str:
    """Return an id for a request: a UUID of version 7."""
    return str(uuid_utils.uuid7())


def context_of(request: web.Request) -> RequestContext:
    """Return the context of a request; every handler behind the gateway's middleware has one."""
    context: RequestContext = request[KEY]
    return context
