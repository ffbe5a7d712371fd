"""The policy of a request in its execution: tokens of the answer, a temperature, the time in the cache, the outcome."""

from typing import Any, Final

import msgspec
from msgspec.structs import replace

from instance_agent.chat.json_body import decode
from instance_agent.chat.protocol import ClientProtocol
from instance_agent.chat.protocols import OPENAI
from instance_agent.gateway.context import RequestContext
from instance_agent.providers.body_edit import replace_fields
from instance_agent.providers.errors import ProviderError

#: How long the outcome of a request waits for feedback where its policy learns from it, and the client says no time.
FEEDBACK_SECONDS: Final = 86_400.0
_FIELDS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_OF_CHAT: Final = ("max_completion_tokens", "max_tokens")
_OF_RESPONSES: Final = ("max_output_tokens",)


def limited(context: RequestContext, body: bytes, protocol: ClientProtocol, operation: str) -> bytes:
    """Return the client's body within the limits of the policy that the plan follows; the same bytes where it is.

    The head of the context gets the limit, too.
    """
    settings, head = context.plan.settings if context.plan is not None else None, context.head
    if settings is None or head is None:
        return body
    most, asked = settings.max_tokens, head.max_output_tokens
    lowers = most is not None and (asked is None or asked > most)
    if not lowers and settings.temperature is None:  # most requests: their bodies are not read again
        return body
    if context.operation == "count_tokens":  # it has no answer, and providers refuse the fields there
        return body
    given = decode(body, _FIELDS)
    changed: dict[str, Any] = {}
    if settings.temperature is not None and "temperature" not in given:
        changed["temperature"] = settings.temperature
    if lowers:
        names = _OF_RESPONSES if operation == "responses" else _OF_CHAT if protocol is OPENAI else ("max_tokens",)
        known = [name for name in names if name in given]
        changed |= dict.fromkeys(known or [_field(context) if names is _OF_CHAT else names[0]], most)
        context.head = replace(head, max_output_tokens=most)
    return replace_fields(body, changed) if changed else body


def is_compared(context: RequestContext) -> bool:
    """Return whether a request counts in an experiment."""
    return context.plan is not None and context.plan.arm_share is not None


def cache_seconds(context: RequestContext) -> float | None:
    """Return how long the answer to a request is kept, by its policy, else its workspace; None: as the gateway is set.

    That to a request that is compared is not kept, and none answers it: control has more sessions, and so would find more.
    """
    if is_compared(context):
        return 0.0
    settings = context.plan.settings if context.plan is not None else None
    if settings is not None and settings.cache_seconds is not None:
        return settings.cache_seconds
    workspace = context.state.fleet.workspaces.get(context.principal.workspace or "")
    return None if workspace is None else workspace.cache_seconds


def cut_off_is_failure(context: RequestContext) -> bool:
    """Whether an answer that is cut off by its length is a failure of the model, as the policy of a request says."""
    settings = context.plan.settings if context.plan is not None else None
    return settings is not None and settings.cut_off_is_failure


def feedback_seconds(context: RequestContext) -> float | None:
    """Return how long the outcome waits for feedback: as the client says, else by its policy; None: it does not."""
    if context.feedback_seconds is not None:
        return context.feedback_seconds
    settings = context.plan.settings if context.plan is not None else None
    return FEEDBACK_SECONDS if settings is not None and settings.learn_from == "feedback" else None


def _field(context: RequestContext) -> str:
    """Return the field for the most tokens that the first target of the plan knows."""
    assert context.plan is not None
    try:
        return context.state.targets.ready(context.plan.first.target).upstream.max_tokens_field
    except ProviderError:
        return "max_tokens"
