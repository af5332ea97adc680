"""What clients were told about their batches, and whether it was kept."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from shared.batches.answer import batch_answer
from shared.batches.models import Batch, BatchResult, BatchState
from shared.errors import BatchClosed, GoneBatch, TopThreeError, UnknownBatch
from shared.jobs.models import Job
from tests.simulation.ledger import Ledger, picture_of, require

# So many children can have claimed a picture before its batch is canceled, and run it afterwards: see Scenario.
MOST_CHILDREN = 6


@dataclass
class SentRequest:
    """A request to add pictures, which may be tried several times: the names of those that are valid, in order."""

    names: list[str]
    key: str
    job_ids: set[str] = field(default_factory=set)
    answer: list[Any] | None = None
    # Whether a try was not answered: the pictures may have been added.
    unheard: bool = False

    @property
    def accepted(self) -> list[str]:
        """The ids of the jobs, as the client was told."""
        return [each["id"] for each in self.answer or [] if "id" in each]


@dataclass
class SentBatch:
    """A batch, as its client knows it."""

    id: str
    webhook: str
    min_confidence: float
    heard_of: bool = False
    requests: list[SentRequest] = field(default_factory=list)
    lines: list[BatchResult] = field(default_factory=list)
    close_asked: bool = False
    close_told: bool = False
    deletions: int = 0
    # How often the model had run for pictures of this batch when the client was told that it is canceled.
    begun_before: int | None = None
    # Whether Redis has let it expire, or lost it in a failover.
    forgotten: bool = False

    @property
    def job_ids(self) -> set[str]:
        """The ids of all jobs that there may be."""
        return {job_id for request in self.requests for job_id in request.job_ids}

    def check_refusal(self, error: TopThreeError) -> None:
        """Check that a refusal has its reason."""
        reasons = {
            UnknownBatch: self.forgotten,
            GoneBatch: self.deletions > 0,
            BatchClosed: self.close_asked or self.deletions > 0,
        }
        require(reasons[type(error)], f"{self.id} is refused: {error!r}")


class BatchLedger:
    """Written by clients of batches; judged when the world has come to rest."""

    def __init__(self, ledger: Ledger) -> None:
        """`ledger` judges the jobs."""
        self._ledger = ledger
        self.batches: dict[str, SentBatch] = {}

    def open(self, batch: SentBatch) -> None:
        """Note a batch that a client opens."""
        self.batches[batch.id] = batch
        if batch.webhook:
            self._ledger.webhooks.add(batch.id)

    def send(self, batch: SentBatch, request: SentRequest, job_ids: Sequence[str]) -> None:
        """Note another try of a request, with the ids that its jobs will have."""
        request.job_ids.update(job_ids)
        for job_id in job_ids:
            self._ledger.deletions[job_id] += 2 * batch.deletions

    def miss(self, request: SentRequest, job_ids: Sequence[str]) -> None:
        """Note a try that was not answered."""
        request.unheard = True
        self._ledger.unknown.update(job_ids)

    def fail_over(self, is_there: Callable[[str], bool], lost: Collection[str]) -> None:
        """Note that the replica is the primary now; `lost` are jobs that it does not have."""
        for batch in self.batches.values():
            was_confirmed = self._ledger.confirmed and any(request.accepted for request in batch.requests)
            is_lost = not batch.forgotten and not is_there(batch.id)
            require(not (was_confirmed and is_lost), f"the replica has confirmed {batch}, and does not have it")
            batch.forgotten = batch.forgotten or is_lost
            batch.lines.clear()
            batch.begun_before = None
            batch.close_told = batch.close_told and self._ledger.confirmed
            for request in batch.requests:
                if not set(lost).isdisjoint(request.accepted):
                    request.answer, request.unheard = None, True

    def may_be_half_deleted(self, batch: SentBatch) -> bool:
        """Whether a failover may have taken back the first step of a deletion, whose further steps were done after it.

        Its client sends the deletion again.
        """
        return batch.deletions > 0 and self._ledger.failovers > 0

    def answer(self, batch: SentBatch, request: SentRequest, answer: list[Any], asked: int) -> None:
        """Note the answer to a request: every one is the same. `asked` as in `Ledger.holds`."""
        job_ids = [each["id"] for each in answer if "id" in each]
        self._ledger.accept(job_ids, asked)
        if not (self._ledger.confirmed or self._ledger.holds(asked)):
            request.unheard = True
            return
        require(request.answer in (None, answer), f"{batch.id} answers {request.answer}, and then {answer}")
        request.answer = answer
        told = [each["name"] for each in answer if "id" in each]
        require(told == request.names, f"{batch.id} accepts {told} of {request.names}")
        require(request.job_ids.issuperset(request.accepted), f"{batch.id} answers with strange jobs: {answer}")

    def delete(self, batch: SentBatch) -> None:
        """Note that the client is about to cancel or delete a batch: its jobs may be canceled, and deleted."""
        batch.deletions += 1
        for job_id in batch.job_ids:
            self._ledger.deletions[job_id] += 2

    def deleted(self, batch: SentBatch, asked: int) -> None:
        """Note that the client was told so, `asked` as in `Ledger.holds`."""
        if batch.begun_before is None and self._ledger.holds(asked):
            batch.begun_before = self._begun(batch)

    def read(self, batch: SentBatch, after: int, lines: Sequence[BatchResult], complete: int | None) -> None:
        """Note results after `after`; `complete` is the number of pictures if there must be results of all."""
        numbers = [line.number for line in lines]
        require(numbers == [*range(after + 1, after + 1 + len(lines))], f"after {after} {batch.id} has {numbers}")
        known = batch.lines[after:]
        both = list(zip(known, lines, strict=False))
        require(all(before == now for before, now in both), f"{batch.id} had {known}, and then {lines}")
        batch.lines.extend(lines[len(known) :])
        gone = batch.deletions > 0 or batch.forgotten
        require(len(lines) >= len(known) or gone, f"{batch.id} had {known}, and then {lines}")
        whole = complete is None or after + len(lines) == complete or gone
        require(whole, f"{batch.id} is completed with {complete} pictures, and after {after} has {numbers}")

    def judge(self, batch: SentBatch, record: Mapping[str, str], entries: Sequence[tuple[str, str]]) -> None:
        """Check a batch when nothing moves any more; `entries` are the job and name of each picture, by place."""
        if not record:
            require(batch.forgotten or not batch.heard_of, f"{batch.id} is gone")
            return
        found = Batch.from_hash(batch.id, record)
        self._judge_state(batch, found)
        if entries or not batch.deletions:
            require(len(entries) == found.added, f"{batch.id} has {found.added} pictures, and {entries}")
            _judge_pictures(batch, entries)

    def judge_results(
        self, batch: SentBatch, found: Batch, results: Sequence[BatchResult], jobs: Mapping[str, Job | None]
    ) -> None:
        """Check all results of a batch whose pictures are still there, against the records of `jobs`."""
        self.read(batch, 0, results, found.added if found.state is BatchState.COMPLETED else None)
        if len(results) == found.added:
            counted = Counter(line.status for line in results)
            require(counted == Counter(found.ends), f"{batch.id} counts {found.ends}, and its results {counted}")
        for line in results:
            job = jobs.get(line.job_id)
            if job is not None:
                outcome = line.status, line.result, line.problem
                same = outcome == (job.state, job.result, job.problem)
                require(same, f"the result in {batch.id} is {line}, its job is {job}")
                require(job.min_confidence == batch.min_confidence, f"{job.id} has not the options of {batch.id}")
            require(picture_of(line.job_id) == line.name, f"{batch.id} has the job {line.job_id} as {line.name}")

    def judge_webhook(self, batch: SentBatch, record: Mapping[str, str], given_up: set[str]) -> None:
        """Check that the end of a batch was told once, with what it then was."""
        count, ledger = self._ledger.received[batch.id], self._ledger
        told = f"the webhook of {batch.id} was received {count} times"
        require(count <= 1 or ledger.lost_receipts + ledger.lost_senders + ledger.failovers > 0, told)
        if not record:
            return
        found = Batch.from_hash(batch.id, record)
        was_told = count > 0 or batch.id in given_up
        same = was_told == bool(found.finished_ms) or (was_told and ledger.failovers > 0)
        require(same, f"{told}, and it is {found}")
        if count and not ledger.failovers:
            answer = batch_answer(found)
            if found.state is BatchState.DELETED:
                answer["status"] = "completed"
            received = ledger.received_answers[batch.id]
            require(received == answer, f"{batch.id} is {answer}, its webhook told {received}")

    def _judge_state(self, batch: SentBatch, found: Batch) -> None:
        state, ended = found.state, sum(found.ends.values())
        require(ended == found.added, f"all jobs have ended, and {batch.id} is {found}")
        require(state is not BatchState.CLOSED, f"{batch.id} is closed for ever")
        may_be = {
            BatchState.OPEN: not batch.close_told and batch.begun_before is None,
            BatchState.COMPLETED: batch.close_asked and batch.begun_before is None,
            BatchState.CANCELED: batch.deletions > 0,
            BatchState.DELETED: batch.deletions > 0 and batch.close_asked,
        }
        require(may_be[state], f"{batch} is {state}")
        if batch.begun_before is not None:
            run = self._begun(batch) - batch.begun_before
            require(run <= MOST_CHILDREN, f"{batch.id} was canceled, and then {run} of its pictures were run")

    def _begun(self, batch: SentBatch) -> int:
        return sum(self._ledger.begun[name] for request in batch.requests for name in request.names)


def _judge_pictures(batch: SentBatch, entries: Sequence[tuple[str, str]]) -> None:
    """Check that each request was added as a whole, once at most, in the order of the answers."""
    left, place, answered = {id(request): request for request in batch.requests if request.names}, 0, []
    while place < len(entries):
        name = entries[place][1]
        request = next((each for each in left.values() if each.names[0] == name), None)
        if request is None:
            require(False, f"{batch.id} has {entries}, of which {name} is too much")
            return
        del left[id(request)]
        found = entries[place : place + len(request.names)]
        require([name for _, name in found] == request.names, f"{batch.id} has {found} of {request.names}")
        job_ids = [job_id for job_id, _ in found]
        require(request.job_ids.issuperset(job_ids), f"{batch.id} has strange jobs: {found}")
        require(request.answer is None or job_ids == request.accepted, f"{batch.id} has {job_ids} for {request}")
        may_be = request.answer is not None or request.unheard or batch.deletions > 0
        require(may_be, f"{batch.id} has {found}, which were refused")
        if request.answer is not None:
            answered.append(batch.requests.index(request))
        place += len(found)
    lost = [request for request in left.values() if request.answer is not None]
    require(not lost, f"{batch.id} has lost {lost}")
    require(answered == sorted(answered), f"{batch.id} has its requests in the order {answered}")
