"""Hooks around requests on a real socket: changes, refusals, labels, time limits, failures in both modes."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from importlib.metadata import EntryPoint, EntryPoints
from typing import Any, cast

import pytest
from aiohttp import ClientSession, web

from centralcloud.contracts import SettingsError
from instance_agent.gateway import hooks as module
from instance_agent.gateway.auth import Principal
from instance_agent.gateway.context import RequestContext
from instance_agent.gateway.errors import GatewayError
from instance_agent.gateway.hooks import FailMode, Hooks, load_hooks
from instance_agent.hooks import Change, HookAnswer, HookRequest, HookResult, Refusal

KEY = Principal(key_id="cck_0123456789ab", role="user", workspace="acme")
BODY = {"model": "auto", "text": "hello", "stream": False}
Before = Callable[[HookRequest], Awaitable[HookResult]]
After = Callable[[HookRequest, HookAnswer], Awaitable[HookResult]]


class Made:
    """A hook of functions."""

    def __init__(self, before: Before | None = None, after: After | None = None) -> None:
        if before is not None:
            self.before = before
        if after is not None:
            self.after = after


class Sent:
    """The end of a request, and what its hooks saw."""

    def __init__(self) -> None:
        self.status = 0
        self.body: Any = None
        self.failed: list[str] = []
        self.context = RequestContext(KEY, cast("Any", None))


def send(*hooks: Made, mode: FailMode = "closed", stream: bool = False, path: str = "/v1/chat/completions") -> Sent:
    """Send a request through hooks to a server that answers with the body that it got."""
    sent = Sent()
    running = Hooks([(f"hook-{number}", hook) for number, hook in enumerate(hooks)], seconds=0.2, fail_mode=mode)
    running.on_failure = sent.failed.append

    async def echo(request: web.Request) -> web.StreamResponse:
        body = await request.read()
        sent.context.model = "gpt"
        if not stream:
            return web.Response(body=body, content_type="application/json")
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write_eof(body)
        return response

    async def handle(request: web.Request) -> web.StreamResponse:
        if not running.concern(request, sent.context):
            return await echo(request)
        try:
            return await running.run(request, sent.context, echo)
        except GatewayError as error:
            return web.json_response({"error": error.message, "code": error.code}, status=error.status)

    async def run() -> None:
        app = web.Application()
        app.router.add_route("*", "/{anywhere:.*}", handle)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        headers = {"Authorization": "Bearer cck_secret", "X-Api-Key": "cck_secret", "Cookie": "a=b", "X-Team": "search"}
        async with ClientSession() as client:
            answer = await client.post(f"http://127.0.0.1:{port}{path}", json=BODY, headers=headers)
            sent.status, sent.body = answer.status, json.loads(await answer.read())
        await runner.cleanup()

    asyncio.run(run())
    return sent


def test_a_hook_sees_the_request_without_its_keys() -> None:
    seen: list[HookRequest] = []

    async def before(request: HookRequest) -> None:
        seen.append(request)
        with pytest.raises((TypeError, AttributeError)):
            request.headers["x"] = "y"  # type: ignore[index]
        with pytest.raises(AttributeError):
            request.model = "other"  # type: ignore[misc]

    sent = send(Made(before))
    request = seen[0]
    assert (sent.status, sent.body, sent.failed) == (200, BODY, [])
    assert (request.path, request.model, request.stream) == ("/v1/chat/completions", "auto", False)
    assert (request.key_id, request.role, request.workspace) == (KEY.key_id, "user", "acme")
    assert json.loads(request.body) == BODY
    assert request.headers["x-team"] == "search"
    assert "secret" not in str(dict(request.headers))
    assert "cookie" not in request.headers
    assert "hello" not in repr(request)


def test_changes_pass_from_hook_to_hook_and_labels_to_the_events() -> None:
    async def first(request: HookRequest) -> HookResult:
        return Change(body=json.dumps({**BODY, "model": "gpt", "stream": True}).encode(), labels={"a": 1, "b": "x"})

    async def second(request: HookRequest) -> HookResult:
        assert (request.model, request.stream) == ("gpt", True)
        return Change(body=request.body.replace(b"hello", b"bye"), labels={"b": True})

    async def after(request: HookRequest, answer: HookAnswer) -> HookResult:
        assert (answer.status, answer.model) == (200, "gpt")
        assert answer.body is not None
        assert answer.seconds > 0
        return Change(body=answer.body.replace(b"bye", b"see you"))

    sent = send(Made(first), Made(second, after), Made(None, after))
    assert sent.body["text"] == "see you"
    assert sent.context.labels == {"hooks": {"a": 1, "b": True}}
    assert sent.failed == []


def test_a_refusal_is_the_answer() -> None:
    async def before(request: HookRequest) -> HookResult:
        return Refusal(message="not today", status=451)

    async def after(request: HookRequest, answer: HookAnswer) -> HookResult:
        return Refusal(message="not that")

    assert (send(Made(before)).status, send(Made(before)).body["error"]) == (451, "not today")
    found = send(Made(None, after))
    assert (found.status, found.body) == (403, {"error": "not that", "code": "refused_by_hook"})


async def _slow(request: HookRequest) -> None:
    await asyncio.sleep(30)


async def _broken(request: HookRequest) -> None:
    raise RuntimeError("a\nb" * 500)


async def _another_type(request: HookRequest) -> Any:
    return {"body": b""}


async def _text(request: HookRequest) -> HookResult:
    return Change(body=cast("Any", "text"))


async def _server_error(request: HookRequest) -> HookResult:
    return Refusal(message="x", status=500)


async def _list(request: HookRequest) -> HookResult:
    return Change(labels={"a": cast("Any", [])})


async def _huge(request: HookRequest) -> HookResult:
    return Change(body=b" " * (33 * 1024 * 1024))


@pytest.mark.parametrize("before", [_slow, _broken, _another_type, _text, _server_error, _list, _huge])
def test_a_hook_that_fails_ends_the_request_or_is_passed_over(before: Before, caplog: pytest.LogCaptureFixture) -> None:
    closed = send(Made(before))
    assert (closed.status, closed.body["code"], closed.failed) == (503, "hook_failed", ["hook-0"])
    opened = send(Made(before), mode="open")
    assert (opened.status, opened.body, opened.failed) == (200, BODY, ["hook-0"])
    lines = [record.getMessage() for record in caplog.records if "hook_failed" in record.getMessage()]
    assert len(lines) == 2
    assert all("\n" not in line and len(line) < 800 for line in lines)


def test_many_failures_are_one_line(caplog: pytest.LogCaptureFixture) -> None:
    send(*(Made(_broken) for _ in range(3)), mode="open")
    assert caplog.text.count("hook_failed") == 3, "one for each hook"
    running = Hooks([("a", Made(_broken))], seconds=1, fail_mode="open")
    caplog.clear()
    for _ in range(5):
        running._failed("a", "x", streamed=False)
    assert caplog.text.count("hook_failed") == 1


def test_a_stream_has_ended_before_a_hook_sees_it() -> None:
    seen: list[HookAnswer] = []

    async def looks(request: HookRequest, answer: HookAnswer) -> None:
        seen.append(answer)

    async def refuses(request: HookRequest, answer: HookAnswer) -> HookResult:
        return Refusal(message="too late")

    sent = send(Made(None, looks), Made(None, refuses), stream=True)
    assert (sent.status, sent.body, sent.failed) == (200, BODY, ["hook-1"])
    assert seen[0].body is None


def test_labels_of_an_answer_are_refused_because_its_event_is_written() -> None:
    async def after(request: HookRequest, answer: HookAnswer) -> HookResult:
        return Change(labels={"a": 1})

    assert send(Made(None, after)).failed == ["hook-0"]


def test_other_requests_and_those_without_the_right_see_no_hook() -> None:
    assert send(Made(_broken), path="/api/models").status == 200
    assert send(Made(_broken), path="/v1/feedback").status == 200


class _OfClass:
    async def before(self, request: HookRequest) -> None:
        return None


class _Blocking:
    def before(self, request: HookRequest) -> None:
        return None


def _unusable() -> None:
    raise RuntimeError("no licence")


def test_hooks_are_loaded_by_name_and_a_wrong_one_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    names = {"b": "_OfClass", "a": "_OfClass", "bad": "_Blocking", "broken": "_unusable"}
    monkeypatch.setitem(sys.modules, "hooks_of_this_test", sys.modules[__name__])
    points = EntryPoints(
        EntryPoint(each, f"hooks_of_this_test:{names[each]}", "instance_agent.hooks") for each in names
    )
    monkeypatch.setattr(module, "entry_points", lambda group: points.select(group=group))

    def load(names: str) -> Hooks | None:
        return load_hooks(names, seconds=1, fail_mode="closed")

    assert load("none") is None
    loaded = load("b, a")
    assert loaded is not None
    assert loaded.names == ("b", "a")
    for wrong, words in (
        ("c", "found 'c', installed: a, b, bad, broken"),
        ("all", "expected an object with async methods"),
        ("broken", "cannot be loaded: RuntimeError: no licence"),
    ):
        with pytest.raises(SettingsError, match=words):
            load(wrong)
    monkeypatch.setattr(module, "entry_points", lambda group: EntryPoints())
    assert load("all") is None
