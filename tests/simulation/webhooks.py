"""Simulated senders of webhooks, and the receivers that they send to."""

import json
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

import redis

from shared.jobs.deliveries import Deliveries, Delivery
from tests.simulation.ledger import Ledger
from tests.simulation.network import SimulatedRedis
from tests.simulation.world import Actor, World
from worker.webhooks.guarded_http import NoAnswer
from worker.webhooks.loop import POLL_SECONDS
from worker.webhooks.schedule import RetrySchedule
from worker.webhooks.sender import Sender

if TYPE_CHECKING:
    from tests.simulation.service import SimulatedService

HOSTS = ("https://a.example/", "https://b.example/")
SLOTS = 4


class SimulatedReceivers:
    """All receivers; `failing` is the share of attempts that fail."""

    def __init__(self, world: World, ledger: Ledger) -> None:
        self._world = world
        self._ledger = ledger
        self.failing = 0.0

    def post(self, url: str, headers: Mapping[str, str], body: bytes) -> int:
        rng = self._world.rng
        chance, fails = rng.random(), self.failing
        self._world.pause(rng.expovariate(20))
        if chance < fails / 3:
            raise NoAnswer("the request was lost")
        if chance < fails * 2 / 3:
            return 500
        data = json.loads(body)["data"]
        self._world.note(f"received: {data['id']}")
        self._ledger.receive(data)
        if chance < fails:
            self._ledger.lost_receipts += 1
            raise NoAnswer("the answer was lost")
        return 200


class SimulatedSender:
    """A process that sends webhooks."""

    def __init__(self, service: "SimulatedService", name: str, retry_seconds: float) -> None:
        self._world = service.world
        client = SimulatedRedis(service.network, service.server)
        self._deliveries = Deliveries(client, service.queue, service.network.clock())
        schedule = RetrySchedule(retry_seconds, service.world.rng)
        self._sender = Sender(
            self._deliveries, service.receivers, [b"x" * 32], schedule, lambda: service.world.redis_ms / 1000
        )
        self._name = name
        self._sending: list[Actor] = []
        self._loop = self._world.spawn(name, self._live)

    def crash(self) -> None:
        """End all of it."""
        self._world.note(f"{self._name} crashes")
        for actor in (self._loop, *self._sending):
            self._world.end(actor)

    def _live(self) -> None:
        while True:
            self._sending = [actor for actor in self._sending if actor.alive]
            try:
                claimed = self._deliveries.claim(SLOTS - len(self._sending))
            except redis.RedisError:
                claimed = []
            for delivery in claimed:
                self._sending.append(self._world.spawn(f"{self._name} send", partial(self._send, delivery)))
            self._world.pause(POLL_SECONDS)

    def _send(self, delivery: Delivery) -> None:
        try:
            self._sender.send(delivery)
        except redis.RedisError as error:
            self._world.note(f"the attempt is not settled: {error!r}")
