"""The processes of a simulated service: the product's own classes, on a simulated line to a real Redis server."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import redis
from billiard.exceptions import SoftTimeLimitExceeded, TimeLimitExceeded, WorkerLostError

from api.cached_results import CachedResults
from api.picture_jobs import PictureJobs
from api.ready_workers import ReadyWorkers
from api.uploads import Upload
from shared.batches.store import Batches
from shared.errors import GoneJob, ImageMissing, NotReplicated, NotRetryable, QueueFull, UnknownJob
from shared.images.store import ImageStoreAway
from shared.jobs.admission import JobRequest
from shared.jobs.backlog import BacklogReader
from shared.jobs.events import NO_EVENTS, JobEvents
from shared.jobs.limits import JobLimits
from shared.jobs.models import ImageInfo, Job, JobState
from shared.jobs.queue import Queue
from shared.jobs.retries import Retries
from shared.jobs.store import Jobs
from shared.result_cache import ResultCache
from shared.worker_registry import WorkerRecord, WorkerRegistry
from tests.simulation.ledger import Ledger, picture_of
from tests.simulation.network import Network, SimulatedRedis
from tests.simulation.pictures import PICTURE_BYTES, make_picture, name_in
from tests.simulation.webhooks import HOSTS, SimulatedReceivers
from tests.simulation.world import Actor, World
from worker.inference.labels import Prediction
from worker.jobs.consumer import ConsumerTerms, JobConsumer
from worker.jobs.foreign import ForeignMessages
from worker.jobs.progress import ChildProgress, Stage
from worker.jobs.reaper import REAP_SECONDS, Reaper
from worker.jobs.runner import JobRunner
from worker.jobs.stalled import StalledJobs
from worker.jobs.turns import Turns
from worker.runtime.maintenance import WorkerMaintenance

QUEUE = Queue("s:")
# So many pictures of failed jobs are kept at most.
KEPT_PICTURES = 5
TIME_LIMIT_SECONDS = 11.0
LEASE_SECONDS = 12.0
SLOWEST_PICTURE_SECONDS = 9.0
CHILD_START_SECONDS = 1.5


class SimulatedStore:
    """Pictures that all processes share; away for as long as the world says."""

    def __init__(self, world: World, *, carried: bool) -> None:
        """`carried`: pictures travel with their record, and there is no store."""
        self._world = world
        self.carried = carried
        self._pictures: dict[str, bytes] = {}
        self.away_until = 0.0

    def put(self, job_id: str, data: bytes) -> bytes:
        if self.carried:
            return data
        self._reach()
        self._pictures[job_id] = data
        return b""

    def get(self, job_id: str, carried: bytes) -> bytes:
        if not self.carried:
            self._reach()
            carried = self._pictures.get(job_id, b"")
        if not carried:
            raise ImageMissing("The picture of this job is no longer stored.")
        return carried

    def holds(self, job_id: str, carried: bytes) -> bool:
        """Whether the picture is there, for the reckoning."""
        return bool(carried if self.carried else self._pictures.get(job_id))

    def delete(self, job_id: str) -> None:
        if not self.carried:
            self._reach()
            self._pictures.pop(job_id, None)

    def sweep(self, max_age_seconds: float, is_needed: Callable[[str], bool]) -> None:
        """Nothing is ever so old."""

    def _reach(self) -> None:
        self._world.pause(self._world.rng.expovariate(200))
        if self._world.now < self.away_until:
            raise ImageStoreAway("away")


class EndCount(JobEvents):
    """Counts the ends that processes report."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def ended(self, state: JobState) -> None:
        self._ledger.counted[state] += 1


class Figures(JobEvents):
    """Stands in for the metrics of a worker."""

    def begun(self, job: Job) -> None:
        pass

    def done(self, job: Job, seconds: float) -> None:
        pass

    def foreign(self) -> None:
        pass


class SimulatedModel:
    """Labels a picture with its own name, after a while."""

    model: ClassVar = {"name": "simulated", "digest": "0"}

    def __init__(self, world: World, ledger: Ledger, slow: float) -> None:
        """`slow` is the share of pictures that take seconds."""
        self._world = world
        self._ledger = ledger
        self._slow = slow

    def classify(self, data: bytes, top: int) -> list[Prediction]:
        picture = name_in(data)
        self._ledger.begun[picture] += 1
        self._world.note(f"runs {picture}")
        rng = self._world.rng
        self._world.pause(
            rng.uniform(2, SLOWEST_PICTURE_SECONDS) if rng.random() < self._slow else rng.uniform(0.01, 0.3)
        )
        self._ledger.completed[picture] += 1
        return [Prediction(f"label of {picture}", 0.5)]


class Child:
    """One child of a worker, which gets a message as Celery delivers it and runs its job."""

    def __init__(self, worker: "SimulatedWorker") -> None:
        self._worker = worker
        self.task_id = ""
        self.told = ChildProgress("", Stage.IDLE, 0)
        service = worker.service
        world = service.world
        self._redis = SimulatedRedis(service.network, service.server)
        jobs = service.make_jobs(self._redis, of_worker=True)
        figures: Any = Figures()
        cache = ResultCache(self._redis, QUEUE, 0)
        self._model = SimulatedModel(world, service.ledger, service.slow)
        runner = JobRunner(service.store, cache, worker.record.result_version, figures, self)
        foreign = ForeignMessages(self._redis, QUEUE, figures)
        self._consumers = [
            JobConsumer(
                jobs, runner, foreign, ConsumerTerms(worker.record.name, service.lease_seconds, consume_seconds)
            )
            for consume_seconds in (0, 1e9)
        ]
        self.actor = world.spawn(f"{worker.record.name} child", self._live, after=CHILD_START_SECONDS)

    def run(self, job_id: str) -> None:
        self.told = ChildProgress(job_id, Stage.RUNNING, 0)

    def end(self) -> None:
        self.told = ChildProgress(self.told.job_id, Stage.ENDING, 0)

    def idle(self) -> None:
        self.told = ChildProgress("", Stage.IDLE, 0)

    def _live(self) -> None:
        rng, world = self._worker.service.world.rng, self._worker.service.world
        while True:
            task_id = self._take_message()
            if not task_id:
                world.pause(rng.uniform(0.2, 1))
                continue
            self.task_id = task_id
            self.idle()
            try:
                rng.choice(self._consumers).run(task_id, self._model)
            except Exception as error:
                world.note(f"fails: {error!r}")
                self._fail(task_id, error)
            self.task_id = ""

    def _fail(self, task_id: str, error: Exception) -> None:
        try:
            self._worker.maintenance.on_failure(task_id, error)
        except SoftTimeLimitExceeded:
            self._worker.service.world.note("the failure could not be handled in time")

    def _take_message(self) -> str:
        """Take a message as Celery does: one whose answer is lost is lost."""
        self._worker.service.world.current.patient = False
        try:
            message = self._redis.rpop(QUEUE.list_key)
            headers = json.loads(message)["headers"] if message else {}
        except redis.RedisError:
            return ""
        finally:
            self._worker.service.world.current.patient = True
        return str(headers.get("id", ""))


class SimulatedWorker:
    """A worker: its main process, which beats, repairs and looks after its children."""

    def __init__(self, service: "SimulatedService", name: str, children: int) -> None:
        self.service = service
        self.record = WorkerRecord(name, "litert", "m", "d", "litert-1:d", children)
        self._redis = SimulatedRedis(service.network, service.server)
        clock = service.network.clock()
        figures: Any = Figures()
        jobs = service.make_jobs(self._redis, of_worker=True)
        stalled = StalledJobs(self._redis, QUEUE, clock)
        turns = Turns(self._redis, QUEUE, REAP_SECONDS, clock)
        reaper = Reaper(turns, jobs, stalled, service.store, figures)
        workers = WorkerRegistry(self._redis, QUEUE)
        self.maintenance = WorkerMaintenance(self.record, _Set(), workers, reaper, TIME_LIMIT_SECONDS, self, clock)
        self.children = [Child(self) for _ in range(children)]
        self._loop = service.world.spawn(f"{name} main", self._live, patient=False)
        self._events: list[Actor] = []

    def of(self, task_id: str) -> ChildProgress | None:
        return next((child.told for child in self.children if child.task_id == task_id), None)

    def lose_child(self, child: Child, error: Exception) -> None:
        """End a child, as a crash or a hard time limit does; the main process notices."""
        world = self.service.world
        if not child.actor.alive:
            return
        world.note(f"{self.record.name} loses a child: {error!r}")
        self._stop(child)

        def notice() -> None:
            if child.task_id:
                self.maintenance.on_failure(child.task_id, error)
            self.children[self.children.index(child)] = Child(self)

        self._events.append(world.spawn(f"{self.record.name} event", notice, patient=False, after=0.01))

    def crash(self) -> None:
        """End all of it: nobody notices."""
        world = self.service.world
        world.note(f"{self.record.name} crashes")
        for child in self.children:
            self._stop(child)
        for actor in (self._loop, *self._events):
            world.end(actor)

    def _stop(self, child: Child) -> None:
        if child.told.stage is Stage.RUNNING:
            self.service.ledger.stopped.add(child.told.job_id)
        self.service.ledger.deaths += 1
        self.service.world.end(child.actor)

    def _live(self) -> None:
        world = self.service.world
        world.pause(world.rng.uniform(0, 1))
        for second in range(1_000_000):
            self.maintenance.beat()
            if second % REAP_SECONDS == 0:
                self.maintenance.reap()
            world.pause(1)


class _Set:
    def is_set(self) -> bool:
        return True


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
        self.lease_seconds = LEASE_SECONDS
        self.min_replicas = int(ledger.confirmed)
        most = world.rng.choice([3, 8, 50])
        self.limits = JobLimits(most, 10_000, ledger.max_attempts, 3600, 3600, 3600, KEPT_PICTURES * PICTURE_BYTES)

    def make_jobs(self, client: Any, *, of_worker: bool = False) -> Jobs:
        """Return the job records as one process uses them; workers as in worker/services.py."""
        replicas = 0 if of_worker and self.store.carried else self.min_replicas
        return Jobs(client, QUEUE, self.limits, EndCount(self.ledger), self.network.clock(), replicas)

    def make_batches(self, client: Any) -> Batches:
        """Return the batches as one process uses them."""
        backlog = BacklogReader(client, QUEUE, self.limits)
        return Batches(client, QUEUE, self.limits, backlog, self.network.clock(), self.min_replicas)


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

    def __init__(self, service: SimulatedService, name: str, habits: Habits) -> None:
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


class SimulatedOperator:
    """An operator who has all failed jobs retried, now and then, with a program of its own."""

    def __init__(self, service: SimulatedService, name: str, rounds: int) -> None:
        self._service = service
        self._name = name
        self._rounds = rounds
        self._jobs = service.make_jobs(SimulatedRedis(service.network, service.server))
        self._retries = Retries(self._jobs, service.store)
        self._number = 0
        self.actor = service.world.spawn(name, self._live, patient=False)

    def _live(self) -> None:
        world = self._service.world
        for _ in range(self._rounds):
            world.pause(world.rng.expovariate(0.3))
            try:
                job_ids = self._jobs.kept.job_ids()
            except redis.RedisError as error:
                world.note(f"no list of failed jobs: {error!r}")
                continue
            for job_id in job_ids:
                self._retry(job_id)

    def _retry(self, job_id: str) -> None:
        world, ledger = self._service.world, self._service.ledger
        self._number += 1
        new_id = f"{picture_of(job_id)}-{self._name}.{self._number}"
        asked = ledger.failovers
        try:
            job = self._jobs.get(job_id)
            if job.webhook:
                ledger.webhooks.add(new_id)
            admission = self._retries.retry(job, new_id)
        except (QueueFull, GoneJob, UnknownJob, NotRetryable) as error:
            world.note(f"{job_id} is not retried: {error}")
        except (redis.RedisError, OSError) as error:
            world.note(f"unknown: {new_id} {error!r}")
            ledger.unknown.add(new_id)
        else:
            world.note(f"{job_id} is retried as {admission.job_id}, replicated: {admission.replicated}")
            if admission.replicated:
                ledger.accept([admission.job_id], asked)
            else:
                ledger.unknown.add(admission.job_id)
            if admission.replicated and (ledger.confirmed or ledger.holds(asked)):
                ledger.note_retry(job_id, admission.job_id)


LOST = WorkerLostError("signal 9")
STOPPED = TimeLimitExceeded(TIME_LIMIT_SECONDS)
