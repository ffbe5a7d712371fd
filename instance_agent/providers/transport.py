"""Sends the calls of dialects over HTTP: a limit for each phase, bounded answers, no connection that outlives its caller."""

import asyncio
import os
import re
import ssl
from collections.abc import AsyncIterator, Mapping
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

#: Shorter than the usual limit of servers, so that they seldom close a connection that is about to be used.
_KEEPALIVE_SECONDS: Final = 15.0
_LARGE_BODY: Final = 512 * 1024
_FORBIDDEN: Final = re.compile(r"[\x00\r\n]")
_NOT_REACHED: Final = Classed("provider", Retry.REFUSED, 502)
_CONNECT_TIMEOUT: Final = Classed("timeout", Retry.REFUSED, 504)
_ANSWER_TIMEOUT: Final = Classed("timeout", Retry.UNCERTAIN, 504)
#: The call of this task that is waiting for a connection.
_CALL: ContextVar["OpenCall | None"] = ContextVar("open_call", default=None)


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
        return OpenCall(self._session, upstream, call, self._proxy(call.url), deadline)

    def _proxy(self, address: str) -> str | None:
        url = URL(address)
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
        if (call := _CALL.get()) is not None:
            call.mark_sent()
        return connection


@lru_cache(64)
def _timeout(connect: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=None, connect=connect, sock_connect=None, sock_read=None)


class OpenCall:
    """One call of an upstream. Every failure is a ProviderError, its deadline apart; being cancelled closes the connection.

    Attributes:
        status: of the answer.
        headers: of the answer, names in lower case.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        upstream: Upstream,
        call: HttpCall,
        proxy: str | None,
        deadline: float | None = None,
    ) -> None:
        self._session = session
        self._upstream = upstream
        self._call = call
        self._proxy = proxy
        self._loop = asyncio.get_running_loop()
        self._limits = upstream.limits
        total = self._limits.total
        self._end = None if total is None else self._loop.time() + total
        self._deadline: float | None = None
        if deadline is not None and (self._end is None or deadline < self._end):
            self._deadline = self._end = deadline
        self._first_byte_at = float("inf")
        self._timer: asyncio.Timeout | None = None
        self._waits_until: float | None = None
        self._watch: asyncio.TimerHandle | None = None
        self._sent = False
        self._begun = False
        self._bytes_read = 0
        self._response: aiohttp.ClientResponse | None = None
        self.status = 0
        self.headers: Mapping[str, str] = {}

    def mark_sent(self) -> None:
        """Start the limit until the first byte: the request is on its way, and may be billed from here on."""
        self._sent = True
        self._first_byte_at = self._loop.time() + self._limits.first_byte
        if self._timer is not None:
            self._timer.reschedule(self._until(self._first_byte_at))

    async def __aenter__(self) -> Self:
        if any(_FORBIDDEN.search(value) for value in self._call.headers.values()):
            raise provider_error(
                self._upstream, SETUP, "the key or a header holds a character that HTTP does not allow"
            )
        # The limit of the connection is the session's; this one is moved once the request is sent.
        phase_end = self._loop.time() + self._limits.connect + self._limits.first_byte
        try:
            async with asyncio.timeout_at(self._until(phase_end)) as self._timer:
                response = await self._request()
        except TimeoutError as error:
            raise self._timed_out(error) from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise self._failed(error) from None
        finally:
            self._timer = None
        self._response = response
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.headers.items()}
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._watch is not None:
            self._watch.cancel()
        if self._response is not None:
            # After the end of the answer the connection has gone back to the pool already; before it, this closes it.
            self._response.close()

    @property
    def at_end(self) -> bool:
        """Whether all of the body was read, so that the connection can be used again."""
        return self._response is not None and self._response.content.at_eof()

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield the body in pieces as they arrive, decompressed."""
        while True:
            piece = await self.next_piece()
            if not piece:
                return
            yield piece

    async def next_piece(self) -> bytes:
        """Return the next piece of the body, empty at its end; a bound on all of them applies."""
        response = self._response
        if response is None:
            raise RuntimeError("the call is not open")
        content = response.content
        try:
            piece = content.read_nowait()
            if not piece and not content.at_eof():
                limit = self._loop.time() + self._limits.idle if self._begun else self._first_byte_at
                self._watch_until(self._until(limit))
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
            if at_most is not None and length >= at_most:
                break
        return b"".join(pieces)[:at_most]

    async def _request(self) -> aiohttp.ClientResponse:
        call = self._call
        _CALL.set(self)  # read in the same task, before this returns
        return await self._session.request(
            call.method,
            URL(call.url, encoded=True),
            # A large body is written in pieces, so that other calls go on meanwhile.
            data=BytesIO(call.body) if call.body and len(call.body) > _LARGE_BODY else call.body,
            headers=call.headers,
            proxy=self._proxy,
            allow_redirects=False,
            timeout=_timeout(self._limits.connect),
        )

    def _watch_until(self, moment: float) -> None:
        """Let the wait for the next piece fail at `moment`. One timer serves all waits: it is moved when it is due."""
        self._waits_until = moment
        if self._watch is None or self._watch.when() > moment:
            if self._watch is not None:
                self._watch.cancel()
            self._watch = self._loop.call_at(moment, self._look)

    def _look(self) -> None:
        self._watch = None
        moment = self._waits_until
        if moment is None or self._response is None:
            return
        if moment <= self._loop.time():
            self._response.content.set_exception(TimeoutError())
        else:
            self._watch = self._loop.call_at(moment, self._look)

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
