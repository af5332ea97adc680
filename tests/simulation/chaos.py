"""Brings about faults while a simulated service runs."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from billiard.exceptions import SoftTimeLimitExceeded

from shared.jobs import redis_keys
from shared.jobs.queue import JOB_ID
from tests.simulation.batches import SimulatedBatches
from tests.simulation.terms import QUEUE
from tests.simulation.weather import Weather
from tests.simulation.worker import LOST, STOPPED, Child, SimulatedWorker
from worker.jobs.progress import Stage
from worker.jobs.turns import MAX_GAP_MS

if TYPE_CHECKING:
    from tests.simulation.service import SimulatedService


class Chaos:
    """Faults of the kinds that the weather has, at times drawn from the seed."""

    def __init__(self, service: "SimulatedService", batches: SimulatedBatches, weather: Weather) -> None:
        self._service = service
        self._world = service.world
        self._rng = service.world.rng
        self._network = service.network
        self._ledger = service.ledger
        self._store = service.store
        self._server = service.server
        self._batches = batches
        self._weather = weather
        # In most runs all in one direction, so that no jump takes back another.
        self._jumps = self._rng.choice([[-3600, -60], [7, 60, 8 * 3600], [-3600, -7, 7, 3600]])

    def run(self) -> None:
        """Bring about a fault now and then."""
        rng, world, weather = self._rng, self._world, self._weather
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

    def _stall(self) -> None:
        self._network.faults.stalled_until = self._world.now + self._rng.choice([0.5, 1.5, 3, 20])
        self._world.note("Redis stalls")

    def _find_child(self, wanted: Callable[[Child], bool]) -> tuple[SimulatedWorker, Child]:
        """Wait a while for a busy child as it is `wanted`, else take any."""
        for _ in range(100):
            worker = self._rng.choice(self._service.workers)
            child = self._rng.choice(worker.children)
            if child.delivery_tag and wanted(child):
                break
            self._world.pause(0.01)
        return worker, child

    def _crash(self) -> None:
        worker, child = self._find_child(lambda child: child.told.stage is Stage.RUNNING)
        if self._rng.random() < 0.5:
            worker.lose_child(child, LOST)
        else:
            worker.crash()
            self._service.workers.remove(worker)
            self._service.start_worker()

    def _stop_child(self) -> None:
        # Rather one that writes an end, or waits for its next job.
        worker, child = self._find_child(lambda child: child.told.stage is not Stage.RUNNING)
        if self._rng.random() < 0.5:
            worker.lose_child(child, STOPPED)
        elif child.delivery_tag and child.actor.alive:
            if child.told.stage is Stage.RUNNING:
                self._ledger.stopped.add(child.told.job_id)
            self._ledger.deaths += 1
            self._world.note(f"soft time limit of {child.actor.name}")
            self._world.interrupt(child.actor, SoftTimeLimitExceeded())

    def _set_clock(self) -> None:
        self._find_child(lambda child: child.told.stage is Stage.RUNNING)
        # What is promised about clocks that are set holds if a worker notices each time.
        if not self._clock_is_noticed():
            return
        seconds = self._rng.choice(self._jumps)
        self._world.note(f"Redis' clock is set by {seconds} s")
        self._world.set_by_ms += seconds * 1000

    def _clock_is_noticed(self) -> bool:
        noticed_ms = self._server.hget(QUEUE.key(redis_keys.CLOCK_KEY), "now_ms")
        return noticed_ms is None or abs(self._world.redis_ms - int(noticed_ms)) <= MAX_GAP_MS

    def _lose_store(self) -> None:
        self._store.away_until = self._world.now + self._rng.uniform(1, 10)
        self._world.note("the store is away")

    def _spoil_queue(self) -> None:
        """Lose a message, deliver one twice, or put one there that is none."""
        messages = self._server.lrange(QUEUE.list_key, 0, -1)
        what = self._rng.choice(["lose", "twice", "foreign", "ended"])
        self._world.note(f"a message: {what}")
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
        self._network.faults.away_until = self._world.now + self._rng.choice([1, 5, 15, 25])
        self._world.note("Redis is away")

    def _fail_over(self) -> None:
        """Cut off the primary, which may go on for a while; then promote the replica."""
        rng, world, replica = self._rng, self._world, self._network.replica
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
        sender = self._rng.choice(self._service.senders)
        sender.crash()
        self._ledger.lost_senders += 1
        self._service.senders.remove(sender)
        self._service.start_sender()

    def _flush_scripts(self) -> None:
        self._world.note("Redis forgets the scripts")
        self._server.script_flush()

    def end(self) -> None:
        """Make peace: everything works again."""
        faults = self._network.faults
        faults.lost_answers = faults.lost_requests = faults.late_requests = 0
        faults.stalled_until = faults.away_until = 0
        self._store.away_until = 0
        self._service.receivers.failing = 0
        self._world.note("peace")
