"""Database URLs: what libpq can use, and what may never be repeated in a message."""

from typing import Any, Final

import psycopg
from psycopg.conninfo import conninfo_to_dict

#: Begins the URL of the embedded server; a folder may follow.
EMBEDDED_PREFIX: Final = "embedded:"


def check_url(url: str) -> str:
    """`url` when it names a database.

    Raises:
        ValueError: neither ``embedded:`` nor anything libpq can use. The text never repeats the URL, which may hold a
            password.
    """
    if url.startswith(EMBEDDED_PREFIX):
        return url
    if not url:
        raise ValueError("empty")
    try:
        conninfo = read_conninfo(url)
    except psycopg.ProgrammingError:
        raise ValueError("not a libpq URI") from None
    if not _could_be_reached(conninfo):
        raise ValueError("names no host and port")
    return url


def _could_be_reached(conninfo: dict[str, Any]) -> bool:
    """Whether hosts, ports and the time-out can be what they say.

    An @ or / in a password that is not percent-encoded ends it: the rest counts as host or port, which every message of a
    failed connection would repeat.
    """
    hosts, ports = (str(conninfo.get(name, "")).split(",") for name in ("host", "port"))
    seconds = str(conninfo.get("connect_timeout", "0"))
    return (
        not any("@" in host[1:] and not host.startswith("/") for host in hosts)
        and all(port == "" or (port.isdecimal() and 0 < int(port) < 65_536) for port in ports)
        and seconds.removeprefix("-").isdecimal()
    )


def read_conninfo(url: str) -> dict[str, Any]:
    return {name: value for name, value in conninfo_to_dict(url).items() if value is not None}
