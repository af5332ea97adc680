"""A simulated service: what its processes share, and the processes that run in it."""

import itertools
from typing import Any

from shared.batches.store import Batches
from shared.jobs.backlog import BacklogReader
from shared.jobs.events import JobEvents
from shared.jobs.limits import JobLimits
from shared.jobs.models import JobState
from shared.jobs.store import Jobs
from tests.simulation.image_store import SimulatedStore
from tests.simulation.ledger import Ledger
from tests.simulation.network import Network
from tests.simulation.pictures import PICTURE_BYTES
from tests.simulation.terms import KEPT_PICTURES, LEASE_SECONDS, QUEUE
from tests.simulation.webhooks import SimulatedReceivers, SimulatedSender
from tests.simulation.worker import SimulatedWorker
from tests.simulation.world import World


class EndCount(JobEvents):
    """Counts the ends that processes report."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def ended(self, state: JobState) -> None:
        self._ledger.counted[state] += 1


class SimulatedService:
    """What all processes of the service share: the line, the store, the limits."""

    def __init__(self, world: World, network: Network, server: Any, ledger: Ledger, store: SimulatedStore) -> None:
        self.world = world
        self.network = network
        self.server = server
        self.ledger = ledger
        self.store = store
        self.queue = QUEUE
        self.receivers = SimulatedReceivers(world, ledger)
        self.slow = 0.0
        self.workers: list[SimulatedWorker] = []
        self.senders: list[SimulatedSender] = []
        self._numbers = itertools.count()
        self.lease_seconds = LEASE_SECONDS
        self.min_replicas = int(ledger.confirmed)
        self.retry_seconds = 0.0
        most = world.rng.choice([3, 8, 50])
        self.limits = JobLimits(most, 10_000, ledger.max_attempts, 3600, 3600, 3600, KEPT_PICTURES * PICTURE_BYTES)

    def start_worker(self) -> None:
        """Start a worker with one or two children."""
        self.workers.append(SimulatedWorker(self, f"w{next(self._numbers)}", self.world.rng.choice([1, 2])))

    def start_sender(self) -> None:
        """Start a sender of webhooks."""
        self.senders.append(SimulatedSender(self, f"s{next(self._numbers)}", self.retry_seconds))

    def make_jobs(self, client: Any) -> Jobs:
        """Return the job records as one process uses them."""
        events, clock = EndCount(self.ledger), self.network.clock()
        confirm_ends = not self.store.carried
        return Jobs(client, QUEUE, self.limits, events, clock, self.min_replicas, confirm_ends=confirm_ends)

    def make_batches(self, client: Any) -> Batches:
        """Return the batches as one process uses them."""
        backlog = BacklogReader(client, QUEUE, self.limits)
        return Batches(client, QUEUE, self.limits, backlog, self.network.clock(), self.min_replicas)
