"""The fleet's settings as the database has them, handed to the tasks that need them."""

import threading
from typing import Any, NamedTuple

import psycopg

from centralcloud.contracts import CentralCloudError, SettingsError
from centralcloud.runtime.logs import get_logger
from centralcloud.runtime.postgres.database import Database
from centralcloud.settings import FLEET_SETTINGS, FleetSettings, Settings
from centralcloud.store.fleet_settings import insert_missing_settings, list_settings

log = get_logger(__name__)


class Difference(NamedTuple):
    """A fleet setting that this process's environment sets to another value than the database has.

    Attributes:
        variable: the environment variable.
        environment, database: the values, as JSON.
    """

    name: str
    variable: str
    environment: Any
    database: Any

    def __str__(self) -> str:
        return f"{self.variable} is {self.environment}, the database has {self.name} = {self.database}"


class FleetSettingsSource:
    """Reads the fleet's settings from the database, in the transaction of the task that asks.

    The database's values count. For a name that it does not have, this process's environment does: `adopt` stores these,
    and every daemon calls it before its tasks start. Names that this version does not know are ignored. Thread-safe.
    """

    def __init__(self, settings: Settings) -> None:
        """Read the environment's values.

        Raises:
            SettingsError: the environment names an unknown rule.
            BadRuleError: an installed rule cannot be used.
        """
        _ = settings.rules
        self._environment = settings.fleet.flatten()
        self._explicit = settings.explicit_fleet_settings
        self._lock = threading.Lock()
        self._rows: dict[str, Any] | None = None
        self._settings: FleetSettings | None = None
        self._problem = ""
        self._adopted = False

    def adopt(self, database: Database) -> None:
        """Store the environment's values of the names that the database lacks, and log where the two differ.

        Raises:
            SettingsError: a value of the database cannot be used by this version, or one of the environment that it lacks.
        """
        with database.transaction() as connection:
            stored = {row.name for row in list_settings(connection)}
            missing = {name: value for name, value in self._environment.items() if name not in stored}
            filled = insert_missing_settings(connection, missing) if missing else []
            self._adopted = True
            self.read(connection)
        if filled:
            log.info("fleet_settings_stored", names=filled, source="environment")
        with database.transaction() as connection:
            differences = self.differences(connection)
        for each in differences:
            log.warning(
                "fleet_setting_differs",
                variable=each.variable,
                environment=each.environment,
                database=each.database,
                effect="the database's value is used",
            )

    def read(self, connection: psycopg.Connection[Any]) -> FleetSettings:
        """Read the settings, for tasks that must not run with other settings than the rest of the fleet.

        Raises:
            SettingsError: a value of the database cannot be used by this version.
        """
        settings, problem = self._read(connection)
        if problem or settings is None:
            raise SettingsError(problem)
        return settings

    def read_usable(self, connection: psycopg.Connection[Any]) -> FleetSettings:
        """Read the settings; while the database has a value that this version cannot use, return the last usable ones.

        Raises:
            SettingsError: there were none yet.
        """
        settings, problem = self._read(connection)
        if settings is None:
            raise SettingsError(problem)
        return settings

    def check(self, values: dict[str, Any]) -> dict[str, Any]:
        """Return `values` (by name, as text or JSON) as they would be stored, with those of the environment for other names.

        Raises:
            SettingsError: one is wrong, on its own or together with another one.
        """
        return FleetSettings.unflatten({**self._environment, **values}).flatten()

    def differences(self, connection: psycopg.Connection[Any]) -> list[Difference]:
        """Return the settings for which this process's environment has another value than the database, which is used.

        Raises:
            SettingsError: a value of the database cannot be used by this version.
        """
        used = self.read(connection).flatten()
        return [
            Difference(name, FLEET_SETTINGS[name].variable, value, used[name])
            for name, value in self._explicit.items()
            if value != used[name]
        ]

    def _read(self, connection: psycopg.Connection[Any]) -> tuple[FleetSettings | None, str]:
        """Return the newest usable settings, and the problem with those in the database (empty: none)."""
        rows = {row.name: row.value for row in list_settings(connection)}
        with self._lock:
            if rows != self._rows:
                self._take(rows)
            return self._settings, self._problem

    def _take(self, rows: dict[str, Any]) -> None:
        before, self._rows, self._problem = self._rows, rows, ""
        try:
            if self._adopted and (missing := sorted(self._environment.keys() - rows.keys())):
                # Each replica would go on by its own environment.
                raise SettingsError(f"found no {', '.join(missing)}, expected a row for each setting")
            self._settings = FleetSettings.unflatten({**self._environment, **rows})
        except CentralCloudError as error:
            self._problem = str(error)
            if isinstance(error, SettingsError):
                self._problem = f"fleet_settings: {error}; `centralcloud settings set` changes it"
            if before is not None:
                log.error(
                    "fleet_settings_unusable",
                    reason=self._problem,
                    effect="no learning; the last usable settings are kept",
                )
            return
        if before is not None:
            changed = sorted(name for name in rows.keys() | before.keys() if rows.get(name) != before.get(name))
            log.info("fleet_settings_changed", names=changed)
