"""The pages /login and /logout."""

import math
from collections.abc import Callable
from typing import Final, NamedTuple

from aiohttp import web
from yarl import URL

from centralcloud.dashboard.security.access import Access, check_change, cookie_name, known
from centralcloud.dashboard.security.attempts import Attempts
from centralcloud.dashboard.security.front import Front
from centralcloud.dashboard.security.known_browser import KEPT_SECONDS, new_mark
from centralcloud.dashboard.security.local_path import local_path
from centralcloud.dashboard.security.password_check import PasswordCheck
from centralcloud.dashboard.security.posted_form import read_form
from centralcloud.dashboard.security.users_file import User
from centralcloud.runtime.wording import counted

#: Renders a template with a model: ``render(request, template, model, status)``.
Render = Callable[[web.Request, str, object, int], web.StreamResponse]

_TEMPLATE: Final = "login.html"
#: Most bytes of the form: a name, a password of some encoding, and an address.
_FORM_BYTES: Final = 16_384
_LONGEST_FIELD: Final = 4096
_WRONG: Final = "The name or the password is wrong."
_OVER_HTTP: Final = (
    "This page came over plain HTTP, where each machine in between can read a password. Open it with https://, or on this "
    "machine as http://localhost."
)
_NO_PASSWORDS: Final = "There are no passwords here: open the dashboard through the proxy that knows you."


class LoginPage(NamedTuple):
    """The model of login.html.

    Attributes:
        next: where the login leads to, an address of this server.
        name: as typed.
        problem: why the last try failed; empty: there was none.
        may_try: whether the form is shown.
    """

    next: str
    name: str = ""
    problem: str = ""
    may_try: bool = True


class LoginPages:
    """Login and logout."""

    def __init__(self, access: Access, render: Render, attempts: Attempts | None = None) -> None:
        """Create them; `render` returns a page that has not been sent yet."""
        self._access = access
        self._render = render
        self._check = PasswordCheck(access.users, attempts if attempts is not None else Attempts())

    def add_to(self, app: web.Application) -> None:
        """Add the routes, and end the threads with the application."""
        app.router.add_get("/login", self.show)
        app.router.add_post("/login", self.log_in)
        app.router.add_post("/logout", self.log_out)
        app.on_cleanup.append(self._close)

    async def show(self, request: web.Request) -> web.StreamResponse:
        """Show the form, or go on when the viewer is logged in."""
        target = local_path(request.query.get("next", ""))
        if known(request).viewer.name is not None:
            raise web.HTTPSeeOther(URL(target, encoded=True))
        problem = self._problem_of(self._access.front(request))
        status = 200 if problem is None else 403
        return self._render(request, _TEMPLATE, LoginPage(target, "", problem or "", problem is None), status)

    async def log_in(self, request: web.Request) -> web.StreamResponse:
        """Check a name and a password, and begin a session."""
        if (request.content_length or 0) > _FORM_BYTES:
            raise web.HTTPRequestEntityTooLarge(max_size=_FORM_BYTES, actual_size=request.content_length or 0)
        front = self._access.front(request)
        form = await read_form(request)
        name, password, target = (_text(form.get(field)) for field in ("name", "password", "next"))
        page = LoginPage(local_path(target), name if len(name) <= _LONGEST_FIELD else "")
        if (problem := self._problem_of(front)) is not None:
            return self._render(request, _TEMPLATE, page._replace(problem=problem, may_try=False), 403)
        mark = request.cookies.get(_mark_name(front), "")
        checked = await self._check.check(name, password, front.client, self._access.clock(), mark)
        if checked.wait_seconds > 0:
            return self._limited(request, page, checked.wait_seconds)
        if checked.user is None:
            return self._render(request, _TEMPLATE, page._replace(problem=_WRONG), 401)
        return self._begin(request, front, checked.user, page.next)

    async def log_out(self, request: web.Request) -> web.StreamResponse:
        """End the session of the browser."""
        check_change(request, await read_form(request), "viewer")
        front = self._access.front(request)
        name = cookie_name(front)
        if session_id := request.cookies.get(name):
            self._access.sessions.remove(session_id)
        response = web.HTTPSeeOther("/login")
        response.set_cookie(name, "", max_age=0, path="/", secure=front.secure, httponly=True, samesite="Strict")
        raise response

    def _begin(self, request: web.Request, front: Front, user: User, target: str) -> web.StreamResponse:
        sessions, name = self._access.sessions, cookie_name(front)
        if before := request.cookies.get(name):
            sessions.remove(before)
        session_id, _ = sessions.create(user.name, str(user.password), self._access.clock())
        response = web.HTTPSeeOther(URL(target, encoded=True))
        # Until the browser closes: the server knows when the session ends.
        response.set_cookie(name, session_id, path="/", secure=front.secure, httponly=True, samesite="Strict")
        response.set_cookie(
            _mark_name(front),
            new_mark(user),
            max_age=KEPT_SECONDS,
            path="/",
            secure=front.secure,
            httponly=True,
            samesite="Strict",
        )
        raise response

    def _limited(self, request: web.Request, page: LoginPage, wait_seconds: float) -> web.StreamResponse:
        seconds = math.ceil(wait_seconds)
        problem = f"Too many tries: the next one is possible in {counted(seconds, 'second')}."
        response = self._render(request, _TEMPLATE, page._replace(problem=problem), 429)
        response.headers["Retry-After"] = str(seconds)
        return response

    def _problem_of(self, front: Front) -> str | None:
        if not self._access.users.exists:
            return _NO_PASSWORDS
        return None if front.secure or front.local else _OVER_HTTP

    async def _close(self, _app: web.Application) -> None:
        self._check.close()


def _mark_name(front: Front) -> str:
    return f"{cookie_name(front)}-known"


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
