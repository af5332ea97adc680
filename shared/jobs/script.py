"""Runs the atomic scripts that change job records: `shared/jobs/scripts/*.lua`."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

import redis
from redis.client import NEVER_DECODE

from shared.clock import Clock

# A line in a script that is replaced by the text of another one.
INCLUDE = re.compile(r"^-- include: (\w+)$", re.MULTILINE)


def read_script(name: str) -> str:
    """Return the text of a script, with the text of those that it includes."""
    text = resources.files("shared.jobs").joinpath("scripts", f"{name}.lua").read_text("utf-8")
    return INCLUDE.sub(lambda found: read_script(found[1]), text)


class JobScript:
    """A script; its first lines name its keys and arguments, and callers pass them by name."""

    def __init__(self, client: redis.Redis, name: str, clock: Clock) -> None:
        text = read_script(name)
        self._keys = names_in(text, "KEYS")
        self._args = names_in(text, "ARGV")
        self._text = clock.script + text
        self._sha = client.register_script(self._text).sha

    def call(self, keys: Mapping[str, str], args: Mapping[str, Any]) -> "ScriptCall":
        """Return a call with these keys and arguments; KeyError if one is missing."""
        assert keys.keys() == set(self._keys), self._keys
        assert args.keys() == set(self._args), self._args
        ordered = [*(keys[name] for name in self._keys), *(args[name] for name in self._args)]
        return ScriptCall(self._sha, self._text, len(self._keys), ordered)


@dataclass(frozen=True)
class ScriptCall:
    """A script with its keys and arguments; its answer is not decoded, because it may contain a picture.

    Every call is idempotent: it is sent again if its answer is lost.
    """

    sha: str
    text: str
    key_count: int
    parts: list[Any]

    def run(self, client: redis.Redis) -> Any:
        """Run the script and return its answer."""
        try:
            return self._send(client, "EVALSHA", self.sha)
        except redis.exceptions.NoScriptError:
            return self._send(client, "EVAL", self.text)

    def _send(self, client: redis.Redis, command: str, script: str) -> Any:
        # Without a pipeline, which costs a third more time: this is in the path of every upload.
        parts = (command, script, self.key_count, *self.parts)
        return client.execute_command(*parts, **{NEVER_DECODE: True})  # type: ignore[no-untyped-call]


def run_calls(client: redis.Redis, calls: Sequence[ScriptCall], then: Sequence[tuple[Any, ...]] = ()) -> list[Any]:
    """Run the calls and `then` the commands; return their answers.

    This takes one round trip, or two if the server lacks a script. All are sent on one connection.
    """
    answers = _send(client, [*(("EVALSHA", call.sha, call.key_count, *call.parts) for call in calls), *then])
    if any(isinstance(answer, redis.exceptions.NoScriptError) for answer in answers):
        # Send all calls again with their text: those that have run give the same answer.
        answers = _send(client, [*(("EVAL", call.text, call.key_count, *call.parts) for call in calls), *then])
    for answer in answers:
        if isinstance(answer, Exception):
            raise answer
    return answers


def _send(client: redis.Redis, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
    with client.pipeline(transaction=False) as pipe:
        for command in commands:
            pipe.execute_command(*command, **{NEVER_DECODE: True})  # type: ignore[no-untyped-call]
        return pipe.execute(raise_on_error=False)


def names_in(text: str, table: str) -> list[str]:
    """Return the names in `local a, b = unpack(TABLE)`."""
    found = re.search(rf"^local ([\w\s,]+?) = unpack\({table}\)", text, re.MULTILINE)
    assert found, f"the script does not name its {table}"
    return [name.strip() for name in found[1].split(",")]
