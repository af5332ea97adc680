"""The batches of a simulated world: their clients, what befalls them, and the reckoning."""

import json
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, cast

from shared.batches.models import Batch, BatchRequest
from shared.jobs.models import Job
from shared.jobs.redis_keys import BATCH_PREFIX, BATCHES_KEY
from tests.simulation.batch_client import BatchHabits, SimulatedBatchClient
from tests.simulation.batch_ledger import BatchLedger
from tests.simulation.batch_referee import BatchAudit
from tests.simulation.ledger import require
from tests.simulation.network import CLOCK_KEY
from tests.simulation.world import Actor

if TYPE_CHECKING:
    from tests.simulation.service import SimulatedService

# Longer than any batch is kept, however the clock was set meanwhile.
LONG_MS = 30 * 86_400_000
PARTS = ("", ":pictures", ":outcomes", ":requests")


class SimulatedBatches:
    """All batches of a world."""

    def __init__(self, service: "SimulatedService") -> None:
        self._service = service
        self._server = service.server
        self._clients: list[SimulatedBatchClient] = []
        self._audit = BatchAudit(service.server, service.queue)
        self._ledger = BatchLedger(service.ledger)

    @property
    def actors(self) -> list[Actor]:
        """All that clients do."""
        return [actor for client in self._clients for actor in client.actors]

    def start(self, name: str, habits: BatchHabits) -> None:
        """Start a client."""
        self._clients.append(SimulatedBatchClient(self._service, self._ledger, name, habits))

    def crash_api(self) -> None:
        """Wait a while for an API process that serves a request, and end it."""
        world = self._service.world
        for _ in range(200):
            busy = [client.api for client in self._clients if client.api.busy]
            if busy:
                world.rng.choice(busy).crash()
                return
            world.pause(0.01)

    def forget_one(self) -> None:
        """Let a batch expire: one without open jobs, because no job is open for as long as a batch is kept."""
        ids = [batch.id for batch in self._ledger.batches.values() if batch.heard_of and not batch.forgotten]
        quiet = [batch_id for batch_id in ids if self._is_quiet(batch_id)]
        if quiet:
            batch_id = self._service.world.rng.choice(quiet)
            self._service.world.note(f"{batch_id} expires")
            self._ledger.batches[batch_id].forgotten = True
            self._server.delete(*(self._key(batch_id) + part for part in PARTS))

    def fail_over(self, lost: Collection[str]) -> None:
        """Note that the replica is the primary now; it does not have the jobs `lost`."""
        self._ledger.fail_over(lambda batch_id: bool(self._record(batch_id)), lost)

    def audit(self, open_jobs: Collection[str]) -> None:
        """Compare the batches with the open jobs."""
        batches = self._ledger.batches.values()
        half = [batch.id for batch in batches if self._ledger.may_be_half_deleted(batch)]
        forgotten = [batch.id for batch in batches if batch.forgotten]
        self._audit.run([batch.id for batch in batches if batch.id not in half], open_jobs, [*forgotten, *half])

    def reckon(self, jobs: Mapping[str, Job | None]) -> None:
        """Judge all batches; `jobs` are the records of all jobs."""
        store = self._service.make_batches(self._server)
        for batch in self._ledger.batches.values():
            if self._ledger.may_be_half_deleted(batch):
                continue
            record = self._record(batch.id)
            places = cast(dict[str, str], self._server.hgetall(f"{self._key(batch.id)}:pictures"))
            entries = [json.loads(places[place]) for place in sorted(places, key=int)]
            self._ledger.judge(batch, record, [(job_id, name) for job_id, name in entries])
            if record and entries:
                found = Batch.from_hash(batch.id, record)
                results = [line for page in store.results(found, 0) for line in page]
                self._ledger.judge_results(batch, found, results, jobs)

    def reckon_webhooks(self, given_up: set[str]) -> None:
        """Judge the webhooks of batches; `given_up` are the ids of deliveries that were given up."""
        for batch in self._ledger.batches.values():
            if batch.webhook:
                self._ledger.judge_webhook(batch, self._record(batch.id), given_up)

    def reckon_expiry(self) -> None:
        """Check that all that belongs to batches and jobs expires."""
        server, key = self._server, self._service.queue.key
        names = [name for kind in ("batch", "job", "image", "gone") for name in server.scan_iter(key(f"{kind}:*"))]
        with server.pipeline(transaction=False) as pipe:
            for name in names:
                pipe.ttl(name)
            left = [name for name, ttl in zip(names, pipe.execute(), strict=True) if ttl < 0]
        require(not left, f"kept for ever: {left}")
        # And the index is tidied when the next batch is opened.
        server.set(CLOCK_KEY, self._service.world.redis_ms + LONG_MS)
        self._service.make_batches(server).open("last", BatchRequest(1))
        indexed = server.zrange(key(BATCHES_KEY), 0, -1)
        require(indexed == ["last"], f"long after all batches, {indexed} are counted as open")

    def _is_quiet(self, batch_id: str) -> bool:
        record = self._record(batch_id)
        return bool(record) and record["added"] == record["ended"]

    def _record(self, batch_id: str) -> dict[str, str]:
        return cast(dict[str, str], self._server.hgetall(self._key(batch_id)))

    def _key(self, batch_id: str) -> str:
        return self._service.queue.key(BATCH_PREFIX + batch_id)
