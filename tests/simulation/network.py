"""The line between a simulated process and a real Redis server: late, lost and repeated requests and answers."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import redis
from greenlet import GreenletExit
from redis.client import Pipeline

from shared.clock import Clock
from tests.simulation.referee import Referee
from tests.simulation.replica import Replica
from tests.simulation.world import World

CLOCK_KEY = "simulated:clock"
# As of shared/redis_client.py.
ANSWER_TIMEOUT_SECONDS = 1.0
PATIENT_TRIES = 11

PING: tuple[tuple[Any, ...], dict[str, Any]] = (("PING",), {})
# Commands with their options, as redis-py's pipelines collect them.
Stack = list[tuple[tuple[Any, ...], dict[str, Any]]]


@dataclass
class Faults:
    """How probable it is that a request or its answer is lost, or that a request arrives late and is sent again."""

    lost_requests: float = 0
    lost_answers: float = 0
    late_requests: float = 0
    # Redis answers nobody until then (seconds of the world's time).
    stalled_until: float = 0
    # Redis is not there until then: every connection is refused.
    away_until: float = 0


class Network:
    """Carries what simulated processes ask of Redis, and has Redis' clock be the world's."""

    def __init__(self, world: World, server: Any) -> None:
        """`server` is a client of a real server that nobody else uses."""
        self.world = world
        self.faults = Faults()
        self.replica = Replica(world, server)
        self.referee = Referee(server)
        # How often a patient process has stopped asking, how often the answer to the end of a job never came, and how
        # many late requests are still under way.
        self.gave_up = 0
        self.unheard_ends = 0
        self.under_way = 0
        # How long a patient process has waited for an answer that it then heard.
        self.longest_wait_seconds = 0.0

    def clock(self) -> Clock:
        """Return the clock of this world, for scripts and for Python."""
        script = f"local function now_ms() return tonumber(redis.call('GET', '{CLOCK_KEY}')) end\n"
        return Clock(script, lambda: self.world.now)

    def call(self, run: Callable[[], Any], *, ends: int = 0) -> Any:
        """Send a request until an answer is heard or patience is over, return the answer; it `ends` so many jobs."""
        error: redis.RedisError = redis.ConnectionError("lost")
        asked_at = self.world.now

        def ask() -> Any:
            self.referee.age_seconds = self.world.now - asked_at
            return run()

        for _ in range(PATIENT_TRIES if self.world.current.patient else 2):
            try:
                answer = self._send(ask)
                if self.world.current.patient:
                    self.longest_wait_seconds = max(self.longest_wait_seconds, self.world.now - asked_at)
                return answer
            except redis.TimeoutError as timeout:
                error = timeout
                if not self.world.current.patient:
                    break
            except redis.ConnectionError as lost:
                error = lost
            self.world.pause(self.world.rng.uniform(0, 0.3))
        self.gave_up += self.world.current.patient
        self.unheard_ends += ends
        self.world.note(f"gave up: {error}")
        raise error

    def _send(self, run: Callable[[], Any]) -> Any:
        rng, faults = self.world.rng, self.faults
        chance = rng.random()
        if self.world.now < faults.away_until:
            self.world.pause(0.01)
            raise redis.ConnectionError("refused")
        try:
            self.world.pause(rng.expovariate(1000))
        except GreenletExit:
            # Its process was killed; what it has sent may arrive all the same.
            if rng.random() < 0.5:
                self._deliver_later(run, 0.001)
            raise
        stall = faults.stalled_until - self.world.now
        if stall > ANSWER_TIMEOUT_SECONDS:
            self._deliver_later(run, stall)
            self.world.pause(ANSWER_TIMEOUT_SECONDS)
            raise redis.TimeoutError("stalled")
        if stall > 0:
            self.world.pause(stall)
        if chance < faults.lost_requests:
            raise redis.ConnectionError("the request was lost")
        if chance < faults.lost_requests + faults.late_requests:
            self._deliver_later(run, rng.uniform(0.5, 8))
            self.world.pause(ANSWER_TIMEOUT_SECONDS)
            raise redis.TimeoutError("the request is late")
        answer = run()
        if chance < faults.lost_requests + faults.late_requests + faults.lost_answers:
            if rng.random() < 0.5:
                raise redis.ConnectionError("the answer was lost")
            self.world.pause(ANSWER_TIMEOUT_SECONDS)
            raise redis.TimeoutError("the answer was lost")
        self.world.pause(rng.expovariate(1000))
        return answer

    def _deliver_later(self, run: Callable[[], Any], seconds: float) -> None:
        self.under_way += 1

        def deliver() -> None:
            self.under_way -= 1
            self.world.note("a late request arrives")
            try:
                run()
            except redis.ResponseError as error:
                self.world.note(f"it is refused: {error}")

        self.world.spawn("late request", deliver, after=seconds)


class SimulatedRedis(redis.Redis):
    """A client whose every round trip passes through a network."""

    def __init__(self, network: Network, server: Any) -> None:
        super().__init__(connection_pool=server.connection_pool)
        self._network = network

    def execute_command(self, *args: Any, **options: Any) -> Any:
        answer = self._pass_on([(args, options)])[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> Pipeline:
        return _SimulatedPipeline(self._pass_on, self.connection_pool, self.response_callbacks, transaction)

    def _pass_on(self, stack: Stack, transaction: bool = False) -> list[Any]:
        """Have the server run the commands at the world's time, watched by the referee; return the answers."""
        network = self._network
        commands = [command for command, _ in stack]
        network.world.note("asks " + "; ".join(_told(command) for command in commands))
        scripts = any(command[0] in ("EVALSHA", "EVAL") for command in commands)

        def ask() -> list[Any]:
            # Scripts use the world's time.
            clock = [(("SET", CLOCK_KEY, network.world.redis_ms), {})] if scripts else []
            pipe = Pipeline(self.connection_pool, self.response_callbacks, transaction, None)
            # The server has no replica.
            pipe.command_stack = [*clock, *(PING if command[0] == "WAIT" else (command, _) for command, _ in stack)]
            with network.referee.watching(commands) as answers:
                answers.extend(pipe.execute(raise_on_error=False)[len(clock) :])
            for at, command in enumerate(commands):
                if command[0] == "WAIT":
                    answers[at] = network.replica.confirm()
            return answers

        answers: list[Any] = network.call(ask, ends=sum(network.referee.ends(command) for command in commands))
        for command, answer in zip(commands, answers, strict=True):
            if command[0] == "WAIT" and answer == 0:
                # It waited in vain for as long as it may.
                network.world.pause(command[2] / 1000)
        return answers


class _SimulatedPipeline(Pipeline):
    def __init__(self, pass_on: Callable[[Stack, bool], list[Any]], pool: Any, callbacks: Any, transaction: bool):
        super().__init__(pool, callbacks, transaction, None)
        self._pass_on = pass_on

    def execute(self, raise_on_error: bool = True) -> list[Any]:
        stack = list(self.command_stack)
        self.command_stack = []
        answers = self._pass_on(stack, self.transaction) if stack else []
        errors = [answer for answer in answers if isinstance(answer, Exception)]
        if raise_on_error and errors:
            raise errors[0]
        return answers


def _told(command: tuple[Any, ...]) -> str:
    return " ".join(str(part)[:40] for part in command if not isinstance(part, bytes))[:160]
