"""The middleware that knows each request's viewer, and lets in those that may see a page."""

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple, NoReturn

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from yarl import URL

from centralcloud.dashboard.security.front import Front, front_of, refusal_of_origin
from centralcloud.dashboard.security.headers import security_headers
from centralcloud.dashboard.security.local_path import login_path
from centralcloud.dashboard.security.sessions import Session, Sessions
from centralcloud.dashboard.security.user_list import UserList
from centralcloud.dashboard.security.viewer import ANONYMOUS, Role, Viewer, is_outside_name
from centralcloud.dashboard.settings import DashboardSettings
from centralcloud.runtime.http.request_keys import request_key
from centralcloud.runtime.logs import get_logger

log = get_logger(__name__)

#: The cookie of a session. Browsers keep the first one to HTTPS, to this host and to all its paths (RFC 6265bis, 4.1.3.2).
SECURE_COOKIE: Final = "__Host-centralcloud-session"
LOCAL_COOKIE: Final = "centralcloud-session"
#: The route of actions.
_ACTION: Final = "/actions/{name}"
#: Routes without a viewer.
_OPEN: Final = frozenset({"/login", "/healthz"})
_STATIC: Final = "/static"
_READING: Final = frozenset({"GET", "HEAD"})
#: A page that asks for itself again: see `_arrives`.
_ARRIVAL: Final = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><title>CentralCloud</title>'
    '<meta http-equiv="refresh" content="0"><p><a href="">Continue to the page</a></p></html>\n'
)


class Known(NamedTuple):
    """A request's viewer, and the token of the forms of its page; empty: its viewer has no forms."""

    viewer: Viewer
    form_token: str


_KNOWN: Final = request_key("known", Known)


def known(request: web.Request) -> Known:
    """Return what the middleware knows of a request."""
    found: Known = request[_KNOWN]
    return found


def seconds_since_boot() -> float:
    """Return seconds of a clock that never goes back, and goes on while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Access:
    """Knows who sends a request, and who may.

    Attributes:
        users: who log in with a password.
        sessions: of those who did.
    """

    def __init__(
        self, settings: DashboardSettings, users: UserList, clock: Callable[[], float] = seconds_since_boot
    ) -> None:
        """Create it.

        Args:
            settings: of the dashboard, after `DashboardSettings.check_start`.
            users: who log in with a password.
            clock: returns seconds that never go back.
        """
        self.users = users
        self.sessions = Sessions(lifetime_seconds=settings.session_seconds, idle_seconds=settings.session_idle_seconds)
        self.clock = clock
        self._settings = settings
        self._login_to_read = settings.login_to_read
        self._operators = settings.operator_names
        self._proxy_key = secrets.token_bytes(32)
        self._reported_header = False

    def add_to(self, app: web.Application) -> None:
        """Add the middleware and the headers of every answer."""
        app.middlewares.append(self._make_middleware())
        app.on_response_prepare.append(_add_headers)

    def front(self, request: web.Request) -> Front:
        """Return how a request came."""
        return front_of(request.headers, request.remote, self._settings)

    def welcome(self, request: web.Request) -> Callable[[], bool]:
        """Return a function that says whether the sender may read as of now: for a WebSocket, whose session may have ended.

        Asking it does not use the session. How the request came does not change, and is found out once.
        """
        front = self.front(request)
        return lambda: self._viewer(request, front, used=False)[0] is not None

    def session_of(self, request: web.Request, front: Front, *, used: bool = True) -> Session | None:
        """Return the session of a request; None: it has none, or its user is gone, or has another password."""
        session_id = request.cookies.get(cookie_name(front))
        session = self.sessions.find(session_id, self.clock(), used=used) if session_id else None
        if session is None or session_id is None:
            return None
        user = self.users.find(session.user)
        if user is None or str(user.password) != session.credential:
            self.sessions.remove(session_id)
            return None
        return session

    def _viewer(self, request: web.Request, front: Front, *, used: bool = True) -> tuple[Viewer | None, str]:
        """Return the viewer, and the token of its forms."""
        if (name := self._name_by_proxy(request, front)) is not None:
            role: Role = "operator" if name in self._operators else "viewer"
            return Viewer(name, role), hmac.digest(self._proxy_key, name.encode(), hashlib.sha256).hex()
        if (session := self.session_of(request, front, used=used)) is not None:
            user = self.users.find(session.user)
            return Viewer(session.user, user.role if user else "viewer", session=True), session.token
        return (None if self._login_to_read else ANONYMOUS), ""

    def _name_by_proxy(self, request: web.Request, front: Front) -> str | None:
        header = self._settings.proxy_user_header
        names = request.headers.getall(header, []) if header else []
        if not names:
            return None
        if not front.trusted:
            if not self._reported_header:
                self._reported_header = True
                log.warning("dashboard_proxy_header_ignored", header=header, address=front.client)
            return None
        if names == [""]:
            return None
        if len(names) > 1 or not is_outside_name(names[0]):
            raise web.HTTPForbidden(
                text=f"found {len(names)} names in the header {header}, expected one name of 1 to 128 visible characters\n"
                if len(names) > 1
                else f"found a name in the header {header} that cannot be shown, expected 1 to 128 visible characters\n"
            )
        return names[0]

    def _make_middleware(self) -> Middleware:
        @web.middleware
        async def access(request: web.Request, handler: Handler) -> web.StreamResponse:
            front = self.front(request)
            if front.problem is not None:
                raise web.HTTPMisdirectedRequest(text=f"{front.problem}\n")
            viewer, token = self._viewer(request, front)
            request[_KNOWN] = Known(viewer or ANONYMOUS, token)
            if not _is_open(request) and (viewer is None or viewer.name is None):
                if self.users.exists and _arrives(request):
                    return web.Response(text=_ARRIVAL, content_type="text/html")
                if (viewer is None or request.method not in _READING) and not _has_page_of_refusal(request):
                    _refuse(request)
            if request.method not in _READING or _is_websocket(request):
                refusal = refusal_of_origin(request.headers, front)
                if refusal is not None:
                    raise web.HTTPForbidden(text=f"{refusal}\n")
            return await handler(request)

        return access


def cookie_name(front: Front) -> str:
    """Return the name of the cookie of a session."""
    return SECURE_COOKIE if front.secure else LOCAL_COOKIE


def check_change(request: web.Request, form: Mapping[str, object], role: Role = "operator") -> None:
    """Check that a form was sent by a page of this server to a viewer with the role. For every POST, before its effect.

    The middleware has compared Origin and Sec-Fetch-Site.

    Raises:
        web.HTTPUnauthorized: the viewer is not logged in.
        web.HTTPForbidden: the form has not the token of the session, or the viewer has not the role.
    """
    viewer, token = known(request)
    if viewer.name is None or not token:
        raise web.HTTPUnauthorized(text="found no login, expected that of an operator: log in, then try again\n")
    found = form.get("token")
    if not isinstance(found, str) or not hmac.compare_digest(found.encode("utf-8", "replace"), token.encode()):
        raise web.HTTPForbidden(
            text="the form is not of this login: load the page again, then try again; nothing was changed\n"
        )
    if role == "operator" and not viewer.may_act:
        raise web.HTTPForbidden(text=f"{viewer.name} has the role viewer, expected operator: nothing was changed\n")


def _refuse(request: web.Request) -> NoReturn:
    if request.method not in _READING or _is_websocket(request):
        raise web.HTTPUnauthorized(text="found no login: load the page again and log in\n")
    raise web.HTTPSeeOther(URL(login_path(request.rel_url.raw_path_qs), encoded=True))


def _is_open(request: web.Request) -> bool:
    """Whether the route is open. Not by the path of the request, which can be written in many ways."""
    resource = request.match_info.route.resource
    name = resource.canonical if resource is not None else ""
    return name in _OPEN or name == _STATIC or name.startswith(f"{_STATIC}/")


def _has_page_of_refusal(request: web.Request) -> bool:
    """Whether the handler refuses a form itself, with a page: a login may end while someone fills it in."""
    resource = request.match_info.route.resource
    return request.method == "POST" and resource is not None and resource.canonical == _ACTION


def _is_websocket(request: web.Request) -> bool:
    return request.headers.get("Upgrade", "").lower() == "websocket"


def _arrives(request: web.Request) -> bool:
    """Whether a link of another site, such as one in an alert, opens a page.

    Browsers send no Strict cookie with it, so that the user would have to log in again. A page of this server that asks for
    itself brings the cookie.
    """
    headers = request.headers
    return (
        request.method == "GET"
        and headers.get("Sec-Fetch-Site") == "cross-site"
        and headers.get("Sec-Fetch-Mode") == "navigate"
        and headers.get("Sec-Fetch-Dest") == "document"
    )


async def _add_headers(_request: web.Request, response: web.StreamResponse) -> None:
    for name, value in security_headers().items():
        response.headers.setdefault(name, value)
