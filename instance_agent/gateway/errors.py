"""Errors of the gateway in the forms of its interfaces: OpenAI's, Anthropic's and that of /api. Each names the request."""

import math
from collections.abc import Callable, Mapping
from itertools import accumulate
from typing import Any, Final, TypeAlias

import msgspec
from aiohttp import web

from instance_agent.chat.errors import ChatError, InvalidRequestError, UnsupportedFeatureError
from instance_agent.chat.protocols import ANTHROPIC, OPENAI
from instance_agent.execution.errors import ExecutionError, PaymentRefusedError
from instance_agent.routing.errors import RoutingError
from instance_agent.routing.plan import PlanError
from instance_agent.routing.plan_json import struck_as_json
from instance_agent.routing.refusals import OF_THE_REQUEST

#: Writes the body of an error: the error and the request's id.
ErrorForm: TypeAlias = Callable[[ChatError, str], bytes]

_ENCODER: Final = msgspec.json.Encoder()
#: Statuses of plans that cannot be made, by their code; others are 400 or 503.
_STATUSES: Final[Mapping[str, int]] = {
    "model_not_found": 404,
    "policy_not_found": 404,
    "workspace_restriction": 403,
    "compliance": 403,
    "policy_cost": 402,
    "budget": 402,
}
_MOST_TARGETS: Final = 100
#: The longest list of problems in one message.
_MOST_CHARACTERS: Final = 160


class GatewayError(ChatError):
    """An error of the gateway itself.

    Attributes:
        closes: end the connection after the answer.
        retry_after_seconds: when the same request may succeed; None: unknown.
        details: more fields for the body of an answer of /api.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int,
        code: str | None = None,
        closes: bool = False,
        retry_after_seconds: float | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message, error_kind="caller", status=status, code=code)
        self.details = details or {}
        self.closes = closes
        self.retry_after_seconds = retry_after_seconds


class InvalidFieldError(InvalidRequestError):
    """A field of a request to /api is not valid: 422, with its path.

    Attributes:
        details: more fields for the body of the answer.
    """

    def __init__(self, field: str | None, message: str, details: Mapping[str, Any] | None = None) -> None:
        super().__init__(message, param=field)
        self.status = 422
        self.code = "invalid_field"
        self.details = details or {}


def openai_form(error: ChatError, request_id: str) -> bytes:
    """Write an error in OpenAI's form."""
    return OPENAI.write_error(error, request_id)


def anthropic_form(error: ChatError, request_id: str) -> bytes:
    """Write an error in Anthropic's form."""
    return ANTHROPIC.write_error(error, request_id)


def api_form(error: ChatError, request_id: str) -> bytes:
    """Write an error in the form of /api: ``{"error": {"code", "message", "field", "requestId"}}``."""
    body = {
        "code": error.code or "error",
        "message": error.message,
        "field": error.param if isinstance(error, InvalidRequestError) else None,
        "requestId": request_id,
    }
    details = error.details if isinstance(error, InvalidFieldError | GatewayError) else {}
    return _ENCODER.encode({"error": {name: value for name, value in body.items() if value is not None}, **details})


def form_of(path: str) -> ErrorForm:
    """Return the form of errors for a path."""
    if path.startswith("/v1/messages"):
        return anthropic_form
    return openai_form if path.startswith("/v1") else api_form


def error_response(error: ChatError, form: ErrorForm, request_id: str) -> web.Response:
    """Return the answer for an error, with `retry-after` and `x-should-retry` where they are known."""
    headers = {"content-type": "application/json"}
    if isinstance(error, ExecutionError):
        headers["x-should-retry"] = "true" if error.retry_is_safe else "false"
    elif error.status == 402:  # nothing changes until the period ends, or an operator raises the limit
        headers["x-should-retry"] = "false"
    retry_after = None
    if isinstance(error, ExecutionError | GatewayError | PaymentRefusedError):
        retry_after = error.retry_after_seconds
    if retry_after is not None:
        headers["retry-after"] = str(math.ceil(retry_after))
        headers["retry-after-ms"] = str(math.ceil(retry_after * 1000))
    response = web.Response(status=error.status, body=form(error, request_id), headers=headers)
    if isinstance(error, GatewayError) and error.closes:
        response.force_close()
    return response


def of_routing(error: RoutingError, problems: Callable[[str], str | None] = lambda _key: None) -> ChatError:
    """Return the error of a request without a plan.

    Its status is 404 for a model or policy that is not known, 403 where the workspace may use none, 402 where each is too
    dear, 400 where the request is at fault, else 503.

    Args:
        problems: returns the problem of a target by its key in the words for operators; None: there is none to show.
    """
    if not isinstance(error, PlanError):
        return InvalidRequestError(str(error))
    if (status := _STATUSES.get(error.code)) is not None:
        return GatewayError(str(error), status=status, code=error.code)
    codes = {struck.code for struck in error.struck}
    at_fault = bool(codes) and codes <= OF_THE_REQUEST
    setup = [each.key for each in error.struck if each.code == "provider_unavailable"]
    found = list(dict.fromkeys(text for key in setup[:_MOST_TARGETS] if (text := problems(key)) is not None))
    shown = [each for each, end in zip(found, accumulate(map(len, found)), strict=True) if end <= _MOST_CHARACTERS]
    shown = shown or found[:1]
    more = f"; and {len(found) - len(shown)} more" if len(found) > len(shown) else ""
    message = f"{error} ({'; '.join(shown)}{more})" if shown else str(error)
    left_out = struck_as_json(error.struck[:_MOST_TARGETS])
    for each in left_out:
        if each["code"] == "provider_unavailable":
            each["reason"] = problems(each["target"]) or each["reason"]
    return GatewayError(
        message, status=400 if at_fault else 503, code=error.code, details={"leftOut": left_out} if left_out else None
    )


def not_implemented(error: ChatError, operation: str) -> ChatError:
    """Return 501 with the reason where no target of the plan has an operation, else the error itself."""
    cause = error.cause if isinstance(error, ExecutionError) else error
    if isinstance(cause, UnsupportedFeatureError):
        return GatewayError(
            f"{operation}: {cause.message}; expected /v1/chat/completions, or a model of a provider that speaks this "
            "operation",
            status=501,
            code="not_implemented",
        )
    return error
