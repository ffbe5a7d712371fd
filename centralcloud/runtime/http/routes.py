"""The routes that both programs serve: health checks, metrics, and pages of JSON."""

import json
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, TypeAlias

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from centralcloud.runtime.http.exchange import Handler, plain_text
from centralcloud.runtime.http.threads import BusyError, PageThreads

#: Returns one line for each problem, none when all is well. Called in the event loop: it must not wait for anything.
Check: TypeAlias = Callable[[], list[str]]
#: Returns a page's value. Called in a thread.
Page: TypeAlias = Callable[[], Any]


def health_routes(
    checks: Mapping[str, Check],
    registry: CollectorRegistry,
    pages: Mapping[str, Page] | None = None,
    *,
    details: Mapping[str, Check] | None = None,
) -> list[web.RouteDef]:
    """Create the routes: `checks` and `pages` by path, and ``/metrics``.

    A check is answered with 200, or with 503 and its lines. The lines of `details` for its path are added and do not change
    the status. A page's value is sent as JSON. Metrics and pages are made in
    threads, so that a slow one delays no check.
    """
    threads = PageThreads()
    return [
        *(web.get(path, _check(check, (details or {}).get(path))) for path, check in checks.items()),
        web.get("/metrics", _in_thread(threads, lambda: generate_latest(registry), CONTENT_TYPE_LATEST)),
        *(
            web.get(path, _in_thread(threads, _as_json(page), "application/json"))
            for path, page in (pages or {}).items()
        ),
    ]


def _check(check: Check, details: Check | None) -> Handler:
    async def answer(_request: web.Request) -> web.StreamResponse:
        problems = check()
        status = HTTPStatus.SERVICE_UNAVAILABLE if problems else HTTPStatus.OK
        return plain_text(status, "\n".join([*(problems or ["ok"]), *(details() if details else [])]))

    return answer


def _in_thread(threads: PageThreads, make: Callable[[], bytes], content_type: str) -> Handler:
    async def answer(_request: web.Request) -> web.StreamResponse:
        try:
            body = await threads.run(make)
        except BusyError as error:
            return plain_text(HTTPStatus.SERVICE_UNAVAILABLE, str(error))
        return web.Response(body=body, headers={"Content-Type": content_type})

    return answer


def _as_json(page: Page) -> Callable[[], bytes]:
    return lambda: json.dumps(page(), default=str).encode()
