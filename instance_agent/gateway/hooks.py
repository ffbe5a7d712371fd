"""Runs the hooks of other packages around each request of a model, within a time limit each."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from importlib.metadata import entry_points
from types import MappingProxyType
from typing import Any, Final, Literal

import msgspec
from aiohttp import web
from msgspec import Struct
from msgspec.structs import replace

from centralcloud.contracts import SettingsError
from centralcloud.runtime.logs import get_logger
from instance_agent.gateway.bodies import body_limit
from instance_agent.gateway.context import RequestContext
from instance_agent.gateway.errors import GatewayError
from instance_agent.hooks import ENTRY_POINT_GROUP, AnyHook, Change, HookAnswer, HookRequest, HookResult, Refusal

log = get_logger(__name__)

FailMode = Literal["closed", "open"]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

#: The requests that call a model.
_PATHS: Final = frozenset(
    {
        "/v1/chat/completions", "/v1/messages", "/v1/messages/count_tokens", "/v1/embeddings", "/v1/responses", "/api/route",
        "/api/route/batch",
    }
)  # fmt: skip
_METHODS: Final = ("before", "after")
#: Headers that say who a client is.
_SECRET: Final = frozenset(
    {"authorization", "proxy-authorization", "x-api-key", "api-key", "x-goog-api-key", "cookie", "x-auth-token"}
)
_MOST_LABELS: Final = 20
_LONGEST_NAME: Final = 64
_LONGEST_VALUE: Final = 200
_LONGEST_MESSAGE: Final = 500
_LOG_SECONDS: Final = 10.0
#: Where the events of a request have the labels of hooks.
LABELS_KEY: Final = "hooks"


class _Head(Struct):
    model: Any = None
    stream: Any = None


_HEAD: Final = msgspec.json.Decoder(_Head)


class _InvalidResultError(Exception):
    """A hook returned something else than it may."""


class Hooks:
    """The hooks of a gateway, in their order. For the event loop.

    Attributes:
        on_failure: called with the name of a hook that failed.
    """

    def __init__(self, hooks: Sequence[tuple[str, AnyHook]], *, seconds: float, fail_mode: FailMode) -> None:
        """Create it.

        Args:
            hooks: with their names.
            seconds: limit of one call of a method.
            fail_mode: whether a request goes on without a hook that fails (``open``), or is answered 503 (``closed``).
        """
        self.names = tuple(name for name, _ in hooks)
        self.on_failure: Callable[[str], object] = lambda _name: None
        self._before = [(name, hook.before) for name, hook in hooks if hasattr(hook, "before")]
        self._after = [(name, hook.after) for name, hook in hooks if hasattr(hook, "after")]
        self._seconds = seconds
        self._fail_mode = fail_mode
        self._failures: dict[str, int] = {}
        self._logged_at: dict[str, float] = {}

    @staticmethod
    def concern(request: web.Request, context: RequestContext) -> bool:
        """Whether a request calls a model, and its sender may do that."""
        return request.method == "POST" and request.path in _PATHS and context.principal.may("user")

    async def run(self, request: web.Request, context: RequestContext, handler: Handler) -> web.StreamResponse:
        """Run the handler of a request between its hooks.

        Raises:
            GatewayError: a hook refuses the request, or fails and the mode is ``closed``; as the handler raises it.
        """
        seen = _view(request, context, await request.read())
        labels: dict[str, Any] = {}
        for name, before in self._before:
            result = await self._call(name, before(seen), body_limit(request.path, request.client_max_size))
            if isinstance(result, Change):
                labels |= result.labels
                if result.body is not None:
                    seen = _with_body(seen, result.body)
        if len(labels) > _MOST_LABELS:
            labels = dict(list(labels.items())[:_MOST_LABELS])
        if labels:
            context.labels = {LABELS_KEY: labels}
        request._read_bytes = seen.body  # noqa: SLF001 - as `request.read` keeps it for the handler
        response = await handler(request)
        if self._after:
            await self._run_after(seen, context, response)
        return response

    async def _run_after(self, seen: HookRequest, context: RequestContext, response: web.StreamResponse) -> None:
        body = response.body if isinstance(response, web.Response) else None
        answer = HookAnswer(
            status=response.status,
            model=context.model,
            provider=context.provider,
            body=body if isinstance(body, bytes) else None,
            seconds=time.perf_counter() - context.began,
        )
        for name, after in self._after:
            result = await self._call(name, after(seen, answer), None, streamed=answer.body is None)
            if isinstance(result, Change) and result.body is not None:
                assert isinstance(response, web.Response)
                response.body = result.body
                answer = replace(answer, body=result.body)

    async def _call(
        self, name: str, work: Awaitable[HookResult], max_bytes: int | None, *, streamed: bool = False
    ) -> Change | None:
        """Wait for a hook; return its change.

        Args:
            max_bytes: of a changed request; None: it is an answer.
            streamed: whether the answer is a stream, which its client has.
        """
        try:
            async with asyncio.timeout(self._seconds):
                result = await work
            _check(result, max_bytes, streamed=streamed)
        except TimeoutError as error:
            self._failed(name, f"it took longer than {self._seconds:g} s" if not str(error) else str(error), streamed)
            return None
        except Exception as error:  # noqa: BLE001 - logged, and the mode says whether the request goes on
            self._failed(name, f"{type(error).__name__}: {error}", streamed)
            return None
        if isinstance(result, Refusal):
            raise GatewayError(result.message, status=result.status, code="refused_by_hook")
        return result

    def _failed(self, name: str, reason: str, streamed: bool) -> None:
        """Count and log a failure, at most one line of a hook in ten seconds; raise GatewayError in the mode ``closed``."""
        self.on_failure(name)
        self._failures[name] = self._failures.get(name, 0) + 1
        now = time.monotonic()
        if now - self._logged_at.get(name, -_LOG_SECONDS) >= _LOG_SECONDS:
            self._logged_at[name] = now
            goes_on = self._fail_mode == "open" or streamed
            log.error(
                "hook_failed",
                hook=name,
                reason=" ".join(reason.split())[:300],
                count=self._failures.pop(name),
                effect="requests go on without it" if goes_on else "requests are answered 503",
            )
        if self._fail_mode == "closed" and not streamed:
            raise GatewayError("a hook of the gateway failed; its log has the details", status=503, code="hook_failed")


def load_hooks(names: str, *, seconds: float, fail_mode: FailMode) -> Hooks | None:
    """Load the hooks that are installed, None without any.

    Args:
        names: ``all`` in the order of their names, ``none``, or the names of some, separated by commas, in their order.

    Raises:
        SettingsError: a hook is not installed, cannot be loaded, or is not a hook.
    """
    if names == "none":
        return None
    found = entry_points(group=ENTRY_POINT_GROUP)
    wanted = sorted(found.names) if names == "all" else [each.strip() for each in names.split(",") if each.strip()]
    hooks = []
    for name in wanted:
        if name not in found.names:
            known = ", ".join(sorted(found.names)) or "none"
            raise SettingsError(f"INSTANCE_AGENT_GATEWAY_HOOKS: found {name!r}, installed: {known}")
        hooks.append((name, _load(name, found[name].load)))
    if not hooks:
        return None
    log.info("hooks_loaded", hooks=[name for name, _ in hooks], fail_mode=fail_mode, seconds=seconds)
    return Hooks(hooks, seconds=seconds, fail_mode=fail_mode)


def _load(name: str, load: Callable[[], Any]) -> AnyHook:
    try:
        hook = load()()
    except Exception as error:
        raise SettingsError(f"the hook {name!r} cannot be loaded: {type(error).__name__}: {error}") from error
    methods = [method for each in _METHODS if (method := getattr(hook, each, None)) is not None]
    if not methods or not all(inspect.iscoroutinefunction(method) for method in methods):
        raise SettingsError(f"the hook {name!r}: expected an object with async methods before or after, or both")
    return hook


def _view(request: web.Request, context: RequestContext, body: bytes) -> HookRequest:
    principal = context.principal
    headers = {name.lower(): value for name, value in request.headers.items() if name.lower() not in _SECRET}
    model, stream = _head(body)
    return HookRequest(
        request_id=context.request_id,
        path=request.path,
        model=model,
        stream=stream,
        headers=MappingProxyType(headers),
        body=body,
        key_id=principal.key_id,
        role=principal.role,
        workspace=principal.workspace,
        user_id=principal.user_id,
    )


def _with_body(seen: HookRequest, body: bytes) -> HookRequest:
    model, stream = _head(body)
    return replace(seen, body=body, model=model, stream=stream)


def _head(body: bytes) -> tuple[str | None, bool]:
    """Return the model and whether the answer is a stream, of a body that may be anything."""
    try:
        head = _HEAD.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None, False
    return head.model if isinstance(head.model, str) else None, head.stream is True


def _check(result: Any, max_bytes: int | None, *, streamed: bool) -> None:
    if result is None:
        return
    if not isinstance(result, Change | Refusal):
        raise _InvalidResultError(f"found {type(result).__name__}, expected a Change, a Refusal or None")
    if streamed and (isinstance(result, Refusal) or result.body is not None):
        raise _InvalidResultError("found a change of a stream that has ended, expected None")
    if isinstance(result, Refusal):
        if not 400 <= result.status <= 499 or not 1 <= len(result.message) <= _LONGEST_MESSAGE:
            raise _InvalidResultError(
                f"expected a refusal of a status of 400 to 499, and 1 to {_LONGEST_MESSAGE} characters"
            )
        return
    if result.body is not None and not isinstance(result.body, bytes):
        raise _InvalidResultError(f"body: found {type(result.body).__name__}, expected bytes")
    if result.body is not None and max_bytes is not None and len(result.body) > max_bytes:
        raise _InvalidResultError(f"body: found {len(result.body):,} bytes, expected at most {max_bytes:,}")
    if result.labels:
        _check_labels(result.labels, is_answer=max_bytes is None)


def _check_labels(labels: Mapping[str, Any], *, is_answer: bool) -> None:
    if is_answer:
        raise _InvalidResultError("labels: found some of an answer, whose event is written already; expected none")
    for name, value in labels.items():
        if not isinstance(name, str) or not 1 <= len(name) <= _LONGEST_NAME or "\0" in name:
            raise _InvalidResultError(f"labels: expected names of 1 to {_LONGEST_NAME} characters")
        if isinstance(value, str):
            if len(value) > _LONGEST_VALUE or "\0" in value:
                raise _InvalidResultError(f"labels.{name}: expected a text of at most {_LONGEST_VALUE} characters")
        elif not isinstance(value, bool | int | float) or abs(value) > 1e15 or value != value:
            raise _InvalidResultError(
                f"labels.{name}: found {type(value).__name__}, expected a text, a number or a boolean"
            )
