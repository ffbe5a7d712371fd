"""Calls of one provider from end to end, without plans and attempts: a dialect around one call of the transport."""

from collections.abc import AsyncGenerator, AsyncIterator

from instance_agent.chat.answers import ChatAnswer, Started, StreamEvent, StreamFailed, UsageReported
from instance_agent.chat.messages import ChatRequest
from instance_agent.providers.calls import ProviderCalls
from instance_agent.providers.dialect import EmbeddingAnswer, EmbeddingRequest, StreamReader
from instance_agent.providers.errors import ProviderError
from instance_agent.providers.installed import dialect
from instance_agent.providers.presets import PRESETS
from instance_agent.providers.transport import OpenCall
from instance_agent.providers.upstream import Secret, Upstream


def upstream_of_preset(name: str, base_url: str, api_key: str) -> Upstream:
    """Return the upstream of a provider that is known by name."""
    preset = PRESETS[name]
    return Upstream(
        provider=name,
        dialect=preset.dialect,
        base_url=base_url,
        api_key=Secret(api_key),
        limits=preset.limits,
        key_header=preset.key_header,
        max_tokens_field=preset.max_tokens_field,
    )


async def whole(calls: ProviderCalls, upstream: Upstream, request: ChatRequest, model: str) -> ChatAnswer:
    """Send a translated request and return the whole answer."""
    spoken = dialect(upstream.dialect)
    return spoken.read_answer(upstream, await calls.body(upstream, spoken.chat(upstream, request, model)))


async def events_of(
    calls: ProviderCalls, upstream: Upstream, request: ChatRequest, model: str
) -> AsyncGenerator[StreamEvent, None]:
    """Send a translated request and yield the events of its stream.

    An error before the first token is raised; a later one is the last event. Close the generator (`aclosing`) to free the
    upstream before the end.
    """
    spoken = dialect(upstream.dialect)
    held: list[StreamEvent] | None = []
    async with calls.open_stream(upstream, spoken.chat(upstream, request, model)) as answer:
        async for event in _events(spoken.stream_reader(upstream), answer):
            if held is None:
                yield event
            elif isinstance(event, StreamFailed):
                raise event.error
            else:
                held.append(event)
                if not isinstance(event, Started | UsageReported):
                    for each in held:
                        yield each
                    held = None


async def embedded(calls: ProviderCalls, upstream: Upstream, request: EmbeddingRequest, model: str) -> EmbeddingAnswer:
    """Return embeddings of texts."""
    spoken = dialect(upstream.dialect)
    return spoken.read_embeddings(upstream, await calls.body(upstream, spoken.embed(upstream, request, model)))


async def pieces_of(answer: OpenCall) -> AsyncIterator[bytes]:
    """Yield the body in pieces as they arrive."""
    while piece := await answer.next_piece():
        yield piece


async def _events(reader: StreamReader, answer: OpenCall) -> AsyncIterator[StreamEvent]:
    begun = False
    try:
        async for piece in pieces_of(answer):
            for event in reader.feed(piece):
                begun = begun or not isinstance(event, Started | UsageReported)
                yield event
    except ProviderError as error:
        yield StreamFailed(error.after_first_byte() if begun else error)
        return
    for event in reader.close():
        yield event
