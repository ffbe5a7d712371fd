"""The caller's own names in a request, for its events: user, worker and task; and its objective, where that is stored."""

from collections.abc import Mapping
from typing import Any, Final

from centralcloud.contracts.text import read_name
from instance_agent.chat.protocol import RequestHead
from instance_agent.gateway.context import RequestContext
from instance_agent.gateway.errors import GatewayError

_LONGEST: Final = 200
#: In the client's metadata, the first one that has a value.
_WORKER: Final = ("worker",)
_TASK_ID: Final = ("task_id", "taskId")


def label_request(
    context: RequestContext,
    head: RequestHead,
    headers: Mapping[str, str],
    metadata: Mapping[str, Any],
    *,
    store_objective: bool,
) -> None:
    """Note in the context who asks, and for which task. A user that the context has already stays.

    Args:
        headers: of the client; they come before its metadata.
        metadata: of the body. Applications use such names for anything: a value that cannot be a name is ignored.
        store_objective: whether events have the begin of the text.

    Raises:
        GatewayError: a header is not a text of at most 200 characters.
    """
    if context.user_id is None:
        context.user_id = _label(head.user)
    context.worker = _header(headers, "x-centralcloud-worker") or _first(metadata, _WORKER)
    context.task_id = _header(headers, "x-centralcloud-task-id") or _first(metadata, _TASK_ID)
    if store_objective:
        # Neither half a pair of surrogates nor a zero can be stored.
        text = head.text[:_LONGEST].encode("utf-8", "replace").decode().replace("\0", "")
        context.objective = text or None


def _header(headers: Mapping[str, str], name: str) -> str | None:
    text = headers.get(name)
    if not text:
        return None
    label = _label(text)
    if label is None:
        expected = f"a text of at most {_LONGEST} characters, none of them a control or invisible one"
        message = f"header {name}: found another value, expected {expected}"
        raise GatewayError(message, status=400, code="invalid_request")
    return label


def _first(metadata: Mapping[str, Any], names: tuple[str, ...]) -> str | None:
    return (
        next((label for name in names if (label := _label(metadata.get(name))) is not None), None) if metadata else None
    )


def _label(value: Any) -> str | None:
    return (read_name(value, _LONGEST) or None) if isinstance(value, str) else None
