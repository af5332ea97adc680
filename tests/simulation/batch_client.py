"""A simulated client that sends pictures in batches, follows, closes and cancels them."""

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from shared.batches.models import BatchRequest, BatchState
from shared.errors import BatchClosed, GoneBatch, GoneJob, PictureTooLarge, QueueFull, UnknownBatch, UnknownJob
from tests.simulation.batch_api import SimulatedApi, Unanswered
from tests.simulation.batch_ledger import BatchLedger, SentBatch, SentRequest
from tests.simulation.ledger import require
from tests.simulation.pictures import make_picture
from tests.simulation.webhooks import HOSTS

if TYPE_CHECKING:
    from tests.simulation.service import SimulatedService

TRIES = 4
BROKEN = "broken.bmp"


@dataclass(frozen=True)
class BatchHabits:
    """How many batches a client sends, and the shares of those with a webhook and of what is canceled."""

    batches: int
    webhooks: float
    cancels: float


class SimulatedBatchClient:
    """A client with an API process of its own."""

    def __init__(self, service: "SimulatedService", ledger: BatchLedger, name: str, habits: BatchHabits) -> None:
        self._world = service.world
        self._ledger = ledger
        self._jobs_ledger = service.ledger
        self._name = name
        self._habits = habits
        self.api = SimulatedApi(service)
        self._most_at_once = service.limits.max_open_jobs
        self.actors = [self._world.spawn(name, self._live, patient=False)]

    def _live(self) -> None:
        rng = self._world.rng
        for number in range(self._habits.batches):
            self._world.pause(rng.expovariate(1))
            batch = self._open(f"{self._name}.{number}")
            try:
                if batch:
                    self._send(batch)
            except (UnknownBatch, GoneBatch, BatchClosed) as error:
                batch.check_refusal(error)
                self._world.note(f"{batch.id}: {error}")

    def _open(self, name: str) -> SentBatch | None:
        """Open a batch; another one, as the service names them, if the answer was lost."""
        rng = self._world.rng
        webhook = rng.choice(HOSTS) if rng.random() < self._habits.webhooks else ""
        # The confidence of the simulated model is 0.5: with the last one there are no labels.
        min_confidence = rng.choice([0, 0.25, 0.75])
        for attempt in range(TRIES):
            batch = SentBatch(f"{name}.{attempt}", webhook, min_confidence)
            self._ledger.open(batch)
            try:
                self.api.open(batch.id, BatchRequest(1, min_confidence=min_confidence, webhook=webhook))
            except Unanswered as error:
                self._wait(f"unknown: {batch.id} {error}")
                continue
            batch.heard_of = True
            return batch
        return None

    def _send(self, batch: SentBatch) -> None:
        """Do all that a client does with an open batch; raises what ends it early."""
        rng, world = self._world.rng, self._world
        if rng.random() < self._habits.cancels:
            cancel = partial(self._cancel, batch)
            self.actors.append(world.spawn(f"{batch.id} end", cancel, patient=False, after=rng.expovariate(0.3)))
        for number in range(rng.randint(1, 3)):
            self._add(batch, number)
            self._follow(batch)
        if rng.random() < 0.9:
            self._close(batch)
        for _ in range(rng.randrange(3)):
            world.pause(rng.expovariate(0.5))
            self._follow(batch)
        self._repeat(batch)

    def _add(self, batch: SentBatch, number: int) -> None:
        rng = self._world.rng
        names = [f"{batch.id}.{number}.{place}" for place in range(rng.randint(1, 3))]
        request = SentRequest(names, f"{number}" if rng.random() < 0.7 else "")
        pictures = {name: make_picture(name) for name in names} | ({BROKEN: b"x"} if rng.random() < 0.1 else {})
        batch.requests.append(request)
        for attempt in range(TRIES):
            try:
                if self._try(batch, request, pictures, attempt) or not request.key:
                    return
            except QueueFull:
                self._world.pause(rng.expovariate(0.5))
            except PictureTooLarge:
                require(len(names) > self._most_at_once, f"{names} are too many for {self._most_at_once}")
                return

    def _try(self, batch: SentBatch, request: SentRequest, pictures: dict[str, bytes], attempt: int) -> bool:
        """Send a request; return whether an answer was heard."""
        job_ids = [f"{name}-{attempt}" for name in request.names]
        self._ledger.send(batch, request, job_ids)
        asked = self._jobs_ledger.failovers
        try:
            answer = self.api.add(batch.id, request.key, pictures, job_ids)
        except Unanswered as error:
            self._ledger.miss(request, job_ids)
            self._wait(f"unknown: {job_ids} {error}")
            return False
        self._world.note(f"accepted: {answer}")
        self._ledger.answer(batch, request, answer, asked)
        return True

    def _repeat(self, batch: SentBatch) -> None:
        """Send a request again that was answered, however late."""
        answered = [each for each in batch.requests if each.key and each.answer]
        if answered and self._world.rng.random() < 0.5:
            request = self._world.rng.choice(answered)
            pictures = {
                each["name"]: b"x" if "problem" in each else make_picture(each["name"]) for each in request.answer or []
            }
            self._try(batch, request, pictures, TRIES)

    def _follow(self, batch: SentBatch) -> None:
        """Read results, sometimes some of them again; sometimes cancel a picture."""
        rng = self._world.rng
        after = rng.choice([len(batch.lines), rng.randint(0, len(batch.lines))])
        asked = self._jobs_ledger.failovers
        try:
            state, added, lines = self.api.results(batch.id, after)
        except Unanswered as error:
            self._world.note(f"{batch.id}: {error}")
            return
        accepted = [job_id for request in batch.requests for job_id in request.accepted]
        if not self._jobs_ledger.holds(asked):
            return
        require(added >= len(accepted), f"{batch.id} has {added} pictures of {accepted}")
        self._ledger.read(batch, after, lines, added if state == BatchState.COMPLETED else None)
        if accepted and rng.random() < self._habits.cancels / 2:
            self._cancel_picture(rng.choice(accepted))

    def _cancel_picture(self, job_id: str) -> None:
        deletions = self._jobs_ledger.deletions
        deletions[job_id] += 1
        try:
            self.api.cancel_picture(job_id)
        except Unanswered as error:
            # Whether it was done is not known: it may have been done twice.
            deletions[job_id] += 1
            self._world.note(f"{job_id}: {error}")
        except (GoneJob, UnknownJob):
            pass

    def _close(self, batch: SentBatch) -> None:
        batch.close_asked = True
        for _ in range(TRIES):
            asked = self._jobs_ledger.failovers
            try:
                state = self.api.close(batch.id)
            except Unanswered as error:
                self._wait(f"{batch.id}: {error}")
                continue
            require(state in ("closed", "completed") or batch.deletions > 0, f"{batch.id} is closed, and {state}")
            batch.close_told = self._jobs_ledger.confirmed or self._jobs_ledger.holds(asked)
            return

    def _cancel(self, batch: SentBatch) -> None:
        for _ in range(TRIES):
            self._ledger.delete(batch)
            asked = self._jobs_ledger.failovers
            try:
                self.api.cancel(batch.id)
            except Unanswered as error:
                self._wait(f"{batch.id}: {error}")
                continue
            except UnknownBatch as error:
                batch.check_refusal(error)
                return
            self._ledger.deleted(batch, asked)
            return

    def _wait(self, why: str) -> None:
        """Wait before a request is sent again."""
        self._world.note(why)
        self._world.pause(self._world.rng.expovariate(1))
