"""A chat answer in its neutral form: whole, or as the events of a stream."""

from typing import Literal, TypeAlias

from msgspec import Struct

from instance_agent.chat.errors import ChatError
from instance_agent.chat.messages import TextPart, ThinkingPart, ToolCallPart

FinishReason: TypeAlias = Literal["stop", "stop_sequence", "length", "tool_calls", "content_filter", "other"]
"""Why the model stopped.

``length`` is a limit of tokens or of the context, ``content_filter`` a filter or the model's refusal, ``other`` a reason
without an equivalent (its name is in `raw`).
"""

AnswerPart: TypeAlias = TextPart | ThinkingPart | ToolCallPart


class Usage(Struct, frozen=True, kw_only=True):
    """The usage that a provider reported. A number that was not reported is None, never 0.

    Attributes:
        input_tokens: all tokens of the prompt, those read from or written to a cache included.
        output_tokens: all tokens of the answer, those of thoughts included.
        cached_tokens: tokens of the prompt that were read from the provider's cache.
        cache_write_tokens: tokens of the prompt that were written to it.
        reasoning_tokens: tokens of the answer that were thoughts.
        cost_nano_usd: the price that the provider reported, in 1e-9 USD (`usage.cost` of OpenRouter).
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None
    cost_nano_usd: int | None = None

    def merged(self, later: "Usage") -> "Usage":
        """Return this usage, with the numbers of `later` where it has them (the last report of a stream wins)."""
        return Usage(
            **{
                name: mine if (theirs := getattr(later, name)) is None else theirs
                for name in self.__struct_fields__
                for mine in (getattr(self, name),)
            }
        )


class ChatAnswer(Struct, frozen=True, kw_only=True):
    """A whole answer.

    Attributes:
        id: the provider's; empty when it gave none.
        model: the model that answered, in the provider's words; empty when it gave none.
        refusal: the model's words of refusal, where the protocol keeps them apart from text.
        stop_sequence: the text of `ChatRequest.stop` that ended the answer, where the provider says so.
        raw_finish: the provider's own word for `finish`.
        usage: None when the provider reported none.
        fingerprint: of the service's build, where the provider gives one (`system_fingerprint` of OpenAI).
    """

    id: str
    model: str
    parts: tuple[AnswerPart, ...]
    finish: FinishReason
    raw_finish: str | None = None
    stop_sequence: str | None = None
    refusal: str | None = None
    usage: Usage | None = None
    fingerprint: str | None = None

    @property
    def text(self) -> str:
        """The text of the answer, without thoughts and calls."""
        return "".join(part.text for part in self.parts if isinstance(part, TextPart))

    @property
    def tool_calls(self) -> tuple[ToolCallPart, ...]:
        """The calls of tools, in their order."""
        return tuple(part for part in self.parts if isinstance(part, ToolCallPart))


class Started(Struct, frozen=True, tag="started"):
    """The provider accepted the request. Not yet a token; input tokens may be known already."""

    id: str
    model: str
    usage: Usage | None = None
    fingerprint: str | None = None


class TextDelta(Struct, frozen=True, tag="text"):
    """More text of the answer."""

    text: str


class RefusalDelta(Struct, frozen=True, tag="refusal"):
    """More of the model's words of refusal."""

    text: str


class ThinkingDelta(Struct, frozen=True, tag="thinking"):
    """More thoughts. `signature` closes the thoughts so far; `redacted` stands for thoughts that the provider hides."""

    text: str = ""
    signature: str | None = None
    redacted: str | None = None


class ToolCallStarted(Struct, frozen=True, tag="tool_call_started"):
    """A call of a tool begins; `index` counts the calls of the answer from 0."""

    index: int
    id: str
    name: str
    signature: str | None = None


class ToolArgumentsDelta(Struct, frozen=True, tag="tool_arguments"):
    """More of the arguments (JSON text) of call `index`."""

    index: int
    text: str


class Finished(Struct, frozen=True, tag="finished"):
    """The model stopped. Usage may follow."""

    reason: FinishReason
    raw: str | None = None
    stop_sequence: str | None = None


class UsageReported(Struct, frozen=True, tag="usage"):
    """Usage so far; the last report of a stream holds."""

    usage: Usage


class Completed(Struct, frozen=True, tag="completed"):
    """The proper end of the stream. A stream without it was cut off."""


class StreamFailed(Struct, frozen=True, tag="failed"):
    """The stream failed; nothing follows. Before the first token it is as if the request had been refused."""

    error: ChatError


StreamEvent: TypeAlias = (
    Started
    | TextDelta
    | RefusalDelta
    | ThinkingDelta
    | ToolCallStarted
    | ToolArgumentsDelta
    | Finished
    | UsageReported
    | Completed
    | StreamFailed
)
