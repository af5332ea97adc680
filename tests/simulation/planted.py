"""Faults that are planted into the product, to see that the simulation finds them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from shared import job_script
from tests.simulation.service import SimulatedWorker


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

        def read_wrongly(name: str) -> str:
            text = read(name)
            if name != self.script:
                return text
            assert text.count(self.right) == 1, self
            return text.replace(self.right, self.wrong)

        job_script.read_script = read_wrongly
        try:
            yield
        finally:
            job_script.read_script = read


@dataclass(frozen=True)
class BlameAll:
    """A worker's main process that does not know which job a child was running."""

    name: str = "every job of a stopped child pays for it"

    @contextmanager
    def planted(self) -> Iterator[None]:
        of = SimulatedWorker.of
        SimulatedWorker.of = lambda *_: None  # type: ignore[method-assign]
        try:
            yield
        finally:
            SimulatedWorker.of = of  # type: ignore[method-assign]


# The mends of faults that real services showed, taken out.
TAKEN_OUT = (
    PlantedFault("a claim that is sent again pops a second job", "claim", "redis.call('GET', claimed_key)", "nil"),
    PlantedFault("an end that is sent again is not known", "finish", "if record[7] == by then return 1 end"),
    PlantedFault("a requeue that is sent again is not known", "requeue", "if record[4] == by then return 'queued' end"),
    PlantedFault("a claim that comes too late is executed", "claim", "now > tonumber(valid_until_ms)", "false"),
    BlameAll(),
    PlantedFault("another execution's job is requeued", "requeue", " or record[2] ~= execution"),
    PlantedFault("another execution's job is ended", "finish", "record[6] ~= execution", "false"),
    PlantedFault("leases stay when the clock is set", "settle_clock", "if jump_ms == 0 then", "if true then"),
    PlantedFault("a turn lives on when the clock is set back", "take_turn", " or until_ms - now > tonumber(period_ms)"),
)
OTHERS = (
    PlantedFault(
        "an upload that is sent again is admitted twice", "admit", "redis.call('EXISTS', job_key) == 1", "nil"
    ),
    PlantedFault("the bytes of an ended job stay counted", "finish", "redis.call('DECRBY', bytes_key, record[2])"),
    PlantedFault("an attempt too many", "requeue", ">= tonumber(max_attempts)", "> tonumber(max_attempts)"),
    PlantedFault("attempts that do not count are counted", "requeue", "if counted ~= '1' then", "if false then"),
    PlantedFault(
        "lost messages are not found", "overtaken", "if waited_ms >= tonumber(grace_ms) then", "if false then"
    ),
    PlantedFault("a deadline outlives its job", "finish", "redis.call('ZREM', deadlines_key, id)"),
    PlantedFault("a job that has ended is run again", "claim", "record[1] ~= 'queued' or "),
)
PLANTED_FAULTS = (*TAKEN_OUT, *OTHERS)
