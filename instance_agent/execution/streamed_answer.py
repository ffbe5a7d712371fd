"""A stream for the client, with comments that keep its connection open until the first token is there."""

import asyncio
from types import TracebackType
from typing import Final, Self

from instance_agent.chat.errors import ChatError
from instance_agent.execution.attempts import Attempt
from instance_agent.execution.planned import PlannedCall
from instance_agent.execution.request import ExecutionRequest
from instance_agent.execution.settings import ExecutionSettings
from instance_agent.execution.streaming import StreamAttempt

KEEP_ALIVE: Final = b": keep-alive\n\n"


class StreamedAnswer:
    """A stream for the client. Use it as a context: leaving it early means that the client has gone."""

    def __init__(
        self,
        opened: StreamAttempt | None,
        opening: "asyncio.Task[StreamAttempt] | None",
        request: ExecutionRequest,
        settings: ExecutionSettings,
    ) -> None:
        self._opened = opened
        self._opening = opening
        self._request = request
        self._settings = settings
        self._ended = False
        self._due = opening is not None

    @property
    def call(self) -> PlannedCall | None:
        """The target that answers; None before the first token (keep-alive comments)."""
        return self._opened.call if self._opened else None

    @property
    def decision_id(self) -> str | None:
        """The id of the attempt that answers, likewise."""
        return self._opened.running.recorder.decision_id if self._opened else None

    @property
    def losses(self) -> tuple[str, ...]:
        """Fields of the request that the target has no place for."""
        return self._opened.losses if self._opened else ()

    @property
    def attempt(self) -> Attempt | None:
        """The record of the attempt that answers, with its cost, once the last bytes were read."""
        return self._opened.running.record if self._opened else None

    @property
    def finished(self) -> bool:
        """Whether nothing follows what was read last, and nothing is left to read of the upstream's answer."""
        return self._opened is not None and self._opened.finished

    async def read(self) -> bytes:
        """Return the next bytes for the client, empty at the end."""
        if self._ended:
            return b""
        if self._opening is not None:
            out = await self._await_opening(self._opening)
            if out is not None:
                return out
        if self._opened is None:
            return b""
        out = await self._opened.read(self._settings.checks)
        self._ended = not out
        return out

    async def close(self) -> None:
        """Release everything. Before the end, the attempt counts as abandoned by the client."""
        self._ended = True
        opening, self._opening = self._opening, None
        if opening is not None:
            await cancel_opening(opening)
        if self._opened is not None:
            self._opened.abandon()
            await self._opened.release()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _await_opening(self, opening: "asyncio.Task[StreamAttempt]") -> bytes | None:
        """Return a comment when one is due, the error's event after a failure, None once the stream is open."""
        if self._due:
            self._due = False
            return KEEP_ALIVE
        await asyncio.wait({opening}, timeout=self._settings.keep_alive_seconds)
        if not opening.done():
            return KEEP_ALIVE
        self._opening = None
        try:
            self._opened = opening.result()
        except ChatError as error:
            # The status 200 is sent: the error is an event.
            self._ended = True
            return self._request.stream_error(error)
        return None


async def cancel_opening(opening: "asyncio.Task[StreamAttempt]") -> None:
    """Cancel the opening of a stream, and release its upstream even where the stream has just been opened."""
    opening.cancel()
    await asyncio.wait({opening})
    if not opening.cancelled() and opening.exception() is None:
        opened = opening.result()
        opened.abandon()
        await opened.release()
