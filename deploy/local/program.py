"""A restartable process of `make run`."""

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
    """Runs a command, one process at a time; on Linux it gets SIGTERM when this process ends, however that ends."""

    def __init__(self, name: str, command: list[str], environ: Mapping[str, str], output: int, lock: int) -> None:
        """Standard output and standard error go to the descriptor `output`; the process inherits `lock`."""
        self.name = name
        self._command = command
        self._environ = environ
        self._output = output
        self._lock = lock
        self._process: Process | None = None

    async def start(self, stdout: int | None = None) -> Process:
        """Start the process and return it; `stdout` replaces its standard output."""
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
        """Start the process, wait for its end and return its exit code; negative for a signal."""
        return await (await self.start()).wait()

    async def stop(self, seconds: float) -> None:
        """Send SIGTERM, and SIGKILL if the process has not ended after `seconds`."""
        if self._process is None or self._process.returncode is not None:
            return
        # The process may end by itself at any moment.
        with suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(self._process.wait(), max(0.0, seconds))
        except TimeoutError:
            with suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()


def describe(code: int) -> str:
    """Describe an exit code of `Program.run`: the code, or the name of the signal."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
