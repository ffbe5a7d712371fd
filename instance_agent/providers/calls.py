"""Calls of providers: what the transport sends, with the errors of the upstream's dialect; operations that cost nothing."""

import time
from collections.abc import Callable
from types import TracebackType
from typing import Final
from urllib.parse import urlsplit

from centralcloud.runtime.logs import get_logger
from instance_agent.chat.messages import ChatRequest
from instance_agent.providers.classification import SETUP, provider_error, unreadable
from instance_agent.providers.dialect import Dialect, HttpCall, ModelEntry
from instance_agent.providers.installed import dialect
from instance_agent.providers.scrub import scrub
from instance_agent.providers.transport import OpenCall, Transport
from instance_agent.providers.upstream import Upstream

log = get_logger(__name__)

#: Longer error bodies are pages of proxies.
_MAX_ERROR_BYTES: Final = 64 * 1024
_MAX_PAGES: Final = 50


class ProviderCalls:
    """Calls of upstreams by a transport. Each method raises ProviderError for a failure."""

    def __init__(self, transport: Transport, now: Callable[[], float] = time.time) -> None:
        self._transport = transport
        self._now = now

    def open_stream(self, upstream: Upstream, call: HttpCall, deadline: float | None = None) -> "OpenStream":
        """Return the context of a call that asks for a stream; leaving it early frees the upstream at once.

        At `deadline`, a time of the event loop, it ends with TimeoutError, unless `OpenCall.lift_deadline` comes before.
        """
        return OpenStream(self, upstream, self._transport.open(upstream, call, deadline), call)

    async def body(self, upstream: Upstream, call: HttpCall, deadline: float | None = None) -> bytes:
        """Send a call and return the body of its answer; raise TimeoutError at `deadline`, a time of the event loop."""
        async with self._transport.open(upstream, call, deadline) as answer:
            if not 200 <= answer.status < 300:
                await self.raise_error(upstream, call, answer)
            return await answer.read()

    async def list_models(self, upstream: Upstream) -> tuple[ModelEntry, ...]:
        """Return every model that the provider lists. Costs nothing."""
        spoken = _dialect(upstream)
        models: list[ModelEntry] = []
        page: str | None = None
        for _ in range(_MAX_PAGES):
            found = spoken.read_models(upstream, await self.body(upstream, spoken.list_models(upstream, page)))
            models += found.models
            page = found.next_page
            if page is None:
                break
        return tuple(models)

    async def probe(self, upstream: Upstream, url: str, *, with_key: bool) -> int:
        """Return the HTTP status of a GET of `url`, which costs nothing; `with_key`: with the headers of its calls."""
        headers = dict(_dialect(upstream).list_models(upstream).headers) if with_key else {}
        async with self._transport.open(upstream, HttpCall(method="GET", url=url, headers=headers)) as answer:
            await answer.read(_MAX_ERROR_BYTES)
            return answer.status

    async def count_tokens(self, upstream: Upstream, request: ChatRequest, model: str) -> int:
        """Return the number of input tokens. Costs nothing."""
        spoken = _dialect(upstream)
        return spoken.read_token_count(
            upstream, await self.body(upstream, spoken.count_tokens(upstream, request, model))
        )

    async def raise_error(self, upstream: Upstream, call: HttpCall, answer: OpenCall) -> None:
        """Raise the error of an answer whose status is not 2xx."""
        if answer.status == 404:
            # A wrong base_url looks like an unknown model: only the address tells them apart.
            log.warning(
                "upstream_not_found", provider=upstream.provider, method=call.method, url=_shown(upstream, call)
            )
        if 300 <= answer.status < 400:
            raise provider_error(
                upstream,
                SETUP,
                f"HTTP {answer.status}: found a redirect, expected an answer; redirects are not followed with a key",
                upstream_status=answer.status,
            )
        body = await answer.read(_MAX_ERROR_BYTES)
        headers = {name.lower(): value for name, value in answer.headers.items()}
        raise _dialect(upstream).read_error(upstream, answer.status, headers, body, self._now())


class OpenStream:
    """A call that asks for a stream. It begins once the status is 2xx; an answer that is not one raises ProviderError.

    Two generators as contexts, one in the other, cost 20 us more.
    """

    __slots__ = ("_answer", "_call", "_calls", "_upstream")

    def __init__(self, calls: ProviderCalls, upstream: Upstream, answer: OpenCall, call: HttpCall) -> None:
        self._calls = calls
        self._upstream = upstream
        self._answer = answer
        self._call = call

    async def __aenter__(self) -> OpenCall:
        upstream, answer = self._upstream, await self._answer.__aenter__()
        try:
            if not 200 <= answer.status < 300:
                await self._calls.raise_error(upstream, self._call, answer)
            kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
            if kind == "application/json":
                # An error object, if the service is honest.
                _dialect(upstream).read_answer(upstream, await answer.read())
                raise unreadable(upstream, "a whole answer where a stream was asked for")
            if kind == "text/html":
                raise unreadable(upstream, "a web page")
        except BaseException:
            await answer.__aexit__(None, None, None)
            raise
        return answer

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._answer.__aexit__(kind, error, trace)


def _dialect(upstream: Upstream) -> Dialect:
    return dialect(upstream.dialect)


def _shown(upstream: Upstream, call: HttpCall) -> str:
    """Return the address of a call for the log, without its query and without keys."""
    parts = urlsplit(call.url)
    return scrub(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}", upstream.secrets())
