"""What was promised to the clients of a simulated service, what was seen, and whether both agree."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from shared.jobs.models import Job, JobState


class Broken(BaseException):
    """An invariant does not hold; no `except Exception` of the product may catch it."""


@dataclass
class Ledger:
    """Written by the simulated clients and workers; judged when the world has come to rest."""

    max_attempts: int
    # Whether what is accepted is on the replica, and how often the replica has taken the primary's place.
    confirmed: bool = False
    failovers: int = 0
    accepted: set[str] = field(default_factory=set)
    # Uploads whose answer never came: they may have been accepted.
    unknown: set[str] = field(default_factory=set)
    deletions: Counter[str] = field(default_factory=Counter)
    deadlines: set[str] = field(default_factory=set)
    # How often the model was run for a picture, and how often to its end.
    begun: Counter[str] = field(default_factory=Counter)
    completed: Counter[str] = field(default_factory=Counter)
    # Jobs that were being run when their child was stopped at a time limit.
    stopped: set[str] = field(default_factory=set)
    # Ends that processes have counted; and processes that were ended, or gave up asking Redis, and may have missed one.
    counted: Counter[JobState] = field(default_factory=Counter)
    deaths: int = 0
    # Whether a process may have claimed a job and never heard of it: its line is bad for longer than it asks.
    cut_off: bool = False
    # Whether leases may end while a job is run.
    short_leases: bool = False
    # Ends whose answer never came: whoever asked for them did not count them.
    unheard_ends: int = 0
    # Jobs and batches with a webhook; how often each end was received, and what; those whose delivery was given up.
    webhooks: set[str] = field(default_factory=set)
    received: Counter[str] = field(default_factory=Counter)
    received_answers: dict[str, dict[str, Any]] = field(default_factory=dict)
    given_up: set[str] = field(default_factory=set)
    # Receipts that the sender did not hear of, and senders that were ended or whose leases ended early.
    lost_receipts: int = 0
    lost_senders: int = 0
    seen: dict[str, Job] = field(default_factory=dict)
    # The new job of each job that was retried, as the operators were told.
    retried: dict[str, str] = field(default_factory=dict)

    def accept(self, job_ids: Iterable[str], asked: int) -> None:
        """Note that a client is told that these jobs are accepted; `asked` as in `holds`."""
        (self.accepted if self.confirmed or self.holds(asked) else self.unknown).update(job_ids)

    def holds(self, asked: int) -> bool:
        """Whether an answer still describes the service; it was asked for after so many failovers."""
        return asked == self.failovers

    def fail_over(self, is_there: Callable[[str], bool]) -> set[str]:
        """Note that the replica is the primary now; return the jobs that it does not have, which were accepted."""
        lost = {job_id for job_id in self.accepted if not is_there(job_id)}
        require(not (lost and self.confirmed), f"the replica has confirmed {sorted(lost)}, and does not have them")
        self.failovers += 1
        self.accepted -= lost
        self.unknown |= lost
        # Jobs whose ends were lost end again.
        self.seen.clear()
        if not self.confirmed:
            self.retried.clear()
        return lost

    def observe(self, job: Job, asked: int) -> None:
        """Note what a client reads, `asked` as in `holds`; an end never changes, except by a failover."""
        if not self.holds(asked):
            return
        before = self.seen.get(job.id)
        if before is not None and before.state.terminal:
            same = (before.state, before.result, before.problem) == (job.state, job.result, job.problem)
            require(same, f"{job.id} ended as {before.state} and then as {job.state}")
        self.seen[job.id] = job

    def receive(self, answer: dict[str, Any]) -> None:
        """Note what a receiver is told about a job or a batch: it is always the same, except by a failover."""
        before = self.received_answers.setdefault(answer["id"], answer)
        require(before == answer or self.failovers > 0, f"a webhook told {before}, and then {answer}")
        self.received[answer["id"]] += 1

    def note_retry(self, job_id: str, new_id: str) -> None:
        """Note what an operator is told about a retry: everybody is told of the same new job."""
        before = self.retried.setdefault(job_id, new_id)
        require(before == new_id, f"{job_id} was retried as {before} and as {new_id}")

    def judge_retries(self, jobs: Sequence[Job], kept: Collection[str]) -> None:
        """Check that each job was retried once at most, and that none whose picture was kept is lost.

        `jobs` are all that there are; `kept` are the ids of those whose pictures are kept now, and are there.
        """
        children = Counter(job.retry_of for job in jobs if job.retry_of)
        twice = [job_id for job_id, count in children.items() if count > 1]
        require(not twice, f"retried more than once: {twice}")
        for job in jobs:
            if job.kept_until_ms:
                is_there = job.id in kept or job.id in children or job.id in self.retried or self.deletions[job.id] > 0
                require(is_there, f"the picture of {job.id} was kept, and is lost")

    def judge(self, jobs: dict[str, Job | None], *, calm: bool) -> None:
        """Check every job when nothing moves any more; None for one that is gone.

        `calm`: no process was ended or stopped, or gave up asking Redis.
        """
        for job_id in sorted(self.accepted):
            job = jobs.get(job_id)
            if job is None:
                self._judge_gone(job_id)
                continue
            require(job.state.terminal, f"{job_id} was accepted and is {job.state} for ever")
            self.observe(job, self.failovers)
            self._judge_end(job)
            if calm:
                self._judge_attempts(job)
        if calm:
            ended = Counter(job.state for job in jobs.values() if job is not None)
            gone = sum(job is None for job in jobs.values())
            missing = sum((ended - self.counted).values())
            extra = sum((self.counted - ended).values())
            require(missing <= self.unheard_ends, f"ended {dict(ended)}, counted {dict(self.counted)}")
            require(extra <= gone, f"ended {dict(ended)}, counted {dict(self.counted)}")

    def judge_history(self, jobs: dict[str, Job | None], counted: Counter[str]) -> None:
        """Check that every end was counted once, by `counted`; a job that is gone has ended in a state unknown here."""
        ended = Counter(job.state.value for job in jobs.values() if job is not None)
        told = f"ended {dict(ended)}, the history has {dict(counted)}"
        require(not ended - counted and counted.total() == len(jobs), told)

    def judge_webhooks(self, jobs: dict[str, Job | None]) -> None:
        """Check that every outcome with a webhook was received or given up, and no other one."""
        for job_id in sorted(self.webhooks & jobs.keys()):
            told = f"the webhook of {job_id} was received {self.received[job_id]} times"
            require(self.received[job_id] > 0 or job_id in self.given_up, told)
            require(self.received[job_id] <= 1 or self.lost_receipts + self.lost_senders + self.failovers > 0, told)
            job = jobs[job_id]
            if job is not None and job_id in self.received_answers:
                told = self.received_answers[job_id]["status"]
                require(told == job.state or self.failovers > 0, f"{job_id} is {job.state}, its webhook told {told}")
        require(self.received.keys() <= self.webhooks, "a job or batch without a webhook has one")

    def _judge_gone(self, job_id: str) -> None:
        deleted = self.deletions[job_id]
        require(deleted > 0, f"{job_id} was accepted and is gone")
        # The first deletion of an open job cancels it, and its record stays.
        ended = self.completed[picture_of(job_id)] or job_id in self.stopped or job_id in self.deadlines
        used_up = self.deaths > 0 or self.cut_off
        require(deleted > 1 or ended or used_up, f"{job_id} was canceled once, and its record is gone")

    def _judge_end(self, job: Job) -> None:
        title = (job.problem or {}).get("title")
        if job.state is JobState.SUCCEEDED:
            require(job.result == expected(job), f"{job.id} has the labels {job.result}")
        elif job.state is JobState.CANCELED:
            require(self.deletions[job.id] > 0, f"{job.id} was canceled by nobody")
        elif job.state is JobState.EXPIRED:
            require(job.id in self.deadlines, f"{job.id} has no deadline and expired")
        elif title == "Time limit":
            # With leases shorter than jobs two children may run one task, and pay for each other.
            told = f"{job.id} failed for a time limit while it was not run"
            require(job.id in self.stopped or self.short_leases, told)
        elif title == "Picture lost":
            # Its end was lost in a failover, after its picture was deleted.
            require(self.failovers > 0 and not self.confirmed, f"{job.id} failed: {job.problem}")
        else:
            require(title == "Too many attempts", f"{job.id} failed: {job.problem}")
            require(job.attempts >= self.max_attempts, f"{job.id} failed after {job.attempts} attempts")
            require(self.deaths > 0 or self.cut_off, f"{job.id} used up its attempts, and nothing had happened to it")
        require(not job.poison or self.deaths >= job.attempts, f"{job.id} is called poison: {self.deaths} deaths")
        require(job.attempts <= self.max_attempts, f"{job.id} has {job.attempts} attempts")
        # A process may have been ended before it ran what it had claimed; a job that is canceled after its claim is not
        # run.
        limit = self.begun[picture_of(job.id)] + self.deaths + min(1, self.deletions[job.id])
        require(
            job.attempts <= limit or self.cut_off,
            f"{job.id} has {job.attempts} attempts and was run {self.begun[picture_of(job.id)]} times",
        )

    def _judge_attempts(self, job: Job) -> None:
        runs = self.begun[picture_of(job.id)]
        require(runs <= 1, f"{job.id} was run {runs} times, and nothing had happened to its process")
        claimed = runs + min(1, self.deletions[job.id])
        require(runs <= job.attempts <= claimed, f"{job.id} has {job.attempts} attempts and was run {runs} times")


def picture_of(job_id: str) -> str:
    """Return the picture of a job, by its id: all tries of an upload send the same one."""
    return job_id.rpartition("-")[0]


def expected(job: Job) -> dict[str, Any]:
    """Return the result of this job by the simulated model, which has one label for each picture."""
    label = {"confidence_level": 0.5, "predicted_label": f"label of {picture_of(job.id)}"}
    return {"prediction_1": label} if job.min_confidence <= label["confidence_level"] else {}


def require(holds: bool, what: str) -> None:
    """Raise Broken unless it holds."""
    if not holds:
        raise Broken(what)
