"""The engine of a client: a thread with an event loop of its own, in which every model is called.

One loop for all callers: coroutines of any event loop and threads without one share the connections, the breakers and the
knowledge of what has failed. A program that calls `asyncio.run` several times keeps them, too.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Future
from typing import Any, Final, TypeVar

from centralcloud.contracts import CentralCloudError
from centralcloud.runtime.logs import get_logger
from centralcloud.runtime.process.lifecycle import at_exit, leave_behind
from instance_agent.client.calling import Calling
from instance_agent.client.decisions import Decisions
from instance_agent.client.deferred_events import DeferredEvents
from instance_agent.client.request import GenerationRequest
from instance_agent.client.result import GenerationResult
from instance_agent.client.usage_records import UsageRecords
from instance_agent.execution.walk import WalkSettings

log = get_logger(__name__)

_Value = TypeVar("_Value")
#: How long an end waits for the connections to close.
_CLOSE_SECONDS: Final = 5.0
_CLOSED: Final = "the client is closed, expected a new one"


class ClosedError(CentralCloudError):
    """The client was closed."""


class Engine:
    """Runs the requests of one client. The thread starts with the first one. Thread-safe; not for the child of a fork."""

    def __init__(self, decisions: Decisions, records: UsageRecords, walk: WalkSettings) -> None:
        self._decisions = decisions
        self._records = records
        self._walk = walk
        self._lock = threading.RLock()  # a finalizer may run in a thread that holds it
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._calling: Calling | None = None
        self._events: DeferredEvents | None = None
        self._closed = False
        self._cancel_exit: Callable[[], None] = lambda: None

    @property
    def closed(self) -> bool:
        """Whether `close` was called, or the thread has ended."""
        return self._closed

    def generate(self, request: GenerationRequest, request_id: str) -> "Future[GenerationResult]":
        """Start a request; raise ClosedError after `close`."""
        return self._submit(lambda calling: calling.generate(request, request_id))

    def look(self) -> "Future[Mapping[str, str]]":
        """Ask the local providers for their models; the result says why targets cannot be called for a while, by key.

        Raises ClosedError after `close`.
        """
        return self._submit(_look)

    def flush(self, timeout_seconds: float) -> bool:
        """Wait until every event was sent; True where none is sent."""
        events = self._events
        return events is None or events.flush(timeout_seconds)

    def close(self, *, wait: bool = True) -> None:
        """End the requests that run, close every connection, and send the last events. Safe to call twice.

        Args:
            wait: until that is done, at most 5 seconds. False: for a finalizer, which may run in any thread.
        """
        with self._lock:
            if self._closed:
                return
            self._closed = True
            loop, stop, thread, events = self._loop, self._stop, self._thread, self._events
        self._cancel_exit()
        if loop is not None and stop is not None:
            with contextlib.suppress(RuntimeError):  # it has ended by itself
                loop.call_soon_threadsafe(stop.set)
        if wait and thread is not None and thread is not threading.current_thread():
            thread.join(_CLOSE_SECONDS)
            if thread.is_alive():
                log.warning("client_not_closed", seconds=_CLOSE_SECONDS, effect="its connections end with the process")
        if events is not None:
            if wait:
                events.close()
            else:
                with contextlib.suppress(RuntimeError):  # the interpreter ends, and its own hook closes them
                    threading.Thread(target=events.close, name="client-close", daemon=True).start()

    def before_fork(self) -> None:
        """Let the sender of events finish its imports: a child cannot finish a module that is half imported."""
        if (events := self._events) is not None:
            events.wait_until_it_may_fork()

    def abandon(self) -> None:
        """Leave the thread, the connections and the events to the parent, in the child of a fork."""
        self._closed = True
        if self._events is not None:
            self._events.abandon()
        leave_behind(self)

    def _submit(self, work: Callable[[Calling], Coroutine[Any, Any, _Value]]) -> "Future[_Value]":
        self._start()
        with self._lock:  # nothing is submitted after the end has begun: it would never run
            if self._closed or self._loop is None or self._calling is None:
                raise ClosedError(_CLOSED)
            return asyncio.run_coroutine_threadsafe(work(self._calling), self._loop)

    def _start(self) -> None:
        with self._lock:
            if self._closed:
                raise ClosedError(_CLOSED)
            if self._thread is not None:
                return
            self._events = DeferredEvents.of_settings(self._decisions.settings)
            ready = threading.Event()
            thread = threading.Thread(target=self._run, args=(ready,), name="model-client", daemon=True)
            try:
                thread.start()
            except RuntimeError as error:
                raise ClosedError(f"no model can be called: {error}") from None
            self._thread = thread
            ready.wait()
            self._cancel_exit = at_exit(self.close)

    def _run(self, ready: threading.Event) -> None:
        try:
            with asyncio.Runner() as runner:
                runner.run(self._serve(ready))
        except BaseException as error:  # noqa: BLE001 - the end of the thread, which nothing else would report
            log.error("client_thread_failed", error=repr(error))
        finally:
            with self._lock:
                self._closed = True
            ready.set()

    async def _serve(self, ready: threading.Event) -> None:
        """Keep the loop until `close`; then end what runs in it."""
        stop = asyncio.Event()
        calling = Calling(self._decisions, self._records, self._events, self._walk)
        self._loop, self._stop, self._calling = asyncio.get_running_loop(), stop, calling
        ready.set()
        try:
            await stop.wait()
        finally:
            calling.stop()
            own = asyncio.current_task()
            others = [task for task in asyncio.all_tasks() if task is not own]
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)
            await calling.close()


async def _look(calling: Calling) -> Mapping[str, str]:
    await calling.look()
    return await calling.unavailable()
