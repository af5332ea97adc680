"""One simulated run: which faults there are and when, drawn from a seed; then peace, and the reckoning."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from typing import Any

from shared.jobs import script as job_script
from tests.simulation.auditor import Auditor
from tests.simulation.batch_client import BatchHabits
from tests.simulation.batches import SimulatedBatches
from tests.simulation.chaos import Chaos
from tests.simulation.client import Habits, SimulatedClient
from tests.simulation.image_store import SimulatedStore
from tests.simulation.ledger import Broken, Ledger
from tests.simulation.network import Network
from tests.simulation.operator import SimulatedOperator
from tests.simulation.reckoning import REST_SECONDS, WEBHOOKS_SECONDS, Reckoning
from tests.simulation.service import SimulatedService
from tests.simulation.terms import QUEUE, TIME_LIMIT_SECONDS
from tests.simulation.weather import Weather
from tests.simulation.world import World

SCRIPTS = (
    *("admit", "claim", "finish", "requeue", "publish_lost", "take_turn"),
    *("forget_kept", "claim_deliveries", "settle_delivery"),
    *("open_batch", "add_to_batch", "settle_batch"),
)


class Scenario:
    """A run of one seed; Broken if an invariant does not hold."""

    def __init__(self, seed: int, server: Any, weather: Weather | None = None) -> None:
        """`server` is a client of a real server; the `weather` is drawn unless one is given."""
        self.world = World(seed)
        self._rng = rng = self.world.rng
        self._server = server
        often = rng.choice([0.4, 0.4, 0.8])
        drawn = Weather(*(rng.random() < often for _ in fields(Weather)))
        self.weather = weather or drawn
        self._network = Network(self.world, server)
        self._ledger = Ledger(rng.choice([1, 2, 3]), self.weather.confirmed)
        self._network.referee.steady_clock = not self.weather.clocks
        # Else it would depend on the seeds before which of them the server knows.
        for name in SCRIPTS:
            text = self._network.clock().script + job_script.read_script(name)
            server.script_load(text)
            self._network.referee.know(name, text)
        store = SimulatedStore(self.world, carried=not self.weather.stores)
        self._service = SimulatedService(self.world, self._network, server, self._ledger, store)
        self._batches = SimulatedBatches(self._service)
        self._service.retry_seconds = rng.choice([20, 1000])
        self._chaos = Chaos(self._service, self._batches, self.weather)

    def run(self) -> None:
        """Empty the server and let it all happen; Broken if an invariant does not hold."""
        try:
            self._happen()
        finally:
            self.world.close()

    def _happen(self) -> None:
        self._server.flushall()
        rng, world = self._rng, self.world
        self._service.slow = rng.choice([0, 0, 0.3])
        if self.weather.leases:
            self._service.lease_seconds, self._service.slow = rng.choice([1, 3]), 0.5
        for _ in range(rng.choice([1, 1, 2, 3])):
            self._service.start_worker()
        # A main process calls a time limit a job's own fault only if Redis has answered it for so long.
        world.run(lambda: False, TIME_LIMIT_SECONDS + 3 if self.weather.limits else 4)
        deadlines, cancels = rng.choice([0, 0, 0.3]), rng.choice([0, 0.2])
        webhooks = 0.0
        if self.weather.webhooks:
            webhooks, self._service.receivers.failing = rng.choice([0.3, 1]), rng.choice([0, 0.3, 0.9])
            for _ in range(rng.choice([1, 2])):
                self._service.start_sender()
        clients = []
        for number in range(rng.choice([1, 2, 4])):
            habits = Habits(rng.randint(2, 12), rng.choice([1, 2, 20]), deadlines, cancels, webhooks)
            clients.append(SimulatedClient(self._service, f"c{number}", habits))
        for number in range(rng.choice([1, 2]) if self.weather.batches else 0):
            self._batches.start(f"b{number}", BatchHabits(rng.randint(1, 2), webhooks, rng.choice([0, 0.4])))
        operators = [SimulatedOperator(self._service, f"o{number}", 4) for number in range(rng.choice([0, 1, 2]))]
        chaos = world.spawn("chaos", self._chaos.run)
        world.spawn("auditor", Auditor(self._service, self._batches).run)
        if self.weather.failovers or self.weather.confirmed:
            lag_seconds = rng.choice([0.1, 1, 10])
            world.spawn("replica", lambda: self._network.replica.live(lag_seconds))
        actors = [chaos, *(each.actor for each in [*clients, *operators])]
        world.run(lambda: not any(actor.alive for actor in [*actors, *self._batches.actors]), 300)
        self._chaos.end()
        at_rest = self._come_to_rest()
        if at_rest and operators:
            # In peace, whatever is kept can be retried.
            last = SimulatedOperator(self._service, "last", 1)
            world.run(lambda: not last.actor.alive, 300)
            at_rest = self._come_to_rest()
        # What was asked last is answered.
        world.run(lambda: False, 3)
        reckoning = Reckoning(self._service, self._batches, self.weather)
        reckoning.jobs(at_rest)
        if self.weather.webhooks:
            world.run(lambda: not self._server.exists(QUEUE.key("deliveries:open")), WEBHOOKS_SECONDS)
            world.run(lambda: False, 3)
            reckoning.webhooks()
        if self.weather.batches:
            self._batches.reckon_expiry()

    def _come_to_rest(self) -> bool:
        slow_seconds = 10 * len(self._ledger.accepted | self._ledger.unknown) if self._service.slow else 0
        return self.world.run(self._at_rest, REST_SECONDS + slow_seconds)

    def _at_rest(self) -> bool:
        key = QUEUE.key
        if self._network.under_way:
            return False
        return not self._server.exists(key("jobs:open")) and not self._server.exists(QUEUE.list_key)


@contextmanager
def explained(seed: int, scenario: Scenario) -> Iterator[None]:
    """Add the seed and the last steps to whatever is raised."""
    try:
        yield
    except (Exception, Broken) as error:
        steps = "\n".join(scenario.world.trace[-40:])
        error.add_note(f"seed {seed}, {scenario.weather}:\n{steps}")
        raise
