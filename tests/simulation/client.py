"""A simulated client that uploads single pictures, asks for their results and cancels some."""

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import redis

from api.cached_results import CachedResults
from api.picture_jobs import PictureJobs
from api.ready_workers import ReadyWorkers
from api.uploads import Upload
from shared.errors import GoneJob, NotReplicated, QueueFull, UnknownJob
from shared.jobs.admission import JobRequest
from shared.jobs.events import NO_EVENTS
from shared.jobs.models import ImageInfo
from shared.result_cache import ResultCache
from shared.worker_registry import WorkerRegistry
from tests.simulation.ledger import picture_of
from tests.simulation.network import SimulatedRedis
from tests.simulation.pictures import PICTURE_BYTES, make_picture
from tests.simulation.terms import QUEUE
from tests.simulation.webhooks import HOSTS

if TYPE_CHECKING:
    from tests.simulation.service import SimulatedService


@dataclass(frozen=True)
class Habits:
    """How many pictures a client uploads, how many a second, and the shares with a deadline, canceled, with webhook."""

    uploads: int
    per_second: float
    deadlines: float
    cancels: float
    webhooks: float


class SimulatedClient:
    """A client with an API process of its own: uploads, asks, cancels."""

    def __init__(self, service: "SimulatedService", name: str, habits: Habits) -> None:
        self._service = service
        self._name = name
        self._habits = habits
        client = SimulatedRedis(service.network, service.server)
        self._jobs = service.make_jobs(client)
        lookup = CachedResults(ResultCache(client, QUEUE, 0), ReadyWorkers(WorkerRegistry(client, QUEUE), 0))
        self._picture_jobs = PictureJobs(self._jobs, service.store, lookup, NO_EVENTS)
        self.actor = service.world.spawn(name, self._live, patient=False)

    def _live(self) -> None:
        world = self._service.world
        for number in range(self._habits.uploads):
            world.pause(world.rng.expovariate(self._habits.per_second))
            self._upload(f"{self._name}-{number}")

    def _upload(self, name: str) -> None:
        rng, ledger = self._service.world.rng, self._service.ledger
        has_deadline = rng.random() < self._habits.deadlines
        deadline_seconds = rng.choice([2, 30]) if has_deadline else 0
        key = name if rng.random() < 0.5 else ""
        webhook = rng.choice(HOSTS) if rng.random() < self._habits.webhooks else ""
        for attempt in range(3 if key else 1):
            job_id = f"{name}-{attempt}"
            if has_deadline:
                ledger.deadlines.add(job_id)
            if webhook:
                ledger.webhooks.add(job_id)
            data = make_picture(picture_of(job_id))
            picture = ImageInfo(hashlib.sha256(data).hexdigest(), "BMP", 1, 1, PICTURE_BYTES)
            request = JobRequest(picture, 1, deadline_seconds, webhook=webhook)
            asked = ledger.failovers
            try:
                admission = self._picture_jobs.accept(job_id, Upload(data, request), key)
            except QueueFull:
                return
            except (redis.RedisError, OSError, NotReplicated) as error:
                self._service.world.note(f"unknown: {job_id} {error!r}")
                ledger.unknown.add(job_id)
                continue
            ledger.accept([admission.job_id], asked)
            self._service.world.note(f"accepted: {admission.job_id}")
            self._follow(admission.job_id)
            return

    def _follow(self, job_id: str) -> None:
        world = self._service.world
        for _ in range(world.rng.randrange(3)):
            world.pause(world.rng.expovariate(1))
            asked = self._service.ledger.failovers
            try:
                self._service.ledger.observe(self._jobs.get(job_id), asked)
            except (redis.RedisError, GoneJob, UnknownJob) as error:
                world.note(f"{job_id}: {error!r}")
        if world.rng.random() < self._habits.cancels:
            self._service.ledger.deletions[job_id] += 1
            try:
                self._picture_jobs.cancel(job_id)
            except (redis.RedisError, OSError) as error:
                # Whether it was done is not known: it may have been done twice.
                self._service.ledger.deletions[job_id] += 1
                world.note(f"{job_id}: {error!r}")
            except (GoneJob, UnknownJob):
                pass
