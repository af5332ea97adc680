"""Compares the indexes in Redis with the records, between any two steps of the others."""

from typing import TYPE_CHECKING

from tests.simulation.batches import SimulatedBatches
from tests.simulation.ledger import require
from tests.simulation.pictures import PICTURE_BYTES
from tests.simulation.terms import KEPT_PICTURES, QUEUE

if TYPE_CHECKING:
    from tests.simulation.service import SimulatedService


class Auditor:
    """Looks about once a second; Broken if something does not agree."""

    def __init__(self, service: "SimulatedService", batches: SimulatedBatches) -> None:
        self._world = service.world
        self._rng = service.world.rng
        self._server = service.server
        self._limits = service.limits
        self._batches = batches

    def run(self) -> None:
        """Compare until the world ends."""
        key = QUEUE.key
        for _ in range(1000):
            self._world.pause(self._rng.expovariate(1))
            with self._server.pipeline(transaction=False) as pipe:
                for name in ("jobs:open", "jobs:leases", "jobs:deadlines", "jobs:kept"):
                    pipe.zrange(key(name), 0, -1)
                pipe.hgetall(key("jobs:kept_bytes"))
                pipe.get(key("jobs:bytes"))
                pipe.hvals(key("deliveries:sending"))
                pipe.zcard(key("deliveries:leases"))
                open_ids, leased_ids, deadlines, kept, kept_bytes, stored, sending, leased = pipe.execute()
            self._check_open(open_ids, leased_ids, deadlines, int(stored or 0))
            self._check_kept(kept, kept_bytes)
            counted = sum(map(int, sending))
            require(counted == leased, f"{leased} deliveries are leased, {counted} are counted")
            self._batches.audit(open_ids)

    def _check_open(self, open_ids: list[str], leased_ids: list[str], deadlines: list[str], stored: int) -> None:
        states = self._states(open_ids)
        running = {job_id for job_id, state in states.items() if state == "running"}
        require(set(states.values()) <= {"queued", "running"}, f"open jobs are {states}")
        require(set(leased_ids) == running, f"running are {running}")
        require(set(deadlines) <= set(open_ids), "deadlines of jobs that ended")
        most = self._limits.max_open_jobs
        require(len(open_ids) <= most, f"{len(open_ids)} jobs are open, and the limit is {most}")
        require(stored == PICTURE_BYTES * len(open_ids), f"{len(open_ids)} jobs are open, and {stored} bytes")

    def _check_kept(self, kept: list[str], kept_bytes: dict[str, str]) -> None:
        sizes = dict.fromkeys(kept, PICTURE_BYTES) | ({"total": PICTURE_BYTES * len(kept)} if kept else {})
        found = {name: int(size) for name, size in kept_bytes.items()}
        require(found == sizes, f"the pictures of {kept} are kept, and their sizes are {found}")
        require(len(kept) <= KEPT_PICTURES, f"{len(kept)} pictures are kept")
        states = set(self._states(kept).values())
        require(states <= {"failed"}, f"pictures are kept of jobs that are {states}")

    def _states(self, job_ids: list[str]) -> dict[str, str]:
        if not job_ids:
            return {}
        with self._server.pipeline(transaction=False) as pipe:
            for job_id in job_ids:
                pipe.hget(QUEUE.key(f"job:{job_id}"), "state")
            return dict(zip(job_ids, pipe.execute(), strict=True))
