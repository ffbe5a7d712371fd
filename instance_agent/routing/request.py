"""A request as routing sees it, and the health of targets. Pure."""

from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct

from instance_agent.catalog.aliases import AUTO
from instance_agent.catalog.model import ModelType
from instance_agent.routing.spend import NO_SPEND, SpendView
from instance_agent.routing.task import NO_HINTS, TaskHints


class RoutingRequest(Struct, frozen=True, kw_only=True):
    """A request, as far as its plan depends on it.

    Attributes:
        model: the name that the client sent: a model, an alias, ``auto``, ``auto:COMPLEXITY``,
            ``policy:NAME`` or ``PROVIDER/MODEL``.
        asked: the name that scopes of experiments compare in its place, for a program that sets `model` itself; None: it.
        headers, metadata: the hints of the caller.
        text: for the classifier, usually the last messages of the user; None: it is not asked.
        needs: capabilities that the content of the request needs: ``vision`` with an image, ``function_calling`` with tools,
            ``json_schema`` with a schema for the answer. Sorted.
        input_tokens: of the prompt, estimated; 0: unknown.
        output_tokens: of each answer, that the client asks for at most; 0: unknown.
        choices: answers that it asks for.
        model_type: ``chat``, ``completion`` or ``embedding``.
        session: of the caller's conversation, from `session_key`; None: none.
        id: of the request; with the session it decides what is drawn for a share of a rule.
        workspace: the tenant; None: none.
        request_type: as the caller says, else `model_type`; for conditions of rules.
        tags: of the caller, for conditions of rules.
        characters: length of the texts, for conditions of rules.
        at: when it arrived, in seconds since 1970, for conditions of rules.
        spend: the targets that budgets leave out.
    """

    model: str = AUTO
    asked: str | None = None
    headers: TaskHints = NO_HINTS
    metadata: TaskHints = NO_HINTS
    text: str | None = None
    needs: tuple[str, ...] = ()
    input_tokens: int = 0
    output_tokens: int = 0
    choices: int = 1
    model_type: ModelType = "chat"
    session: str | None = None
    id: str | None = None
    workspace: str | None = None
    request_type: str | None = None
    tags: tuple[str, ...] = ()
    characters: int = 0
    at: float = 0.0
    spend: SpendView = NO_SPEND

    def __repr__(self) -> str:
        """Leave the text out: no log line shows a prompt."""
        shown = (f"{name}={getattr(self, name)!r}" for name in self.__struct_fields__ if name != "text")
        return f"RoutingRequest({', '.join(shown)}, text of {len(self.text or '')} characters)"

    __str__ = __repr__

    def __rich_repr__(self) -> list[tuple[str, Any]]:  # the inherited one shows the text
        return [(name, getattr(self, name)) for name in self.__struct_fields__ if name != "text"]


class HealthView(Struct, frozen=True, kw_only=True):
    """The health of targets at one moment. Build a new one when it changes, and pass the same one until then.

    Attributes:
        breaker_open: the keys of the targets whose circuit breaker is open; a half-open one is not in it.
        unhealthy: why a model (by its name) or a target (by its key) is unhealthy, as it was posted or checked.
        latency_ms: the time of a whole answer by the key of the target, where this replica has measured it: 95% of the last
            ones took at most so long.
        output_tokens: the tokens of an answer, likewise.
    """

    breaker_open: frozenset[str] = frozenset()
    unhealthy: Mapping[str, str] = {}
    latency_ms: Mapping[str, float] = {}
    output_tokens: Mapping[str, int] = {}


ALL_HEALTHY: Final = HealthView()
