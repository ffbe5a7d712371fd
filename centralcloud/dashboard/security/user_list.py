"""The users of a running server: read again when their file changes. A damaged file changes nothing, and is reported."""

from pathlib import Path

from centralcloud.contracts import CentralCloudError
from centralcloud.dashboard.security.passwords import DEFAULT_COST, PasswordHash, unknown_hash
from centralcloud.dashboard.security.users_file import NO_USERS, User, Users, read_users
from centralcloud.runtime.bounded_file import fingerprint_of
from centralcloud.runtime.logs import get_logger

log = get_logger(__name__)


class UserList:
    """The users who log in with a password.

    Attributes:
        problem: why the newest file is not used; None: it is. To be shown to operators.
    """

    def __init__(self, path: Path | None) -> None:
        """Read the file; None: there are no users.

        Raises:
            SettingsError: the file cannot be used.
        """
        self._path = path
        self.problem: str | None = None
        self._seen = fingerprint_of(path) if path is not None else None
        self._users: Users = read_users(path) if path is not None else NO_USERS
        self._unknown: PasswordHash | None = None

    @property
    def exists(self) -> bool:
        """Whether there is a login with a password."""
        return self._path is not None

    def find(self, name: str) -> User | None:
        """Return a user as the file has it now; None: it has none of this name. Costs a stat."""
        self._follow()
        return self._users.get(name)

    def unknown(self) -> PasswordHash:
        """Return a hash that no password has, of the cost of the users' hashes."""
        cost = max((user.password.cost for user in self._users.values()), default=DEFAULT_COST)
        if self._unknown is None or self._unknown.cost != cost:
            self._unknown = unknown_hash(cost)
        return self._unknown

    def _follow(self) -> None:
        if self._path is None or (now := fingerprint_of(self._path)) == self._seen:
            return
        self._seen = now
        try:
            self._users = read_users(self._path)
        except CentralCloudError as error:
            self.problem = str(error)
            log.error("dashboard_users_refused", reason=self.problem, effect="the last valid ones stay in use")
            return
        self.problem = None
        log.info("dashboard_users_loaded", path=str(self._path), users=len(self._users))
