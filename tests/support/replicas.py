"""A Redis server with a replica, for tests."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.processes import RedisServer
from tests.support.wait import eventually


@contextmanager
def with_replica(folder: Path) -> Iterator[tuple[RedisServer, RedisServer]]:
    """Start a primary and a replica that follows it; end both when the block ends."""
    primary = RedisServer(folder / "primary", "--repl-diskless-sync-delay", "0")
    replica = RedisServer(folder / "replica", "--replicaof", f"127.0.0.1 {primary.port}")
    try:
        with primary.client() as client:
            eventually(lambda: client.info("replication").get("slave0", {}).get("state") == "online")
        yield primary, replica
    finally:
        replica.kill()
        primary.kill()
