"""A simulated service in a burst: pictures arrive, workers run them, and an autoscaler changes their number."""

import heapq
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import count

from bench.autoscaler import SYNC_SECONDS, Autoscaler, Rule

# WORKERS of a pod.
CHILDREN = 2
# From the decision to a worker that takes jobs: pod, container, model, readiness probe. The node is there already.
START_SECONDS = 20.0
GRACE_SECONDS = 30.0
MAX_OPEN_JOBS = 10_000
# One picture in a thousand is a huge one.
LONG_SHARE, LONG_SECONDS = 0.001, 8.0
WATCH_SECONDS = 1.0


@dataclass(frozen=True)
class Load:
    """Pictures of `job_seconds` on average: `rate` a second, and `burst_rate` in one burst, for so many seconds."""

    job_seconds: float
    rate: float
    burst_rate: float
    burst_at: float = 120
    burst_seconds: float = 900
    seconds: float = 1500


@dataclass(frozen=True)
class Glance:
    """The service at one time: age of the oldest open job, and number of pods."""

    at: float
    oldest_seconds: float
    pods: int


@dataclass
class Outcome:
    """What a run showed, with a glance every WATCH_SECONDS."""

    glances: list[Glance] = field(default_factory=list)
    ended: int = 0
    refused: int = 0
    interrupted: int = 0

    @property
    def oldest_seconds(self) -> float:
        """The highest age of a job."""
        return max(glance.oldest_seconds for glance in self.glances)

    @property
    def pod_hours(self) -> float:
        """How long all pods together ran."""
        return sum(glance.pods for glance in self.glances) * WATCH_SECONDS / 3600


@dataclass(eq=False)
class Pod:
    """A worker. One that stops takes no more jobs."""

    ready: bool = False
    stopping: bool = False
    running: set[int] = field(default_factory=set)

    @property
    def takes_jobs(self) -> bool:
        """Whether a child is idle."""
        return self.ready and not self.stopping and len(self.running) < CHILDREN


class Service:
    """One service under one load; times are in seconds, and equal seeds give equal runs."""

    def __init__(self, rule: Rule, load: Load, seed: int, grace_seconds: float = GRACE_SECONDS) -> None:
        self._rule, self._load, self._grace_seconds = rule, load, grace_seconds
        self._random = random.Random(seed)
        self._autoscaler = Autoscaler(rule)
        self._numbers = count()
        self._now = 0.0
        self._todo: list[tuple[float, int, Callable[[], None]]] = []
        # Times of acceptance, in their order: jobs that have not ended, and those of them that wait.
        self._open: dict[int, float] = {}
        self._waiting: deque[int] = deque()
        # In the order of their start.
        self._pods = [Pod(ready=True) for _ in range(rule.min_pods)]
        self._outcome = Outcome()

    def run(self) -> Outcome:
        """Return what happened within the time of the load."""
        load = self._load
        more, until = load.burst_rate - load.rate, load.burst_at + load.burst_seconds
        self._expect(load.rate, load.seconds)
        self._after(load.burst_at, partial(self._expect, more, until))
        self._after(0, self._watch)
        self._after(self._random.uniform(0, SYNC_SECONDS), self._scale)
        while self._todo[0][0] <= self._load.seconds:
            self._now, _, step = heapq.heappop(self._todo)
            step()
        return self._outcome

    def _after(self, seconds: float, step: Callable[[], None]) -> None:
        heapq.heappush(self._todo, (self._now + seconds, next(self._numbers), step))

    def _expect(self, rate: float, until: float) -> None:
        self._after(self._random.expovariate(rate), partial(self._arrive, rate, until))

    def _arrive(self, rate: float, until: float) -> None:
        if self._now > until:
            return
        if len(self._open) < MAX_OPEN_JOBS:
            job = next(self._numbers)
            self._open[job] = self._now
            self._waiting.append(job)
            # Any of them: all workers wait for the next message.
            if idle := [pod for pod in self._pods if pod.takes_jobs]:
                self._take_jobs(self._random.choice(idle))
        else:
            self._outcome.refused += 1
        self._expect(rate, until)

    def _take_jobs(self, pod: Pod) -> None:
        while self._waiting and pod.takes_jobs:
            job = self._waiting.popleft()
            pod.running.add(job)
            self._after(self._job_seconds(), partial(self._end, pod, job))

    def _job_seconds(self) -> float:
        if self._random.random() < LONG_SHARE:
            return LONG_SECONDS
        return self._load.job_seconds * self._random.uniform(0.5, 1.5)

    def _end(self, pod: Pod, job: int) -> None:
        # Otherwise the pod was killed before.
        if job in pod.running:
            pod.running.remove(job)
            del self._open[job]
            self._outcome.ended += 1
            self._remove_if_idle(pod)
            self._take_jobs(pod)

    def _scale(self) -> None:
        kept = [pod for pod in self._pods if not pod.stopping]
        measures = {
            "age": self._oldest_seconds(),
            "queued": len(self._waiting),
            "running": len(self._open) - len(self._waiting),
        }
        wanted = self._autoscaler.decide(self._now, len(kept), sum(pod.ready for pod in kept), measures)
        for _ in range(wanted - len(kept)):
            pod = Pod()
            self._pods.append(pod)
            self._after(START_SECONDS, partial(self._make_ready, pod))
        # The youngest go first, as in a ReplicaSet.
        for pod in kept[wanted:]:
            pod.stopping = True
            self._remove_if_idle(pod)
            self._after(self._grace_seconds, partial(self._kill, pod))
        self._after(SYNC_SECONDS if wanted else self._rule.polling_seconds, self._scale)

    def _make_ready(self, pod: Pod) -> None:
        pod.ready = True
        self._take_jobs(pod)

    def _remove_if_idle(self, pod: Pod) -> None:
        if pod.stopping and not pod.running:
            self._pods.remove(pod)

    def _kill(self, pod: Pod) -> None:
        if pod.running:
            self._outcome.interrupted += len(pod.running)
            self._waiting.extendleft(sorted(pod.running, reverse=True))
            pod.running.clear()
            self._remove_if_idle(pod)

    def _oldest_seconds(self) -> float:
        return self._now - next(iter(self._open.values())) if self._open else 0.0

    def _watch(self) -> None:
        self._outcome.glances.append(Glance(self._now, self._oldest_seconds(), len(self._pods)))
        self._after(WATCH_SECONDS, self._watch)
