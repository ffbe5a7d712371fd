"""The state of an outage: which tasks wait for the database, why, and since when. Each change is logged once."""

import re
import threading
import time
from collections.abc import Callable

from centralcloud.runtime.logs import get_logger
from centralcloud.runtime.postgres.errors import LOGIN_ADVICE, Outage, outage_kind, summarize_error

log = get_logger(__name__)


class OutageState:
    """Knows whether the database is available to the tasks of this process. Thread-safe.

    Attributes:
        outages: how often the database became unavailable while a task or a command used it.
        on_login_refused: called with the error when a task is refused before any task has succeeded, or before it has
            itself, if the login is that of another instance. For programs that end then: what is wrong at the start is
            wrong in the settings.
    """

    def __init__(self) -> None:
        self._state_lock = threading.Lock()
        self._unavailable: set[str] = set()
        self._unavailable_since = 0.0
        self._reason = ""
        self._kind = Outage.DATABASE_UNAVAILABLE
        self._logged_reasons: set[str] = set()
        self._succeeded: set[str] = set()
        self.outages = 0
        self.on_login_refused: Callable[[BaseException], None] | None = None

    def mark_unavailable(self, task: str, error: BaseException) -> None:
        """Record that `task` failed because the database is unavailable. Each reason is logged once per outage.

        The first reason is seldom the lasting one: a connection breaks, then the next one is refused for a wrong password.
        """
        reason, kind = summarize_error(error), outage_kind(error)
        alike = re.sub(r"\d+", "", reason)
        with self._state_lock:
            first = not self._unavailable
            self._unavailable.add(task)
            self._reason, self._kind = reason, kind
            if first:
                self._unavailable_since = time.monotonic()
                self.outages += 1
                self._logged_reasons = set()
            if alike not in self._logged_reasons:
                self._logged_reasons.add(alike)
                self._log(kind, reason, first=first)
            # The login may be right while it belongs to another instance: only tasks that act for an instance notice.
            at_the_start = task not in self._succeeded if kind == Outage.WRONG_INSTANCE else not self._succeeded
        if at_the_start and kind in LOGIN_ADVICE and self.on_login_refused is not None:
            self.on_login_refused(error)

    def _log(self, kind: Outage, reason: str, *, first: bool) -> None:
        match kind:
            case Outage.LOGIN_REFUSED:
                log.error("login_refused", reason=reason, advice=LOGIN_ADVICE[kind])
            case Outage.WRONG_INSTANCE:
                log.error("wrong_instance", reason=reason, advice=LOGIN_ADVICE[kind])
            case Outage.TABLE_MISSING:
                log.error("table_missing", reason=reason, effect="waiting until it is back")
            case Outage.ROW_LEVEL_SECURITY:
                log.error("row_level_security", reason=reason, effect="waiting until every row can be seen")
            case Outage.OUT_OF_FILE_DESCRIPTORS:
                log.error("out_of_file_descriptors", reason=reason, effect="waiting until some are free")
            case _ if first:
                log.warning("database_unavailable", reason=reason)
            case _:
                log.warning("database_still_unavailable", reason=reason)

    def mark_available(self, task: str) -> None:
        """Record that `task` succeeded. Logged when every task that had failed has succeeded again."""
        self._succeeded.add(task)
        with self._state_lock:
            if task not in self._unavailable:
                return
            self._unavailable.discard(task)
            if not self._unavailable:
                log.info("database_restored", outage_seconds=round(time.monotonic() - self._unavailable_since, 1))

    @property
    def unavailable(self) -> bool:
        """Whether a task failed because of the database and has not succeeded since."""
        return bool(self._unavailable)

    @property
    def unavailable_reason(self) -> str:
        """The newest reason of the outage, after its kind if that has a name; empty while the database is available."""
        if not self._unavailable:
            return ""
        return self._reason if self._kind == Outage.DATABASE_UNAVAILABLE else f"{self._kind}: {self._reason}"

    @property
    def login_refused(self) -> bool:
        """Whether the database refuses this login, or what it says about its instance."""
        return bool(self._unavailable) and self._kind in LOGIN_ADVICE
