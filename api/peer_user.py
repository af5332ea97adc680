"""Finds out whose process is at the other end of a connection from this machine."""

import ipaddress
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

# In the WSGI environment: a function that returns what `user_of_peer` does for the request's connection.
PEER_USER = "topthree.peer_user"
TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
LOCAL, REMOTE, USER = 1, 2, 7
Address = tuple[ipaddress.IPv4Address | ipaddress.IPv6Address, int]


def user_of_peer(connection: socket.socket) -> int | None:
    """Return the id of the user who opened the connection; None if another machine did, or the system does not tell.

    Linux lists the owners of all connections in /proc/net/tcp (proc_net_tcp.rst in the kernel's documentation).
    """
    with suppress(OSError, ValueError):
        ends = _address(*connection.getpeername()[:2]), _address(*connection.getsockname()[:2])
        return next((user for local, remote, user in _connections() if (local, remote) == ends), None)
    return None


def _connections() -> Iterator[tuple[Address, Address, int]]:
    for table in TABLES:
        if not table.exists():
            continue
        for line in table.read_text("ascii").splitlines()[1:]:
            fields = line.split()
            yield _listed(fields[LOCAL]), _listed(fields[REMOTE]), int(fields[USER])


def _listed(text: str) -> Address:
    """Parse an address as the kernel writes it: words of 32 bits in the machine's order, which is little-endian."""
    address, _, port = text.partition(":")
    words = (bytes.fromhex(address[place : place + 8])[::-1] for place in range(0, len(address), 8))
    return _address(b"".join(words), int(port, 16))


def _address(address: str | bytes, port: int) -> Address:
    found = ipaddress.ip_address(address)
    # A dual-stack socket reports IPv4 addresses as IPv4-mapped ones.
    return getattr(found, "ipv4_mapped", None) or found, port
