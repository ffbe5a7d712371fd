"""The handlers: pages, their live updates, files."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import parse_qsl, quote, urlencode
from zoneinfo import ZoneInfo

from aiohttp import web

from centralcloud.dashboard.actions.pages import ActionPages
from centralcloud.dashboard.reader.lookups import LookupFailedError
from centralcloud.dashboard.reader.reader import Reader
from centralcloud.dashboard.security.access import Access, known
from centralcloud.dashboard.security.local_path import login_path
from centralcloud.dashboard.web.assets import Assets
from centralcloud.dashboard.web.documents import find_document
from centralcloud.dashboard.web.live import Hub, state_of
from centralcloud.dashboard.web.page import Page, PageError
from centralcloud.dashboard.web.paths import Paths, before_parameters, fill_path, parameters_of
from centralcloud.dashboard.web.preferences import scheme_of, zone_of
from centralcloud.dashboard.web.rendering import Renderer
from centralcloud.dashboard.web.times import fill_times
from centralcloud.dashboard.web.views import ViewKey, Views

_YEAR_SECONDS: Final = 31_536_000
#: A parameter of a page: names of models are shorter.
_MOST_CHARACTERS: Final = 300
#: Answers of less are not worth compressing.
_LEAST_COMPRESSED: Final = 1_000


class Handlers:
    """Handles the requests of one event loop."""

    def __init__(
        self, pages: Sequence[Page], reader: Reader, views: Views, hub: Hub, renderer: Renderer, assets: Assets
    ) -> None:
        self._pages = pages
        self._paths = Paths(pages)
        self._reader = reader
        self._views = views
        self._hub = hub
        self._renderer = renderer
        self._assets = assets
        self._access: Access | None = None
        self._actions: ActionPages | None = None

    def routes(self, access: Access, actions: ActionPages) -> list[web.RouteDef]:
        """Return the routes; `access` says how long a viewer may see what it sees."""
        self._access = access
        self._actions = actions
        return [
            *(web.get(page.path, self.show) for page in self._pages),
            *(web.get(before_parameters(page.path), self.forward) for page in self._pages if parameters_of(page.path)),
            web.get("/live", self.live),
            web.get("/static/{tag}/{name}", self.asset),
            web.get("/docs/{name:.*}", self.document),
            web.get("/favicon.ico", self.icon),
            web.get("/healthz", self.healthz),
            web.get("/{anything:.*}", self.unknown),
        ]

    async def show(self, request: web.Request) -> web.StreamResponse:
        """Show a page."""
        found = self._paths.find(request.rel_url.raw_path)
        if found is None:  # a path that aiohttp reads in another way
            return await self.unknown(request)
        page = found.page
        self._reader.viewed()
        key = view_key(page, {**request.query, **found.values}, request.cookies)
        view = self._views.of(key)
        snapshot = self._reader.snapshot
        try:
            await view.update(snapshot)
        except PageError as error:
            return self.render_error(request, error)
        except LookupFailedError as error:
            if not view.html():
                title, command = "The database cannot be read now", "centralcloud doctor"
                return self.render_error(request, PageError(503, title, str(error), command=command))
        html = self._renderer.page(
            page,
            view.html(),
            live=f"/live?page={quote(address_of(key), safe='')}",
            revision=view.revision,
            boot=view.boot,
            state=state_of(snapshot),
            zone=key.zone,
            query=dict(key.query),
            **self._of_viewer(request),
        )
        now = snapshot.read_at if snapshot.read_at and not snapshot.outage else datetime.now(UTC)
        return html_response(fill_times(html, now, view.zone))

    async def forward(self, request: web.Request) -> web.StreamResponse:
        """Send a form whose field is a parameter of a page's path to that page: ``/request?request_id=ID``."""
        page = next(each for each in self._pages if before_parameters(each.path) == request.path)
        values = {name: request.query.get(name, "").strip() for name in parameters_of(page.path)}
        if not all(values.values()):
            missing = ", ".join(name.replace("_", " ") for name, value in values.items() if not value)
            message = f"Found no {missing}, expected an address such as {page.path.replace('{', '').replace('}', '')}."
            return self.render_error(request, PageError(404, "No such page", message))
        raise web.HTTPFound(fill_path(page.path, values))

    async def live(self, request: web.Request) -> web.StreamResponse:
        """Keep a page up to date over a WebSocket."""
        path, _, query = request.query.get("page", "").partition("?")
        found = self._paths.find(path)
        if found is None:
            return await self.unknown(request)
        key = view_key(found.page, {**dict(parse_qsl(query)), **found.values}, request.cookies)
        view = self._views.of(key)
        same = request.query.get("boot") == view.boot
        revision = request.query.get("revision", "")
        known = int(revision) if same and revision.isdecimal() and len(revision) < 10 else 0
        is_welcome = self._access.welcome(request) if self._access else lambda: True
        return await self._hub.serve(request, view, known, is_welcome)

    async def asset(self, request: web.Request) -> web.StreamResponse:
        """Send a file. Its address changes with its content, so that browsers may keep it."""
        found = self._assets.get(request.match_info["name"])
        if found is None:
            return await self.unknown(request)
        current = request.match_info["tag"] == found.tag
        caching = f"public, max-age={_YEAR_SECONDS}, immutable" if current else "no-cache"
        response = web.Response(body=found.body, headers={"Content-Type": found.content_type, "Cache-Control": caching})
        response.enable_compression()
        return response

    async def document(self, request: web.Request) -> web.StreamResponse:
        """Show a page of the documentation."""
        name = request.match_info["name"]
        found = await asyncio.to_thread(find_document, name)
        if found is None:
            message = f"This version has no page docs/{name[:_MOST_CHARACTERS]}. Pages link to those that it has."
            return self.render_error(request, PageError(404, "No such page of the documentation", message))
        return self.render(request, "document.html", found, 200)

    async def icon(self, _request: web.Request) -> web.StreamResponse:
        """Send browsers that ask for the icon by its old name to it."""
        raise web.HTTPMovedPermanently(self._assets.url("icon.svg"))

    async def healthz(self, _request: web.Request) -> web.StreamResponse:
        """Answer a probe: the process serves pages, whatever the state of the database is."""
        return web.Response(text="ok\n")

    async def unknown(self, request: web.Request) -> web.StreamResponse:
        """Answer an address that is not here."""
        known = ", ".join(page.path for page in self._pages if page.in_navigation)
        return self.render_error(request, PageError(404, "No such page", f"The pages are {known}."))

    def render(self, request: web.Request, template: str, model: object, status: int) -> web.Response:
        """Return a page that is not one of the navigation, such as the login; the model is `m`."""
        zone = zone_of(request.query, request.cookies)
        html = self._renderer.render(template, m=model, zone=ZoneInfo(zone), **self._of_viewer(request))
        return html_response(html, status=status)

    def render_error(self, request: web.Request, error: PageError) -> web.StreamResponse:
        """Return a page with one sentence, and the command that helps."""
        html = self._renderer.render(
            "error.html",
            title=error.title,
            message=error.message,
            command=error.command,
            link=error.link,
            zone=zone_of(request.query, request.cookies),
            **self._of_viewer(request),
        )
        return html_response(html, status=error.status)

    def _of_viewer(self, request: web.Request) -> dict[str, Any]:
        """Return what every page shows of its viewer; a notice of an action is shown once."""
        (viewer, token), actions, access = known(request), self._actions, self._access
        can_log_in = access is not None and access.users.exists and request.path != "/login"
        return {
            "viewer": viewer,
            "scheme": scheme_of(request.cookies),
            "form_token": token,
            "login": login_path(request.rel_url.raw_path_qs) if can_log_in and viewer.name is None else None,
            "may_act": actions is not None and actions.may_act(request),
            "users_problem": access.users.problem if access is not None and viewer.may_act else None,
            "notice": actions.notices.take(token) if actions is not None and token else None,
        }


def view_key(page: Page, query: Mapping[str, str], cookies: Mapping[str, str]) -> ViewKey:
    """Return the key of the view that a request asks for: its known parameters, those of the path first.

    PostgreSQL takes no text with a NUL: a parameter has the character that stands for an unreadable one instead.
    """
    names = (*parameters_of(page.path), *page.parameters)
    known = tuple((name, query[name][:_MOST_CHARACTERS].replace("\0", "\ufffd")) for name in names if query.get(name))
    return ViewKey(page.path, known, zone_of(query, cookies))


def address_of(key: ViewKey) -> str:
    """Return the address of a view."""
    in_path = parameters_of(key.path)
    query = [each for each in key.query if each[0] not in in_path]
    return f"{fill_path(key.path, dict(key.query))}?{urlencode([*query, ('zone', key.zone)])}"


def html_response(html: str, *, status: int = 200) -> web.Response:
    """Return a page, which no cache keeps."""
    response = web.Response(text=html, status=status, content_type="text/html", charset="utf-8")
    if len(html) >= _LEAST_COMPRESSED:
        response.enable_compression()
    return response
