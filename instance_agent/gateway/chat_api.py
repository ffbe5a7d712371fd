"""POST /v1/chat/completions and POST /v1/messages."""

from typing import Final

from aiohttp import web

from instance_agent.chat.errors import InvalidRequestError
from instance_agent.chat.protocol import ClientProtocol
from instance_agent.chat.protocols import ANTHROPIC, OPENAI
from instance_agent.gateway.bodies import read_apart
from instance_agent.gateway.context import context_of
from instance_agent.gateway.parts import KEY, GatewayParts
from instance_agent.gateway.pipeline import execution_of, route, streamed_response
from instance_agent.gateway.whole_answers import whole_response

_LONGEST_ID: Final = 200


async def chat_completions(request: web.Request) -> web.StreamResponse:
    """Answer a request of OpenAI's Chat Completions."""
    return await _chat(request, OPENAI, "chat")


async def messages(request: web.Request) -> web.StreamResponse:
    """Answer a request of Anthropic's Messages."""
    return await _chat(request, ANTHROPIC, "messages")


async def _chat(request: web.Request, protocol: ClientProtocol, operation: str) -> web.StreamResponse:
    context = context_of(request)
    context.operation = operation
    context.principal.require("user")
    parts: GatewayParts = request.app[KEY]
    body = await request.read()
    own_id = same_id(request)
    head = await read_apart(protocol.read_head, body)
    await parts.admission.admit(context, head)
    calls = route(parts, context, head, request.headers)
    execution = execution_of(context, protocol, body, request.headers)
    if head.stream:
        return await streamed_response(parts, calls, execution, request)
    return await whole_response(parts, calls, execution, own_id)


def same_id(request: web.Request) -> str | None:
    """Return the client's own id of a request, from the header idempotency-key; raise InvalidRequestError for a long one."""
    text = request.headers.get("idempotency-key", "").strip()
    if len(text) > _LONGEST_ID:
        raise InvalidRequestError(
            f"header idempotency-key: found {len(text):,} characters, expected at most {_LONGEST_ID}",
            param="idempotency-key",
        )
    return text or None
