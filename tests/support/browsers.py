"""A browser for tests, and the dashboards that it opens."""

import re
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Final, Self
from urllib.error import HTTPError
from urllib.request import urlopen

from centralcloud.dashboard.pages.registry import PAGES
from centralcloud.dashboard.web.paths import Paths
from support.programs import Program
from support.waiting import eventually

#: For Debian's Chromium in a container. It asks no other server than the one under test.
FLAGS: Final = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
#: The rules of axe-core that the pages keep: WCAG 2.2, A and AA, and its best practices.
_AXE_TAGS: Final = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
_HREF: Final = re.compile(r'href="(/[^"#]*)"')


class Site:
    """A running dashboard.

    Attributes:
        url: without a slash at the end.
        database_url: of its database.
    """

    def __init__(self, program: Program, database_url: str, *, wait_for: str = 'data-state="live"') -> None:
        """Wait until the Overview contains a text."""
        self.program = program
        self.database_url = database_url
        program.wait_for("dashboard_started")
        started = next(line for line in program.log() if line["event"] == "dashboard_started")
        self.url: str = started["url"].rstrip("/")
        eventually(lambda: wait_for in self.html("/"), what=f"{wait_for!r} in the Overview")

    def html(self, path: str) -> str:
        """Return a page as it is without a script."""
        try:
            with urlopen(self.url + path, timeout=10) as answer:
                return str(answer.read().decode())
        except HTTPError as error:
            with error:
                return str(error.read().decode())

    def paths(self) -> list[str]:
        """Return an address of every page: of those that are not in the navigation, one that another page links to."""
        found, paths = {page.path: page.path for page in PAGES if page.in_navigation}, Paths(PAGES)
        links = [link.replace("&amp;", "&") for path in list(found) for link in _HREF.findall(self.html(path))]
        for page in PAGES:
            if not page.in_navigation:
                linked = (link for link in links if (it := paths.find(link.split("?")[0])) and it.page is page)
                if (address := next(linked, None)) is not None:
                    found[page.path] = address
        return list(found.values())


def start_dashboard(
    start: Callable[..., Program],
    database_url: str,
    *arguments: str,
    wait_for: str = 'data-state="live"',
    **env: str,
) -> Site:
    """Start a dashboard on a free port, and wait until its Overview contains a text: else until the database was read."""
    variables = {"DATABASE_URL": database_url, "CENTRALCLOUD_DASHBOARD_LOG_FORMAT": "json", **env}
    return Site(
        start("centralcloud", "dashboard", "--port", "0", *arguments, **variables), database_url, wait_for=wait_for
    )


#: The complaint about a page that was left while its socket was opening.
_LEFT_EARLY = "WebSocket is closed before the connection is established"


class Visit:
    """Opens pages. At the end each must have been without complaint: no error in the console, no refused content.

    Attributes:
        complaints: of all pages.
        messages: that came through the sockets of all pages.
    """

    def __init__(self, browser: Any) -> None:
        self._browser = browser
        self._contexts: list[Any] = []
        self.complaints: list[str] = []
        self.messages: list[str] = []

    def context(self, **options: Any) -> Any:
        """Return a new context: cookies and storage of its own."""
        values = {"viewport": {"width": 1440, "height": 900}, **options}
        self._contexts.append(self._browser.new_context(**values))
        return self._contexts[-1]

    def open(self, url: str, *, live: bool = True, context: Any = None, **options: Any) -> Any:
        """Open a page, and wait until it is live."""
        page = (context or self.context(**options)).new_page()
        page.set_default_timeout(10_000)
        self.watch(page)
        page.goto(url)
        if live:
            wait_for_state(page, "live")
        return page

    def violations(self, context: Any, addresses: Iterable[str], axe: str) -> dict[tuple[str, str], Any]:
        """Return what axe-core finds with every detail open: (address, rule) -> number of places, and some of them."""
        found = {}
        for address in addresses:
            page = context.new_page()
            page.goto(address)
            page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
            page.evaluate(axe)
            for violation in page.evaluate("(tags) => axe.run({runOnly: tags})", _AXE_TAGS)["violations"]:
                nodes = [(node["target"], node["failureSummary"][:300]) for node in violation["nodes"]]
                found[address, violation["id"]] = (len(nodes), nodes[:2])
            page.close()
        return found

    def watch(self, page: Any) -> None:
        """Note what a page complains about, and the messages that it gets."""
        page.on("websocket", lambda socket: socket.on("framereceived", lambda text: self.messages.append(str(text))))
        page.on("console", lambda each: self._note(page, each.text) if each.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: self._note(page, str(error)))
        page.on("dialog", lambda dialog: (self._note(page, f"a dialog: {dialog.message}"), dialog.dismiss()))

    def _note(self, page: Any, text: str) -> None:
        if _LEFT_EARLY in text:
            return
        self.complaints.append(f"{page.url}: {text}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for context in self._contexts:
            context.close()
        if error is None:
            assert self.complaints == []


def wait_for_state(page: Any, state: str, *, within_seconds: float = 10.0) -> None:
    """Wait until a page says that it is in a state. The word ``live`` comes only from a message of its socket."""
    words = {"unavailable": "no new data"}
    state_of_page = f'body[data-state="{state}"] #state:text-is("{words.get(state, state)}")'
    page.wait_for_selector(state_of_page, timeout=1000 * within_seconds, state="attached")
