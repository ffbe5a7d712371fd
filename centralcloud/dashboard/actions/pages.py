"""The pages ``/actions/<name>``: GET asks for the confirmation, POST performs the action."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode, urlsplit
from zoneinfo import ZoneInfo

from aiohttp import web
from yarl import URL

from centralcloud.dashboard.actions.action import Action, Done, Preview, Scene
from centralcloud.dashboard.actions.confirmation import Confirmation, confirmation
from centralcloud.dashboard.actions.forms import Form, Problems, read_reason
from centralcloud.dashboard.actions.once import FullError, Notices, OnceForms
from centralcloud.dashboard.actions.operator_database import THREADS, OperatorDatabase
from centralcloud.dashboard.actions.pairs import SUBJECT
from centralcloud.dashboard.actions.performing import ACT_SECONDS, Outcome, Refused, Unknown, outcome_of
from centralcloud.dashboard.pages.addresses import pair_url
from centralcloud.dashboard.reader.lookups import Lookups
from centralcloud.dashboard.reader.reader import Reader
from centralcloud.dashboard.security.access import Access, check_change, known
from centralcloud.dashboard.security.front import Front
from centralcloud.dashboard.security.local_path import local_path, login_path
from centralcloud.dashboard.security.posted_form import read_form
from centralcloud.dashboard.security.viewer import Viewer
from centralcloud.dashboard.web.page import PageError
from centralcloud.dashboard.web.preferences import zone_of
from centralcloud.learning.publication import read_clock
from centralcloud.runtime.http.threads import PageThreads
from centralcloud.runtime.logs import get_logger
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.errors import summarize_error
from centralcloud.store.operator_actions import Operator

log = get_logger(__name__)

#: Renders a template with a model: ``render(request, template, model, status)``.
Render = Callable[[web.Request, str, object, int], web.StreamResponse]
RenderError = Callable[[web.Request, PageError], web.StreamResponse]

_TEMPLATE: Final = "actions/confirm.html"
_PATH: Final = "/actions/"
_SETTING: Final = "CENTRALCLOUD_OPERATOR_DATABASE_URL"
#: How long an answer waits until the pages have what was changed, and how often it looks.
_READ_SECONDS: Final = 1.0
_LOOK_SECONDS: Final = 0.01
#: A value of a form, or of the address: names of models and addresses of pages are shorter.
_LONGEST: Final = 4096
#: Fields that are good for one login and one sending.
_OF_ONE_LOGIN: Final = frozenset({"token", "form", "seen", "do"})
_TOO_OLD: Final = (
    "The form was too old, or of an earlier start of the dashboard. Nothing was changed. Below is what it would do now."
)


@dataclass(frozen=True, slots=True)
class Asked:
    """One request for an action."""

    request: web.Request
    action: Action
    form: Form
    back: str
    zone: str

    @property
    def viewer(self) -> Viewer:
        """The sender."""
        return known(self.request).viewer

    @property
    def owner(self) -> str:
        """The owner of the form: the viewer's token, and the action."""
        return f"{known(self.request).form_token} {self.action.name}"


class ActionPages:
    """The pages of all actions, for one event loop."""

    def __init__(
        self,
        operators: OperatorDatabase | None,
        readers: Database,
        reader: Reader,
        lookups: Lookups,
        access: Access,
        render: Render,
        render_error: RenderError,
    ) -> None:
        """Create them; without `operators` each says how to have actions."""
        self._operators = operators
        if operators is not None:
            _actions()  # here, so that no viewer waits for the import
        self._readers = readers
        self._reader = reader
        self._lookups = lookups
        self._access = access
        self._render = render
        self._render_error = render_error
        self._threads = PageThreads(THREADS, ACT_SECONDS)
        self._once: OnceForms[Outcome] = OnceForms(access.clock)
        self.notices: Notices[Done] = Notices(access.clock)

    def may_act(self, request: web.Request) -> bool:
        """Whether the viewer of a request may act here."""
        return self._operators is not None and known(request).viewer.may_act

    def add_to(self, app: web.Application) -> None:
        """Add the routes."""
        app.router.add_get(f"{_PATH}{{name}}", self.show)
        app.router.add_post(f"{_PATH}{{name}}", self.act)

    async def show(self, request: web.Request) -> web.StreamResponse:
        """Show what an action would do, and ask for the confirmation."""
        try:
            action = self._action(request)
        except PageError as error:
            return self._render_error(request, error)
        asked = self._asked(request, action, request.query)
        if asked.viewer.name is None and self._access.users.exists:
            raise web.HTTPSeeOther(URL(login_path(request.rel_url.raw_path_qs), encoded=True))
        if not asked.viewer.may_act:
            who = f"{asked.viewer.name} has the role viewer" if asked.viewer.name else "Found no login"
            command = action.command(asked.form)
            text = f"{who}, expected an operator. The same as a command, for those who may:"
            return self._render_error(request, PageError(403, "Only operators may do this", text, command=command))
        return await self._page(asked, Refused(200, ""))

    async def act(self, request: web.Request) -> web.StreamResponse:
        """Perform an action, once for each form."""
        try:
            action = self._action(request)
        except PageError as error:
            return self._render_error(request, error)
        form = await read_form(request)
        if known(request).viewer.name is None and self._access.users.exists:
            return self._ended(request, _texts(form))
        check_change(request, form)
        asked = self._asked(request, action, form)
        if asked.form.get("do") == "show":
            return await self._page(asked, Refused(200, ""))
        form_id = asked.form.get("form", "")
        if not self._once.is_valid(form_id, asked.owner):
            return await self._page(asked, Refused(409, _TOO_OLD))
        try:
            outcome = await self._once.run(
                form_id, lambda: self._perform(asked), lambda it: not isinstance(it, Refused)
            )
        except FullError:
            return await self._page(
                asked, Refused(503, "Too many forms were sent within an hour. Nothing was changed.")
            )
        if isinstance(outcome, Done):
            raise web.HTTPSeeOther(URL(asked.back, encoded=True))
        if isinstance(outcome, Unknown):
            text = f"{outcome.message}. The change may have been made: look at Activity before you repeat it."
            title = "It is not known whether the change was made"
            return self._render_error(request, PageError(503, title, text, command="centralcloud history"))
        return await self._page(asked, outcome)

    def _ended(self, request: web.Request, form: Form) -> web.StreamResponse:
        """Refuse a form whose login has ended, and lead to the login and back to what was typed."""
        typed = {name: value for name, value in form.items() if name not in _OF_ONE_LOGIN}
        path = request.rel_url.raw_path
        # An address has a limit: without the reason, the longest text, it is far from that.
        addresses = (f"{path}?{urlencode(each)}" for each in (typed, {**typed, "reason": ""}))
        again = next((each for each in addresses if local_path(each) == each), path)
        text = "Nothing was changed. Log in again: the form then has what you typed."
        link = ("Log in", login_path(again))
        return self._render_error(request, PageError(401, "Your login has ended", text, link=link))

    async def _perform(self, asked: Asked) -> Outcome:
        """Perform an action, and keep the notice for the viewer's next page."""
        viewer, action = asked.viewer, asked.action
        source = self._access.front(asked.request).client
        reason = asked.form.get("reason", "").strip()
        operator = Operator(who=viewer.name or "", via="web", source=source, reason=reason)

        def work() -> Done:
            scene = self._scene(asked)
            problems = Problems()
            problems.read("reason", lambda: read_reason(asked.form))
            action.check(scene, asked.form, problems)
            problems.check()
            return action.perform(scene, asked.form, asked.form.get("seen", ""), operator)

        outcome: Outcome | None
        try:
            outcome = await self._threads.run(work)
        except Exception as error:  # noqa: BLE001 - logged; what it changed is not known
            outcome = outcome_of(error, action)
            if outcome is None:
                log.error("dashboard_action_failed", action=action.name, error=repr(error))
                outcome = Unknown(f"The action failed: {summarize_error(error)}")
        if isinstance(outcome, Done):
            log.info("dashboard_action", action=action.name, user=viewer.name, address=source)
            self.notices.put(known(asked.request).form_token, outcome)
            await self._read_again()
        return outcome

    async def _read_again(self) -> None:
        """Let the next page have the change: wait for a new snapshot, but not for long."""
        self._lookups.forget()
        before = self._reader.snapshot.number
        self._reader.read_everything()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_READ_SECONDS):
                while self._reader.snapshot.number == before:
                    await asyncio.sleep(_LOOK_SECONDS)

    async def _page(self, asked: Asked, refused: Refused) -> web.StreamResponse:
        """Show the page with what would be changed now, and why the form did nothing."""
        preview: Preview | None = None
        status, message = refused.status, refused.message

        def look() -> Preview:
            return asked.action.preview(self._scene(asked), asked.form)

        if refused.is_readable:
            try:
                preview = await self._threads.run(look)
            except PageError as error:
                nothing = " Nothing was changed." if asked.request.method == "POST" else ""
                there = PageError(error.status, error.title, f"{error.message}{nothing}", command=error.command)
                return self._render_error(asked.request, there)
            except Exception as error:
                failed = outcome_of(error, asked.action)
                if failed is None:
                    raise
                why = failed.message if isinstance(failed, Refused) else f"{summarize_error(error)}."
                if status == 200:
                    title = "This cannot be shown now"
                    return self._render_error(asked.request, PageError(503, title, why))
                message = message or why
        model: Confirmation = confirmation(
            asked.action,
            asked.form,
            preview,
            back=asked.back,
            zone=asked.zone,
            form_id=self._once.new_id(asked.owner),
            message=message,
            problems=refused.problems,
        )
        return self._render(asked.request, _TEMPLATE, model, status)

    def _scene(self, asked: Asked) -> Scene:
        assert self._operators is not None
        with self._operators.transaction() as connection:
            now = read_clock(connection)
        return Scene(self._operators, self._readers, self._reader.snapshot, ZoneInfo(asked.zone), now)

    def _action(self, request: web.Request) -> Action:
        """Return the action of an address.

        Raises:
            PageError: there is none.
        """
        actions = _actions()
        action = actions.get(request.match_info["name"])
        if action is None:
            raise PageError(404, "No such action", f"The actions are {', '.join(actions)}.")
        if self._operators is None:
            text = f"{_SETTING} is not set: expected the database with the role of operators. The same as a command:"
            raise PageError(404, "This dashboard has no actions", text, command=action.command(_texts(request.query)))
        return action

    def _asked(self, request: web.Request, action: Action, values: Mapping[str, Any]) -> Asked:
        form = _texts(values)
        wanted = {"zone": form.get("zone", "")} if form.get("zone") else request.query
        return Asked(request, action, form, self._back(request, action, form), zone_of(wanted, request.cookies))

    def _back(self, request: web.Request, action: Action, form: Form) -> str:
        """Return where the viewer came from: a page of this server, but none that asks for a confirmation."""
        for path in (form.get("back", ""), _path_of(request.headers.get("Referer", ""), self._access.front(request))):
            if local_path(path) == path and not path.startswith(_PATH):
                return path
        if set(SUBJECT) <= form.keys():
            return pair_url(form["model"], form["complexity"])
        return action.page


def _actions() -> Mapping[str, Action]:
    """Return the actions. They bring ingest and the rules, three MiB, which a dashboard without actions does not need."""
    from centralcloud.dashboard.actions.registry import ACTIONS

    return ACTIONS


def _path_of(address: str, front: Front) -> str:
    """Return the path and the query of an address of this server; empty for any other text."""
    try:
        came = urlsplit(address)
    except ValueError:  # brackets that hold no IPv6 address
        return ""
    here = f"{came.scheme}://{came.netloc}" in front.origins
    return f"{came.path}?{came.query}".rstrip("?") if here else ""


def _texts(values: Mapping[str, Any]) -> dict[str, str]:
    return {name: value[:_LONGEST] for name, value in values.items() if isinstance(value, str)}
