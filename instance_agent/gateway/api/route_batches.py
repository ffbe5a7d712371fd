"""Batches of requests to route: similar tasks stay with one model, a bounded number run at a time, each has an outcome."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace
from multidict import CIMultiDict

from centralcloud.contracts.task_classifier.trained import TrainedClassifier
from instance_agent.chat.errors import ChatError, InvalidRequestError
from instance_agent.gateway.api.requests import only_fields
from instance_agent.gateway.api.route_requests import RouteRequest, read_route_request
from instance_agent.gateway.context import RequestContext
from instance_agent.gateway.errors import GatewayError, InvalidFieldError, api_form, of_routing
from instance_agent.gateway.request_log import log_crash
from instance_agent.routing.errors import RoutingError
from instance_agent.routing.plan import Plan, PlanError
from instance_agent.routing.task import hints_from_headers, hints_from_metadata, resolve_task

MOST_REQUESTS: Final = 100
MOST_AT_A_TIME: Final = 16
_AT_A_TIME: Final = 4
_FIELDS: Final = ("requests", "concurrency")
_SESSION: Final = "x-centralcloud-session"

#: Executes one request, at this model where its plan has it; returns the JSON of its answer.
Execute = Callable[[RequestContext, RouteRequest, Mapping[str, str], str | None], Awaitable[bytes]]
#: Plans whose first model was selected by scores, and not named by the client, a policy, a rule or an agent.
_SELECTED: Final = ("best", "probe", "exploration", "session")


class BatchItem(Struct):
    """One request of a batch, with its outcome once it is known.

    Attributes:
        index: its place in the batch, from 0.
        context: of its own, with its own request id.
        asked: None for a request that is not valid.
        group: of similar tasks, numbered from 0.
    """

    index: int
    context: RequestContext
    asked: RouteRequest | None = None
    group: int | None = None
    outcome: Mapping[str, Any] | None = None

    def succeeded(self, answer: bytes) -> None:
        """Note the answer."""
        self.outcome = {**self._shown(), "status": "success", "answer": msgspec.Raw(answer)}

    def failed(self, error: ChatError) -> None:
        """Note the error, as a request of its own would get it."""
        found = msgspec.json.decode(api_form(error, self.context.request_id))
        self.outcome = {**self._shown(), "status": "error", "httpStatus": error.status, **found}

    def _shown(self) -> dict[str, Any]:
        shown: dict[str, Any] = {"index": self.index}
        if self.asked is not None and self.asked.id is not None:
            shown["requestId"] = self.asked.id
        if self.group is not None:
            shown["group"] = self.group
        return shown


def read_batch(value: Mapping[str, Any]) -> tuple[Sequence[Any], int]:
    """Return the requests of a batch, not read yet, and how many of them may run at a time.

    Raises:
        InvalidFieldError: a field is invalid, unknown or missing.
    """
    only_fields(value, _FIELDS)
    requests, most = value.get("requests"), value.get("concurrency", _AT_A_TIME)
    if not isinstance(requests, list) or not 1 <= len(requests) <= MOST_REQUESTS:
        raise InvalidFieldError("requests", f"requests: expected a list of 1 to {MOST_REQUESTS} requests")
    if not isinstance(most, int) or isinstance(most, bool) or not 1 <= most <= MOST_AT_A_TIME:
        raise InvalidFieldError("concurrency", f"concurrency: expected a whole number of 1 to {MOST_AT_A_TIME}")
    return requests, most


async def run_batch(
    requests: Sequence[Any],
    most: int,
    headers: Mapping[str, str],
    new_context: Callable[[], RequestContext],
    execute: Execute,
) -> Sequence[Mapping[str, Any]]:
    """Execute the requests of a batch; return their outcomes in their order.

    The first request of a group of similar tasks chooses the model, by its policy or rule or by learned scores; the others
    follow when it is done, as further turns of one session: they begin with the model that answered, and may fall back.

    Args:
        most: that run at a time.
        headers: of the batch, for each of its requests.
    """
    items = [BatchItem(index, new_context()) for index in range(len(requests))]
    groups: dict[Any, list[BatchItem]] = {}
    for item, value in zip(items, requests, strict=True):
        try:
            if not isinstance(value, dict):
                raise InvalidFieldError(None, "found another value, expected a JSON object")
            item.asked = asked = read_route_request(value)
            key = _similar(asked, headers, item.context.state.classifier)
        except (InvalidRequestError, RoutingError) as error:
            item.failed(_error_of(error))
        else:
            members = groups.setdefault(key, [])
            item.group = len(groups) - 1 if not members else members[0].group
            members.append(item)
    room = asyncio.Semaphore(most)

    async def one(item: BatchItem, own: Mapping[str, str], model: str | None = None) -> None:
        assert item.asked is not None
        async with room:
            try:
                item.succeeded(await execute(item.context, item.asked, own, model))
            except (ChatError, RoutingError) as error:
                item.failed(_error_of(error))
            except Exception as error:  # noqa: BLE001 - logged; the others of the batch go on
                log_crash(item.context.request_id, "POST", error)
                item.failed(GatewayError("internal error; the log has the details", status=500, code="internal_error"))

    async def group(members: Sequence[BatchItem]) -> None:
        first, *others = members
        own = _with_session(headers, f"batch {first.context.request_id}") if others else headers
        await one(first, own)
        model = first.context.model if first.outcome and first.outcome["status"] == "success" else None
        async with asyncio.TaskGroup() as tasks:
            for item in others:
                tasks.create_task(one(item, own, model))

    async with asyncio.TaskGroup() as tasks:
        for members in groups.values():
            tasks.create_task(group(members))
    return [item.outcome or {} for item in items]


def beginning_with(plan: Plan, model: str) -> Plan:
    """Return a plan that begins with a model, as for a further turn of a session: it was not drawn.

    A plan without the model stays as it is; so does one whose order comes from the client, a policy, a rule or an agent.
    """
    if plan.kind not in _SELECTED:
        return plan
    kept = [each for each in plan.targets if each.target.model.name == model]
    if not kept:
        return plan
    others = [each for each in plan.targets if each.target.model.name != model]
    if others and others[0] is plan.targets[0]:
        others[0] = replace(others[0], code="fallback")
    targets = (replace(kept[0], code="session"), *kept[1:], *others)
    return replace(plan, kind="session", targets=targets, propensity=None, method=None, affinity="kept")


def _similar(asked: RouteRequest, headers: Mapping[str, str], classifier: TrainedClassifier | None) -> Any:
    """Return what similar tasks have in common."""
    hints = hints_from_headers(headers), hints_from_metadata(asked.hints)
    task = resolve_task(*hints, None, asked.head.text, classifier)
    return asked.workspace, asked.head.model, task.task_type, task.level, task.agent_type


def _with_session(headers: Mapping[str, str], session: str) -> Mapping[str, str]:
    """Return the headers with a session, unless the client names its own."""
    if headers.get(_SESSION):
        return headers
    own = CIMultiDict(headers)
    own[_SESSION] = session
    return own


def _error_of(error: ChatError | RoutingError) -> ChatError:
    """Return the error as /api/route answers it."""
    if isinstance(error, PlanError):
        return of_routing(error)
    if isinstance(error, RoutingError):
        field, _, rest = str(error).partition(": ")
        return InvalidFieldError(field if rest else None, str(error))
    if isinstance(error, InvalidRequestError) and error.param is not None and not isinstance(error, InvalidFieldError):
        return InvalidFieldError(error.param, error.message)
    return error
