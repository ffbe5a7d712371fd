"""One streamed attempt: opened until its first token, then read piece by piece."""

import asyncio
from contextlib import AbstractAsyncContextManager
from typing import Final

from instance_agent.chat.answers import Started
from instance_agent.chat.errors import ChatError
from instance_agent.execution.cost import OutputEstimate
from instance_agent.execution.operations import judged, pass_through, translate_chat, unread
from instance_agent.execution.pipes import collector_for, pipe_for
from instance_agent.execution.planned import PlannedCall
from instance_agent.execution.reporting import RunningAttempt
from instance_agent.execution.request import ExecutionRequest
from instance_agent.execution.targets import CallTarget
from instance_agent.execution.validators import AnswerChecks
from instance_agent.providers.calls import ProviderCalls
from instance_agent.providers.classification import unreadable
from instance_agent.providers.dialect import HttpCall
from instance_agent.providers.errors import ProviderError
from instance_agent.providers.transport import OpenCall

#: Wait for the end of the connection's answer after the end of the stream.
_END_SECONDS: Final = 0.5


def translate_stream(request: ExecutionRequest, target: CallTarget) -> HttpCall:
    """Return the call that asks for a stream."""
    return pass_through(request, target) if request.operation == "responses" else translate_chat(request, target)


class StreamAttempt:
    """A stream of one target. Every way out of it reports one outcome and releases the upstream."""

    def __init__(
        self,
        calls: ProviderCalls,
        call: PlannedCall,
        http: HttpCall,
        request: ExecutionRequest,
        running: RunningAttempt,
        deadline: float,
    ) -> None:
        """Prepare an attempt; `deadline` of its first token, a time of the event loop."""
        self.call = call
        self.losses = http.losses
        self.running = running
        self._request = request
        self._pipe, self._error_event = pipe_for(request, call.target)
        self._collector = collector_for(request)
        self._estimate = OutputEstimate()
        self._context: AbstractAsyncContextManager[OpenCall] = calls.open_stream(call.target.upstream, http, deadline)
        self._answer: OpenCall | None = None
        self._held: list[bytes] = []
        self._ended = False
        self._answered = False

    async def open(self) -> None:
        """Read until the first token; raise ProviderError or TimeoutError when there is none, with everything released.

        The bytes before the first token are held back, so that another target can still be tried.
        """
        try:
            answer = self._answer = await self._context.__aenter__()
            while not self._pipe.begun:
                self._held.append(self._take(await answer.next_piece()))
                if (error := self._pipe.error) is not None and not self._pipe.begun:
                    raise error if isinstance(error, ProviderError) else unread(self.call.target, error)
                if self._ended and not self._pipe.begun:
                    raise unreadable(self.call.target.upstream, "a stream without an answer")
            answer.lift_deadline()
            self.running.first_token()
        except BaseException:
            await self.release()
            raise

    async def read(self, checks: AnswerChecks) -> bytes:
        """Return the next bytes for the client, empty at the end. A failure is an event for the client, then the end."""
        try:
            if self._held:
                out = b"".join(self._held)
                self._held = []
                if self._pipe.error is not None:
                    return out + await self._failure()
                if self._pipe.completed:
                    self._complete(checks)
                if out:
                    return out
            answer = self._answer
            while answer is not None and not self._ended:
                out = self._take(await (_rest(answer) if self._pipe.completed else answer.next_piece()))
                if self._pipe.error is not None:
                    return out + await self._failure()
                if self._pipe.completed or self._ended:
                    # Reported before the last bytes are given out: a client that closes at the end has got everything.
                    self._complete(checks)
                if out:
                    return out
            if self.running.record is None:
                self._complete(checks)
            await self.release()
        except ProviderError as error:
            return await self._failure(error)
        except asyncio.CancelledError:
            self.abandon()
            await self.release()
            raise
        except BaseException as error:
            self.running.crashed(error, self._pipe.usage, self._estimate.tokens())
            await self.release()
            raise
        return b""

    @property
    def finished(self) -> bool:
        """Whether nothing follows what was read: the outcome is known, and the upstream is at its end."""
        answer = self._answer
        return answer is None or (self.running.record is not None and answer.at_end)

    def abandon(self) -> None:
        """Report that the client has gone, unless there was an outcome before."""
        if self.running.record is None:
            self.running.abandoned(self._pipe.usage, self._estimate.tokens())

    async def release(self) -> None:
        """Close the connection to the upstream, or give it back when the answer was read to its end."""
        answer, self._answer = self._answer, None
        self._ended = True
        if answer is not None:
            await self._context.__aexit__(None, None, None)

    def _take(self, piece: bytes) -> bytes:
        """Return the bytes for the client of a piece of the upstream's, which is empty at its end."""
        pipe = self._pipe
        try:
            if piece:
                out = pipe.feed(piece)
            else:
                self._ended = True
                out = pipe.close()
        except ProviderError:
            raise
        except Exception as error:
            raise unread(self.call.target, error) from error
        self._estimate.add(piece, pipe.output_characters)
        self._collector.add_all(pipe.events)
        if not self._answered:
            self._note_model()
        return out

    def _note_model(self) -> None:
        """Note which model answers: nearly always, the first piece says it."""
        for event in self._pipe.events:
            if type(event) is Started:
                self._answered = True
                self.running.recorder.answered_by(event.model, event.fingerprint)
                return

    async def _failure(self, error: ChatError | None = None) -> bytes:
        """End with an error in the midst of the answer: report it, and return its event for the client."""
        found = error or self._pipe.error or ChatError("the stream failed", error_kind="provider", status=502)
        if isinstance(found, ProviderError):
            found = found.after_first_byte()
        self.running.failed(found, self._pipe.usage, self._estimate.tokens())
        await self.release()
        return self._error_event(found)

    def _complete(self, checks: AnswerChecks) -> None:
        pipe = self._pipe
        verdict = judged(self._collector.answer(), self._request, checks)
        self.running.succeeded(pipe.usage, pipe.finish, output_tokens=self._estimate.tokens(), verdict=verdict)


async def _rest(answer: OpenCall) -> bytes:
    """Read on after the proper end, so that the connection can be used again; not for long."""
    if answer.at_end:
        return b""
    try:
        async with asyncio.timeout(_END_SECONDS):
            return await answer.next_piece()
    except (TimeoutError, ProviderError):
        return b""
