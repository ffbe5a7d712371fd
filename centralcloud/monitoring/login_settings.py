"""The check of the settings that others have made for this login, its database or the server."""

from typing import Final, NamedTuple

from centralcloud.runtime.diagnostics import CheckResult, ok, warn
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.postgres.query import Query
from centralcloud.runtime.postgres.session import OVERRIDDEN, is_pooled

#: Overridden, too, apart from those that `session` gives every value for.
_ALSO_OVERRIDDEN: Final = (
    "lock_timeout",
    "transaction_timeout",
    "idle_session_timeout",
    "default_transaction_isolation",
)
#: Defaults of PostgreSQL that are no one's choice.
_DEFAULTS: Final = {
    "statement_timeout": ("0",),
    "lock_timeout": ("0",),
    "transaction_timeout": ("0",),
    "idle_in_transaction_session_timeout": ("0",),
    "idle_session_timeout": ("0",),
    "tcp_user_timeout": ("0", "30s"),
    "search_path": ('"$user", public', '"$user",public', "public"),
    "default_transaction_isolation": ("read committed",),
    "intervalstyle": ("postgres",),
    "extra_float_digits": ("1", "2", "3"),
    "standard_conforming_strings": ("on",),
    "array_nulls": ("on",),
}


class _LoginSetting(NamedTuple):
    """The columns of ``login_settings.sql``; the value with its unit."""

    name: str
    value: str
    source: str


_LOGIN_SETTINGS = Query(__package__, "login_settings", row=_LoginSetting)


def check_login_settings(database: Database) -> CheckResult:
    """Check what a new session of this login has before our own settings: they name what stands in our way."""
    with database.plain_connection() as connection:
        names = [*OVERRIDDEN, *_ALSO_OVERRIDDEN, "synchronous_commit"]
        found = {each.name.lower(): each for each in _LOGIN_SETTINGS.all(connection, {"names": names})}
        pooled = is_pooled(connection)
    if (commit := found.get("synchronous_commit")) is not None and commit.value == "off":
        return warn(
            f"synchronous_commit is off, set by: {commit.source}: a crash of the server loses events that were confirmed",
            "switch it on for this login",
        )
    idle = found.get("idle_session_timeout")
    if pooled and idle is not None and idle.value != "0":
        return warn(
            f"idle_session_timeout={idle.value} ({idle.source}) ends idle sessions, and behind a pooler it stays",
            "ALTER ROLE ... SET idle_session_timeout = 0, or connect directly to the server",
        )
    others = [
        f"{each.name}={each.value or chr(39) * 2} ({each.source})"
        for name, each in found.items()
        if name in _DEFAULTS and each.value not in _DEFAULTS[name]
    ]
    if others:
        return ok(f"overridden in every transaction: {', '.join(others)}")
    return ok("nothing is set for this login that would have to be overridden")
