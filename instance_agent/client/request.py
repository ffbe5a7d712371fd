"""A request of a Python caller: its arguments, checked, as routing and execution need them. Pure."""

import threading
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, Final

import msgspec
from msgspec import Struct

from centralcloud.contracts.errors import quote
from centralcloud.contracts.task_classifier import level_of
from centralcloud.runtime.logs import get_logger
from instance_agent.catalog.aliases import AUTO
from instance_agent.chat.errors import InvalidRequestError
from instance_agent.chat.protocols import OpenAIChat
from instance_agent.routing.affinity import session_key
from instance_agent.routing.errors import RoutingError
from instance_agent.routing.request import RoutingRequest
from instance_agent.routing.task import TaskHints, estimate_tokens, hints_from_metadata

log = get_logger(__name__)

#: Keys of a context that have a meaning here; agents carry others for themselves.
CONTEXT_KEYS: Final = (
    "agent_type", "capabilities", "complexity", "force_model", "max_tokens", "session", "system", "task_type", "temperature",
)  # fmt: skip
_LONGEST_SESSION: Final = 512
_MOST_WARNED: Final = 100
_LONGEST_KEY: Final = 100
_warned: set[str] = set()
_lock: Final = threading.Lock()


class LibraryChat(OpenAIChat):
    """The form in which the library gives its own requests to execution: OpenAI's, translated for every provider.

    It is never forwarded as it is: services of OpenAI's protocol have different names for the limit of an answer.
    """

    name: str = "library"


LIBRARY: Final = LibraryChat()


class GenerationRequest(Struct, frozen=True, kw_only=True):
    """A request that was checked. Its `repr` does not show the prompt.

    Attributes:
        prompt: the text for the model.
        hints: of the caller about the task.
        force_model: as the caller named it; None: none.
        system: instructions before the prompt; None: none.
        max_tokens: most tokens of an answer; None: as the provider has it.
        temperature: 0 to 2; None: as the provider has it.
        session: key of the caller's conversation; None: none.
    """

    prompt: str
    hints: TaskHints
    force_model: str | None = None
    system: str | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    session: str | None = None

    @property
    def level(self) -> str | None:
        """The complexity in one of three words; None where the caller says nothing."""
        number = self.hints.complexity
        return self.hints.level if number is None else level_of(number)

    def body(self) -> bytes:
        """Return the request in the form of `LIBRARY`."""
        messages = [] if self.system is None else [{"role": "system", "content": self.system}]
        messages.append({"role": "user", "content": self.prompt})
        body: dict[str, Any] = {"model": self.force_model or AUTO, "messages": messages}
        if self.max_tokens is not None:
            body["max_tokens"] = self.max_tokens
        if self.temperature is not None:
            body["temperature"] = self.temperature
        return msgspec.json.encode(body)

    def routing(self, model: str, request_id: str, at: float, *, asked: str | None = None) -> RoutingRequest:
        """Return the request as routing needs it.

        Args:
            model: a name of a model or of a policy.
            asked: the name for scopes of experiments, where that is another one.
        """
        characters = len(self.prompt) + len(self.system or "")
        return RoutingRequest(
            model=model,
            asked=asked,
            metadata=self.hints,
            text=self.prompt,
            input_tokens=estimate_tokens(characters),
            output_tokens=self.max_tokens or 0,
            session=self.session,
            id=request_id,
            request_type="chat",
            characters=characters,
            at=at,
        )

    def __repr__(self) -> str:
        """Leave the texts out: no log line shows a prompt."""
        return f"GenerationRequest(prompt of {len(self.prompt)} characters, {self.hints!r}, {self.force_model!r})"

    __str__ = __repr__

    def __rich_repr__(self) -> list[tuple[str, Any]]:  # the inherited one shows the texts
        return [("hints", self.hints), ("force_model", self.force_model)]


def read_request(prompt: Any, task_type: Any = None, complexity: Any = None, context: Any = None) -> GenerationRequest:
    """Return a request of these arguments; those that are None are taken from the context.

    Raises:
        InvalidRequestError: an argument is not valid; one line that names it.
    """
    if not isinstance(prompt, str) or not prompt.strip():
        shown = "an empty text" if isinstance(prompt, str) else type(prompt).__name__
        raise InvalidRequestError(f"prompt: found {shown}, expected a text", param="prompt")
    given = _context(context)
    asked = {
        "complexity": given.get("complexity") if complexity is None else complexity,
        "task_type": given.get("task_type") if task_type is None else task_type,
        "agent_type": given.get("agent_type"),
        "capabilities": given.get("capabilities"),
    }
    try:
        hints = hints_from_metadata({name: value for name, value in asked.items() if value is not None})
    except RoutingError as error:
        raise InvalidRequestError(str(error).replace("metadata.", "", 1)) from None
    session = _text(given, "session", _LONGEST_SESSION)
    return GenerationRequest(
        prompt=prompt,
        hints=hints,
        force_model=_text(given, "force_model", _LONGEST_SESSION),
        system=_text(given, "system", None),
        max_tokens=_max_tokens(given.get("max_tokens")),
        temperature=_temperature(given.get("temperature")),
        session=None if session is None else session_key("", session),
    )


def _context(context: Any) -> Mapping[str, Any]:
    if context is None:
        return {}
    if not isinstance(context, Mapping):
        raise InvalidRequestError(
            f"context: found {type(context).__name__}, expected a dictionary with keys such as complexity",
            param="context",
        )
    for key in context:
        if key not in CONTEXT_KEYS:
            _warn_once(str(key))
    return context


def _warn_once(key: str) -> None:
    """Log a key that looks like a misspelled one, once: it would change the routing without a word."""
    near = get_close_matches(key[:_LONGEST_KEY], CONTEXT_KEYS, n=1, cutoff=0.75)
    if not near:  # an agent's own
        return
    with _lock:
        if key in _warned or len(_warned) >= _MOST_WARNED:
            return
        _warned.add(key)
    log.warning("context_key_unknown", key=key, meant=near[0], effect="none")


def _text(given: Mapping[str, Any], name: str, longest: int | None) -> str | None:
    value = given.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or not value.strip() or (longest is not None and len(value) > longest):
        limit = "" if longest is None else f" of 1 to {longest} characters"
        found = quote(value) if longest is not None or not isinstance(value, str) else "an empty text"
        raise InvalidRequestError(f"context.{name}: found {found}, expected a text{limit}", param=name)
    return value


def _max_tokens(value: Any) -> int | None:
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 1):
        return value
    raise InvalidRequestError(
        f"context.max_tokens: found {quote(value)}, expected a whole number from 1 on", param="max_tokens"
    )


def _temperature(value: Any) -> float | None:
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 2):
        return value
    raise InvalidRequestError(
        f"context.temperature: found {quote(value)}, expected a number from 0 to 2", param="temperature"
    )
