"""Sends the calls of dialects over HTTP: a limit for each phase, bounded answers, no connection that outlives its caller."""

import asyncio
import os
import re
import ssl
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from functools import cache, lru_cache
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from urllib.request import getproxies, proxy_bypass

import aiohttp
from aiohttp.abc import AbstractResolver
from aiohttp.connector import Connection
from yarl import URL

from instance_agent.providers.classification import SETUP, UNREADABLE, Classed, provider_error, unreadable
from instance_agent.providers.dialect import HttpCall
from instance_agent.providers.errors import ProviderError, Retry
from instance_agent.providers.upstream import Upstream

#: Shorter than the limit of the vendors' services, which is a minute or more. Servers on uvicorn (vLLM) or Node close after
#: 5 s; that is seen at once, and fails a call only where it is sent in that moment.
_KEEPALIVE_SECONDS: Final = 15.0
_LARGE_BODY: Final = 512 * 1024
_FORBIDDEN: Final = re.compile(r"[\x00\r\n]")
#: Addresses that are kept parsed; those of some dialects hold the name of a model.
_MOST_ADDRESSES: Final = 1024
_NOT_REACHED: Final = Classed("provider", Retry.REFUSED, 502)
_CONNECT_TIMEOUT: Final = Classed("timeout", Retry.REFUSED, 504)
_ANSWER_TIMEOUT: Final = Classed("timeout", Retry.UNCERTAIN, 504)
_NO_HEADERS: Final[Mapping[str, str]] = {}
#: The call of this task that waits for its headers, else empty. A list, because a connection keeps the context in which it
#: was opened as long as it lives: what the context itself refers to, such as a body of 32 MiB, would live as long.
_OPENING: ContextVar[Sequence["OpenCall"]] = ContextVar("opening", default=())


@cache
def _tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """Return the context for all transports with this bundle: reading the certificates takes some 20 ms."""
    context = ssl.create_default_context()
    if ca_file is not None:
        context.load_verify_locations(ca_file)
    return context


class Transport:
    """One pool of connections to upstreams. Create it in the event loop that uses it, and close it there.

    `ca_file` adds certificates (PEM) to those of the system. The proxies of HTTPS_PROXY, HTTP_PROXY and NO_PROXY are used,
    as they stand when the first call to a host is made. Redirects are never followed: they would carry the key elsewhere.
    `resolver` finds the addresses of hosts, and may refuse them; None: that of aiohttp.
    """

    def __init__(self, *, ca_file: Path | None = None, resolver: AbstractResolver | None = None) -> None:
        self._session = aiohttp.ClientSession(
            connector=_Connector(
                limit=0,
                limit_per_host=0,
                ssl=_tls_context(ca_file),
                keepalive_timeout=_KEEPALIVE_SECONDS,
                ttl_dns_cache=30,
                resolver=resolver,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=None, sock_read=None),
        )
        self._proxies: dict[tuple[str, str | None], str | None] = {}
        self._addresses: dict[str, tuple[URL, str | None]] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close every connection."""
        await self._session.close()

    def open(self, upstream: Upstream, call: HttpCall, deadline: float | None = None) -> "OpenCall":
        """Return a context in which the answer can be read; leaving it before the end closes the connection at once.

        `deadline` is a time of the event loop, after which the call ends with TimeoutError: it is not the provider's limit.
        """
        return OpenCall(self, upstream, call, deadline)

    async def request(self, call: HttpCall, timeout: aiohttp.ClientTimeout) -> aiohttp.ClientResponse:
        """Send a call; return its answer once the headers are there."""
        url, proxy = self._address(call.url)
        return await self._session.request(
            call.method,
            url,
            # A large body is written in pieces, so that other calls go on meanwhile.
            data=BytesIO(call.body) if call.body and len(call.body) > _LARGE_BODY else call.body,
            headers=call.headers,
            proxy=proxy,
            allow_redirects=False,
            timeout=timeout,
        )

    def _address(self, text: str) -> tuple[URL, str | None]:
        """Return a parsed address and its proxy."""
        found = self._addresses.get(text)
        if found is None:
            if len(self._addresses) >= _MOST_ADDRESSES:
                self._addresses.clear()
            found = self._addresses[text] = (URL(text, encoded=True), self._proxy(URL(text)))
        return found

    def _proxy(self, url: URL) -> str | None:
        key = (url.scheme, url.host)
        if key not in self._proxies:
            bypassed = url.host is None or bool(proxy_bypass(url.host))
            self._proxies[key] = None if bypassed else getproxies().get(url.scheme)
        return self._proxies[key]


class _Connector(aiohttp.TCPConnector):
    """Says to a call when its connection stands. Tracing would say it too, at ten times the cost."""

    async def connect(
        self, req: aiohttp.ClientRequest, traces: list[Any], timeout: aiohttp.ClientTimeout
    ) -> Connection:
        connection = await super().connect(req, traces, timeout)
        for call in _OPENING.get():
            call.mark_sent()
        return connection


@lru_cache(64)
def _timeout(connect: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=None, connect=connect, sock_connect=None, sock_read=None)


class OpenCall:
    """One call of an upstream. Every failure is a ProviderError, its deadline apart; being cancelled closes the connection.

    One timer serves all limits: it is moved when it is due, since nearly no call reaches one.

    Attributes:
        status: of the answer.
        headers: of the answer; finds names in any case.
    """

    __slots__ = (
        "_begun", "_bytes_read", "_call", "_deadline", "_end", "_first_byte_at", "_limits", "_loop", "_opening", "_response",
        "_sent", "_timer", "_total_end", "_transport", "_upstream", "_waits_until", "headers", "status",
    )  # fmt: skip

    def __init__(self, transport: Transport, upstream: Upstream, call: HttpCall, deadline: float | None = None) -> None:
        self._transport = transport
        self._upstream = upstream
        self._call = call
        self._loop = asyncio.get_running_loop()
        self._limits = upstream.limits
        total = self._limits.total
        self._end = self._total_end = None if total is None else self._loop.time() + total
        self._deadline: float | None = None
        if deadline is not None and (self._end is None or deadline < self._end):
            self._deadline = self._end = deadline
        self._first_byte_at = float("inf")
        self._timer: asyncio.TimerHandle | None = None
        self._waits_until: float | None = None
        self._opening: asyncio.Task[Any] | None = None
        self._sent = False
        self._begun = False
        self._bytes_read = 0
        self._response: aiohttp.ClientResponse | None = None
        self.status = 0
        self.headers: Mapping[str, str] = _NO_HEADERS

    def mark_sent(self) -> None:
        """Start the limit until the first byte: the request is on its way, and may be billed from here on."""
        self._sent = True
        self._first_byte_at = self._loop.time() + self._limits.first_byte
        self._wait_until(self._first_byte_at)

    async def __aenter__(self) -> Self:
        call, limits, now = self._call, self._limits, self._loop.time()
        if _FORBIDDEN.search("".join(call.headers.values())):
            raise provider_error(
                self._upstream, SETUP, "the key or a header holds a character that HTTP does not allow"
            )
        task = self._opening = asyncio.current_task()
        assert task is not None
        cancelling = task.cancelling()
        # The limit of the connection is that of the session; this one is earlier once the request is sent.
        self._wait_until(now + limits.connect + limits.first_byte, now + min(limits.first_byte, limits.idle))
        opening = [self]
        _OPENING.set(opening)
        try:
            response = self._response = await self._transport.request(call, _timeout(limits.connect))
        except TimeoutError as error:
            raise self._timed_out(error) from None
        except asyncio.CancelledError:
            if self._opening is not None or task.cancelling() > cancelling + 1:
                raise  # not by the timer alone
            raise self._timed_out(TimeoutError()) from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise self._failed(error) from None
        finally:
            if self._opening is None:
                task.uncancel()
            self._opening = self._waits_until = None
            opening.clear()
            if self._response is None:
                self._stop_timer()
        self.status = response.status
        self.headers = response.headers
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop_timer()
        if self._response is not None:
            # After the end of the answer the connection has gone back to the pool already; before it, this closes it.
            self._response.close()

    def lift_deadline(self) -> None:
        """Let the call go on after its deadline: only the limits of the provider are left."""
        self._end, self._deadline = self._total_end, None

    @property
    def at_end(self) -> bool:
        """Whether all of the body was read, so that the connection can be used again."""
        return self._response is not None and self._response.content.at_eof()

    async def next_piece(self) -> bytes:
        """Return the next piece of the body, decompressed, empty at its end; a bound on all of them applies."""
        response = self._response
        if response is None:
            raise RuntimeError("the call is not open")
        content = response.content
        try:
            if (failure := content.exception()) is not None:
                piece = _read_before(content, failure)
            elif content.is_eof():  # all of it is here: there is nothing to wait for
                piece = content.read_nowait()
            else:
                self._wait_until(self._loop.time() + self._limits.idle if self._begun else self._first_byte_at)
                try:
                    piece = await content.readany()
                finally:
                    self._waits_until = None
        except TimeoutError as error:
            raise self._timed_out(error) from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise self._failed(error) from None
        if piece:
            self._begun = True
            self._bytes_read += len(piece)
            if self._bytes_read > self._limits.max_answer_bytes:
                raise unreadable(self._upstream, f"an answer of more than {self._limits.max_answer_bytes} bytes")
        return piece

    async def read(self, at_most: int | None = None) -> bytes:
        """Return the whole body, or its first `at_most` bytes."""
        pieces = []
        length = 0
        while piece := await self.next_piece():
            pieces.append(piece)
            length += len(piece)
            if self.at_end or (at_most is not None and length >= at_most):
                break
        return b"".join(pieces)[:at_most]

    def _wait_until(self, limit: float, first_look: float | None = None) -> None:
        """Let what is waited for fail at `limit`, or at the end of the call; `first_look`: when the timer looks first."""
        self._waits_until = limit = self._until(limit)
        due = limit if first_look is None else min(limit, first_look)
        if self._timer is None or self._timer.when() > due:
            self._stop_timer()
            self._timer = self._loop.call_at(due, self._look)

    def _look(self) -> None:
        """End what is waited for if its limit is reached, or look again then."""
        self._timer = None
        limit = self._waits_until
        if limit is None:
            return
        if limit > self._loop.time():
            self._timer = self._loop.call_at(limit, self._look)
        elif self._response is not None:
            self._response.content.set_exception(TimeoutError())
        elif self._opening is not None:
            opening, self._opening = self._opening, None
            opening.cancel()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _until(self, moment: float) -> float:
        return moment if self._end is None else min(moment, self._end)

    def _timed_out(self, error: TimeoutError) -> ProviderError | TimeoutError:
        limits = self._limits
        if self._deadline is not None and self._loop.time() >= self._deadline:
            return TimeoutError()
        if self._end is not None and self._loop.time() >= self._end:
            phase, seconds = "total", limits.total
        elif isinstance(error, aiohttp.ServerTimeoutError) or not self._sent:
            phase, seconds = "connect", limits.connect
        elif self._begun:
            phase, seconds = "idle", limits.idle
        else:
            phase, seconds = "first_byte", limits.first_byte
        classed = _ANSWER_TIMEOUT if self._sent else _CONNECT_TIMEOUT
        waits = {
            "connect": "no connection",
            "first_byte": "no answer",
            "idle": "nothing more of the answer",
            "total": "no whole answer",
        }
        message = f"{waits[phase]} within {seconds:g} s"
        return provider_error(self._upstream, classed, message, phase=phase)

    def _failed(self, error: Exception) -> ProviderError:
        """Class a failure of the connection. The exception's own text may hold an address with a key: it is not used."""
        if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientConnectorSSLError):
            return provider_error(self._upstream, SETUP, f"TLS failed: {_reason(error)}")
        if isinstance(error, aiohttp.ClientHttpProxyError):
            return provider_error(
                self._upstream, _NOT_REACHED, f"the proxy refused the connection: HTTP {error.status}"
            )
        if isinstance(error, aiohttp.ClientConnectorError):
            return provider_error(self._upstream, _NOT_REACHED, f"no connection: {_reason(error)}")
        if isinstance(error, aiohttp.InvalidURL):
            return provider_error(self._upstream, SETUP, "the base URL is not an address")
        classed = UNREADABLE if self._sent else _NOT_REACHED
        if isinstance(error, aiohttp.ClientPayloadError):
            return provider_error(
                self._upstream,
                classed,
                "the connection broke in the midst of the answer, or its compression is invalid",
            )
        if isinstance(error, aiohttp.ClientResponseError):
            return provider_error(self._upstream, classed, "the answer is not valid HTTP")
        return provider_error(self._upstream, classed, f"the connection broke: {_reason(error)}")


def _reason(error: Any) -> str:
    inner = getattr(error, "os_error", None) or getattr(error, "certificate_error", None) or error
    if isinstance(inner, OSError) and not isinstance(inner, ssl.SSLError) and (inner.errno or 0) > 0:
        return os.strerror(inner.errno or 0)  # the text of the error has the address
    if (verified := getattr(inner, "verify_message", None)) is not None:
        return str(verified).partition(" for '")[0]
    text = getattr(inner, "verify_message", None) or getattr(inner, "strerror", None)
    return str(text) if text else type(inner).__name__


def _read_before(content: aiohttp.StreamReader, failure: BaseException) -> bytes:
    """Return the bytes that arrived before a failure, which aiohttp's reader gives first; raise it when none are left."""
    content.set_exception(None)  # type: ignore[arg-type]
    try:
        piece = content.read_nowait()
    finally:
        content.set_exception(failure)
    if not piece:
        raise failure
    return piece
