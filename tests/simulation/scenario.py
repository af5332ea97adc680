"""One simulated run: which faults there are and when, drawn from a seed; then peace, and the reckoning."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any

from billiard.exceptions import SoftTimeLimitExceeded

from shared.errors import GoneJob, UnknownJob
from shared.jobs import redis_keys
from shared.jobs import script as job_script
from shared.jobs.deliveries import Deliveries
from shared.jobs.models import Job
from shared.jobs.queue import JOB_ID
from shared.jobs.redis_keys import HISTORY_PREFIX
from shared.jobs.store import Jobs
from tests.simulation.batch_client import BatchHabits
from tests.simulation.batches import SimulatedBatches
from tests.simulation.ledger import Broken, Ledger, require
from tests.simulation.network import CLOCK_KEY, Network
from tests.simulation.service import (
    KEPT_PICTURES,
    LEASE_SECONDS,
    LOST,
    PICTURE_BYTES,
    QUEUE,
    SLOWEST_PICTURE_SECONDS,
    STOPPED,
    TIME_LIMIT_SECONDS,
    Child,
    Habits,
    SimulatedClient,
    SimulatedOperator,
    SimulatedService,
    SimulatedStore,
    SimulatedWorker,
)
from tests.simulation.webhooks import SimulatedSender
from tests.simulation.world import World
from worker.jobs.progress import Stage
from worker.jobs.turns import MAX_GAP_MS

# When the last fault is over, every job must have ended within this many seconds of the world's time: a lease, a round
# of the reaper, the grace of a lost message, a round, and some jobs that take nine seconds.
REST_SECONDS = 60
# And every webhook within this time: a lease, the pause after the few attempts that were made, and one more of each.
WEBHOOKS_SECONDS = 400
SCRIPTS = (
    *("admit", "claim", "finish", "requeue", "publish_lost", "take_turn"),
    *("forget_kept", "claim_deliveries", "settle_delivery"),
    *("open_batch", "add_to_batch", "settle_batch"),
)
INDEXES = ("jobs:open", "jobs:leases", "jobs:deadlines", "jobs:bytes", QUEUE.name)
DELIVERY_INDEXES = ("deliveries:open", "deliveries:leases", "deliveries:due", "deliveries:sending", "deliveries:silent")


@dataclass(frozen=True)
class Weather:
    """Which kinds of faults a run has; each run has some of them only, so that none hides another."""

    lines: bool
    stalls: bool
    crashes: bool
    limits: bool
    clocks: bool
    stores: bool
    messages: bool
    scripts: bool
    # Leases that are shorter than jobs may run.
    leases: bool
    # Redis is away for seconds: what is asked meanwhile is never done.
    outages: bool
    # Some jobs have webhooks; receivers fail, senders crash.
    webhooks: bool
    # Clients send batches, which may expire; with crashes, API processes crash too.
    batches: bool
    # A replica that lacks the last writes is promoted.
    failovers: bool
    # What is accepted is confirmed by the replica before (REDIS_MIN_REPLICAS).
    confirmed: bool

    @classmethod
    def of(cls, *kinds: str) -> "Weather":
        """Return the weather with these kinds of faults only."""
        return cls(*(field.name in kinds for field in fields(cls)))

    @property
    def calm(self) -> bool:
        """Whether no process is ended or stopped."""
        return not (self.crashes or self.limits or self.leases or self.failovers)


class Scenario:
    """A run of one seed; Broken if an invariant does not hold."""

    def __init__(self, seed: int, server: Any, weather: Weather | None = None) -> None:
        """`server` is a client of a real server; the `weather` is drawn unless one is given."""
        self.world = World(seed)
        self._rng = rng = self.world.rng
        self._server = server
        often = rng.choice([0.4, 0.4, 0.8])
        drawn = Weather(*(rng.random() < often for _ in fields(Weather)))
        self.weather = weather or drawn
        self._network = Network(self.world, server)
        self._ledger = Ledger(rng.choice([1, 2, 3]), self.weather.confirmed)
        self._network.referee.steady_clock = not self.weather.clocks
        # Else it would depend on the seeds before which of them the server knows.
        for name in SCRIPTS:
            text = self._network.clock().script + job_script.read_script(name)
            server.script_load(text)
            self._network.referee.know(name, text)
        store = SimulatedStore(self.world, carried=not self.weather.stores)
        self._service = SimulatedService(self.world, self._network, server, self._ledger, store)
        self._store = store
        self._batches = SimulatedBatches(self._service)
        self._workers: list[SimulatedWorker] = []
        self._clients: list[SimulatedClient] = []
        self._senders: list[SimulatedSender] = []
        self._retry_seconds = rng.choice([20, 1000])
        # In most runs all in one direction, so that no jump takes back another.
        self._jumps = rng.choice([[-3600, -60], [7, 60, 8 * 3600], [-3600, -7, 7, 3600]])
        self._names = iter(range(1_000_000))
        self._records: dict[str, Job | None] = {}

    def run(self) -> None:
        """Empty the server and let it all happen; Broken if an invariant does not hold."""
        try:
            self._happen()
        finally:
            self.world.close()

    def _happen(self) -> None:
        self._server.flushall()
        rng, world = self._rng, self.world
        self._service.slow = rng.choice([0, 0, 0.3])
        if self.weather.leases:
            self._service.lease_seconds, self._service.slow = rng.choice([1, 3]), 0.5
        for _ in range(rng.choice([1, 1, 2, 3])):
            self._start_worker()
        # A main process calls a time limit a job's own fault only if Redis has answered it for so long.
        world.run(lambda: False, TIME_LIMIT_SECONDS + 3 if self.weather.limits else 4)
        deadlines, cancels = rng.choice([0, 0, 0.3]), rng.choice([0, 0.2])
        webhooks = 0.0
        if self.weather.webhooks:
            webhooks, self._service.receivers.failing = rng.choice([0.3, 1]), rng.choice([0, 0.3, 0.9])
            for _ in range(rng.choice([1, 2])):
                self._start_sender()
        for number in range(rng.choice([1, 2, 4])):
            habits = Habits(rng.randint(2, 12), rng.choice([1, 2, 20]), deadlines, cancels, webhooks)
            self._clients.append(SimulatedClient(self._service, f"c{number}", habits))
        for number in range(rng.choice([1, 2]) if self.weather.batches else 0):
            self._batches.start(f"b{number}", BatchHabits(rng.randint(1, 2), webhooks, rng.choice([0, 0.4])))
        self._operators = [SimulatedOperator(self._service, f"o{number}", 4) for number in range(rng.choice([0, 1, 2]))]
        chaos = world.spawn("chaos", self._chaos)
        world.spawn("auditor", self._audit)
        if self.weather.failovers or self.weather.confirmed:
            lag_seconds = rng.choice([0.1, 1, 10])
            world.spawn("replica", lambda: self._network.replica.live(lag_seconds))
        actors = [chaos, *(each.actor for each in [*self._clients, *self._operators])]
        world.run(lambda: not any(actor.alive for actor in [*actors, *self._batches.actors]), 300)
        self._make_peace()
        at_rest = self._come_to_rest()
        if at_rest and self._operators:
            # In peace, whatever is kept can be retried.
            last = SimulatedOperator(self._service, "last", 1)
            world.run(lambda: not last.actor.alive, 300)
            at_rest = self._come_to_rest()
        # What was asked last is answered.
        world.run(lambda: False, 3)
        self._reckon(at_rest)
        if self.weather.webhooks:
            world.run(lambda: not self._server.exists(QUEUE.key("deliveries:open")), WEBHOOKS_SECONDS)
            world.run(lambda: False, 3)
            self._reckon_webhooks()
        if self.weather.batches:
            self._batches.reckon_expiry()

    def _come_to_rest(self) -> bool:
        slow_seconds = 10 * len(self._ledger.accepted) if self._service.slow else 0
        return self.world.run(self._at_rest, REST_SECONDS + slow_seconds)

    def _start_worker(self) -> None:
        self._workers.append(SimulatedWorker(self._service, f"w{next(self._names)}", self._rng.choice([1, 2])))

    def _start_sender(self) -> None:
        self._senders.append(SimulatedSender(self._service, f"s{next(self._names)}", self._retry_seconds))

    def _chaos(self) -> None:
        """Bring about a fault now and then."""
        rng, world, weather = self._rng, self.world, self.weather
        if weather.lines:
            faults = self._network.faults
            faults.lost_answers, faults.lost_requests = rng.choice([0.05, 0.3]), rng.choice([0, 0.1])
            faults.late_requests = rng.choice([0, 0.05, 0.2])
        kinds = [
            *([self._stall] if weather.stalls else []),
            *([self._crash] if weather.crashes else []),
            *([self._stop_child] if weather.limits else []),
            *([self._set_clock] if weather.clocks else []),
            *([self._lose_store] if weather.stores else []),
            *([self._spoil_queue] if weather.messages else []),
            *([self._flush_scripts] if weather.scripts else []),
            *([self._lose_redis] if weather.outages else []),
            *([self._fail_over] if weather.failovers else []),
            *([self._crash_sender] if weather.webhooks else []),
            *([self._batches.forget_one] if weather.batches and rng.random() < 0.2 else []),
            *([self._batches.crash_api] if weather.batches and weather.crashes else []),
        ]
        for _ in range(rng.randint(2, 10) if kinds else 0):
            world.pause(rng.expovariate(0.8))
            rng.choice(kinds)()

    def _audit(self) -> None:
        """Compare the indexes with the records, between any two steps of the others."""
        key = QUEUE.key
        for _ in range(1000):
            self.world.pause(self._rng.expovariate(1))
            with self._server.pipeline(transaction=False) as pipe:
                for name in ("jobs:open", "jobs:leases", "jobs:deadlines", "jobs:kept"):
                    pipe.zrange(key(name), 0, -1)
                pipe.hgetall(key("jobs:kept_bytes"))
                pipe.get(key("jobs:bytes"))
                pipe.hvals(key("deliveries:sending"))
                pipe.zcard(key("deliveries:leases"))
                open_ids, leased_ids, deadlines, kept, kept_bytes, stored, sending, leased = pipe.execute()
            self._audit_open(open_ids, leased_ids, deadlines, int(stored or 0))
            self._audit_kept(kept, kept_bytes)
            counted = sum(map(int, sending))
            require(counted == leased, f"{leased} deliveries are leased, {counted} are counted")
            if self.weather.batches:
                self._batches.audit(open_ids)

    def _audit_open(self, open_ids: list[str], leased_ids: list[str], deadlines: list[str], stored: int) -> None:
        states = self._states(open_ids)
        running = {job_id for job_id, state in states.items() if state == "running"}
        require(set(states.values()) <= {"queued", "running"}, f"open jobs are {states}")
        require(set(leased_ids) == running, f"running are {running}")
        require(set(deadlines) <= set(open_ids), "deadlines of jobs that ended")
        most = self._service.limits.max_open_jobs
        require(len(open_ids) <= most, f"{len(open_ids)} jobs are open, and the limit is {most}")
        require(stored == PICTURE_BYTES * len(open_ids), f"{len(open_ids)} jobs are open, and {stored} bytes")

    def _audit_kept(self, kept: list[str], kept_bytes: dict[str, str]) -> None:
        sizes = dict.fromkeys(kept, PICTURE_BYTES) | ({"total": PICTURE_BYTES * len(kept)} if kept else {})
        found = {name: int(size) for name, size in kept_bytes.items()}
        require(found == sizes, f"the pictures of {kept} are kept, and their sizes are {found}")
        require(len(kept) <= KEPT_PICTURES, f"{len(kept)} pictures are kept")
        states = set(self._states(kept).values())
        require(states <= {"failed"}, f"pictures are kept of jobs that are {states}")

    def _states(self, job_ids: list[str]) -> dict[str, str]:
        if not job_ids:
            return {}
        with self._server.pipeline(transaction=False) as pipe:
            for job_id in job_ids:
                pipe.hget(QUEUE.key(f"job:{job_id}"), "state")
            return dict(zip(job_ids, pipe.execute(), strict=True))

    def _stall(self) -> None:
        self._network.faults.stalled_until = self.world.now + self._rng.choice([0.5, 1.5, 3, 20])
        self.world.note("Redis stalls")

    def _find_child(self, wanted: Callable[[Child], bool]) -> tuple[SimulatedWorker, Child]:
        """Wait a while for a busy child as it is `wanted`, else take any."""
        for _ in range(100):
            worker = self._rng.choice(self._workers)
            child = self._rng.choice(worker.children)
            if child.task_id and wanted(child):
                break
            self.world.pause(0.01)
        return worker, child

    def _crash(self) -> None:
        worker, child = self._find_child(lambda child: child.told.stage is Stage.RUNNING)
        if self._rng.random() < 0.5:
            worker.lose_child(child, LOST)
        else:
            worker.crash()
            self._workers.remove(worker)
            self._start_worker()

    def _stop_child(self) -> None:
        # Rather one that writes an end, or waits for its next job.
        worker, child = self._find_child(lambda child: child.told.stage is not Stage.RUNNING)
        if self._rng.random() < 0.5:
            worker.lose_child(child, STOPPED)
        elif child.task_id and child.actor.alive:
            if child.told.stage is Stage.RUNNING:
                self._ledger.stopped.add(child.told.job_id)
            self._ledger.deaths += 1
            self.world.note(f"soft time limit of {child.actor.name}")
            self.world.interrupt(child.actor, SoftTimeLimitExceeded())

    def _set_clock(self) -> None:
        self._find_child(lambda child: child.told.stage is Stage.RUNNING)
        # What is promised about clocks that are set holds if a worker notices each time.
        if not self._clock_is_noticed():
            return
        seconds = self._rng.choice(self._jumps)
        self.world.note(f"Redis' clock is set by {seconds} s")
        self.world.set_by_ms += seconds * 1000

    def _clock_is_noticed(self) -> bool:
        noticed_ms = self._server.hget(QUEUE.key(redis_keys.CLOCK_KEY), "now_ms")
        return noticed_ms is None or abs(self.world.redis_ms - int(noticed_ms)) <= MAX_GAP_MS

    def _lose_store(self) -> None:
        self._store.away_until = self.world.now + self._rng.uniform(1, 10)
        self.world.note("the store is away")

    def _spoil_queue(self) -> None:
        """Lose a message, deliver one twice, or put one there that is none."""
        messages = self._server.lrange(QUEUE.list_key, 0, -1)
        what = self._rng.choice(["lose", "twice", "foreign", "ended"])
        self.world.note(f"a message: {what}")
        if what == "lose":
            self._server.rpop(QUEUE.list_key)
        elif what == "twice" and messages:
            self._server.lpush(QUEUE.list_key, self._rng.choice(messages))
        elif what == "foreign":
            self._server.rpush(QUEUE.list_key, '{"headers": {"task": "mail.send", "id": "1"}}')
        elif self._ledger.accepted:
            job_id = self._rng.choice(sorted(self._ledger.accepted))
            self._server.rpush(QUEUE.list_key, QUEUE.message.replace(JOB_ID, job_id))

    def _lose_redis(self) -> None:
        self._find_child(lambda child: child.told.stage is Stage.RUNNING)
        self._network.faults.away_until = self.world.now + self._rng.choice([1, 5, 15, 25])
        self.world.note("Redis is away")

    def _fail_over(self) -> None:
        """Cut off the primary, which may go on for a while; then promote the replica."""
        rng, world, replica = self._rng, self.world, self._network.replica
        self._find_child(lambda child: child.told.stage is Stage.RUNNING)
        seconds = rng.choice([0, 1, 3])
        replica.silent_until = world.now + seconds
        world.pause(seconds)
        replica.promote()
        self._network.faults.away_until = world.now + rng.choice([0.1, 1, 5])
        lost = self._ledger.fail_over(self._is_there)
        world.note(f"{len(lost)} accepted jobs are lost")
        self._batches.fail_over(lost)
        self._network.referee.fail_over()

    def _is_there(self, job_id: str) -> bool:
        return bool(self._server.exists(QUEUE.key(f"job:{job_id}"), QUEUE.key(f"gone:{job_id}")))

    def _crash_sender(self) -> None:
        sender = self._rng.choice(self._senders)
        sender.crash()
        self._ledger.lost_senders += 1
        self._senders.remove(sender)
        self._start_sender()

    def _flush_scripts(self) -> None:
        self.world.note("Redis forgets the scripts")
        self._server.script_flush()

    def _make_peace(self) -> None:
        faults = self._network.faults
        faults.lost_answers = faults.lost_requests = faults.late_requests = 0
        faults.stalled_until = faults.away_until = 0
        self._store.away_until = 0
        self._service.receivers.failing = 0
        self.world.note("peace")

    def _at_rest(self) -> bool:
        key = QUEUE.key
        if self._network.under_way:
            return False
        return not self._server.exists(key("jobs:open")) and not self._server.exists(QUEUE.list_key)

    def _reckon(self, at_rest: bool) -> None:
        jobs = self._service.make_jobs(self._server)
        ids = self._ledger.accepted | self._ledger.unknown
        records = {job_id: found for job_id in ids if (found := _read(jobs, job_id)) is not NEVER}
        for job_id in self._ledger.accepted:
            require(job_id in records, f"{job_id} was accepted and never was")
        self._ledger.short_leases = self.weather.leases
        self._ledger.unheard_ends = self._network.unheard_ends
        network = self._network
        # A lease that ends while its job is run costs the job an attempt, and one that another may run. Short leases
        # do, and those of claims whose answer is heard so late that too little is left for a slow picture.
        late = bool(self._service.slow) and network.longest_wait_seconds > LEASE_SECONDS - SLOWEST_PICTURE_SECONDS
        lossy = network.gave_up > 0 and self.weather.lines
        self._ledger.cut_off = self.weather.leases or late or lossy or self.weather.failovers
        self._ledger.judge(records, calm=self.weather.calm and not network.gave_up and not late)
        # A replica may have a kept picture that was deleted since, if it does not have the retry.
        if not (self.weather.clocks or (self.weather.failovers and not self.weather.confirmed)):
            self._reckon_retries(jobs)
        require(at_rest, f"open after {REST_SECONDS} s: {self._server.zrange(QUEUE.key('jobs:open'), 0, -1)}")
        left = [name for name in INDEXES if self._server.exists(QUEUE.key(name))]
        require(not left, f"left in the end: {left}")
        kept = self._server.zrange(QUEUE.key("jobs:kept"), 0, -1)
        images = {QUEUE.key(f"image:{job_id}") for job_id in records.keys() - set(kept)}
        pictures = images.intersection(self._server.scan_iter(QUEUE.key("image:*")))
        require(not pictures, f"pictures of jobs that have ended: {pictures}")
        self._ledger.judge_history(records, self._history())
        self._records = records
        self._batches.reckon(records)
        strange = [key for key in self._server.scan_iter() if not key.startswith((QUEUE.prefix, CLOCK_KEY))]
        require(not strange, f"keys without the prefix: {strange}")

    def _history(self) -> Counter[str]:
        """Return how many jobs ended in each state, in all minutes: the clock may have been set far from them."""
        counted: Counter[str] = Counter()
        for key in self._server.scan_iter(QUEUE.key(f"{HISTORY_PREFIX}*")):
            for field, count in self._server.hgetall(key).items():
                counted[field.partition(":")[2]] += int(count)
        return counted

    def _reckon_retries(self, jobs: Jobs) -> None:
        """Check the retries. With a clock that is set ahead, pictures are kept for less time."""
        kept = [job_id for job_id in jobs.kept.job_ids() if self._has_picture(jobs, job_id)]
        prefix = QUEUE.key("job:")
        self._ledger.judge_retries(jobs.existing([key[len(prefix) :] for key in self._server.keys(f"{prefix}*")]), kept)

    def _has_picture(self, jobs: Jobs, job_id: str) -> bool:
        return self._store.holds(job_id, jobs.kept.carried(job_id))

    def _reckon_webhooks(self) -> None:
        """Judge the webhooks of the jobs that were read before."""
        deliveries = Deliveries(self._server, QUEUE, self._network.clock())
        self._ledger.given_up = {given_up.job_id for given_up in deliveries.given_up()}
        # A lease that ends early has the delivery sent twice, and so does an end that could not be written.
        self._ledger.lost_senders += self._network.gave_up + self.weather.clocks
        self._ledger.judge_webhooks(self._records)
        self._batches.reckon_webhooks(self._ledger.given_up)
        left = [name for name in DELIVERY_INDEXES if self._server.exists(QUEUE.key(name))]
        require(not left, f"left of webhooks after {WEBHOOKS_SECONDS} s: {left}")


NEVER: Any = object()


def _read(jobs: Jobs, job_id: str) -> Job | None:
    try:
        return jobs.get(job_id)
    except GoneJob:
        return None
    except UnknownJob:
        return NEVER  # type: ignore[no-any-return]


@contextmanager
def explained(seed: int, scenario: Scenario) -> Iterator[None]:
    """Add the seed and the last steps to whatever is raised."""
    try:
        yield
    except (Exception, Broken) as error:
        steps = "\n".join(scenario.world.trace[-40:])
        error.add_note(f"seed {seed}, {scenario.weather}:\n{steps}")
        raise
