"""A simulated worker and its children: the product's own classes, on a simulated line to a real Redis server."""

import itertools
import json
from typing import TYPE_CHECKING, Any, ClassVar

import redis
from billiard.exceptions import SoftTimeLimitExceeded, TimeLimitExceeded, WorkerLostError

from shared.jobs.events import JobEvents
from shared.jobs.models import Job
from shared.result_cache import ResultCache
from shared.worker_registry import WorkerRecord, WorkerRegistry
from tests.simulation.ledger import Ledger
from tests.simulation.network import SimulatedRedis
from tests.simulation.pictures import name_in
from tests.simulation.terms import CHILD_START_SECONDS, QUEUE, SLOWEST_PICTURE_SECONDS, TIME_LIMIT_SECONDS
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

if TYPE_CHECKING:
    from tests.simulation.service import SimulatedService

LOST = WorkerLostError("signal 9")
STOPPED = TimeLimitExceeded(TIME_LIMIT_SECONDS)


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
        self.delivery_tag = ""
        self.told = ChildProgress("", Stage.IDLE, 0)
        service = worker.service
        world = service.world
        self._redis = SimulatedRedis(service.network, service.server)
        jobs = service.make_jobs(self._redis)
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
            job_id = self._take_message()
            if not job_id:
                world.pause(rng.uniform(0.2, 1))
                continue
            self.delivery_tag = self._worker.next_tag()
            self.idle()
            try:
                rng.choice(self._consumers).run(job_id, self.delivery_tag, self._model)
            except Exception as error:
                world.note(f"fails: {error!r}")
                self._fail(error)
            self.delivery_tag = ""

    def _fail(self, error: Exception) -> None:
        try:
            self._worker.maintenance.on_failure(self.delivery_tag, error)
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
        jobs = service.make_jobs(self._redis)
        stalled = StalledJobs(self._redis, QUEUE, clock)
        turns = Turns(self._redis, QUEUE, REAP_SECONDS, clock)
        reaper = Reaper(turns, jobs, stalled, service.store, figures)
        workers = WorkerRegistry(self._redis, QUEUE)
        self.maintenance = WorkerMaintenance(self.record, _Set(), workers, reaper, TIME_LIMIT_SECONDS, self, clock)
        self._deliveries = itertools.count()
        self.children = [Child(self) for _ in range(children)]
        self._loop = service.world.spawn(f"{name} main", self._live, patient=False)
        self._events: list[Actor] = []

    def next_tag(self) -> str:
        """Return the tag of a new delivery."""
        return f"{self.record.name} {next(self._deliveries)}"

    def of(self, delivery_tag: str) -> ChildProgress | None:
        return next((child.told for child in self.children if child.delivery_tag == delivery_tag), None)

    def lose_child(self, child: Child, error: Exception) -> None:
        """End a child, as a crash or a hard time limit does; the main process notices."""
        world = self.service.world
        if not child.actor.alive:
            return
        world.note(f"{self.record.name} loses a child: {error!r}")
        self._stop(child)

        def notice() -> None:
            if child.delivery_tag:
                self.maintenance.on_failure(child.delivery_tag, error)
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
