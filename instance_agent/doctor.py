"""`instance-agent doctor`: checks that the newest scores can reach an instance, and its decisions the queue."""

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

import psycopg

from centralcloud.runtime.diagnostics import (
    CHECK_SECONDS,
    Check,
    CheckResult,
    NamedCheckResult,
    check_http_port,
    check_transaction,
    clocks_agree,
    fail,
    make_checks,
    notifications_arrive,
    ok,
    settings_are_known,
    takes_writes,
    warn,
)
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.errors import LOGIN_ADVICE, Outage, outage_kind, summarize_error
from centralcloud.runtime.postgres.query import Query
from centralcloud.runtime.settings import unknown_variables
from centralcloud.runtime.wording import ago, counted, listed
from instance_agent.catalog.learned_scores import LearnedScores
from instance_agent.catalog.learned_scores_file import LearnedScoresFile
from instance_agent.catalog_checks import CatalogChecks
from instance_agent.configuration_checks import ConfigurationChecks
from instance_agent.settings import AgentSettings, GatewaySettings
from instance_agent.sync.damaged_files import damaged_files
from instance_agent.sync.instance_claim import FIRST, INSTANCE_CLAIMS, SECOND
from instance_agent.sync.other_spools import other_spools
from instance_agent.sync.spool_files import size_of_spool

#: The only functions that an instance calls.
_PUBLISH: Final = "centralcloud.publish_decisions(jsonb[], boolean)"
_FUNCTIONS: Final = (
    _PUBLISH,
    "centralcloud.score_updates_since(bigint)",
    "centralcloud.current_scores()",
    "centralcloud.acknowledge(text, bigint)",
    "centralcloud.epoch()",
)
#: One that an instance calls where the database has it: without it, scores of task types arrive with updates alone.
_TASK_SCORES: Final = "centralcloud.current_task_scores()"
#: Without these, an instance does a part of its work.
_NOT_VITAL: Final = {
    _PUBLISH: "a sidecar does not need to publish; a router with the library does",
    _TASK_SCORES: "without the scores of task types, every task is routed by the scores of its complexity alone",
}
_GRANTS_ADVICE: Final = "grant them: `centralcloud grants` prints the statements"
#: The functions that only a gateway calls, as ``grant_gateway.sql`` of centralcloud grants them.
_GATEWAY_FUNCTIONS: Final = (
    "claim_target_leases", "configuration_since", "current_spend", "current_target_health", "exchange_spend",
    "experiment_report", "explain_request", "recent_requests", "report_feedback", "report_model_health",
    "report_target_health", "submit_feedback", "task_classifier_in_use", "task_classifier_model", "usage_by_complexity",
    "usage_escalations", "usage_totals", "usage_until",
)  # fmt: skip
_OLD_FILE_SECONDS: Final = 86_400.0
_FULL_SPOOL: Final = 0.8
#: Files and folders that a check names; it counts the others.
_MOST_LISTED: Final = 3
#: Bytes that a folder must take to be writable: a file system that is full may still create files.
_BLOCK: Final = 65_536


class _Identity(NamedTuple):
    database: str
    user: str


class _FunctionPrivilege(NamedTuple):
    name: str
    exists: bool
    allowed: bool


_WHOAMI = Query(__package__, "whoami", row=_Identity)
_FUNCTION_PRIVILEGES = Query(__package__, "function_privileges", row=_FunctionPrivilege)
_GATEWAY_PRIVILEGES = Query(__package__, "gateway_privileges", row=_FunctionPrivilege)
_ACKNOWLEDGE_NOTHING = Query(__package__, "acknowledge_nothing")
_SCORED_MODELS = Query(__package__, "scored_models", row=str)
_NEWEST_VERSION = Query(__package__, "newest_version", row=int)


class _Doctor:
    def __init__(self, settings: AgentSettings, database: Database) -> None:
        self._settings = settings
        self._database = database
        self._catalog = CatalogChecks(settings)
        self._program = f"instance-agent {'serve' if isinstance(settings, GatewaySettings) else 'run'}"
        self._configuration = ConfigurationChecks(settings.state_folder, database)

    def checks(self) -> list[Check]:
        return [
            Check("settings", lambda: settings_are_known(unknown_variables(GatewaySettings))),
            *self._catalog.checks(),
            Check("state folder", self._state_folder),
            Check("learned scores", self._learned_scores),
            Check("spool", self._spool),
            Check("database", self._reachable),
            Check("writes", lambda: takes_writes(self._database), "database"),
            Check("functions", self._functions, "database"),
            Check("gateway functions", self._gateway_functions, "functions"),
            Check("login", self._login, "functions"),
            Check("scores", self._scores, "functions"),
            Check("newest version", self._newest_version, "functions"),
            Check("configuration", self._configuration.read, "functions"),
            Check("configuration file", self._configuration.file),
            Check("keys", self._configuration.keys, "configuration"),
            Check("notifications", lambda: notifications_arrive(self._database), "writes"),
            Check("instance id", self._instance_id, "database"),
            Check("clock", lambda: clocks_agree(self._database), "database"),
            Check("HTTP port", self._http_port),
        ]

    def _http_port(self) -> CheckResult:
        settings = self._settings
        return check_http_port(settings.http_address, settings.http_port, settings.program)

    def _state_folder(self) -> CheckResult:
        folder = self._settings.state_folder
        problem = _why_unwritable(folder, _size_of(LearnedScoresFile(folder).path))
        if problem is not None:
            return fail(
                problem, "free space on the disk, change the owner, or set INSTANCE_AGENT_STATE_DIR to another folder"
            )
        return ok(str(folder))

    def _learned_scores(self) -> CheckResult:
        file = LearnedScoresFile(self._settings.state_folder)
        if not file.path.exists():
            if _why_unwritable(self._settings.state_folder, 0) is not None:
                return warn(
                    f"{file.path} does not exist: the state folder cannot be written",
                    "see the state folder; until then each start begins with the scores of the catalog",
                )
            return warn(
                f"{file.path} does not exist yet", f"`{self._program}` writes it when it first reaches the database"
            )
        learned = file.read()
        if learned == LearnedScores():
            return warn(f"{file.path} is damaged and counts as empty", f"`{self._program}` writes it again")
        age = time.time() - file.path.stat().st_mtime
        found = f"{counted(len(learned.scores), 'score')}, version {learned.version}, written {ago(age)}"
        if age > _OLD_FILE_SECONDS:
            return warn(found, f"check that `{self._program}` is running (or no score has changed since then)")
        return ok(found)

    def _spool(self) -> CheckResult:
        folder = self._settings.spool_folder
        if folder is None:
            return ok(
                "not set: events of a router of your own that wait in memory are lost when the process is killed; a gateway "
                "keeps them in its state folder"
            )
        problem = _why_unwritable(folder, 0)
        if problem is not None:
            return fail(problem, "free space on the disk, or set INSTANCE_AGENT_SPOOL_DIR to another folder")
        files, size = size_of_spool(folder)
        found: dict[str, str] = {}
        if size >= _FULL_SPOOL * self._settings.spool_bytes:
            found[f"{size} of {self._settings.spool_bytes} bytes are used"] = (
                "start the router, which sends them when the database is available, or raise INSTANCE_AGENT_SPOOL_BYTES"
            )
        if damaged := damaged_files(folder):
            names = listed([path.name for path in damaged], _MOST_LISTED)
            found[f"{counted(len(damaged), 'file')} with damaged records in {folder}: {names}"] = (
                "check the disk, look at the files, and remove them"
            )
        if others := other_spools(folder.parent, folder):
            names = listed(
                [f"{each.folder} ({counted(each.files, 'file')}, {counted(each.size, 'byte')})" for each in others],
                _MOST_LISTED,
            )
            found[f"events of other instances that no process sends: {names}"] = (
                f"start a router once with INSTANCE_ID={others[0].folder.name}, or remove the folder"
            )
        if found:
            return warn("; ".join(found), "; ".join(found.values()))
        return ok(f"{counted(files, 'file')} with {counted(size, 'byte')} in {folder}")

    def _reachable(self) -> CheckResult:
        """Connect outside the pool, which would repeat a connection that is refused."""
        with self._database.connect() as connection, connection.limited(CHECK_SECONDS):
            identity = _WHOAMI.one(connection)
        return ok(f"reached {identity.database} as {identity.user}")

    def _functions(self) -> CheckResult:
        try:
            with check_transaction(self._database) as connection:
                functions = _FUNCTION_PRIVILEGES.all(connection, {"names": [*_FUNCTIONS, _TASK_SCORES]})
        except psycopg.errors.InsufficientPrivilege as error:
            return fail(
                f"this role may not look at them ({summarize_error(error)})",
                _GRANTS_ADVICE,
            )
        if missing := [
            function.name for function in functions if not function.exists and function.name != _TASK_SCORES
        ]:
            return fail(f"missing: {', '.join(missing)}", "run `centralcloud migrate` on this database")
        forbidden = [function.name for function in functions if function.exists and not function.allowed]
        if not forbidden:
            return ok("all exist and are allowed")
        found = f"not allowed: {', '.join(forbidden)}"
        if _NOT_VITAL.keys() >= {*forbidden}:
            return warn(found, "; ".join([*(_NOT_VITAL[name] for name in forbidden), _GRANTS_ADVICE]))
        return fail(found, _GRANTS_ADVICE)

    def _gateway_functions(self) -> CheckResult:
        """Look for the rights of a gateway: a login that has some of them, or a gateway that is set up here, needs all."""
        with check_transaction(self._database) as connection:
            functions = _GATEWAY_PRIVILEGES.all(connection, {"names": list(_GATEWAY_FUNCTIONS)})
        is_gateway = isinstance(self._settings, GatewaySettings)
        if not is_gateway and not any(function.allowed for function in functions):
            return ok("none is allowed: a gateway needs them, and a sidecar does not")
        found, advice = "", ""
        if missing := [function.name for function in functions if not function.exists]:
            found, advice = f"missing: {', '.join(missing)}", "run `centralcloud migrate` on this database"
        elif forbidden := [function.name for function in functions if not function.allowed]:
            found, advice = f"not allowed: {listed(forbidden, _MOST_LISTED)}", f"a gateway needs them; {_GRANTS_ADVICE}"
        if not found:
            return ok("all exist and are allowed")
        return fail(found, advice) if is_gateway else warn(found, advice)

    def _login(self) -> CheckResult:
        """Acknowledge as every poll does, and roll back."""
        instance_id = self._settings.instance_id
        try:
            with (
                self._database.connection(limit_seconds=CHECK_SECONDS + self._database.connect_seconds) as connection,
                connection.transaction(force_rollback=True),
            ):
                _ACKNOWLEDGE_NOTHING.run(connection, {"instance_id": instance_id})
        except psycopg.errors.InsufficientPrivilege as error:
            if outage_kind(error) != Outage.WRONG_INSTANCE:
                raise
            return fail(f"{Outage.WRONG_INSTANCE}: {summarize_error(error)}", LOGIN_ADVICE[Outage.WRONG_INSTANCE])
        return ok(f"speaks for {instance_id}")

    def _instance_id(self) -> CheckResult:
        """Find the agents that have claimed the id; see `InstanceClaim`."""
        names = {"instance_id": self._settings.instance_id}
        with check_transaction(self._database) as connection:
            first = INSTANCE_CLAIMS.all(connection, {**names, "claim": FIRST})
            second = INSTANCE_CLAIMS.all(connection, {**names, "claim": SECOND})
        if second:
            return warn(
                f"agents with different state folders use {self._settings.instance_id}: "
                + "; ".join(map(str, first + second)),
                "set an INSTANCE_ID of its own for each agent, or one state folder for all processes of one",
            )
        if not first:
            return ok(f"no agent that listens uses {self._settings.instance_id}")
        return ok(f"{self._settings.instance_id} is used by one agent: {first[0]}")

    def _scores(self) -> CheckResult:
        with check_transaction(self._database) as connection:
            names = _SCORED_MODELS.all(connection)
        scores = counted(len(names), "learned score")
        own = self._catalog.models() if names else None
        if own is None:
            return ok(scores)
        learned = set(names)
        if not own & learned:
            return warn(
                f"scores for {', '.join(sorted(learned)[:5])}, but for none of the catalog's models",
                "use the same model names in the catalog and in the published decisions",
            )
        return ok(f"{scores}, for {len(own & learned)} of {counted(len(own), 'model')} of the catalog")

    def _newest_version(self) -> CheckResult:
        own = LearnedScoresFile(self._settings.state_folder).read().version
        with check_transaction(self._database) as connection:
            newest = _NEWEST_VERSION.one(connection)
        if own < newest:
            return warn(f"applied {own}, published {newest}", f"`{self._program}` applies it at its next poll")
        return ok(f"version {own} is the newest")


def _why_unwritable(folder: Path, size: int) -> str | None:
    """Return why no file can be written to a folder, or to the one in which it would be created; None when it can.

    Args:
        folder: it may not exist yet.
        size: bytes of the file; at least some kilobytes are written.
    """
    existing = next((path for path in (folder, *folder.parents) if path.exists()), Path("/"))
    if not existing.is_dir():
        return f"{existing} is not a folder"
    if not os.access(existing, os.W_OK | os.X_OK):
        return f"{existing} is not writable"
    try:
        with tempfile.TemporaryFile(dir=existing) as file:
            for _ in range(1 + size // _BLOCK):
                file.write(bytes(_BLOCK))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return f"{existing} cannot be written: {error.strerror or error}"
    return None


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def examine(
    settings: AgentSettings, database: Database, progress: Callable[[str], None] = lambda _: None
) -> list[NamedCheckResult]:
    """Run every check, and return the results in the order in which to fix what they found. See `make_checks`."""
    return make_checks(_Doctor(settings, database).checks(), rights="functions", progress=progress)
