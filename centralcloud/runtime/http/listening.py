"""Sockets to listen on. Without aiohttp, which takes a while to import, so that every command may use it."""

import errno
import socket
from typing import Final

from centralcloud.contracts import CentralCloudError

#: Connections that wait in the kernel. A handful lets the kernel drop simultaneous clients, who then retry after a second.
_BACKLOG: Final = 128


class ListenAddressError(CentralCloudError):
    """A program cannot listen on an address, whatever the port: it is not one of this machine."""


def family_of(address: str) -> socket.AddressFamily:
    """Return IPv4 or IPv6, whichever an address or a host name to listen on needs.

    Raises:
        OSError: it is neither an address nor the name of a known host.
    """
    return socket.getaddrinfo(address, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]


def listen(address: str, port: int) -> socket.socket:
    """Open a port, without blocking calls; on ``::`` for both protocols, whatever the system's default is.

    Raises:
        ListenAddressError: the address is not one of this machine, or its name is not known.
        CentralCloudError: the port cannot be opened.
    """
    try:
        listener = socket.socket(family_of(address), socket.SOCK_STREAM)
        try:
            listener.setblocking(False)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if listener.family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            listener.bind((address, port))
            listener.listen(_BACKLOG)
        except BaseException:
            listener.close()
            raise
    except OSError as error:
        message = f"cannot serve HTTP on {address}:{port}: {error.strerror}"
        wrong = isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL
        raise (ListenAddressError if wrong else CentralCloudError)(message) from None
    return listener
