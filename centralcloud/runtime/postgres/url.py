"""Validation of database URLs, in messages that never repeat a password."""

from typing import Any, Final

import psycopg
from psycopg.conninfo import conninfo_to_dict

#: Begins the URL of the embedded server; a folder may follow.
EMBEDDED_PREFIX: Final = "embedded:"


def check_url(url: str) -> str:
    """Return `url` if it names a database.

    Raises:
        ValueError: it is neither ``embedded:`` nor usable by libpq. The text never repeats the URL, which may contain a
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
