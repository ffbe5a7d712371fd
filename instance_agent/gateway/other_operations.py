"""POST /v1/embeddings, /v1/responses and /v1/messages/count_tokens."""

from typing import Any, Final, Literal

import msgspec
from aiohttp import web
from msgspec import Struct

from instance_agent.chat.errors import InvalidRequestError, UnsupportedFeatureError
from instance_agent.chat.json_body import decode
from instance_agent.chat.protocol import RequestHead, output_limit, unread_bytes
from instance_agent.chat.protocols import ANTHROPIC, OPENAI
from instance_agent.execution.cost import estimated_input_tokens
from instance_agent.execution.errors import ExecutionError
from instance_agent.execution.request import EmbeddingsRequest
from instance_agent.gateway.bodies import MAX_EMBEDDINGS_INPUTS, read_apart
from instance_agent.gateway.chat_api import same_id
from instance_agent.gateway.context import RequestContext, context_of
from instance_agent.gateway.errors import not_implemented
from instance_agent.gateway.parts import KEY, GatewayParts
from instance_agent.gateway.pipeline import call_headers, execution_fields, execution_of, route, streamed_response
from instance_agent.gateway.whole_answers import whole_response
from instance_agent.providers.dialect import EmbeddingRequest

_ENCODER: Final = msgspec.json.Encoder()


class _Embeddings(Struct):
    model: str
    input: str | list[str | int | list[int]]
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: int | None = None
    user: str | None = None


class _ResponsesPart(Struct):
    type: str = "input_text"
    text: str | None = None
    image_url: msgspec.Raw = msgspec.Raw()


class _ResponsesItem(Struct):
    type: str | None = None
    role: str | None = None
    content: str | list[_ResponsesPart] | None = None


class _Format(Struct):
    type: str = "text"


class _Text(Struct):
    format: _Format | None = None


class _Responses(Struct):
    model: str
    input: str | list[_ResponsesItem] = ""
    instructions: str | None = None
    stream: bool | None = None
    background: bool | None = None
    previous_response_id: str | None = None
    conversation: Any = None
    prompt: Any = None
    tools: list[msgspec.Raw] | None = None
    max_output_tokens: int | None = None
    text: _Text | None = None
    metadata: dict[str, Any] | None = None
    user: str | None = None


#: Types of parts beside texts and images.
_INPUTS: Final = {"input_audio": "audio", "input_file": "documents", "input_video": "video"}
_EMBEDDINGS: Final = msgspec.json.Decoder(_Embeddings)
_RESPONSES: Final = msgspec.json.Decoder(_Responses)


async def embeddings(request: web.Request) -> web.StreamResponse:
    """Answer a request for embeddings."""
    context, parts, body = await _begin(request, "embeddings")
    asked = await read_apart(lambda body: decode(body, _EMBEDDINGS), body)
    inputs = [asked.input] if isinstance(asked.input, str) else asked.input
    if not inputs:
        raise InvalidRequestError("found no input, expected a text or a list of texts", param="input")
    if not isinstance(inputs[0], int) and len(inputs) > MAX_EMBEDDINGS_INPUTS:
        raise InvalidRequestError(
            f"found {len(inputs):,} inputs, expected at most {MAX_EMBEDDINGS_INPUTS:,}", param="input"
        )
    texts = tuple(each for each in inputs if isinstance(each, str))
    of_tokens = len(texts) != len(inputs)
    # A list of numbers is one input of tokens.
    number = 1 if isinstance(inputs[0], int) else len(inputs)
    tokens = sum(len(each) if isinstance(each, list) else 1 for each in inputs if not isinstance(each, str))
    characters = sum(map(len, texts)) + 4 * tokens
    unread = unread_bytes(body, characters, number)
    head = RequestHead(
        model=asked.model, text="", characters=characters, messages=number, unread=unread, user=asked.user
    )
    await parts.admission.admit(context, head, output=False)
    calls = route(parts, context, head, request.headers, model_type="embedding")
    embedding = EmbeddingRequest(inputs=texts, dimensions=asked.dimensions, user=asked.user)
    execution = EmbeddingsRequest(
        None if of_tokens else embedding,
        asked.encoding_format or "float",
        **execution_fields(context, OPENAI, body, request.headers),
    )
    return await whole_response(parts, calls, execution, same_id(request))


async def responses(request: web.Request) -> web.StreamResponse:
    """Pass a request of OpenAI's Responses through to a target that speaks it; 501 with the reason elsewhere."""
    context, parts, body = await _begin(request, "responses")
    head = await read_apart(_head_of_responses, body)
    await parts.admission.admit(context, head)
    calls = route(parts, context, head, request.headers)
    execution = execution_of(context, OPENAI, body, request.headers, operation="responses")
    try:
        if execution.head.stream:
            return await streamed_response(parts, calls, execution, request)
        return await whole_response(parts, calls, execution, same_id(request))
    except (UnsupportedFeatureError, ExecutionError) as error:
        raise not_implemented(error, "/v1/responses") from None


async def count_tokens(request: web.Request) -> web.StreamResponse:
    """Count the tokens of a request of Messages at the first target that counts, in 10 seconds; else an upper estimate."""
    context, parts, body = await _begin(request, "count_tokens")
    head = await read_apart(ANTHROPIC.read_head, body)
    await parts.admission.admit(context, head, output=False)  # it costs nothing, and is a call of the provider
    calls = route(parts, context, head, request.headers)
    execution = execution_of(context, ANTHROPIC, body, request.headers)
    counted = await parts.executor.count_tokens(calls, execution)
    if counted is not None:
        headers = {"content-type": "application/json", **call_headers(context, counted[0], None)}
        return web.Response(body=_ENCODER.encode({"input_tokens": counted[1]}), headers=headers)
    headers = {"content-type": "application/json", "x-centralcloud-estimated": "true"}
    return web.Response(body=_ENCODER.encode({"input_tokens": estimated_input_tokens(head)}), headers=headers)


async def _begin(request: web.Request, operation: str) -> tuple[RequestContext, GatewayParts, bytes]:
    context = context_of(request)
    context.operation = operation
    context.principal.require("user")
    return context, request.app[KEY], await request.read()


def _head_of_responses(body: bytes) -> RequestHead:
    asked = decode(body, _RESPONSES)
    if asked.background:
        # Its answer has no usage: limits would miss the cost of what is written later.
        found = "background: found true, expected false: the gateway cannot be asked for the answer later"
        raise InvalidRequestError(found, param="background")
    text, characters, images, messages, media = "", len(asked.instructions or ""), 0, 1, 0
    inputs: set[str] = set()
    if isinstance(asked.input, str):
        text, characters = asked.input, characters + len(asked.input)
    else:
        messages = len(asked.input)
        for item in asked.input:
            content = item.content
            if isinstance(content, list):
                images += sum(part.type == "input_image" for part in content)
                media += sum([len(part.image_url) for part in content])
                inputs.update([_INPUTS[part.type] for part in content if part.type in _INPUTS])
                content = "\n".join([part.text for part in content if part.text])
            characters += len(content or "")
            if content and item.role in ("user", None):
                text = content
    kind = asked.text.format.type if asked.text and asked.text.format else None
    tools = len(asked.tools or ())
    return RequestHead(
        model=asked.model,
        text=text,
        characters=characters,
        messages=messages,
        unread=unread_bytes(body, characters, messages, tools=tools, media=media),
        stored=any((asked.previous_response_id, asked.conversation, asked.prompt)),
        images=images,
        inputs=tuple(sorted(inputs)),
        tools=tools,
        stream=bool(asked.stream),
        max_output_tokens=output_limit(asked.max_output_tokens),
        response_format="json_schema" if kind == "json_schema" else "json_object" if kind == "json_object" else None,
        user=asked.user,
        metadata={key: value for key, value in (asked.metadata or {}).items() if isinstance(value, str)},
    )
