"""Session affinity: the next turn of a conversation goes to the model that holds its prompt in its cache. Pure."""

import hashlib
from collections import OrderedDict
from typing import Final, NamedTuple

#: Sessions that a replica remembers; the one that was used longest ago is forgotten first.
_MAX_SESSIONS: Final = 10_000
#: Points of score (0 to 5) that a prompt cache is worth when it holds the whole prompt: another model must be better by
#: more. A tenth of the success probability, about the price of reading a prompt again without the cache.
CACHE_VALUE: Final = 0.5


class SessionEntry(NamedTuple):
    """The last turn of a session: the model that answered, and the tokens that its prompt cache may hold.

    Attributes:
        arm: experiment and treatment under which it was answered; None: as without an experiment. The session's model counts
            only under the same one: a treatment that has ended must not go on by its sessions' caches.
    """

    model: str
    tokens: int
    arm: tuple[str, str] | None = None


class SessionMemory:
    """The models of recent sessions: a bounded table of one replica. For one thread."""

    def __init__(self, limit: int = _MAX_SESSIONS) -> None:
        self._limit = limit
        self._entries: OrderedDict[str, SessionEntry] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, session: str) -> SessionEntry | None:
        """Return the last turn of a session; None for one that is not known."""
        entry = self._entries.get(session)
        if entry is not None:
            self._entries.move_to_end(session)
        return entry

    def record(self, session: str, model: str, tokens: int, arm: tuple[str, str] | None = None) -> None:
        """Remember that a model has answered a turn.

        Args:
            session: from `session_key`.
            model: the name of the model that answered, not the one that was planned.
            tokens: of the prompt and the answer.
            arm: experiment and treatment of the plan; None: control, or no experiment.
        """
        self._entries[session] = SessionEntry(model, max(0, tokens), arm)
        self._entries.move_to_end(session)
        if len(self._entries) > self._limit:
            self._entries.popitem(last=False)


def cache_loss(entry: SessionEntry, input_tokens: int) -> float:
    """Return the points of score that a session loses with its prompt cache: by the share of the prompt that it may hold.

    Args:
        entry: the last turn.
        input_tokens: of the prompt of the next turn, estimated; 0: unknown, all of it counts as cached.
    """
    share = min(1.0, entry.tokens / input_tokens) if input_tokens > 0 else 1.0
    return CACHE_VALUE * share


def session_key(workspace: str, session: str) -> str:
    """Return the key of a caller's session, as events carry it: 16 hexadecimal digits that do not show the session's id."""
    return hashlib.sha256(f"{workspace}\n{session}".encode(errors="replace")).hexdigest()[:16]
