"""Faults that are planted into the product, to see that the simulation finds them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from shared.batches.models import Batch, BatchResult
from shared.batches.store import Batches
from shared.jobs import script as job_script
from shared.jobs.admission import Admission
from shared.jobs.models import Ended, Job, Outcome
from shared.jobs.replication import Replication
from shared.jobs.retries import Retries
from shared.jobs.script import ScriptCall
from shared.jobs.store import Jobs
from tests.simulation.weather import Weather
from tests.simulation.worker import SimulatedWorker


@dataclass(frozen=True)
class PlantedFault:
    """A mistake in a script: in its text, `right` is replaced by `wrong`."""

    name: str
    script: str
    right: str
    wrong: str = ""

    @contextmanager
    def planted(self) -> Iterator[None]:
        """Have the product make this mistake while the block runs."""
        read = job_script.read_script
        # Here: in a simulated world, this would count as a fault that was found.
        assert read(self.script).count(self.right) == 1, self

        def read_wrongly(name: str) -> str:
            text = read(name)
            return text.replace(self.right, self.wrong) if name == self.script else text

        job_script.read_script = read_wrongly
        try:
            yield
        finally:
            job_script.read_script = read


@dataclass(frozen=True)
class WrongMethod:
    """A mistake in Python: the method `method` of a class is `wrong`."""

    name: str
    owner: type
    method: str
    wrong: Callable[..., Any]

    @contextmanager
    def planted(self) -> Iterator[None]:
        """Have the product make this mistake while the block runs."""
        right = getattr(self.owner, self.method)
        setattr(self.owner, self.method, self.wrong)
        try:
            yield
        finally:
            setattr(self.owner, self.method, right)


results = Batches.results


def results_past_open_ones(batches: Batches, batch: Batch, after: int) -> Iterator[list[BatchResult]]:
    """Leave out pictures that have not ended, and go on."""
    found = [page for place in range(after, batch.added) for page in results(batches, batch, place)]
    yield list({line.number: line for page in found for line in page}.values())


def run_unconfirmed(replication: Any, call: ScriptCall) -> tuple[Any, bool]:
    """Do not ask for replicas."""
    return call.run(replication._redis), True


retry = Retries.retry


def retry_and_forget(retries: Retries, job: Job, new_id: str, request_id: str = "") -> Admission:
    """Delete the kept picture, whether replicas have the new job or not."""
    admission = retry(retries, job, new_id, request_id)
    retries.forget(job.id)
    return admission


def forget_all_ended(jobs: Any, outcome: Outcome, moved: int, _: bool) -> Ended:
    """Have pictures deleted, whether replicas have the end or not."""
    return Ended(moved)


def admit_always_confirmed(jobs: Jobs, *args: Any, **options: Any) -> Admission:
    """Call an admission confirmed that is not."""
    return replace(admit(jobs, *args, **options), replicated=True)


admit = Jobs.admit


# The mends of faults that real services showed, taken out; and the weather that shows it soonest.
TAKEN_OUT = (
    (
        PlantedFault("a claim that is sent again pops a second job", "claim", "redis.call('GET', claimed_key)", "nil"),
        Weather.of("lines"),
    ),
    (
        PlantedFault("an end that is sent again is not known", "finish", "record[7] == by", "false"),
        Weather.of("lines"),
    ),
    (
        PlantedFault(
            "a requeue that is sent again is not known", "requeue", "if record[4] == by then return 'queued' end"
        ),
        Weather.of("lines", "limits"),
    ),
    (
        PlantedFault("a claim that comes too late is executed", "claim", "now > tonumber(valid_until_ms)", "false"),
        Weather.of("stalls"),
    ),
    (
        WrongMethod("every job of a stopped child pays for it", SimulatedWorker, "of", lambda *_: None),
        Weather.of("lines", "limits"),
    ),
    (
        PlantedFault("another execution's job is requeued", "requeue", " or record[2] ~= execution"),
        Weather.of("lines", "limits", "crashes", "leases"),
    ),
    (
        PlantedFault("another execution's job is ended", "finish", "record[6] ~= execution", "false"),
        Weather.of("leases"),
    ),
    (
        PlantedFault(
            "leases stay when the clock is set", "take_turn", "if gap ~= 0 or not clock[1] then", "if not clock[1] then"
        ),
        Weather.of("crashes", "clocks"),
    ),
    (
        PlantedFault("a turn lives on", "take_turn", " or until_ms - now > tonumber(period_ms)"),
        Weather.of("crashes", "clocks", "messages"),
    ),
    (
        PlantedFault(
            "pictures are deleted when the answer to their admission is lost",
            "add_to_batch",
            "redis.call('EXISTS', job_prefix .. first, gone_prefix .. first) > 0",
            "false",
        ),
        Weather.of("lines", "batches"),
    ),
    (
        PlantedFault(
            "the webhook of a canceled batch is written before its last end",
            "settle_batch",
            "if batch[2] == batch[3] then end_batch",
            "if true then end_batch",
        ),
        Weather.of("webhooks", "batches"),
    ),
)
OTHERS = (
    (
        PlantedFault(
            "an end writes no delivery", "finish", "if record[8] then deliver(job_key, delivery_key, id, now) end"
        ),
        Weather.of("webhooks"),
    ),
    (
        PlantedFault(
            "deliveries of lost senders stay leased",
            "claim_deliveries",
            "leases_key, '-inf', now, 'LIMIT'",
            "leases_key, 0, 0, 'LIMIT'",
        ),
        Weather.of("webhooks"),
    ),
    (
        PlantedFault(
            "attempts wait for a clock that was set back",
            "claim_deliveries",
            "if gap < 0 then",
            "if false then",
        ),
        Weather.of("webhooks", "clocks"),
    ),
    (
        PlantedFault(
            "the slot of a delivery stays taken",
            "settle_delivery",
            "sending_key, receiver, -1)",
            "sending_key, receiver, 0)",
        ),
        Weather.of("webhooks"),
    ),
    (
        PlantedFault(
            "an upload that is sent again is admitted twice", "admit", "redis.call('EXISTS', job_key, gone_key)", "0"
        ),
        Weather.of("lines"),
    ),
    (
        PlantedFault("the bytes of an ended job stay counted", "finish", "redis.call('DECRBY', bytes_key, record[2])"),
        Weather.of(),
    ),
    (
        PlantedFault("an attempt too many", "requeue", ">= tonumber(max_attempts)", "> tonumber(max_attempts)"),
        Weather.of("crashes"),
    ),
    (
        PlantedFault("attempts that do not count are counted", "requeue", "if counted ~= '1' then", "if false then"),
        Weather.of("stores"),
    ),
    (
        PlantedFault("lost messages are not found", "publish_lost", "waited_ms >= tonumber(grace_ms)", "false"),
        Weather.of("messages"),
    ),
    (
        PlantedFault("a deadline outlives its job", "finish", "redis.call('ZREM', deadlines_key, id)"),
        Weather.of(),
    ),
    (
        PlantedFault("a job is retried twice", "admit", "if first[2] then return", "if false then return"),
        Weather.of("lines", "crashes"),
    ),
    (
        PlantedFault("an end that keeps a picture denies it", "finish", "return kept and 2 or 1", "return 1"),
        Weather.of("stores", "crashes"),
    ),
    (
        PlantedFault("bytes of a kept picture are not counted", "finish", "'total', total + bytes", "'total', total"),
        Weather.of("crashes"),
    ),
    (
        PlantedFault(
            "an end that is sent again is counted again",
            "finish",
            "if record[7] == by then return",
            "if record[7] == by then count_ended(state, now_ms()) return",
        ),
        Weather.of("lines"),
    ),
    (
        PlantedFault("a script contains an error", "take_turn", "= now_ms()", "= nil"),
        Weather.of(),
    ),
    (
        PlantedFault("a job that has ended is run again", "claim", "record[1] ~= 'queued' or "),
        Weather.of("messages"),
    ),
    (
        PlantedFault(
            "an end is counted twice",
            "end_batch",
            "redis.call('HINCRBY', key, 'ended', 1)",
            "redis.call('HINCRBY', key, 'ended', 2)",
        ),
        Weather.of("batches"),
    ),
    (
        PlantedFault(
            "a batch completes before its last end", "end_batch", "ended == tonumber", "ended + 1 >= tonumber"
        ),
        Weather.of("batches"),
    ),
    (
        PlantedFault(
            "a batch without open jobs is not completed", "settle_batch", "batch[2] == batch[3] then\n", "false then\n"
        ),
        Weather.of("batches"),
    ),
    (
        PlantedFault("a closed batch takes pictures", "add_to_batch", "batch[1] ~= 'open'", "batch[1] == 'canceled'"),
        Weather.of("lines", "batches"),
    ),
    (
        PlantedFault("a repeated request is not known", "add_to_batch", "if earlier then", "if false then"),
        Weather.of("lines", "batches"),
    ),
    (
        PlantedFault("the outcomes of a batch stay for ever", "end_batch", "if ended == 1 then", "if false then"),
        Weather.of("batches"),
    ),
    (
        PlantedFault("a batch that has ended counts as open", "end_batch", "redis.call('ZREM', batches_key, id)"),
        Weather.of("batches"),
    ),
    (
        PlantedFault(
            "a request needs room for one picture only",
            "add_to_batch",
            "+ count > tonumber(max_open",
            "+ 1 > tonumber(max_open",
        ),
        Weather.of("batches"),
    ),
    (
        WrongMethod("results go on past an open picture", Batches, "results", results_past_open_ones),
        Weather.of("batches"),
    ),
    (
        WrongMethod("uploads are not confirmed", Replication, "run", run_unconfirmed),
        Weather.of("failovers", "confirmed"),
    ),
    (
        WrongMethod("too few confirmations count as enough", Jobs, "admit", admit_always_confirmed),
        Weather.of("failovers", "confirmed"),
    ),
    (
        WrongMethod("pictures are deleted before their end is confirmed", Jobs, "_ended", forget_all_ended),
        Weather.of("failovers", "confirmed", "stores"),
    ),
    (
        WrongMethod("a kept picture is deleted before its retry is confirmed", Retries, "retry", retry_and_forget),
        Weather.of("failovers", "confirmed", "stores", "crashes"),
    ),
)
