"""The state of the service, as `/status.json` answers it."""

from collections.abc import Sequence
from dataclasses import dataclass

from api.admission_control import AdmissionControl
from api.contract.status_schemas import EndedPerMinute, Failure, OldestJob, ServiceStatus, StatusWorker
from api.operators import Access
from shared.batches.store import Batches
from shared.errors import TryLater
from shared.jobs.answer import as_timestamp
from shared.jobs.backlog import Backlog
from shared.jobs.deliveries import Deliveries, DeliveryOutcome
from shared.jobs.history import EndedJobs, JobHistory
from shared.jobs.models import Job
from shared.jobs.store import Jobs
from shared.worker_registry import WorkerRegistry

MOST_FAILURES = 20


@dataclass(frozen=True)
class StatusReader:
    """Reads the state from Redis; how long that takes does not depend on the number of open or failed jobs."""

    jobs: Jobs
    history: JobHistory
    workers: WorkerRegistry
    batches: Batches
    deliveries: Deliveries
    admission_control: AdmissionControl

    def read(self, access: Access) -> ServiceStatus:
        """Return what a request with this access may see; raises redis.RedisError if Redis does not answer."""
        backlog, webhooks = self.jobs.backlog.read(), self.deliveries.backlog()
        status: ServiceStatus = {
            "time": as_timestamp(backlog.now_ms),
            "jobs": {
                "queued": backlog.open_jobs - backlog.running,
                "running": backlog.running,
                "failed": backlog.failed,
                "oldest_seconds": round(backlog.oldest_seconds, 3),
            },
            "ended": _ended(self.history.read(backlog.now_ms)),
            "workers": self._workers(),
            "batches": {"open": self.batches.open_count()},
            "webhooks": {
                "open": webhooks.open,
                "overdue_seconds": round(webhooks.overdue_seconds, 3),
                "given_up": webhooks.attempts[DeliveryOutcome.GIVEN_UP],
            },
            "may_act": access is Access.ACTIONS,
        }
        if refusal := self._refusal():
            status["refusal"] = refusal
        if access >= Access.FAILURES:
            status["failures"] = self._failures(access)
        if access is Access.ACTIONS and (oldest := self._oldest(backlog)):
            status["oldest"] = oldest
        return status

    def _refusal(self) -> str:
        try:
            self.admission_control.check(wait_seconds=0)
        except TryLater as error:
            return str(error)
        return ""

    def _workers(self) -> list[StatusWorker]:
        running = self.jobs.backlog.running_by_worker()
        found: list[StatusWorker] = []
        for record in self.workers.ready():
            worker: StatusWorker = {
                "name": record.name,
                "engine": record.engine,
                "model": record.model,
                "digest": record.digest,
                "answers": record.result_version,
                "children": record.children,
                "labels": record.labels,
            }
            if running is not None:
                worker["running"] = running.get(record.name, 0)
            found.append(worker)
        return found

    def _failures(self, access: Access) -> list[Failure]:
        # Pictures are kept for longer than the list of all failed jobs has them.
        ids = {*self.jobs.failed_ids(MOST_FAILURES), *self.jobs.kept.newest(MOST_FAILURES)}
        failed = sorted(self.jobs.existing(list(ids)), key=lambda job: job.finished_ms, reverse=True)[:MOST_FAILURES]
        kept = self.jobs.kept.among([job.id for job in failed])
        return [_failure(job, access, retryable=job.id in kept) for job in failed]

    def _oldest(self, backlog: Backlog) -> OldestJob | None:
        """Return the oldest open job; None if there is none, or if it has ended in the meantime."""
        found = self.jobs.existing([backlog.oldest_id] if backlog.oldest_id else [])
        open_jobs: Sequence[Job] = [job for job in found if not job.state.terminal]
        return {"id": open_jobs[0].id, "status": open_jobs[0].state} if open_jobs else None


def _ended(ended: EndedJobs) -> EndedPerMinute:
    counts = {state.value: list(counts) for state, counts in ended.counts.items()}
    return {
        "last_minute": as_timestamp(ended.last_minute_ms),
        "succeeded": counts["succeeded"],
        "failed": counts["failed"],
        "canceled": counts["canceled"],
        "expired": counts["expired"],
    }


def _failure(job: Job, access: Access, *, retryable: bool) -> Failure:
    problem = job.problem or {}
    failure: Failure = {
        "finished": as_timestamp(job.finished_ms),
        "status": int(problem.get("status", 500)),
        "title": str(problem.get("title", "")),
        "attempts": job.attempts,
    }
    if job.worker:
        failure["worker"] = job.worker
    if access is Access.ACTIONS:
        # The detail may name the file of the picture, which has the id.
        failure |= {
            "id": job.id,
            "detail": str(problem.get("detail", "")),
            "retryable": retryable,
            "poison": job.poison,
        }
        if job.owner:
            failure["owner"] = job.owner
    return failure
