"""A replica of Redis that lacks the last writes, and takes the primary's place in a failover."""

from typing import Any

from tests.simulation.world import World

# The server's databases: the primary's data, and what the replica has of it.
PRIMARY, REPLICA = 0, 1
COPY_ALL = """
local from, to = unpack(ARGV)
redis.call('SELECT', to)
redis.call('FLUSHDB')
redis.call('SELECT', from)
for _, key in ipairs(redis.call('KEYS', '*')) do redis.call('COPY', key, key, 'DB', to) end
"""


class Replica:
    """Has what the primary had when it last followed it; confirmed writes are among it."""

    def __init__(self, world: World, server: Any) -> None:
        """`server` is a client of a real server, whose second database holds the copy."""
        self._world = world
        self._server = server
        # It follows and confirms nothing until then (seconds of the world's time): the primary is cut off.
        self.silent_until = 0.0

    def follow(self) -> bool:
        """Copy what the primary has; False if it is cut off."""
        if self._world.now < self.silent_until:
            return False
        self._copy(PRIMARY, REPLICA)
        return True

    def confirm(self) -> int:
        """Return how many replicas, of one, have all that was written: what `WAIT` answers, which may be too late."""
        return int(self._world.rng.random() < 0.9 and self.follow())

    def promote(self) -> None:
        """Make it the primary: what it lacks was never written, and it knows no scripts."""
        self._world.note("the replica is promoted")
        self._copy(REPLICA, PRIMARY)
        self._server.script_flush()

    def live(self, lag_seconds: float) -> None:
        """Follow the primary, this late on average."""
        while True:
            self._world.pause(self._world.rng.expovariate(1 / lag_seconds))
            self.follow()

    def _copy(self, source: int, target: int) -> None:
        self._server.eval(COPY_ALL, 0, source, target)
