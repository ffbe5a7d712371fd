"""The log of requests: one line each, with its id, model and latency; never a prompt, an answer or a key."""

import asyncio
import logging
import re
import time
import traceback
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from centralcloud.runtime.logs import get_logger, line_writer
from centralcloud.runtime.wording import printable_json
from instance_agent.execution.attempts import Attempt
from instance_agent.gateway.context import RequestContext
from instance_agent.gateway.metrics import GatewayMetrics
from instance_agent.providers.scrub import scrub

log = get_logger(__name__)

#: Asked before anything is put into words.
_LOGGER: Final = logging.getLogger(__name__)
#: Characters of a path without a route that are logged, and that are read for it.
_PATH_CHARACTERS: Final = 200
_READ_CHARACTERS: Final = 1000
#: A part of a path that is a word of an API, such as chat, v1beta or gpt-4o. Anything else may be a key, an address of mail
#: or a text of a user.
_API_WORD: Final = re.compile(r"(?!(?:[^/]*[0-9]){4})[a-z][a-z0-9_-]{0,31}")
_METHODS: Final = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})


class EndedRequests:
    """Counts and logs requests that have ended: one line each. Created once the log is configured; for the event loop alone.

    Those of one turn of the loop are counted and written together, right after it. In a busy gateway they are some seven:
    the code that does it is then in the processor's caches, which saves some 20 microseconds of a request.
    """

    def __init__(self, metrics: GatewayMetrics) -> None:
        self._metrics = metrics
        self._write_lines = line_writer(__name__)
        self._encode = msgspec.json.Encoder().encode
        self._ended: list[tuple[RequestContext, float, str, str, str | None]] = []

    def add(self, context: RequestContext, method: str, path: str, requested: str | None = None) -> None:
        """Note the end of a request.

        Args:
            path: that of the route, with names in braces.
            requested: the client's, where there is no route; its begin is logged, see `shown_path`.
        """
        if not self._ended:
            asyncio.get_running_loop().call_soon(self._flush)
        self._ended.append((context, time.perf_counter() - context.began, method, path, requested))

    def _flush(self) -> None:
        ended, self._ended = self._ended, []
        lines = []
        now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        for context, seconds, method, path, requested in ended:
            if context.operation:
                self._metrics.request(context, seconds)
            fields: dict[str, Any] = {
                "requestId": context.request_id,
                "modelId": context.model,
                "latency": round(seconds * 1000, 1),
                "method": method if method in _METHODS else "(other)",
                "path": path,
                "status": context.status,
                "key": context.principal.key_id,
                "provider": context.provider,
            }
            if context.cut:
                fields["cutByStop"] = True
            if requested is not None:
                fields["requestedPath"] = shown_path(requested)
            if self._write_lines is None:
                log.info("request", **fields)
                continue
            line = self._encode({**fields, "event": "request", "level": "info", "timestamp": now}).decode()
            lines.append(f"{printable_json(line)}\n")
        if self._write_lines is not None:
            self._write_lines("".join(lines))


def shown_path(path: str) -> str:
    """Return the begin of a client's path for the log: the words of an API in it, and `***` for each other part."""
    parts = scrub(path[:_READ_CHARACTERS], ()).split("/")
    return "/".join(part if not part or _API_WORD.fullmatch(part) else "***" for part in parts)[:_PATH_CHARACTERS]


def log_plan(context: RequestContext) -> None:
    """Log, for debugging, how a request was routed, with the reasons; the text of the prompt is not among them."""
    plan = context.plan
    if plan is not None and _LOGGER.isEnabledFor(logging.DEBUG):
        log.debug("request_planned", requestId=context.request_id, plan=plan.text().split("\n"))


def log_attempt(attempt: Attempt, context: RequestContext) -> None:
    """Log an attempt: a failure as a warning, a success for debugging."""
    blameless = attempt.outcome == "success" or attempt.error_kind == "caller"
    if blameless and not _LOGGER.isEnabledFor(logging.DEBUG):
        return
    target = attempt.call.target
    fields = {"requestId": context.request_id, "modelId": target.model.name, "provider": target.model.provider}
    if blameless:
        log.debug(
            "attempt", **fields, attempt=attempt.number, outcome=attempt.outcome, latency=attempt.response_time_ms
        )
    else:
        # The rest of an explanation of a defect names fields of the request's schema.
        reason = attempt.error.partition(": ")[0] if attempt.error and attempt.defect else attempt.error
        log.warning(
            "attempt_failed",
            **fields,
            attempt=attempt.number,
            kind=attempt.error_kind,
            status=attempt.http_status,
            defect=attempt.defect,
            reason=reason,
        )


def log_crash(request_id: str, method: str, error: BaseException) -> None:
    """Log an error of the gateway itself: where it happened, without its text, which may have a part of the request."""
    where = traceback.format_tb(error.__traceback__)
    log.error(
        "gateway_request_failed", requestId=request_id, method=method, error=type(error).__name__, traceback=where
    )
