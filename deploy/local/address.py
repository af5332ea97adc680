"""Checks that the service can listen on its address."""

import errno
import socket


def find_flaw(host: str, port: int) -> str | None:
    """Return a message why the service cannot listen on the address, None if it can."""
    try:
        # The same lookup as in the API.
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not a host name"
        return f"HOST={host} cannot be resolved ({reason}). {_hint(host)}"
    try:
        with socket.socket(family, kind) as probe:
            # The same option as in the API: a port with connections in TIME_WAIT is free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        return _sentence(host, port, error)
    return None


def _sentence(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} is taken. Stop what uses it, or choose another: PORT={other_port(port)} make run"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"HOST={host} is not an address of this machine. {_hint(host)}"
    if error.errno == errno.EACCES:
        return (
            f"this user may not listen on port {port}; most systems reserve the ports below 1024 for root. "
            "Choose another: PORT=5000 make run"
        )
    return f"the service cannot listen on HOST={host} PORT={port}: {error.strerror}"


def other_port(port: int) -> int:
    """Return the port to suggest instead of this one."""
    return port + 1 if port < 65535 else 5000


def _hint(host: str) -> str:
    # conda's compilers export HOST=x86_64-conda-linux-gnu.
    conda = " (conda has set it for its compilers)" if "conda" in host else ""
    return f"HOST is the address to listen on{conda}: HOST=127.0.0.1 make run"
