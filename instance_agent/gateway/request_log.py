"""The log of requests: one line each, with its id, model and latency; never a prompt, an answer or a key."""

import logging
import re
import time
from typing import Final

from centralcloud.runtime.logs import get_logger
from instance_agent.execution.attempts import Attempt
from instance_agent.gateway.context import RequestContext

log = get_logger(__name__)
_enabled = logging.getLogger(__name__).isEnabledFor

#: E-mail addresses, and numbers as long as those of cards: providers repeat parts of a request in their errors.
_PERSONAL: Final = re.compile(r"[^\s@<>\"'(),;:]+@[^\s@<>\"'(),;:]+\.[a-zA-Z]{2,}|\b\d(?:[ -]?\d){12,18}\b")


def without_personal(text: str) -> str:
    """Return a text without e-mail addresses and long numbers."""
    return _PERSONAL.sub("***", text)


def log_request(context: RequestContext, method: str, path: str) -> None:
    """Log the end of a request. `path` is that of the route, never the client's."""
    if not _enabled(logging.INFO):
        return
    latency = round((time.perf_counter() - context.began) * 1000, 1)
    fields = {"requestId": context.request_id, "modelId": context.model, "latency": latency}
    key = context.principal.key_id
    log.info("request", **fields, method=method, path=path, status=context.status, key=key, provider=context.provider)


def log_plan(context: RequestContext) -> None:
    """Log, for debugging, how a request was routed, with the reasons; the text of the prompt is not among them."""
    plan = context.plan
    if plan is not None and _enabled(logging.DEBUG):  # its words take longer than the plan
        log.debug("request_planned", requestId=context.request_id, plan=plan.text().split("\n"))


def log_attempt(attempt: Attempt, context: RequestContext) -> None:
    """Log an attempt: a failure as a warning, a success for debugging."""
    target = attempt.call.target
    fields = {"requestId": context.request_id, "modelId": target.model.name, "provider": target.model.provider}
    if attempt.outcome == "success" or attempt.error_kind == "caller":
        log.debug(
            "attempt", **fields, attempt=attempt.number, outcome=attempt.outcome, latency=attempt.response_time_ms
        )
    else:
        kind, error = attempt.error_kind, None if attempt.error is None else without_personal(attempt.error)
        log.warning("attempt_failed", **fields, attempt=attempt.number, kind=kind, defect=attempt.defect, reason=error)
