"""Requests to /api/route and /api/routing/test: read, checked, and turned into a chat. Pure."""

import contextlib
import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct

from centralcloud.contracts.errors import quote
from centralcloud.contracts.text import read_name
from instance_agent.catalog.aliases import AUTO
from instance_agent.chat.errors import InvalidRequestError, UnsupportedFeatureError
from instance_agent.chat.protocol import RequestHead
from instance_agent.chat.protocols import OPENAI
from instance_agent.gateway.api.requests import object_field, only_fields, text_field
from instance_agent.gateway.errors import InvalidFieldError

ROUTE_FIELDS: Final = ("id", "agentType", "workspaceId", "userId", "prompt", "parameters", "metadata", "model")
TEST_FIELDS: Final = (*ROUTE_FIELDS, "requestType")
_REQUEST_TYPES: Final = ("completion", "chat")
#: Fields of a chat that are not parameters here.
_FIXED: Final = ("model", "messages", "stream", "stream_options", "n")
_UPPER: Final = re.compile(r"(?<=[a-z0-9])([A-Z])")
_LONGEST_LABEL: Final = 200
_LONGEST_PROMPT: Final = 32 * 1024 * 1024
_ENCODER: Final = msgspec.json.Encoder()


class RouteRequest(Struct, frozen=True, kw_only=True):
    """A request to route a prompt.

    Attributes:
        id: the client's own; None without one.
        workspace, user_id: the tenant and its user, as the client says.
        body, head: the chat, in OpenAI's protocol.
        hints: for routing: the client's metadata, and the type of its agent.
        labels: kept in the events.
    """

    id: str | None
    workspace: str | None
    user_id: str | None
    body: bytes
    head: RequestHead
    hints: Mapping[str, Any]
    labels: Mapping[str, str]

    def __repr__(self) -> str:
        """Leave the prompt out: no log line shows one."""
        return f"RouteRequest(id={self.id!r}, workspace={self.workspace!r}, {len(self.body)} bytes)"


def read_route_request(value: Mapping[str, Any], *, testing: bool = False) -> RouteRequest:
    """Read the body of a request.

    Args:
        testing: it is planned only: it may have no prompt, and its request type stands outside of the metadata.

    Raises:
        InvalidFieldError: a field is invalid, unknown or missing; names its path.
    """
    only_fields(value, TEST_FIELDS if testing else ROUTE_FIELDS)
    prompt = text_field(value, "prompt", longest=_LONGEST_PROMPT)
    if prompt is None and not testing:
        raise InvalidFieldError("prompt", "prompt: found nothing, expected a text")
    metadata = object_field(value, "metadata")
    labels = {}
    for name, label in (("requestType", "request_type"), ("priority", "priority")):
        if (text := _label(metadata, name, "metadata")) is not None:
            labels[label] = text
    if testing and (text := _label(value, "requestType")) is not None:
        labels["request_type"] = text
    if labels.get("request_type", "chat") not in _REQUEST_TYPES:
        field = "requestType" if "requestType" in value else "metadata.requestType"
        expected = f"{' or '.join(_REQUEST_TYPES)}; POST /v1/embeddings makes embeddings"
        raise InvalidFieldError(field, f"{field}: found {quote(labels['request_type'])}, expected {expected}")
    own_id = _label(value, "id")
    if own_id is not None:
        labels["client_request_id"] = own_id
    agent_type = _label(value, "agentType")
    body, names = _chat(prompt or "", object_field(value, "parameters"), text_field(value, "model", longest=512))
    try:
        head = OPENAI.read_head(body)
        with contextlib.suppress(UnsupportedFeatureError):  # a target of the same protocol may have it
            OPENAI.read_request(body)
    except InvalidRequestError as error:
        name = (error.param or "").partition(".")[0].partition("[")[0]
        field = f"parameters.{names.get(name, name)}"
        raise InvalidFieldError(field, f"{field}: {error.message}") from None
    return RouteRequest(
        id=own_id,
        workspace=_label(value, "workspaceId"),
        user_id=_label(value, "userId"),
        body=body,
        head=head,
        hints=metadata if agent_type is None else {**metadata, "agentType": agent_type},
        labels=labels,
    )


def _chat(prompt: str, parameters: Mapping[str, Any], model: str | None) -> tuple[bytes, dict[str, str]]:
    """Return the body of a chat, and the client's name of each of its parameters."""
    names: dict[str, str] = {}
    chat: dict[str, Any] = {"model": model or AUTO, "messages": [{"role": "user", "content": prompt}]}
    for name, value in parameters.items():
        sent_as = _UPPER.sub(r"_\1", name).lower()
        if sent_as in _FIXED:
            expected = "a parameter of the model, such as temperature or maxTokens"
            raise InvalidFieldError(
                f"parameters.{name}", f"parameters.{name}: found {quote(value)}, expected {expected}"
            )
        names[sent_as] = name
        chat[sent_as] = value
    return _ENCODER.encode(chat), names


def _label(value: Mapping[str, Any], name: str, path: str = "") -> str | None:
    """Return a text that events can keep."""
    text = text_field(value, name, path, longest=_LONGEST_LABEL)
    label = None if text is None else read_name(text, _LONGEST_LABEL)
    if text is not None and not label:
        field = f"{path}.{name}" if path else name
        expected = f"a text of at most {_LONGEST_LABEL} characters, none of them a control or invisible one"
        raise InvalidFieldError(field, f"{field}: found {quote(text)}, expected {expected}")
    return label
