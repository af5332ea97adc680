"""Sees that no change of a running job is made for another execution than the one that holds it."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from shared import job_script
from tests.simulation.ledger import require

# Of EVALSHA or EVAL: the script, the number of keys, the first key (the job's record).
SCRIPT, KEY_COUNT, RECORD = 1, 2, 3


class Referee:
    """Looks at a job's record before a script changes it, in the same step."""

    def __init__(self, server: Any) -> None:
        """`server` is a client of the server itself."""
        self._server = server
        self._names: dict[str, str] = {}

    def know(self, name: str, text: str) -> None:
        """Take note of a script's text, clock and all."""
        self._names[text] = self._names[hashlib.sha1(text.encode()).hexdigest()] = name

    def ends(self, command: Sequence[Any]) -> bool:
        """Whether a command may end a job."""
        return self._name(command) == "finish"

    @contextmanager
    def watching(self, commands: Sequence[Sequence[Any]]) -> Iterator[list[Any]]:
        """Watch what commands do while the block runs them; yields a list for their answers."""
        answers: list[Any] = []
        watched = [(at, command) for at, command in enumerate(commands) if self._name(command) in ("requeue", "finish")]
        before = [self._record(command) for _, command in watched]
        yield answers
        for (at, command), (state, holder, requeued_by, ended_by) in zip(watched, before, strict=True):
            named, by = self._argument(command, "execution"), self._argument(command, "by")
            done_before = by in (requeued_by, ended_by)
            if done_before:
                told = f"{self._name(command)} was sent twice and answers {answers[at]}"
                require(answers[at] in (1, b"queued") or isinstance(answers[at], Exception), told)
            if named and not done_before and state == "running" and answers[at] in (1, b"queued"):
                require(named == holder, f"{self._name(command)} for {named} of a job that {holder} holds")

    def _name(self, command: Sequence[Any]) -> str:
        return self._names.get(command[SCRIPT], "") if command[0] in ("EVALSHA", "EVAL") else ""

    def _record(self, command: Sequence[Any]) -> list[str | None]:
        found: list[str | None] = self._server.hmget(command[RECORD], "state", "execution", "requeued_by", "ended_by")
        return found

    def _argument(self, command: Sequence[Any], name: str) -> str:
        names = job_script.names_in(job_script.read_script(self._name(command)), "ARGV")
        return str(command[RECORD + int(command[KEY_COUNT]) + names.index(name)])
