"""Sees that no change of a running job is made for another execution than the one that holds it."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from redis.exceptions import NoScriptError, ResponseError

from shared.jobs import script as job_script
from shared.jobs.store import CLAIM_VALID_SECONDS
from tests.simulation.batch_referee import BatchReferee
from tests.simulation.ledger import require

# Places in EVALSHA or EVAL: the script, the number of keys, the first key (the job's record).
SCRIPT, KEY_COUNT, RECORD = 1, 2, 3
# Of a claim: the key that remembers what it claimed.
CLAIMED = 7


class Referee:
    """Looks at a job's record before a script changes it, in the same step."""

    def __init__(self, server: Any) -> None:
        """`server` is a client of the server itself."""
        self._server = server
        self._names: dict[str, str] = {}
        self._arguments: dict[str, list[str]] = {}
        self._batches = BatchReferee(server)
        # How long ago it was that somebody asked for what is done now.
        self.age_seconds = 0.0
        # Whether Redis' clock is never set: else nobody can tell how late a claim is.
        self.steady_clock = True

    def know(self, name: str, text: str) -> None:
        """Take note of a script's text, clock and all."""
        self._names[text] = self._names[hashlib.sha1(text.encode()).hexdigest()] = name
        self._arguments[name] = job_script.names_in(text, "ARGV")

    def ends(self, command: Sequence[Any]) -> bool:
        """Whether a command may end a job."""
        return self._name(command) == "finish"

    def fail_over(self) -> None:
        """Take note that older records may be valid again."""
        self._batches.fail_over()

    @contextmanager
    def watching(self, commands: Sequence[Sequence[Any]]) -> Iterator[list[Any]]:
        """Watch what commands do while the block runs them; yields a list for their answers."""
        answers: list[Any] = []
        watched = [(at, command) for at, command in enumerate(commands) if self._name(command) in ("requeue", "finish")]
        before = [self._record(command) for _, command in watched]
        late = [(at, command) for at, command in enumerate(commands) if self._is_late_claim(command)]
        yield answers
        for command, answer in zip(commands, answers, strict=True):
            # Otherwise it would remain unnoticed: workers treat it as a failure of Redis, and continue.
            is_error = isinstance(answer, ResponseError) and not isinstance(answer, NoScriptError)
            require(not is_error, f"{self._name(command) or command[0]} fails: {answer}")
        for at, command in late:
            jobs = [] if isinstance(answers[at], Exception) else answers[at][3:]
            require(
                not jobs, f"a claim of {self._argument(command, 'execution')} took {jobs} when nobody waited for it"
            )
        for (at, command), (state, holder, requeued_by, ended_by, _) in zip(watched, before, strict=True):
            named, by = self._argument(command, "execution"), self._argument(command, "by")
            done_before = by in (requeued_by, ended_by)
            if done_before:
                told = f"{self._name(command)} was sent twice and answers {answers[at]}"
                require(answers[at] in (1, 2, b"queued") or isinstance(answers[at], Exception), told)
            if named and not done_before and state == "running" and answers[at] in (1, 2, b"queued"):
                require(named == holder, f"{self._name(command)} for {named} of a job that {holder} holds")
        batch_of = {at: record[4] for (at, _), record in zip(watched, before, strict=True)}
        keys = {self._batch_key(command, batch_of.get(at)) for at, command in enumerate(commands)}
        for key in sorted(keys - {""}):
            self._batches.look(key)

    def _batch_key(self, command: Sequence[Any], batch_of_job: str | None) -> str:
        """Return the key of the batch that a command may change, "" if there is none."""
        match self._name(command):
            case "open_batch" | "add_to_batch":
                return str(command[RECORD])
            case "settle_batch":
                return self._argument(command, "batch_prefix") + self._argument(command, "id")
            case "finish" if batch_of_job:
                return self._argument(command, "batch_prefix") + batch_of_job
        return ""

    def _name(self, command: Sequence[Any]) -> str:
        return self._names.get(command[SCRIPT], "") if command[0] in ("EVALSHA", "EVAL") else ""

    def _is_late_claim(self, command: Sequence[Any]) -> bool:
        """Whether a claim comes so late that its sender has given up, and has not been done before."""
        if self._name(command) != "claim" or self.age_seconds <= CLAIM_VALID_SECONDS + 0.1 or not self.steady_clock:
            return False
        return self._argument(command, "valid_until_ms") != "0" and not self._server.exists(command[CLAIMED])

    def _record(self, command: Sequence[Any]) -> list[str | None]:
        found: list[str | None] = self._server.hmget(
            command[RECORD], "state", "execution", "requeued_by", "ended_by", "batch"
        )
        return found

    def _argument(self, command: Sequence[Any], name: str) -> str:
        names = self._arguments[self._name(command)]
        return str(command[RECORD + int(command[KEY_COUNT]) + names.index(name)])
