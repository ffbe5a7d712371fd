"""Each row of docs/reference/provider-errors.md, provoked on a real socket."""

import asyncio
import re
import socket
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from support.calling import events_of, whole
from support.chats import KEY, a_request, an_upstream
from support.ports import free_port
from support.repository import REPOSITORY
from support.upstream.process import FakeUpstream

from instance_agent.chat.answers import StreamFailed
from instance_agent.providers.calls import ProviderCalls
from instance_agent.providers.errors import ProviderError
from instance_agent.providers.transport import Transport
from instance_agent.providers.upstream import Upstream

DIALECTS = ("openai", "anthropic", "gemini")
_ROW = re.compile(r"\| `(?P<case>[a-z-0-9]+)` \| .* \| `(?P<kind>\w+)` \| `(?P<retry>\w+)` \| (?P<status>[\w ]+) \|")
ROWS = {
    match["case"]: (match["kind"], match["retry"], match["status"])
    for match in _ROW.finditer((REPOSITORY / "docs/reference/provider-errors.md").read_text())
}
#: How the fake upstream provokes a case: the behaviour, whether in a stream, the status that the client gets, and limits.
_PLAIN, _STREAM = (False,), (True,)
_BOTH = (False, True)
PROVOKED: dict[str, list[tuple[str, tuple[bool, ...], int, dict[str, Any]]]] = {
    "redirect": [("redirect=http://127.0.0.1:9/", _BOTH, 502, {})],
    "key": [("echo-key", _BOTH, 502, {}), ("status=401", _BOTH, 502, {})],
    "account": [("quota", _BOTH, 502, {}), ("status=402", _PLAIN, 502, {})],
    "model": [("model-missing", _BOTH, 502, {})],
    "setup-or-request": [(f"status={status}", _PLAIN, status, {}) for status in (403, 404, 405)],
    "request": [
        ("bad-request", _BOTH, 400, {}),
        ("context-length", _PLAIN, 400, {}),
        ("status=409", _PLAIN, 409, {}),
        ("status=413", _PLAIN, 413, {}),
        ("status=422", _PLAIN, 422, {}),
    ],
    "content-filter": [("policy", _BOTH, 400, {})],
    "request-timeout": [("status=408", _BOTH, 504, {})],
    "rate-limit": [("status=429+retry-after=7", _BOTH, 429, {})],
    "server": [(f"status={status}", _BOTH, 502, {}) for status in (500, 502, 503, 529)],
    "gateway-timeout": [("status=504", _BOTH, 504, {}), ("status=524", _PLAIN, 504, {})],
    "error-in-200": [("error-in-200", _BOTH, 502, {})],
    "error-before-token": [("error-first-event", _STREAM, 502, {}), ("role-then-error", _STREAM, 502, {})],
    "first-byte-limit": [
        ("hang", _BOTH, 504, {"first_byte": 0.2}),
        ("slow-first-token=30", _STREAM, 504, {"first_byte": 0.2}),
        ("slow-headers=30", _PLAIN, 504, {"first_byte": 0.2}),
    ],
    "idle-limit": [("comments=1+hang-in-stream=0", _STREAM, 504, {"idle": 0.2})],
    "total-limit": [
        ("hang", _BOTH, 504, {"total": 0.2}),
        ("comments=1+hang-in-stream=0", _STREAM, 504, {"total": 0.3}),
    ],
    "broken-connection": [("reset", _BOTH, 502, {}), ("cut-answer", _PLAIN, 502, {}), ("not-http", _BOTH, 502, {})],
    "unreadable": [
        ("invalid-json", _PLAIN, 502, {}),
        ("empty-body", _BOTH, 502, {}),
        ("html", _BOTH, 502, {}),
        ("bad-gzip", _PLAIN, 502, {}),
        ("stream-ignored", _STREAM, 502, {}),
        ("huge=1000000", _PLAIN, 502, {"max_answer_bytes": 100_000}),
    ],
    "no-end": [("die=1", _STREAM, 502, {})],
    "after-token": [
        ("error-event=4", _STREAM, 502, {}),
        ("die=5", _STREAM, 502, {}),
        ("no-end", _STREAM, 502, {}),
        ("huge=1000000", _STREAM, 502, {"max_answer_bytes": 200_000}),
    ],
}


async def _fail(
    upstream: Upstream, model: str, stream: bool, ca_file: Path | None = None
) -> tuple[ProviderError, bool]:
    """Return the error of a call, and whether it came as the last event of a stream."""
    async with Transport(ca_file=ca_file) as transport:
        calls = ProviderCalls(transport)
        try:
            if not stream:
                await whole(calls, upstream, a_request(), model)
            else:
                async with aclosing(events_of(calls, upstream, a_request(stream=True), model)) as events:
                    last = [event async for event in events][-1]
                assert isinstance(last, StreamFailed), last
                assert isinstance(last.error, ProviderError)
                return last.error, True
        except ProviderError as error:
            return error, False
    raise AssertionError("the call did not fail")


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    ("case", "behaviour", "streams", "status", "limits"),
    [
        pytest.param(case, *provoked, id=f"{case}: {provoked[0]}")
        for case, every in PROVOKED.items()
        for provoked in every
    ],
)
def test_a_failure_has_the_class_of_its_row(
    fake_upstream: FakeUpstream,
    dialect: str,
    case: str,
    behaviour: str,
    streams: tuple[bool, ...],
    status: int,
    limits: dict[str, Any],
) -> None:
    url = fake_upstream.gemini_url if dialect == "gemini" else fake_upstream.openai_url
    # Events of Anthropic's streams are more than those of the others before the first token.
    if dialect == "anthropic" and behaviour in ("error-event=4", "die=5"):
        behaviour = behaviour.replace("4", "6").replace("5", "6")
    if dialect == "gemini" and behaviour.startswith("die="):
        behaviour = {"die=1": "comments=1+die=0", "die=5": "die=2"}[behaviour]
    for stream in streams:
        error, in_stream = asyncio.run(_fail(an_upstream(dialect, url, **limits), f"m!{behaviour}", stream))

        kind, retry, written = ROWS[case]
        assert (error.error_kind, str(error.retry), error.status) == (kind, retry, status), error.message
        assert in_stream == (case == "after-token")
        assert written in (str(status), "as it is")
        assert error.message.startswith("fake: ")
        assert KEY[:10] not in error.message
        assert "\n" not in error.message
        if case == "rate-limit":
            assert error.retry_after_seconds == 7.0
        if case.endswith("-limit") and case != "rate-limit":
            assert error.phase == case.removesuffix("-limit").replace("-", "_")


def test_a_limit_of_time_in_the_midst_of_an_answer_stays_a_timeout(fake_upstream: FakeUpstream) -> None:
    upstream = an_upstream("openai", fake_upstream.openai_url, idle=0.2)

    error, in_stream = asyncio.run(_fail(upstream, "m!hang-in-stream=4", True))

    assert in_stream
    assert (error.error_kind, str(error.retry), error.phase) == ("timeout", "begun", "idle")


@pytest.mark.parametrize("url", ["http://127.0.0.1:{port}/v1", "http://no-such-host.invalid/v1"])
def test_an_upstream_that_is_not_reached_refused_the_request(url: str) -> None:
    error, _ = asyncio.run(_fail(an_upstream("openai", url.format(port=free_port())), "m", False))

    assert (error.error_kind, str(error.retry), str(error.status)) == ROWS["not-reached"]


def test_a_proxy_that_refuses_is_an_upstream_that_is_not_reached(
    fake_upstream: FakeUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It does not know CONNECT, and answers 404 or 405.
    monkeypatch.setenv("HTTPS_PROXY", f"http://user:proxy-password@127.0.0.1:{fake_upstream.port}")
    monkeypatch.delenv("NO_PROXY", raising=False)

    error, _ = asyncio.run(_fail(an_upstream("openai", "https://api.invalid/v1"), "m", False))

    assert (error.error_kind, str(error.retry), str(error.status)) == ROWS["not-reached"]
    assert "the proxy refused" in error.message
    assert "proxy-password" not in error.message


def test_a_connection_that_does_not_stand_in_time_refused_the_request() -> None:
    # The kernel accepts the connection, and nothing answers the first message of TLS.
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}/v1"
        error, _ = asyncio.run(_fail(an_upstream("openai", url, connect=0.2), "m", False))

    assert (error.error_kind, str(error.retry), str(error.status)) == ROWS["connect-limit"]
    assert error.phase == "connect"


def test_every_row_has_a_test() -> None:
    alone = {"not-reached", "connect-limit", "certificate"}
    assert set(ROWS) == set(PROVOKED) | alone
