"""A simulated API process for batches: the product's own classes, which a crash may cut off at any step."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import redis
from greenlet import GreenletExit

from api import batch_intake
from api.batch_form import NamedPicture
from api.batch_intake import BatchIntake
from api.cached_results import CachedResults
from api.contract.batch_schemas import AddedPicture
from api.picture_batches import PictureBatches
from api.picture_body import PictureBody
from api.picture_jobs import PictureJobs
from api.ready_workers import ReadyWorkers
from api.uploads import UploadLimits
from shared.batches.models import BatchRequest, BatchResult
from shared.errors import NotReplicated
from shared.jobs.admission import new_job_id
from shared.jobs.events import NO_EVENTS
from shared.result_cache import ResultCache
from shared.worker_registry import WorkerRegistry
from tests.simulation.network import SimulatedRedis
from tests.simulation.world import Actor

if TYPE_CHECKING:
    from tests.simulation.service import SimulatedService

T = TypeVar("T")


class ApiCrash(GreenletExit):
    """The process is ended: no code of the product runs any more."""


class Unanswered(Exception):
    """The client gets no answer, or one that tells it to try again: a store is away, or the process has crashed."""


class SimulatedApi:
    """One API process; every request runs in the actor that sends it."""

    def __init__(self, service: "SimulatedService") -> None:
        self._world = service.world
        self._serving: list[Actor] = []
        client = SimulatedRedis(service.network, service.server)
        jobs = service.make_jobs(client)
        cached = CachedResults(
            ResultCache(client, service.queue, 0), ReadyWorkers(WorkerRegistry(client, service.queue), 0)
        )
        doors: Any = _OpenDoors()
        nobody_waits: Any = None
        self._batches = service.make_batches(client)
        self._jobs = PictureJobs(jobs, service.store, cached, NO_EVENTS)
        self._picture_batches = PictureBatches(self._batches, self._jobs, doors, nobody_waits)
        self._intake = BatchIntake(self._batches, service.store, cached, doors, UploadLimits(1000, 1000), NO_EVENTS)

    @property
    def busy(self) -> bool:
        """Whether it serves a request."""
        return bool(self._serving)

    def crash(self) -> None:
        """End all requests where they are; the process is started again at once."""
        self._world.note("an API process crashes")
        for actor in self._serving:
            self._world.interrupt(actor, ApiCrash())

    def open(self, batch_id: str, request: BatchRequest) -> None:
        """Open a batch; raises Unanswered, QueueFull."""
        self._answer(lambda: self._batches.open(batch_id, request))

    def add(self, batch_id: str, key: str, pictures: Mapping[str, bytes], job_ids: Sequence[str]) -> list[AddedPicture]:
        """Add pictures by name; valid ones become the jobs `job_ids`. Raises Unanswered, and as BatchIntake."""
        named = [NamedPicture(name, PictureBody(data)) for name, data in pictures.items()]
        return self._answer(lambda: self._intake.add(batch_id, None, key, _received(named, job_ids), lambda _: None))

    def close(self, batch_id: str) -> str:
        """Close a batch and return its state; raises Unanswered, and as PictureBatches."""
        return self._answer(lambda: self._picture_batches.close(batch_id, None)).state

    def results(self, batch_id: str, after: int) -> tuple[str, int, list[BatchResult]]:
        """Return the state, the number of pictures and all results after `after`; raises Unanswered, UnknownBatch, …"""

        def read() -> tuple[str, int, list[BatchResult]]:
            batch, pages = self._picture_batches.results(batch_id, None, after)
            return batch.state, batch.added, [found for page in pages for found in page]

        return self._answer(read)

    def cancel(self, batch_id: str) -> None:
        """Cancel or delete a batch; raises Unanswered, UnknownBatch."""
        self._answer(lambda: self._picture_batches.cancel(batch_id, None))

    def cancel_picture(self, job_id: str) -> None:
        """Cancel or delete the job of a picture; raises Unanswered, GoneJob, UnknownJob."""
        self._answer(lambda: self._jobs.cancel(job_id))

    def _answer(self, request: Callable[[], T]) -> T:
        actor = self._world.current
        self._serving.append(actor)
        try:
            return request()
        except (redis.RedisError, OSError, ApiCrash, NotReplicated) as error:
            raise Unanswered(repr(error)) from None
        finally:
            self._serving.remove(actor)


class _OpenDoors:
    """Stands in for the check of the server, which reads what is not simulated."""

    def check_server(self) -> None:
        pass

    def check(self, wait_seconds: float) -> None:
        pass


@contextmanager
def _received(pictures: list[NamedPicture], job_ids: Sequence[str]) -> Iterator[list[NamedPicture]]:
    """Have the intake name its jobs by `job_ids`, which it does in the step that reads the pictures: so runs repeat."""
    batch_intake.new_job_id = iter(job_ids).__next__  # type: ignore[attr-defined]
    try:
        yield pictures
    finally:
        batch_intake.new_job_id = new_job_id  # type: ignore[attr-defined]
