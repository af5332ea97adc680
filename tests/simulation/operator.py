"""A simulated operator who retries failed jobs."""

from typing import TYPE_CHECKING

import redis

from shared.errors import GoneJob, NotRetryable, QueueFull, UnknownJob
from shared.jobs.retries import Retries
from tests.simulation.ledger import picture_of
from tests.simulation.network import SimulatedRedis

if TYPE_CHECKING:
    from tests.simulation.service import SimulatedService


class SimulatedOperator:
    """An operator who has all failed jobs retried, now and then, with a program of its own."""

    def __init__(self, service: "SimulatedService", name: str, rounds: int) -> None:
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
