"""The check of a name and a password: the same work for every name, in few threads, and a limited number of times."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Final, NamedTuple

from centralcloud.dashboard.security.attempts import Attempts
from centralcloud.dashboard.security.known_browser import known_browser
from centralcloud.dashboard.security.passwords import LONGEST
from centralcloud.dashboard.security.user_list import UserList
from centralcloud.dashboard.security.users_file import User
from centralcloud.runtime.logs import get_logger

log = get_logger(__name__)

#: Hashes at the same time: 64 MiB with the default cost.
MOST_AT_ONCE: Final = 2
#: Tries that wait for one of them; a second or two.
_MOST_WAITING: Final = 8
#: More that may wait from browsers that are known: others do not take their places.
_MOST_KNOWN_WAITING: Final = 4
_BUSY_SECONDS: Final = 5.0


class Checked(NamedTuple):
    """The result of a try.

    Attributes:
        user: who logs in; None: no one.
        wait_seconds: until a try is possible again; 0: this one was made.
    """

    user: User | None
    wait_seconds: float = 0.0


class PasswordCheck:
    """Checks names and passwords. Belongs to one event loop."""

    def __init__(self, users: UserList, attempts: Attempts) -> None:
        """Create it; starts a thread with the first check."""
        self._users = users
        self._attempts = attempts
        self._threads = ThreadPoolExecutor(MOST_AT_ONCE, thread_name_prefix="dashboard-login")
        self._running = 0

    def close(self) -> None:
        """End its threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def check(self, name: str, password: str, address: str, now: float, mark: str = "") -> Checked:
        """Return the user if the password is right. Takes 0.2 seconds for each name, known or not.

        Args:
            name: as typed.
            password: as typed.
            address: of the client.
            now: seconds of one clock that never goes back.
            mark: of the browser, from a login before; empty: it has none.
        """
        browser = known_browser(mark, self._users.find(name))
        if self._running >= MOST_AT_ONCE + _MOST_WAITING + (_MOST_KNOWN_WAITING if browser else 0):
            log.warning("dashboard_login_limited", address=address, reason="too many tries at the same time")
            return Checked(None, _BUSY_SECONDS)
        if (wait := self._attempts.begin(name, address, now, browser)) > 0:
            log.warning("dashboard_login_limited", address=address, reason="too many tries in a minute")
            return Checked(None, wait)
        self._running += 1
        try:
            right = await self._is_right(name, password)
        finally:
            self._running -= 1
        if right is None:
            # An unknown name is sometimes a password, typed in the wrong field.
            user = name if self._users.find(name) is not None else "(unknown)"
            log.warning("dashboard_login_failed", user=user, address=address)
            return Checked(None)
        self._attempts.succeeded(name, address, browser)
        log.info("dashboard_login", user=right.name, role=right.role, address=address)
        return Checked(right)

    async def _is_right(self, name: str, password: str) -> User | None:
        user = self._users.find(name)
        expected = user.password if user is not None else self._users.unknown()
        # A text that is too long is none of the passwords, and is hashed as far as they may go.
        matches = await asyncio.get_running_loop().run_in_executor(
            self._threads, expected.matches, password[: LONGEST + 1]
        )
        return user if matches else None
