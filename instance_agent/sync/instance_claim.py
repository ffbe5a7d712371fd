"""The claim on an instance id: notices that two agents with different state folders use the same one.

The table `instances` has one row for an id, so the later acknowledgement hides the other agent. The agent that holds its
state folder therefore claims the id by an advisory lock of its listener's session; a second one is refused, and says so.
Processes that share a state folder have one holder, and make one claim.
"""

import socket
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Final, NamedTuple

import psycopg

from centralcloud.runtime.logs import get_logger
from centralcloud.runtime.postgres.deadline_connection import ANSWER_SECONDS, DeadlineConnection
from centralcloud.runtime.postgres.errors import summarize_error
from centralcloud.runtime.postgres.query import Query

log = get_logger(__name__)

#: The claim of the first agent, and that of a second one, by which the doctor notices it.
FIRST: Final = "centralcloud.instance"
SECOND: Final = "centralcloud.instance.second"
#: How often a claim that was refused is repeated. The first refusal is not logged: a session that has just ended may still
#: hold its claim.
_CHECK_SECONDS: Final = 15.0


class ClaimingSession(NamedTuple):
    """A session that has claimed an instance id.

    Attributes:
        pid: of the server process.
        address: of the client; None: unknown, or on the server's machine.
        since: start of the session; None: unknown.
    """

    pid: int
    address: str | None
    since: datetime | None

    def __str__(self) -> str:
        since = "" if self.since is None else f" since {self.since.isoformat(timespec='seconds')}"
        return f"server process {self.pid} for {self.address or 'a local client'}{since}"


INSTANCE_CLAIMS: Final = Query(__package__, "instance_claims", row=ClaimingSession)
_CLAIM: Final = Query(__package__, "claim_instance", row=bool)
_RELEASE: Final = Query(__package__, "release_instance", row=bool)


class InstanceClaim:
    """Claims an instance id over the session of a listener. For the thread of that listener.

    Attributes:
        other: the session that has claimed the id before; None: this agent has, or does not know yet.
    """

    def __init__(self, instance_id: str, folder: Path) -> None:
        """Claim nothing yet.

        Args:
            instance_id: to claim.
            folder: the state folder, for the log.
        """
        self.other: str | None = None
        self.holds_folder: Callable[[], bool] = lambda: False
        self._instance_id = instance_id
        self._folder = folder
        self._connection: DeadlineConnection | None = None
        self._pids: set[int] = set()
        self._second: DeadlineConnection | None = None
        self._refused = 0
        self._checked_at: float | None = None

    def check(self, connection: DeadlineConnection) -> None:
        """Claim the id if this process holds the state folder; log once when another session has claimed it.

        Only over a connection that notifications arrive on: through a transaction pooler, clients share their sessions.

        Raises:
            psycopg.Error: the connection is lost.
        """
        now = time.monotonic()
        if connection is self._connection or not self.holds_folder():
            return
        if self._checked_at is not None and now < self._checked_at + _CHECK_SECONDS:
            return
        self._checked_at = now
        try:
            with connection.limited(ANSWER_SECONDS):
                self._claim(connection)
        except psycopg.errors.InsufficientPrivilege as error:
            self.holds_folder = lambda: False
            log.warning("instance_id_not_claimed", instance_id=self._instance_id, reason=summarize_error(error))

    def claimed_elsewhere(self, connection: DeadlineConnection) -> str | None:
        """Return a session of another program that has claimed the id, as the first or as the second; None: there is none.

        After the listener has ended, over any connection.

        Raises:
            psycopg.Error: the database does not answer, or does not allow it.
        """
        for claim in (FIRST, SECOND):
            for each in INSTANCE_CLAIMS.all(connection, {"instance_id": self._instance_id, "claim": claim}):
                if each.pid not in self._pids:
                    return str(each)
        return None

    def _claim(self, connection: DeadlineConnection) -> None:
        names = {"instance_id": self._instance_id}
        self._pids.add(connection.info.backend_pid)
        if _CLAIM.one(connection, {**names, "claim": FIRST}):
            self._connection = connection
            if self._second is connection:
                _RELEASE.one(connection, {**names, "claim": SECOND})
            self._end_conflict()
            return
        claims = INSTANCE_CLAIMS.all(connection, {**names, "claim": FIRST})
        # The server may not have noticed yet that an earlier session of this process has ended.
        others = [each for each in claims if each.pid not in self._pids]
        self._refused = self._refused + 1 if others else 0
        if self._refused >= 2:
            if self._second is not connection and _CLAIM.one(connection, {**names, "claim": SECOND}):
                self._second = connection
            self._begin_conflict(others[0])

    def _begin_conflict(self, other: ClaimingSession) -> None:
        if self.other is None:
            log.error(
                "instance_id_in_use_twice",
                instance_id=self._instance_id,
                this=f"{socket.gethostname()}, {self._folder}",
                other=str(other),
                effect="the newer acknowledgement hides that of the other agent: a lag of one of them is not seen",
                expected="an INSTANCE_ID of its own for each agent, or one state folder for all processes of one",
            )
        self.other = str(other)

    def _end_conflict(self) -> None:
        if self.other is not None:
            log.info("instance_id_in_use_once", instance_id=self._instance_id)
        self.other = None
        self._second = None
        self._refused = 0
