"""Whole answers: executed, or shared with an earlier request of the same id, with the headers that explain them."""

import asyncio
import hashlib
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

from aiohttp import web

from instance_agent.execution.executor import Answer
from instance_agent.execution.planned import PlannedCall
from instance_agent.execution.request import ExecutionRequest
from instance_agent.gateway.context import RequestContext
from instance_agent.gateway.parts import GatewayParts
from instance_agent.gateway.pipeline import answered, call_headers, header_text, shown_losses, usd
from instance_agent.gateway.shared_answer import SharedAnswer

#: More needs milliseconds: it is hashed in a thread, where the event loop goes on meanwhile.
_LARGE_BYTES: Final = 1024 * 1024


async def whole_response(
    parts: GatewayParts, calls: Sequence[PlannedCall], execution: ExecutionRequest, same_id: str | None = None
) -> web.Response:
    """Execute a request, and return the answer for its client.

    Args:
        same_id: the client's own id of the request: the same one of the same key is one call within ten minutes.

    Raises:
        ChatError: the request failed, or cannot be translated.
    """
    context: RequestContext = execution.context

    async def run() -> SharedAnswer:
        answer = await answered(parts, calls, execution)
        return shared(context, answer, answer.body)

    # The subject of tokens may act for several workspaces.
    workspace = (context.principal.workspace or "").encode()
    fingerprint = (execution.protocol.name.encode(), workspace, execution.body)
    return await once(parts, context, "v1", same_id, fingerprint, run)


async def once(
    parts: GatewayParts,
    context: RequestContext,
    interface: str,
    same_id: str | None,
    fingerprint: Sequence[bytes],
    run: Callable[[], Coroutine[Any, Any, SharedAnswer]],
) -> web.Response:
    """Run a request, or wait for the run of the same id, and return its answer.

    An id belongs to a key, whatever the workspace of its requests. The answer has the request id of the run, whose records
    and decisions can be looked up; so has a request that the cache answers.
    """
    if same_id is None:
        answer = await run()
    else:
        owner = f"{interface} key {context.principal.key_id or ''}"
        large = sum(map(len, fingerprint)) > _LARGE_BYTES
        digest = await asyncio.to_thread(_digest, fingerprint) if large else _digest(fingerprint)
        field = "idempotency-key" if interface == "v1" else "id"
        answer, _ = await parts.same.run(owner, same_id, digest, run, field=field)
    context.model, context.provider, context.request_id = answer.model, answer.provider, answer.request_id
    return web.Response(body=answer.body, headers=answer.headers)


def _digest(parts: Sequence[bytes]) -> bytes:
    """Return the hash of parts with line ends between them, without a copy of them."""
    digest = hashlib.sha256(parts[0])
    for part in parts[1:]:
        digest.update(b"\n")
        digest.update(part)
    return digest.digest()


def shared(context: RequestContext, answer: Answer, body: bytes) -> SharedAnswer:
    """Return an answer with `body` for its client, and with the headers that say which target gave it, and why."""
    headers = {"content-type": "application/json", **answer_headers(context, answer)}
    return SharedAnswer(
        body=body, headers=headers, model=context.model, provider=context.provider, request_id=answer.request_id
    )


def answer_headers(context: RequestContext, answer: Answer) -> dict[str, str]:
    """Return the headers of an answer; `context` gets its model and provider."""
    attempt = answer.attempt
    if attempt is None:
        context.model, _, rest = answer.target.rpartition("@")
        context.provider = rest.partition("#")[0]
        headers = {
            "x-centralcloud-model": header_text(context.model),
            "x-centralcloud-provider": header_text(context.provider),
            "x-centralcloud-reason": "cache",
            "x-centralcloud-cost-usd": "0",
        }
    else:
        headers = call_headers(context, attempt.call, attempt.decision_id)
        if attempt.cost.nano_usd is not None:
            headers["x-centralcloud-cost-usd"] = usd(attempt.cost.nano_usd)
    if answer.losses:
        headers["x-centralcloud-losses"] = shown_losses(answer.losses)
    return headers
