"""A terminal in which somebody has typed a command; its window can be closed."""

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from tests.support.make_run import READY_SECONDS, descendants, kill
from tests.support.repository import ROOT
from tests.support.wait import eventually


class Terminal:
    """The window of `script`, with a shell that runs a command in its foreground; all of it ends with the block."""

    def __init__(self, command: str, log: Path, cwd: Path = ROOT, **environ: str) -> None:
        """`log` gets what is shown."""
        self._log = log
        self._window = subprocess.Popen(
            ["script", "--quiet", "--flush", "--command", command, str(log)],
            cwd=cwd,
            # Not as a make within the make that runs the tests, which would print where it is.
            env={**os.environ, "SHELL": "/bin/bash", "MAKEFLAGS": "", "MAKELEVEL": "", **environ},
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._family: set[int] = set()

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        kill(self.family | {self._window.pid})
        assert self._window.stdin
        self._window.stdin.close()
        self._window.wait(10)

    @property
    def family(self) -> set[int]:
        """Every process that was seen in it."""
        self._family |= descendants(self._window.pid)
        return self._family

    @property
    def shown(self) -> str:
        return self._log.read_text("utf-8", errors="replace") if self._log.exists() else ""

    def wait_ready(self, is_ready: Callable[[], bool]) -> None:
        """Wait until the service is ready; AssertionError with what was shown if the command ends before."""
        eventually(lambda: is_ready() or self._window.poll() is not None, READY_SECONDS, "a ready service")
        assert is_ready(), self.shown

    def press(self, keys: bytes) -> None:
        assert self._window.stdin
        self._window.stdin.write(keys)
        self._window.stdin.flush()

    def close_window(self) -> None:
        """End the terminal while programs run in it, as if it had crashed."""
        self._window.send_signal(signal.SIGKILL)
