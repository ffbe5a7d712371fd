"""The configuration updater: brings the fleet's configuration from the database to this process.

Versions are committed in their order, so that the newest one that was received is a cursor without gaps. A version has a
stamp: where the database has another one for the cursor, it was restored to an earlier state, and everything is read again.
A configuration that this version of the program cannot read is refused as a whole, and the last good one stays: to use a
part of it could lift a restriction.
"""

import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

import psycopg

from centralcloud.contracts import ContractError
from centralcloud.contracts.fleet_configuration import (
    EntryKey,
    FleetConfiguration,
    ModelHealth,
    ParsedEntries,
    parse_health,
    read_configuration,
)
from centralcloud.runtime.configuration.reading import (
    ConfigurationPage,
    HealthRow,
    UnreadableConfigurationError,
    read_since,
)
from centralcloud.runtime.logs import get_logger
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.errors import NOT_MIGRATED, refused_login
from instance_agent.sync.configuration_file import ConfigurationFile, ReceivedConfiguration
from instance_agent.sync.daemon_heartbeat import DaemonHeartbeat
from instance_agent.sync.follower import Follower
from instance_agent.sync.token_bucket import TokenBucket

log = get_logger(__name__)

#: Polls that notifications start: every change and every health report of the fleet sends one.
_WOKEN_PER_SECOND: Final = 4.0
_WOKEN_BURST: Final = 5
#: How often the file shows that the database was reached.
_TOUCH_SECONDS: Final = 60.0
_NOT_REACHED: Final = "the database was not reached yet"
_UNREADABLE: Final = "this version cannot read the configuration in the database; the log has the reason"


class ConfigurationUpdater(Follower[ReceivedConfiguration]):
    """Polls for changes of the configuration, stores them in a file, and passes the whole to `on_change`.

    Attributes:
        on_change: called in the task's thread with each new configuration, and with each change of the posted health.
        refused: versions that were refused since the start.
        problem: why the newest version is not used, in one line; None: it is used.
        unread: why the last poll has not read the configuration, in words without names of hosts, roles and tables; None: it
            has.
        reached: whether this process has reached the database.
        daemon_heartbeat: of the daemon that watches experiments.
    """

    def __init__(
        self,
        database: Database,
        *,
        file: ConfigurationFile,
        poll_interval_seconds: float = 5.0,
        reconcile_interval_seconds: float = 300.0,
        on_change: Callable[[FleetConfiguration], None] | None = None,
        state: ReceivedConfiguration | None = None,
    ) -> None:
        """Create an updater. `configuration` is that of the file until the first poll.

        Args:
            database: that has the configuration.
            file: the configuration of the last run, and where it is stored.
            poll_interval_seconds: longest wait before the next poll.
            reconcile_interval_seconds: how often everything is compared.
            on_change: called with the configuration in each change.
            state: the state to start from, instead of that of the file.
        """
        super().__init__(
            "configuration-updater",
            database,
            file=file,
            state=state,
            poll_interval_seconds=poll_interval_seconds,
            reconcile_interval_seconds=reconcile_interval_seconds,
            wakes=TokenBucket(per_second=_WOKEN_PER_SECOND, burst=_WOKEN_BURST),
        )
        self._configuration_file = file
        self._touched_at = time.monotonic()
        self._health: dict[str, ModelHealth] = {}
        self._health_version = 0
        self._refused_version: int | None = None
        self._logged_history: tuple[str, int, str | None] | None = None
        self.on_change = on_change
        self.refused = 0
        self.problem: str | None = None
        self.unread: str | None = _NOT_REACHED
        self.reached = False
        self.daemon_heartbeat = DaemonHeartbeat(file.path.parent)
        touched_at = file.touched_at()
        #: By a clock that is never set: a step of the machine's clock must not end the validity of keys.
        self._contacted_at = None if touched_at is None else time.monotonic() - max(0.0, time.time() - touched_at)
        self._parsed: ParsedEntries = {}
        self._configuration = FleetConfiguration()
        try:
            self._configuration = read_configuration(self._state.version, self._state.bodies, self._parsed)
        except ContractError as error:
            reason, effect = str(error), "the file is ignored"
            log.warning("configuration_file_unreadable", path=str(file.path), reason=reason, effect=effect)
            self._state = ReceivedConfiguration()

    @property
    def configuration(self) -> FleetConfiguration:
        """The current configuration, with the health of the last poll."""
        return self._configuration

    @property
    def state(self) -> ReceivedConfiguration:
        """The entries as they were received, for another updater that continues from them."""
        return self._state

    @property
    def loaded(self) -> bool:
        """Whether there is a configuration from the database: of this run, or of the file."""
        return self._state.epoch is not None

    @property
    def running_experiments(self) -> int:
        """Experiments that run, so that treatments serve requests while the daemon is seen."""
        return sum(each.stage.status == "running" for each in self._configuration.experiments)

    def seconds_since_contact(self) -> float | None:
        """Return for how long the database was not reached, also by the process before; None: it never was."""
        return None if self._contacted_at is None else max(0.0, time.monotonic() - self._contacted_at)

    def run_once(self) -> bool:
        """Poll once: read the changes, validate the whole, use it, store it."""
        self._wait_in_a_storm()
        self.daemon_heartbeat.report(self.running_experiments)
        whole = self._state.epoch is None or self._reconcile_is_due()
        try:
            page, whole = self._read(whole=whole)
        except UnreadableConfigurationError as error:
            self.unread = _UNREADABLE
            self._refuse(None, str(error))
            return False
        except Exception as error:
            self.unread = _why_unread(error)
            raise
        self.daemon_heartbeat.seen(page.experiments_silent_seconds)
        received = self._receive(page, whole=whole)
        self.unread = None if self.problem is None else _UNREADABLE
        health_changed = self._receive_health(page, whole=whole)
        if received is not None or health_changed:
            self._configuration = (received or self._configuration).with_health(self._health)
            if self.on_change:
                self.on_change(self._configuration)
        if whole:
            self._mark_reconciled()
        self._mark_contact(stored=self._store())
        self.daemon_heartbeat.report(self.running_experiments)
        if self.running_experiments and self.may_store():
            self.daemon_heartbeat.store()
        return False

    def log_file_changed(self) -> None:
        """Log that another program has changed the file: it is written again."""
        effect = "the configuration of this instance is written again"
        log.warning("configuration_file_changed", path=str(self._file.path), effect=effect)

    def log_not_written(self, reason: str) -> None:
        """Log that the file cannot be written: the configuration is used anyway."""
        log.error("configuration_file_not_written", path=str(self._file.path), reason=reason)

    def log_written_again(self) -> None:
        """Log that the file can be written again."""
        log.info("configuration_file_written_again", path=str(self._file.path))

    def _read(self, *, whole: bool) -> tuple[ConfigurationPage, bool]:
        """Return the changes since the last poll, or everything; and which of the two."""
        known = self._state
        after = (0, 0) if whole else (known.version, self._health_version)
        with self.database.connection() as connection:
            page = read_since(connection, *after)
            if self._contradicts(page, whole=whole):
                found = (page.epoch, page.version, page.stamp)
                if known.epoch is not None and found != self._logged_history:  # once, also while it is refused
                    self._logged_history = found
                    effect = "reading the whole configuration again"
                    log.warning("configuration_history_changed", before=known.version, now=page.version, effect=effect)
                return (page if whole else read_since(connection)), True
        return page, whole

    def _contradicts(self, page: ConfigurationPage, *, whole: bool) -> bool:
        """Return whether the cursor belongs to another history than that of the database."""
        known = self._state
        if page.epoch != known.epoch or page.version < known.version or page.health_version < self._health_version:
            return True
        if whole:
            return page.version == known.version and page.stamp != known.stamp
        return known.version > 0 and page.stamp_after != known.stamp

    def _receive(self, page: ConfigurationPage, *, whole: bool) -> FleetConfiguration | None:
        """Take over the entries of a page; return the new configuration, None when it is the same or refused."""
        known = self._state
        bodies: dict[EntryKey, Mapping[str, Any]] = {} if whole else dict(known.bodies)
        for row in page.entries:
            if row.body is None:
                bodies.pop(row.key, None)
            else:
                bodies[row.key] = row.body
        state = ReceivedConfiguration(
            epoch=page.epoch, version=page.version, stamp=page.stamp, bodies=MappingProxyType(bodies)
        )
        if state == known:
            self._accept(page.version)
            return None
        try:
            configuration = read_configuration(page.version, bodies, self._parsed)
        except ContractError as error:
            self._refuse(page.version, str(error))
            return None
        self._accept(page.version)
        self._state = state
        same = bodies == known.bodies and configuration.version == self._configuration.version
        if same and known.epoch is not None:  # the first one is a change also when it is empty
            return None
        for model_id in self._health.keys() - configuration.models.keys():
            del self._health[model_id]
        log.info("configuration_applied", version=page.version, entries=len(bodies))
        return configuration

    def _receive_health(self, page: ConfigurationPage, *, whole: bool) -> bool:
        """Take over the posted health of a page, and remove what has expired; return whether anything changed."""
        now = time.monotonic()
        health = {} if whole else dict(self._health)
        for row in page.health:
            if (received := _read_health(row, now)) is not None:
                health[row.model] = received
        health = {model: each for model, each in health.items() if now < each.expires_at}
        self._health_version = page.health_version
        changed = _without_expiry(health) != _without_expiry(self._health)
        self._health = health
        return changed

    def _mark_contact(self, *, stored: bool) -> None:
        self._contacted_at = time.monotonic()
        self.reached = True
        if stored and self.may_store() and time.monotonic() - self._touched_at >= _TOUCH_SECONDS:
            self._touched_at = time.monotonic()
            self._configuration_file.touch()
            self._recognize_file()

    def _accept(self, version: int) -> None:
        if self.problem is not None:
            log.info("configuration_accepted", version=version)
        self.problem = self._refused_version = None

    def _refuse(self, version: int | None, reason: str) -> None:
        """Keep the last good configuration. Logged once for each version and reason, not at each poll."""
        problem = reason if version is None else f"version {version}: {reason}"
        if problem == self.problem:
            return
        if version is None or version != self._refused_version:
            self.refused += 1
        self.problem, self._refused_version = problem, version
        using = self._configuration.version
        effect = f"version {using} stays in use"
        log.error("configuration_refused", version=version, reason=reason, effect=effect)


def _why_unread(error: Exception) -> str:
    if isinstance(error, NOT_MIGRATED):
        return "the database is not that of this version: run `centralcloud migrate` on it"
    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        return "the database login of this instance may not read it: `instance-agent doctor` names the right that is missing"
    if refused_login(error) is not None:
        return "the database refuses the login of this instance; the log has the reason"
    return _NOT_REACHED


def _read_health(row: HealthRow, now: float) -> ModelHealth | None:
    try:
        report, _ = parse_health(row.body, "health")
    except ContractError as error:
        log.warning("health_report_refused", model=row.model, reason=str(error))
        return None
    return ModelHealth(report=report, reported_at=row.reported_at, expires_at=now + row.ttl_seconds)


def _without_expiry(health: Mapping[str, ModelHealth]) -> dict[str, tuple[Any, ...]]:
    """Return what a snapshot does not change: the time of expiry is computed from that of its arrival."""
    return {model: (each.report, each.reported_at) for model, each in health.items()}
