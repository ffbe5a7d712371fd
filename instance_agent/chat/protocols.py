"""The client protocols that exist, by name."""

from typing import Final

from instance_agent.chat import anthropic_answer, anthropic_request, openai_answer, openai_request
from instance_agent.chat.answers import ChatAnswer
from instance_agent.chat.errors import ChatError
from instance_agent.chat.messages import ChatRequest, JsonObject
from instance_agent.chat.protocol import ClientProtocol, RequestHead, StreamWriter


class OpenAIChat:
    """OpenAI's Chat Completions."""

    name: str = "openai"

    def read_head(self, body: bytes) -> RequestHead:
        """Read what routing needs."""
        return openai_request.read_head(body)

    def read_request(self, body: bytes) -> ChatRequest:
        """Read the whole request."""
        return openai_request.read_request(body)

    def read_schema(self, body: bytes) -> JsonObject | None:
        """Return the schema that the answer must have."""
        return openai_request.read_schema(body)

    def write_answer(self, answer: ChatAnswer, *, model: str | None = None, created: int = 0) -> bytes:
        """Write a whole answer."""
        return openai_answer.write_answer(answer, model=model, created=created)

    def stream_writer(self, *, model: str | None = None, include_usage: bool = False, created: int = 0) -> StreamWriter:
        """Return a writer for one stream."""
        return openai_answer.OpenAIStreamWriter(model=model, include_usage=include_usage, created=created)

    def write_error(self, error: ChatError, request_id: str | None = None) -> bytes:
        """Write the body of an error answer."""
        return openai_answer.write_error(error, request_id)


class AnthropicMessages:
    """Anthropic's Messages. Its streams always carry usage."""

    name: str = "anthropic"

    def read_head(self, body: bytes) -> RequestHead:
        """Read what routing needs."""
        return anthropic_request.read_head(body)

    def read_request(self, body: bytes) -> ChatRequest:
        """Read the whole request."""
        return anthropic_request.read_request(body)

    def read_schema(self, body: bytes) -> JsonObject | None:
        """Return the schema that the answer must have."""
        return anthropic_request.read_schema(body)

    def write_answer(self, answer: ChatAnswer, *, model: str | None = None, created: int = 0) -> bytes:
        """Write a whole answer."""
        return anthropic_answer.write_answer(answer, model=model, created=created)

    def stream_writer(
        self,
        *,
        model: str | None = None,
        include_usage: bool = False,
        created: int = 0,
    ) -> StreamWriter:
        """Return a writer for one stream."""
        return anthropic_answer.AnthropicStreamWriter(model=model)

    def write_error(self, error: ChatError, request_id: str | None = None) -> bytes:
        """Write the body of an error answer."""
        return anthropic_answer.write_error(error, request_id)


OPENAI: Final[ClientProtocol] = OpenAIChat()
ANTHROPIC: Final[ClientProtocol] = AnthropicMessages()
