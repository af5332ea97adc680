"""The scripts that change job records, each atomic: `shared/scripts/*.lua`."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

import redis
from redis.client import NEVER_DECODE
from redis.commands.core import Script


def load_script(client: redis.Redis, name: str) -> Script:
    """Return the script `name`, to be run on `client` unless it is told otherwise."""
    text = resources.files("shared").joinpath("scripts", f"{name}.lua").read_text("utf-8")
    return client.register_script(text)


@dataclass(frozen=True)
class ScriptCall:
    """A script with what it is to do; its answer is not decoded, as a picture is no text."""

    script: Script
    keys: list[str]
    args: list[Any]

    def run(self, client: redis.Redis) -> Any:
        """Return what it answers."""
        return run_calls(client, [self])[0]

    def ask(self, client: Any) -> Any:
        """Send it by a client, or add it to a pipeline."""
        call = ("EVALSHA", self.script.sha, len(self.keys), *self.keys, *self.args)
        return client.execute_command(*call, **{NEVER_DECODE: True})


def run_calls(client: redis.Redis, calls: Sequence[ScriptCall]) -> list[Any]:
    """Run the calls in one round trip and return their answers; one more for each script the server did not know."""
    with client.pipeline(transaction=False) as pipe:
        for call in calls:
            call.ask(pipe)
        answers = pipe.execute(raise_on_error=False)
    return [_heard(client, call, answer) for call, answer in zip(calls, answers, strict=True)]


def _heard(client: redis.Redis, call: ScriptCall, answer: Any) -> Any:
    if isinstance(answer, redis.exceptions.NoScriptError):
        client.script_load(call.script.script)
        return call.ask(client)
    if isinstance(answer, Exception):
        raise answer
    return answer
