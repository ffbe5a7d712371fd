"""Validation of database URLs, in messages that never repeat a password."""

import os
import re
from collections.abc import Mapping
from typing import Any, Final

import psycopg
from psycopg.conninfo import conninfo_to_dict

#: Begins the URL of the embedded server; a folder may follow.
EMBEDDED_PREFIX: Final = "embedded:"
#: Seconds for each host, where neither the URL nor PGCONNECT_TIMEOUT says how long connecting may take.
CONNECT_SECONDS: Final = 5
#: As psycopg counts: 0 is its own default, and less than 2 seconds are 2.
_UNLIMITED_CONNECT_SECONDS: Final = 130
_FEWEST_CONNECT_SECONDS: Final = 2

_BLANK: Final = " \t\r\n\f\v\ufeff\u200b\u00a0"
_QUOTES: Final = {"'": "'", '"': '"', "`": "`", "“": "”", "‘": "’"}
_SCHEMES: Final = ("postgresql://", "postgres://")
_SSL_MODES: Final = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_NOT_NEEDED: Final = "remove it from the URL"
_SCHEMA: Final = "remove it from the URL: the tables are in the schema public, whatever the search_path is"
_POOLER: Final = "remove it from the URL: poolers in transaction mode work without it"
_POOL: Final = "remove it from the URL: CentralCloud knows how many connections it needs"
#: Parameters of URLs that other libraries read and libpq refuses, in lower case, with the advice.
_OF_OTHER_LIBRARIES: Final[Mapping[str, str]] = {
    "schema": _SCHEMA,
    "currentschema": _SCHEMA,
    "search_path": f"{_SCHEMA}; others: options=-csearch_path%3D...",
    "pgbouncer": _POOLER,
    "prepared_statements": _POOLER,
    "prepared_statement_cache_size": _POOLER,
    "prepared_statement_cache_queries": _POOLER,
    "statement_cache_size": _POOLER,
    "statement_cache_capacity": _POOLER,
    "statement_cache_mode": _POOLER,
    "default_query_exec_mode": _POOLER,
    "preparethreshold": _POOLER,
    "binary_parameters": _POOLER,
    "connection_limit": _POOL,
    "pool": _POOL,
    "pool_size": _POOL,
    "pool_timeout": _POOL,
    "pool_max_conns": _POOL,
    "pool_min_conns": _POOL,
    "pool_mode": _POOL,
    "max_overflow": _POOL,
    "min_size": _POOL,
    "max_size": _POOL,
    "conn_max_age": _POOL,
    "reconnect": _NOT_NEEDED,
    "charset": _NOT_NEEDED,
    "encoding": _NOT_NEEDED,
    "timezone": _NOT_NEEDED,
    "async_fallback": _NOT_NEEDED,
    "serverversion": _NOT_NEEDED,
    "server_version": _NOT_NEEDED,
    "statement_timeout": _NOT_NEEDED,
    "socket_timeout": "write connect_timeout=SECONDS instead",
    "sockettimeout": "write connect_timeout=SECONDS instead",
    "connecttimeout": "write connect_timeout=SECONDS instead",
    "timeout": "write connect_timeout=SECONDS instead",
    "sslaccept": "write sslmode=verify-full or sslmode=require instead",
    "ssl_mode": "write sslmode instead",
    "usessl": "write sslmode=require instead",
    "uselibpqcompat": _NOT_NEEDED,
}


class UnusableUrlError(ValueError):
    """A URL that names no usable database. The text says why, and what to do, if that is known; else it is empty."""


def strip_url(url: str) -> str:
    """Return `url` without the white space around it, as `$(cat file)` or an editor leaves it."""
    return url.strip(_BLANK)


def check_url(url: str) -> str:
    """Return `url`, without the white space around it, if it names a database.

    Raises:
        UnusableUrlError: it is neither ``embedded:`` nor usable by libpq. The text never repeats the URL, which may contain
            a password.
    """
    url = strip_url(url)
    if url.startswith(EMBEDDED_PREFIX):
        return url
    if problem := _common_mistake(url):
        raise UnusableUrlError(problem)
    try:
        conninfo = read_conninfo(url)
    except psycopg.ProgrammingError as error:
        raise UnusableUrlError(_refused_parameter(url, str(error))) from None
    if not _could_be_reached(conninfo):
        raise UnusableUrlError
    if (mode := conninfo.get("sslmode")) is not None and mode not in _SSL_MODES:
        raise UnusableUrlError(f"its sslmode is not one of {', '.join(_SSL_MODES)}")
    return url


def _common_mistake(url: str) -> str | None:
    """Name what was pasted instead of a URL."""
    if not url:
        return "it is empty"
    if url[0] in _QUOTES:
        return "it is in quotes: remove them (env files of Docker and systemd units do not need them)"
    if match := re.match(r"(export\s+)?(\w*DATABASE_URL\w*)\s*=", url):
        return f"it begins with {match[2]}=: remove that, the value is the URL alone"
    if url.startswith("psql "):
        return "it is a command: remove psql and the quotes, the value is the URL alone"
    if match := re.match(r"postgres(?:ql)?(\+\w+)://", url):
        return f"{match[1]} names a driver of SQLAlchemy: write postgresql:// without it"
    if url.startswith("jdbc:"):
        return "it is a JDBC URL: write postgresql://user@host/database without jdbc:"
    if match := re.match(r"([a-z][a-z0-9]{1,15})://", url):
        if f"{match[1]}://" not in _SCHEMES:
            return f"it begins with {match[1]}://: expected postgresql://user@host/database"
    elif match := re.match(r"(postgres(?:ql)?):/?(?!/)", url):
        return f"it begins with {match[1]}: without two slashes: expected postgresql://user@host/database"
    if url.startswith(_SCHEMES) and re.search(r"\s", url):
        return "it has white space in the middle: in a URL, a space is written %20"
    return None


def _refused_parameter(url: str, reason: str) -> str:
    """Name the parameter that libpq refuses, unless it may be the rest of a password with a question mark in it."""
    match = re.search(r'invalid URI query parameter: "(\w{1,40})"', reason)
    if match is None or "@" in url.partition("?")[2]:
        return ""
    advice = _OF_OTHER_LIBRARIES.get(match[1].lower())
    if advice is None:
        return f"libpq does not know its parameter {match[1]}: remove it or correct its name"
    return f"{match[1]} is a parameter of another library, and libpq does not know it: {advice}"


def _could_be_reached(conninfo: dict[str, Any]) -> bool:
    """Whether hosts, ports and the timeout have a valid form.

    An @ or / in a password that is not percent-encoded ends the password: its rest is read as host or port, and every
    message about a failed connection would repeat it.
    """
    hosts, ports = (str(conninfo.get(name, "")).split(",") for name in ("host", "port"))
    seconds = str(conninfo.get("connect_timeout", "0"))
    return (
        not any("@" in host[1:] and not host.startswith("/") for host in hosts)
        and all(port == "" or (port.isdecimal() and 0 < int(port) < 65_536) for port in ports)
        and seconds.removeprefix("-").isdecimal()
    )


def read_conninfo(url: str) -> dict[str, Any]:
    """Return the parameters that a libpq URI or keyword string sets."""
    return {name: value for name, value in conninfo_to_dict(url).items() if value is not None}


def default_connect_timeout() -> dict[str, Any]:
    """Return the time for each host as a parameter; nothing where PGCONNECT_TIMEOUT is a number of seconds."""
    stated = re.fullmatch(r"\s*-?\d+\s*", os.environ.get("PGCONNECT_TIMEOUT", ""))
    return {} if stated else {"connect_timeout": CONNECT_SECONDS}


class ConnectBudget:
    """How long connecting may take: the time that the URL allows for each host, for one host after the other.

    Attributes:
        seconds: for all hosts.
        text: the hosts and the time, for messages; without the password.
    """

    def __init__(self, conninfo: str) -> None:
        """Read `conninfo`, and the environment where it says nothing."""
        parameters = read_conninfo(conninfo)
        hosts = str(parameters.get("hostaddr") or parameters.get("host") or os.environ.get("PGHOST") or "").split(",")
        each = _seconds(parameters.get("connect_timeout") or os.environ.get("PGCONNECT_TIMEOUT"))
        self.seconds = float(each * len(hosts))
        where = ", ".join(host or "the local server" for host in hosts)
        for_each = f"connect_timeout {each} seconds" + (f" for each of {len(hosts)} hosts" if len(hosts) > 1 else "")
        self.text = f"{where} ({for_each})"


def _seconds(value: object) -> int:
    try:
        seconds = int(float(str(value)))
    except ValueError:
        return CONNECT_SECONDS
    return _UNLIMITED_CONNECT_SECONDS if seconds <= 0 else max(_FEWEST_CONNECT_SECONDS, seconds)
