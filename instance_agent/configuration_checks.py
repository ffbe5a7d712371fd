"""The checks of `instance-agent doctor` for the fleet's configuration: can this version read it, and are there keys."""

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import psycopg

from centralcloud.contracts import ContractError
from centralcloud.contracts.fleet_configuration import FleetConfiguration, read_configuration
from centralcloud.contracts.limits import EXPERIMENTS_SILENT_SECONDS
from centralcloud.runtime.configuration.reading import UnreadableConfigurationError, read_since
from centralcloud.runtime.diagnostics import CheckResult, check_transaction, fail, ok, warn
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.wording import ago, counted, listed
from instance_agent.sync.configuration_file import ConfigurationFile, ReceivedConfiguration
from instance_agent.sync.daemon_heartbeat import silent_words

_NOT_ALLOWED: Final = "this login may not read it, and a sidecar does not need it; a gateway does"
#: A key that expires sooner is a warning.
_SOON: Final = timedelta(days=7)
#: Without contact for longer, the keys of the file are old.
_OLD_FILE_SECONDS: Final = 86_400.0
_MOST_NAMED: Final = 5


class ConfigurationChecks:
    """The checks, in the order in which they are made: what `read` has found is used by the others."""

    def __init__(self, state_folder: Path, database: Database) -> None:
        """Connect to nothing yet."""
        self._file = ConfigurationFile(state_folder)
        self._database = database
        self._configuration: FleetConfiguration | None = None
        self._seen_seconds: float | None = None

    def read(self) -> CheckResult:
        """Read the configuration as a gateway does, and validate it."""
        try:
            with check_transaction(self._database) as connection:
                page = read_since(connection)
        except psycopg.errors.InsufficientPrivilege:
            return ok(_NOT_ALLOWED)
        except (psycopg.errors.UndefinedFunction, psycopg.errors.InvalidSchemaName):
            return fail("the database has none yet", "run `centralcloud migrate` on this database")
        except UnreadableConfigurationError as error:
            return fail(str(error), "install the same version of CentralCloud everywhere")
        bodies = {row.key: row.body for row in page.entries if row.body is not None}
        try:
            found = self._configuration = read_configuration(page.version, bodies)
            self._seen_seconds = page.experiments_silent_seconds
        except ContractError as error:
            return fail(
                f"this version cannot read version {page.version}: {error}",
                "install the version that wrote it, or change the entry back; until then the last good one is in use",
            )
        endpoints = sum(map(len, found.endpoints.values()))
        return ok(
            f"version {found.version}: {counted(len(found.models), 'model')}, {counted(endpoints, 'endpoint')}, "
            f"{counted(len(found.keys), 'key')}, {counted(len(found.policies), 'policy', 'policies')}, "
            f"{counted(len(found.rules), 'rule')}, {counted(len(page.health), 'health report')}"
        )

    def file(self) -> CheckResult:
        """Read the last good copy."""
        touched_at = self._file.touched_at()
        if touched_at is None:
            return ok("not written yet: a gateway writes it when it first reaches the database")
        state = self._file.read()
        if state == ReceivedConfiguration():
            return warn(f"{self._file.path} is damaged and is ignored", "a gateway writes it again")
        try:
            read_configuration(state.version, state.bodies)
        except ContractError as error:
            return warn(f"this version cannot read {self._file.path}: {error}", "a gateway writes it again")
        age = time.time() - touched_at
        found = f"version {state.version} of {ago(age)}"
        newest = None if self._configuration is None else self._configuration.version
        if newest is not None and state.version != newest:
            return warn(f"{found}, the database has version {newest}", "check that the gateway is running")
        if age > _OLD_FILE_SECONDS:
            return warn(found, "check that the gateway is running and reaches the database")
        return ok(found)

    def experiments(self) -> CheckResult:
        """Look for experiments that run while nothing watches them."""
        if self._configuration is None:
            return ok("not known: the login may not read them")
        experiments = [each for each in self._configuration.experiments if each.is_routed]
        running = sum(each.stage.status == "running" for each in experiments)
        if not experiments:
            return ok("none runs")
        found = f"{counted(running, 'experiment')} of {len(experiments)} run{'s' if running == 1 else ''}"
        age = self._seen_seconds
        if running and (age is None or age > EXPERIMENTS_SILENT_SECONDS):
            return fail(
                f"{found}, and {silent_words(age)}",
                "start `centralcloud run` on this database; `centralcloud doctor` checks its tasks",
            )
        return ok(found if age is None else f"{found}; the daemon was last seen {ago(age)}")

    def keys(self) -> CheckResult:
        """Look for valid keys, and for keys that expire soon."""
        if self._configuration is None:
            return ok("not known: the login may not read them")
        now = datetime.now(UTC)
        keys = self._configuration.keys
        valid = [key for key in keys.values() if key.is_valid(now)]
        if not keys:
            return ok("none: a gateway serves this machine only; `instance-agent keys create` makes one")
        if not valid:
            return fail(
                f"none of {counted(len(keys), 'key')} is valid: every request is refused",
                "make another one: `instance-agent keys create`",
            )
        soon = [key for key in valid if key.expires_at is not None and key.expires_at - now < _SOON]
        left = [f"{key.id} ({key.label})" for key in soon if key.replaced_by is None]
        if left:
            return warn(
                f"{counted(len(left), 'key')} will expire within 7 days: {listed(left, _MOST_NAMED)}",
                "make others in their place: `instance-agent keys rotate`",
            )
        return ok(f"{counted(len(valid), 'valid key')} of {len(keys)}")
