"""Live updates: one WebSocket a viewer, through which the fragments come that have changed.

Not server-sent events: a browser opens six connections to an origin at most, so the seventh tab would hang.
"""

import asyncio
import json
from collections import defaultdict
from collections.abc import Callable
from typing import Any, Final

from aiohttp import WSCloseCode, web

from centralcloud.dashboard.reader.lookups import LookupFailedError
from centralcloud.dashboard.reader.reader import Reader
from centralcloud.dashboard.reader.snapshot import Snapshot
from centralcloud.dashboard.web.page import PageError
from centralcloud.dashboard.web.views import View
from centralcloud.runtime.logs import get_logger

log = get_logger(__name__)

#: Sent at least this often: a page that has heard nothing for 15 seconds greys its numbers.
_BEAT_SECONDS: Final = 5.0
#: A viewer that does not answer a ping is gone.
_PING_SECONDS: Final = 30.0
#: Nothing but control frames is expected from a viewer.
_MOST_BYTES: Final = 1024
#: Views that are kept up to date, each some 200 KB and 30 ms a second: anyone who may read can ask for another one.
MOST_LIVE_VIEWS: Final = 256


class _Viewer:
    """One open page. While a message to it is on its way, further ones wait: the next one then has everything."""

    def __init__(self, socket: web.WebSocketResponse, revision: int, is_welcome: Callable[[], bool]) -> None:
        self.socket = socket
        self.is_welcome = is_welcome
        self.revision = revision
        self.state = ""
        self.sent_at = 0.0
        self.sending: asyncio.Task[None] | None = None


class Hub:
    """All viewers of one event loop."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._viewers: dict[View, set[_Viewer]] = defaultdict(set)
        self._changed = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return sum(map(len, self._viewers.values()))

    def start(self) -> None:
        """Send what the reader publishes, until `close`."""

        def wake(_snapshot: Snapshot) -> None:
            self._loop.call_soon_threadsafe(self._changed.set)

        self._reader.on_snapshot = wake
        self._keep(self._loop.create_task(self._run()))

    async def close(self) -> None:
        """Close every socket, so that each page says at once that it reconnects."""
        self._reader.on_snapshot = None
        for task in list(self._tasks):
            task.cancel()
        everyone = [viewer for viewers in self._viewers.values() for viewer in viewers]
        closings = (each.socket.close(code=WSCloseCode.GOING_AWAY, message=b"the server stops") for each in everyone)
        await asyncio.gather(*closings, return_exceptions=True)

    async def serve(
        self, request: web.Request, view: View, revision: int, is_welcome: Callable[[], bool]
    ) -> web.StreamResponse:
        """Serve one viewer, whose page shows the view as of a revision, until it goes, or is not welcome any more."""
        if view not in self._viewers and len(self._viewers) >= MOST_LIVE_VIEWS:
            return web.Response(
                status=503,
                text=f"{MOST_LIVE_VIEWS} different pages are kept up to date: load this one again to update it\n",
            )
        socket = web.WebSocketResponse(heartbeat=_PING_SECONDS, max_msg_size=_MOST_BYTES, compress=False)
        await socket.prepare(request)
        viewer = _Viewer(socket, revision, is_welcome)
        self._viewers[view].add(viewer)
        self._reader.viewed()
        try:
            await self._refresh(view, {viewer})
            async for _ in socket:
                pass
        finally:
            self._viewers[view].discard(viewer)
            if not self._viewers[view]:
                del self._viewers[view]
        return socket

    async def _run(self) -> None:
        while True:
            try:
                async with asyncio.timeout(_BEAT_SECONDS):
                    await self._changed.wait()
            except TimeoutError:
                pass
            self._changed.clear()
            if self._viewers:
                self._reader.viewed()
            for view, viewers in list(self._viewers.items()):
                began = self._loop.time()
                await self._refresh(view, set(viewers))
                # As long as it took is for everything else: many views come later, and hold up no request.
                await asyncio.sleep(self._loop.time() - began)

    async def _refresh(self, view: View, viewers: set[_Viewer]) -> None:
        """Bring a view up to date, and send each of its viewers what it does not have."""
        snapshot = self._reader.snapshot
        try:
            await view.update(snapshot)
        except (PageError, LookupFailedError):
            pass  # it keeps what it shows; the state says why
        except Exception as error:  # noqa: BLE001 - one page must not stop the others
            log.error("dashboard_page_failed", page=view.page.name, error=repr(error))
        texts: dict[int, str] = {}
        for viewer in viewers:
            if viewer.sending is not None:
                continue
            state = state_of(snapshot)
            rests = viewer.revision == view.revision and viewer.state == state
            if rests and self._loop.time() - viewer.sent_at < _BEAT_SECONDS:
                continue
            if viewer.revision not in texts:
                texts[viewer.revision] = message(view, snapshot, viewer.revision)
            text = texts[viewer.revision]
            viewer.revision, viewer.state, viewer.sent_at = view.revision, state, self._loop.time()
            viewer.sending = self._keep(self._loop.create_task(self._send(viewer, text)))

    async def _send(self, viewer: _Viewer, text: str) -> None:
        try:
            if viewer.is_welcome():
                await viewer.socket.send_str(text)
            else:  # the login has ended: the page is loaded again, and leads to a new one
                await viewer.socket.close(code=WSCloseCode.POLICY_VIOLATION, message=b"the login has ended")
        except (ConnectionError, RuntimeError):
            pass  # the viewer is gone, which its own task notices
        finally:
            viewer.sending = None

    def _keep(self, task: asyncio.Task[None]) -> asyncio.Task[None]:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def message(view: View, snapshot: Snapshot, revision: int) -> str:
    """Return the message for a page of a revision: the state, the time of the data, and the fragments that have changed."""
    content: dict[str, Any] = {
        "state": state_of(snapshot),
        "read_at": snapshot.read_at.isoformat() if snapshot.read_at else None,
        "revision": view.revision,
        "fragments": view.changes_since(revision),
    }
    if snapshot.outage:
        content["reason"] = snapshot.outage.reason
    return json.dumps(content, separators=(",", ":"))


def state_of(snapshot: Snapshot) -> str:
    """Return the state of the data: ``live``, ``unavailable``, or ``starting`` before the first read."""
    if snapshot.outage:
        return "unavailable"
    return "live" if snapshot.read_at else "starting"
