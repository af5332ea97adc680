"""A process of `make run` that can be started again and again."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

BOUND = Path(__file__).with_name("bound.py")


class Program:
    """Runs a command, at most once at a time; its process ends with this one, however that ends."""

    def __init__(self, name: str, command: list[str], environ: Mapping[str, str], output: int, lock: int) -> None:
        """Standard output and standard error go to the descriptor `output`; `lock` is kept open by the process."""
        self.name = name
        self._command = command
        self._environ = environ
        self._output = output
        self._lock = lock
        self._process: Process | None = None

    async def start(self, stdout: int | None = None) -> Process:
        """Start it and return the process; `stdout` replaces its standard output."""
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", str(BOUND), str(os.getpid()), *self._command),
            env=self._environ,
            stdin=DEVNULL,
            stdout=self._output if stdout is None else stdout,
            stderr=self._output,
            pass_fds=[self._lock],
        )
        return self._process

    async def run(self) -> int:
        """Start it and return its exit code when it has ended; negative for a signal."""
        return await (await self.start()).wait()

    async def stop(self, seconds: float) -> None:
        """Ask it to end, and kill it if it has not ended after so many seconds."""
        if self._process is None or self._process.returncode is not None:
            return
        # It may end by itself at any moment.
        with suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(self._process.wait(), max(0.0, seconds))
        except TimeoutError:
            with suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()


def describe(code: int) -> str:
    """Return how a process ended, by its exit code as `Program.run` returns it."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
