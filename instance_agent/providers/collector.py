"""Collects the events of a stream into a whole answer, for validators, caches and clients that did not ask for a stream."""

from typing import Final

from instance_agent.chat.answers import (
    AnswerPart,
    ChatAnswer,
    Completed,
    Finished,
    RefusalDelta,
    Started,
    StreamEvent,
    StreamFailed,
    TextDelta,
    ThinkingDelta,
    ToolArgumentsDelta,
    ToolCallStarted,
    Usage,
    UsageReported,
)
from instance_agent.chat.errors import ChatError
from instance_agent.chat.messages import TextPart, ThinkingPart, ToolCallPart

_NOT_SKETCHED: Final = (ThinkingDelta, Started, UsageReported, Completed)


class AnswerCollector:
    """Collects the events of one stream.

    A sketch keeps no thoughts, no usage, and of the text only that there is one: little memory for an answer of any length.
    Refusals and calls of tools are whole in it, and it does not note the proper end.

    Attributes:
        error: of `StreamFailed`; what came before it stays readable.
        completed: the stream had its proper end.
    """

    def __init__(self, *, sketch: bool = False) -> None:
        self._sketch = sketch
        self._seen_text = False
        self.error: ChatError | None = None
        self.completed = False
        self._id = ""
        self._model = ""
        self._texts: list[str] = []
        self._refusals: list[str] = []
        self._thoughts: list[ThinkingPart] = []
        self._open_thoughts: list[str] = []
        self._calls: dict[int, tuple[ToolCallStarted, list[str]]] = {}
        self._finish = Finished("other")
        self._usage: Usage | None = None

    def add_all(self, events: list[StreamEvent]) -> None:
        """Add the next events; a sketch passes quickly over those that it does not keep, which are most of them."""
        sketch = self._sketch
        for event in events:
            kind = type(event)
            if sketch and ((kind is TextDelta and self._seen_text) or kind in _NOT_SKETCHED):
                continue
            if kind is Finished:
                self._finish = event  # type: ignore[assignment]
            else:
                self.add(event)

    def add(self, event: StreamEvent) -> None:
        """Add the next event."""
        match event:
            case TextDelta():
                if not self._seen_text:
                    self._texts.append(event.text)
                    self._seen_text = self._sketch and bool(event.text.strip())
            case ToolArgumentsDelta():
                if event.index in self._calls:
                    self._calls[event.index][1].append(event.text)
            case ThinkingDelta():
                self._think(event)
            case RefusalDelta():
                self._refusals.append(event.text)
            case ToolCallStarted():
                self._calls[event.index] = (event, [])
            case Started():
                self._id, self._model = event.id, event.model
                self._merge(event.usage)
            case UsageReported():
                self._merge(event.usage)
            case Finished():
                self._finish = event
            case Completed():
                self.completed = True
            case StreamFailed():
                self.error = event.error

    def answer(self) -> ChatAnswer:
        """Return the answer so far: thoughts, text and calls in this order."""
        parts: list[AnswerPart] = list(self._thoughts)
        if self._open_thoughts:
            parts.append(ThinkingPart("".join(self._open_thoughts)))
        if any(self._texts):
            parts.append(TextPart("".join(self._texts)))
        parts += [ToolCallPart(c.id, c.name, "".join(pieces), c.signature) for c, pieces in self._calls.values()]
        return ChatAnswer(
            id=self._id,
            model=self._model,
            parts=tuple(parts),
            finish=self._finish.reason,
            raw_finish=self._finish.raw,
            stop_sequence=self._finish.stop_sequence,
            refusal="".join(self._refusals) or None,
            usage=self._usage,
        )

    def _think(self, event: ThinkingDelta) -> None:
        if event.redacted is not None:
            self._thoughts.append(ThinkingPart("", redacted=event.redacted))
            return
        self._open_thoughts.append(event.text)
        if event.signature is not None:
            self._thoughts.append(ThinkingPart("".join(self._open_thoughts), event.signature))
            self._open_thoughts = []

    def _merge(self, usage: Usage | None) -> None:
        if usage is not None:
            self._usage = self._usage.merged(usage) if self._usage else usage
