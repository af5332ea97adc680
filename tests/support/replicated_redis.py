"""A Redis primary with one replica that lags behind, at an address that a failover moves to the replica."""

from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from tests.support.processes import RedisServer
from tests.support.tcp_proxy import Fault, TcpProxy
from tests.support.wait import eventually


class ReplicatedRedis:
    """Runs while its `with` block does; `url` always leads to the primary of the moment."""

    def __init__(self, folder: Path, lag_seconds: float) -> None:
        self._folder = folder
        self._lag = Fault(latency_seconds=lag_seconds)
        self._number = 0
        self._rest = ExitStack()

    def __enter__(self) -> "ReplicatedRedis":
        self.primary = self._server()
        self._front = self._rest.enter_context(TcpProxy(self.primary.port))
        self.url = f"redis://127.0.0.1:{self._front.port}/0"
        self._add_replica()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._line.__exit__(None, None, None)
        self._rest.close()

    def fail_over(self, *, cut_off: bool) -> None:
        """Kill the primary, or cut it off from everybody; promote the replica, and give it a replica of its own."""
        old = self.primary
        if not cut_off:
            old.kill()
        self.primary = self.replica
        with self.primary.client() as client:
            client.replicaof("NO", "ONE")
        self._front.target_port = self.primary.port
        self._front.reset_all()
        self._line.__exit__(None, None, None)
        self._add_replica()
        if cut_off:
            old.kill()

    def _add_replica(self) -> None:
        self._line = TcpProxy(self.primary.port)
        self._line.__enter__()
        self._line.fault = self._lag
        self.replica = self._server("--replicaof", f"127.0.0.1 {self._line.port}")
        eventually(self._is_replicated, what="a replica that has all")

    def _is_replicated(self) -> bool:
        # The primary calls it online already while the data is on its way: promoted then, it would have nothing.
        with self.replica.client() as client:
            return bool(client.info("replication")["master_link_status"] == "up")

    def _server(self, *options: str) -> RedisServer:
        self._number += 1
        server = RedisServer(self._folder / str(self._number), "--repl-diskless-sync-delay", "0", *options)
        self._rest.callback(server.kill)
        return server
