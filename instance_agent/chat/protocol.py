"""A protocol that clients speak, both ways: requests are read, answers and streams are written."""

from typing import Any, Final, Literal, Protocol

from msgspec import Struct

from instance_agent.chat.answers import ChatAnswer, StreamEvent
from instance_agent.chat.errors import ChatError
from instance_agent.chat.messages import ChatRequest, JsonObject

#: Bytes around the texts of a body: its fields, and the frames of each message and each tool.
_FRAME_BYTES: Final = 512
_MESSAGE_BYTES: Final = 64
_TOOL_BYTES: Final = 300
#: An escape such as \\u4f60 has 6 bytes, and 3 without it.
_ESCAPE_BYTES: Final = 3
#: More than any service answers; beyond it, numbers are as good as the same.
_MOST_CHOICES: Final = 100_000


class RequestHead(Struct, frozen=True, kw_only=True):
    """The parts of a request that routing needs, read without translating the rest.

    Attributes:
        model: as the client wrote it.
        text: the text of the last message of the user, for the classifier.
        inputs: kinds of input beside texts and images, sorted: ``audio``, ``documents``, ``video``.
        characters: length of the texts of all messages, for an estimate of tokens.
        unread: bytes of the body beyond these texts, their usual frames and images: tools, calls, schemas, documents, and
            letters that have more than one byte. Each may cost as much as a text.
        stored: whether it names content that the provider keeps, such as an earlier response: its length is not known.
        max_output_tokens: of each answer, at least 0; None without a limit.
        choices: answers that the client asks for.
        response_format: ``json_object``, ``json_schema`` or None.
        metadata: the client's own, texts only.
    """

    model: str
    text: str
    characters: int
    messages: int
    unread: int = 0
    stored: bool = False
    images: int = 0
    inputs: tuple[str, ...] = ()
    tools: int = 0
    stream: bool = False
    include_usage: bool = False
    max_output_tokens: int | None = None
    choices: int = 1
    response_format: Literal["json_object", "json_schema"] | None = None
    user: str | None = None
    metadata: dict[str, str] = {}


def output_limit(one: int | None, other: int | None = None) -> int | None:
    """Return the most tokens of an answer by fields that limit it: the greatest, as a service may read either of them.

    Servers of one's own read a negative number as no limit.
    """
    if one is None or other is None:
        found = other if one is None else one
        return None if found is None or found < 0 else found
    return None if one < 0 or other < 0 else max(one, other)


def choices_of(n: Any) -> int:
    """Return how many answers a field asks for: lenient services read 8.0 and "8" as 8; 1 for anything else."""
    if isinstance(n, str) and n.isascii() and n.isdecimal():
        n = int(n[:10])
    if isinstance(n, bool) or not isinstance(n, int | float) or not n > 1:
        return 1
    return int(min(n, _MOST_CHOICES))


def unread_bytes(body: bytes, characters: int, messages: int, *, tools: int = 0, media: int = 0) -> int:
    """Return `RequestHead.unread` of a body; `media`: bytes of its images."""
    known = characters + media + _FRAME_BYTES + _MESSAGE_BYTES * messages + _TOOL_BYTES * tools
    unread = len(body) - known
    return max(0, unread - _ESCAPE_BYTES * body.count(b"\\u")) if unread > 0 else 0


class StreamWriter(Protocol):
    """Writes the events of one answer as the bytes of the client's protocol."""

    def write(self, event: StreamEvent) -> bytes:
        """Return the bytes for `event`, empty for one that the protocol does not show, and after `StreamFailed`.

        Raise ChatError for an event that the protocol has no place for where it comes: the caller then ends the stream by
        `StreamFailed`, so that its record and the client say the same.
        """


class ClientProtocol(Protocol):
    """One client protocol; stateless."""

    name: str

    def read_head(self, body: bytes) -> RequestHead:
        """Read what routing needs; raise InvalidRequestError for a body that is not a request of this protocol."""

    def read_request(self, body: bytes) -> ChatRequest:
        """Read the whole request; raise InvalidRequestError, or UnsupportedFeatureError for what cannot be translated."""

    def read_schema(self, body: bytes) -> JsonObject | None:
        """Return the schema that the answer must have, None where none can be read. It raises nothing."""

    def write_answer(self, answer: ChatAnswer, *, model: str | None = None, created: int = 0) -> bytes:
        """Write a whole answer.

        `model` replaces the name of the model in it; `created` is a time in seconds since 1970, for protocols that show one.
        """

    def stream_writer(self, *, model: str | None = None, include_usage: bool = False, created: int = 0) -> StreamWriter:
        """Return a writer for one stream; `include_usage` as the client asked for it."""

    def write_error(self, error: ChatError, request_id: str | None = None) -> bytes:
        """Write the body of an error answer; its HTTP status is `error.status`."""
