"""Sessions of users who logged in, in memory: they end with the process. Pure: the time is passed in.

A session's id is 256 random bits and known to the browser alone: this process keeps its SHA-256.
"""

import hashlib
import secrets
from dataclasses import dataclass
from typing import Final

_ID_BYTES: Final = 32
MOST_SESSIONS: Final = 1000
#: One user has at most so many, one a browser.
MOST_OF_A_USER: Final = 20


@dataclass(slots=True)
class Session:
    """One login.

    Attributes:
        user: its name.
        credential: the user's password as it was hashed then; after a change the session has ended.
        token: for the forms of its pages.
        created: time of the login, in seconds.
        used: time of the newest request, in seconds.
    """

    user: str
    credential: str
    token: str
    created: float
    used: float


class Sessions:
    """Every session. Times are seconds of one clock that never goes back."""

    def __init__(self, *, lifetime_seconds: float, idle_seconds: float, most: int = MOST_SESSIONS) -> None:
        """Create it empty.

        Args:
            lifetime_seconds: after which a session ends.
            idle_seconds: without a request, after which it ends.
            most: sessions; one more ends the one that was used longest ago.
        """
        self._lifetime_seconds = lifetime_seconds
        self._idle_seconds = idle_seconds
        self._most = most
        self._sessions: dict[bytes, Session] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    def create(self, user: str, credential: str, now: float) -> tuple[str, Session]:
        """Begin a session; return its id and itself. The id is always a new one."""
        self._make_room(user, now)
        session_id = secrets.token_urlsafe(_ID_BYTES)
        session = Session(user, credential, secrets.token_urlsafe(_ID_BYTES), now, now)
        self._sessions[_key(session_id)] = session
        return session_id, session

    def find(self, session_id: str, now: float, *, used: bool = True) -> Session | None:
        """Return a session that has not ended; None: there is none of this id.

        Args:
            session_id: as the browser sent it.
            now: seconds.
            used: whether this counts as a request of its user.
        """
        key = _key(session_id)
        session = self._sessions.get(key)
        if session is None:
            return None
        if self._has_ended(session, now):
            del self._sessions[key]
            return None
        if used:
            session.used = now
        return session

    def remove(self, session_id: str) -> Session | None:
        """End a session, and return it; None: there was none."""
        return self._sessions.pop(_key(session_id), None)

    def _has_ended(self, session: Session, now: float) -> bool:
        return now - session.created >= self._lifetime_seconds or now - session.used >= self._idle_seconds

    def _make_room(self, user: str, now: float) -> None:
        self._sessions = {key: each for key, each in self._sessions.items() if not self._has_ended(each, now)}
        of_user = {key: each for key, each in self._sessions.items() if each.user == user}
        if len(of_user) >= MOST_OF_A_USER:
            del self._sessions[min(of_user, key=lambda key: of_user[key].used)]
        if len(self._sessions) >= self._most:
            del self._sessions[min(self._sessions, key=lambda key: self._sessions[key].used)]


def _key(session_id: str) -> bytes:
    return hashlib.sha256(session_id.encode("utf-8", "surrogatepass")).digest()
