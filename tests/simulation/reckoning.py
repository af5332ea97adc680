"""What must hold when a simulated service has come to rest."""

from collections import Counter
from typing import TYPE_CHECKING, Any

from shared.errors import GoneJob, UnknownJob
from shared.jobs.deliveries import Deliveries
from shared.jobs.models import Job
from shared.jobs.redis_keys import HISTORY_PREFIX
from shared.jobs.store import Jobs
from tests.simulation.batches import SimulatedBatches
from tests.simulation.ledger import require
from tests.simulation.network import CLOCK_KEY
from tests.simulation.terms import LEASE_SECONDS, QUEUE, SLOWEST_PICTURE_SECONDS
from tests.simulation.weather import Weather

if TYPE_CHECKING:
    from tests.simulation.service import SimulatedService

# When the last fault is over, every job must have ended within this many seconds of the world's time: a lease, a round
# of the reaper, the grace of a lost message, a round, and some jobs that take nine seconds.
REST_SECONDS = 60
# And every webhook within this time: a lease, the pause after the few attempts that were made, and one more of each.
WEBHOOKS_SECONDS = 400
INDEXES = ("jobs:open", "jobs:leases", "jobs:deadlines", "jobs:bytes", QUEUE.name)
DELIVERY_INDEXES = ("deliveries:open", "deliveries:leases", "deliveries:due", "deliveries:sending", "deliveries:silent")
NEVER: Any = object()


class Reckoning:
    """Compares what clients were told with what is there; Broken if it is not so."""

    def __init__(self, service: "SimulatedService", batches: SimulatedBatches, weather: Weather) -> None:
        self._service = service
        self._batches = batches
        self._weather = weather
        self._records: dict[str, Job | None] = {}

    def jobs(self, at_rest: bool) -> None:
        """Judge all jobs and what is left in Redis; `at_rest`: none is open."""
        jobs = self._service.make_jobs(self._service.server)
        ids = self._service.ledger.accepted | self._service.ledger.unknown
        records = {job_id: found for job_id in ids if (found := _read(jobs, job_id)) is not NEVER}
        for job_id in self._service.ledger.accepted:
            require(job_id in records, f"{job_id} was accepted and never was")
        self._service.ledger.short_leases = self._weather.leases
        self._service.ledger.unheard_ends = self._service.network.unheard_ends
        network = self._service.network
        # A lease that ends while its job is run costs the job an attempt, and one that another may run. Short leases
        # do, and those of claims whose answer is heard so late that too little is left for a slow picture.
        late = bool(self._service.slow) and network.longest_wait_seconds > LEASE_SECONDS - SLOWEST_PICTURE_SECONDS
        lossy = network.gave_up > 0 and self._weather.lines
        self._service.ledger.cut_off = self._weather.leases or late or lossy or self._weather.failovers
        self._service.ledger.judge(records, calm=self._weather.calm and not network.gave_up and not late)
        # A replica may have a kept picture that was deleted since, if it does not have the retry.
        if not (self._weather.clocks or (self._weather.failovers and not self._weather.confirmed)):
            self._judge_retries(jobs)
        require(at_rest, f"open after {REST_SECONDS} s: {self._service.server.zrange(QUEUE.key('jobs:open'), 0, -1)}")
        left = [name for name in INDEXES if self._service.server.exists(QUEUE.key(name))]
        require(not left, f"left in the end: {left}")
        kept = self._service.server.zrange(QUEUE.key("jobs:kept"), 0, -1)
        images = {QUEUE.key(f"image:{job_id}") for job_id in records.keys() - set(kept)}
        pictures = images.intersection(self._service.server.scan_iter(QUEUE.key("image:*")))
        require(not pictures, f"pictures of jobs that have ended: {pictures}")
        self._service.ledger.judge_history(records, self._history())
        self._records = records
        self._batches.reckon(records)
        strange = [key for key in self._service.server.scan_iter() if not key.startswith((QUEUE.prefix, CLOCK_KEY))]
        require(not strange, f"keys without the prefix: {strange}")

    def _history(self) -> Counter[str]:
        """Return how many jobs ended in each state, in all minutes: the clock may have been set far from them."""
        counted: Counter[str] = Counter()
        for key in self._service.server.scan_iter(QUEUE.key(f"{HISTORY_PREFIX}*")):
            for field, count in self._service.server.hgetall(key).items():
                counted[field.partition(":")[2]] += int(count)
        return counted

    def _judge_retries(self, jobs: Jobs) -> None:
        """Check the retries. With a clock that is set ahead, pictures are kept for less time."""
        kept = [job_id for job_id in jobs.kept.job_ids() if self._has_picture(jobs, job_id)]
        prefix = QUEUE.key("job:")
        ids = [key[len(prefix) :] for key in self._service.server.keys(f"{prefix}*")]
        self._service.ledger.judge_retries(jobs.existing(ids), kept)

    def _has_picture(self, jobs: Jobs, job_id: str) -> bool:
        return self._service.store.holds(job_id, jobs.kept.carried(job_id))

    def webhooks(self) -> None:
        """Judge the webhooks of the jobs that were read before."""
        deliveries = Deliveries(self._service.server, QUEUE, self._service.network.clock())
        self._service.ledger.given_up = {given_up.job_id for given_up in deliveries.given_up()}
        # A lease that ends early has the delivery sent twice, and so does an end that could not be written.
        self._service.ledger.lost_senders += self._service.network.gave_up + self._weather.clocks
        self._service.ledger.judge_webhooks(self._records)
        self._batches.reckon_webhooks(self._service.ledger.given_up)
        left = [name for name in DELIVERY_INDEXES if self._service.server.exists(QUEUE.key(name))]
        require(not left, f"left of webhooks after {WEBHOOKS_SECONDS} s: {left}")


def _read(jobs: Jobs, job_id: str) -> Job | None:
    try:
        return jobs.get(job_id)
    except GoneJob:
        return None
    except UnknownJob:
        return NEVER  # type: ignore[no-any-return]
