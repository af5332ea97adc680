"""A simulated world: processes as greenlets, one clock for all, and a scheduler that goes by a seed."""

import heapq
import itertools
import random
from collections.abc import Callable

from greenlet import GreenletExit, getcurrent, greenlet

# The simulated clock begins somewhere in 2026; Redis' clock is this and what it was set by.
EPOCH_MS = 1_790_000_000_000
MAX_STEPS = 200_000


class Actor:
    """One process or thread: a function that runs until it pauses, returns, or is ended."""

    def __init__(self, name: str, function: Callable[[], None], patient: bool) -> None:
        self.name = name
        # Whether its connection to Redis rides out short outages, as workers' do.
        self.patient = patient
        self.greenlet = greenlet(function)
        self.over = False
        self.error: BaseException | None = None
        # Its newest wake-up: older ones no longer count.
        self.generation = 0

    @property
    def alive(self) -> bool:
        return not self.over and not self.greenlet.dead


class World:
    """The clock and the scheduler. Whatever happens by chance is drawn from `rng`."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.now = 0.0
        self.set_by_ms = 0
        self.trace: list[str] = []
        self._hub = getcurrent()
        self._order = itertools.count()
        self._waiting: list[tuple[float, float, int, Actor, int]] = []
        self._actors: dict[greenlet, Actor] = {}
        self.steps = 0

    @property
    def redis_ms(self) -> int:
        """What Redis' clock says."""
        return EPOCH_MS + int(self.now * 1000) + self.set_by_ms

    @property
    def current(self) -> Actor:
        """The actor that runs."""
        return self._actors[getcurrent()]

    def note(self, what: str) -> None:
        """Add a line to the trace of this run."""
        actor = self._actors.get(getcurrent())
        self.trace.append(f"{self.steps:6} {self.now:9.3f} {actor.name if actor else '-':12} {what}")

    def spawn(self, name: str, function: Callable[[], None], *, patient: bool = True, after: float = 0) -> Actor:
        """Start an actor in so many seconds."""
        actor = Actor(name, function, patient)
        actor.greenlet.parent = self._hub
        self._actors[actor.greenlet] = actor
        self._wake(actor, after)
        return actor

    def pause(self, seconds: float) -> None:
        """Have the running actor wait; others run meanwhile. Raises what the actor is ended or interrupted with."""
        actor = self.current
        if actor.over:
            raise GreenletExit
        self._wake(actor, seconds)
        self._hub.switch()
        if actor.error is not None:
            error, actor.error = actor.error, None
            raise error

    def end(self, actor: Actor) -> None:
        """Kill an actor where it is: from now on it does nothing any more."""
        actor.over = True
        self.interrupt(actor, GreenletExit())

    def interrupt(self, actor: Actor, error: BaseException) -> None:
        """Raise an error in an actor where it waits, as a signal handler does."""
        if actor.greenlet is getcurrent():
            raise error
        actor.error = error
        self._wake(actor, 0)

    def run(self, done: Callable[[], bool], seconds: float) -> bool:
        """Let everybody act until `done`, at most for so many seconds of the world's time; say whether it is."""
        until = self.now + seconds
        while not done():
            if not self._waiting or self._waiting[0][0] > until:
                self.now = until
                return done()
            when, _, _, actor, generation = heapq.heappop(self._waiting)
            if generation != actor.generation or actor.greenlet.dead or (actor.over and not actor.greenlet):
                continue
            self.now = max(self.now, when)
            self.steps += 1
            assert self.steps < MAX_STEPS, "the world does not come to rest"
            actor.greenlet.switch()
        return True

    def close(self) -> None:
        """End every actor. One that waits is never collected as garbage, and with it all that it knows."""
        for actor in [*self._actors.values()]:
            actor.over = True
            actor.greenlet.throw(GreenletExit)
        self._actors.clear()
        self._waiting.clear()

    def _wake(self, actor: Actor, seconds: float) -> None:
        actor.generation += 1
        entry = (self.now + seconds, self.rng.random(), next(self._order), actor, actor.generation)
        heapq.heappush(self._waiting, entry)
