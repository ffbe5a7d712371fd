"""`instance-agent doctor`: what keeps an instance from the newest scores, or its decisions from the queue."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import psycopg

from centralcloud.runtime.diagnostics import (
    Check,
    CheckResult,
    NamedCheckResult,
    clocks_agree,
    fail,
    http_port_is_free,
    make_checks,
    notifications_arrive,
    ok,
    settings_are_known,
    takes_writes,
    warn,
)
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.errors import summarize_error
from centralcloud.runtime.settings import unknown_variables
from instance_agent.catalog.catalog import ModelCatalog
from instance_agent.catalog.catalog_file import read_catalog_file
from instance_agent.catalog.learned_scores import LearnedScores
from instance_agent.catalog.learned_scores_file import LearnedScoresFile
from instance_agent.settings import AgentSettings

#: What an instance calls, and nothing else.
_PUBLISH: Final = "centralcloud.publish_decisions(jsonb[], boolean)"
_FUNCTIONS: Final = (
    _PUBLISH,
    "centralcloud.score_updates_since(bigint)",
    "centralcloud.current_scores()",
    "centralcloud.acknowledge(text, bigint)",
    "centralcloud.epoch()",
)
_OLD_FILE_SECONDS: Final = 86_400.0


class _Doctor:
    def __init__(self, settings: AgentSettings, database: Database) -> None:
        self._settings = settings
        self._database = database

    def checks(self) -> list[Check]:
        return [
            Check("settings", lambda: settings_are_known(unknown_variables(AgentSettings))),
            Check("catalog", self._catalog),
            Check("state folder", self._state_folder),
            Check("learned scores", self._learned_scores),
            Check("database", self._reachable),
            Check("writes", lambda: takes_writes(self._database), "database"),
            Check("functions", self._functions, "database"),
            Check("login", self._login, "functions"),
            Check("scores", self._scores, "functions"),
            Check("newest version", self._newest_version, "functions"),
            Check("notifications", lambda: notifications_arrive(self._database), "database"),
            Check("clock", lambda: clocks_agree(self._database), "database"),
            Check("HTTP port", lambda: http_port_is_free(self._settings.http_address, self._settings.http_port)),
        ]

    def _catalog(self) -> CheckResult:
        if self._settings.catalog is None:
            return warn("INSTANCE_AGENT_CATALOG is not set: no model can be chosen", "name a YAML file with models")
        models = read_catalog_file(self._settings.catalog)
        return ok(f"{len(models)} models in {self._settings.catalog}") if models else warn("it is empty", "add models")

    def _state_folder(self) -> CheckResult:
        folder = self._settings.state_folder
        existing = next((path for path in (folder, *folder.parents) if path.exists()), Path("/"))
        if not os.access(existing, os.W_OK | os.X_OK):
            return fail(
                f"{existing} cannot be written", "name another one in INSTANCE_AGENT_STATE_DIR, or change its owner"
            )
        return ok(str(folder))

    def _learned_scores(self) -> CheckResult:
        file = LearnedScoresFile(self._settings.state_folder)
        if not file.path.exists():
            return warn(f"{file.path} is not there yet", "`instance-agent run` writes it at the first contact")
        learned = file.read()
        if learned == LearnedScores():
            return warn(f"{file.path} is damaged, and counts as empty", "`instance-agent run` writes it anew")
        age = time.time() - file.path.stat().st_mtime
        found = f"{len(learned.scores)} scores, version {learned.version}, written {age:,.0f} seconds ago"
        if age > _OLD_FILE_SECONDS:
            return warn(found, "is `instance-agent run` running? (Nothing may have changed for so long.)")
        return ok(found)

    def _reachable(self) -> CheckResult:
        with self._database.transaction() as connection:
            row = connection.execute("SELECT current_database(), current_user").fetchone()
        assert row is not None
        return ok(f"reached {row[0]} as {row[1]}")

    def _functions(self) -> CheckResult:
        with self._database.transaction() as connection:
            rows = connection.execute(
                """
                SELECT name, to_regprocedure(name) IS NOT NULL,
                       coalesce(has_function_privilege(to_regprocedure(name), 'EXECUTE'), false)
                FROM unnest(%s::text[]) AS name
                """,
                (list(_FUNCTIONS),),
            ).fetchall()
        if missing := [name for name, exists, _ in rows if not exists]:
            return fail(f"missing: {', '.join(missing)}", "run `centralcloud migrate` on this database")
        forbidden = [name for name, _, allowed in rows if not allowed]
        if forbidden == [_PUBLISH]:
            return warn(
                f"not allowed: {_PUBLISH}",
                "fine for a sidecar, which publishes nothing; a router with the library needs it",
            )
        if forbidden:
            return fail(f"not allowed: {', '.join(forbidden)}", "grant them: `centralcloud grants` prints how")
        return ok("all there, and allowed")

    def _login(self) -> CheckResult:
        """Acknowledges for real, and takes it back: what every poll does."""
        instance_id = self._settings.instance_id
        try:
            with self._database.connection() as connection, connection.transaction(force_rollback=True):
                connection.execute("SELECT centralcloud.acknowledge(%s, 0)", (instance_id,))
        except psycopg.errors.InsufficientPrivilege as error:
            return fail(
                summarize_error(error), "set INSTANCE_ID to the login's instance, or give it the login of this one"
            )
        return ok(f"speaks for {instance_id}")

    def _scores(self) -> CheckResult:
        with self._database.transaction() as connection:
            rows = connection.execute("SELECT model_name FROM centralcloud.current_scores()").fetchall()
        if self._settings.catalog is None or not rows:
            return ok(f"{len(rows)} learned scores")
        learned = {row[0] for row in rows}
        own = {model.name for model in ModelCatalog(read_catalog_file(self._settings.catalog)).models}
        if not own & learned:
            return warn(
                f"scores of {', '.join(sorted(learned)[:5])}, and none of the catalog's models",
                "are the names in the catalog those that the decisions are published with?",
            )
        return ok(f"{len(rows)} learned scores, {len(own & learned)} of {len(own)} models of the catalog")

    def _newest_version(self) -> CheckResult:
        own = LearnedScoresFile(self._settings.state_folder).read().version
        with self._database.transaction() as connection:
            row = connection.execute("SELECT coalesce(max(version), 0) FROM centralcloud.current_scores()").fetchone()
        newest = row[0] if row else 0
        if own < newest:
            return warn(f"applied {own}, published {newest}", "`instance-agent run` applies it within a poll")
        return ok(f"{own}, the newest")


def examine(settings: AgentSettings, database: Database) -> Iterator[NamedCheckResult]:
    """Every check, in an order in which the first failure is the one to mend."""
    return make_checks(_Doctor(settings, database).checks())
