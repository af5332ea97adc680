"""The foreground process of `make run`: the service runs as long as this process does."""

import os
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress

from deploy.local.instance import ROOT, STOP_SECONDS
from deploy.local.output import say
from deploy.local.parent import Parent
from deploy.local.program import describe

# How often the foreground process checks that `make` still runs.
POLL_SECONDS = 0.5
# How long the processes of a killed manager may take to end. The rest of STOP_SECONDS is for detecting the kill.
LEFTOVER_SECONDS = STOP_SECONDS - 4


class Foreground:
    """Runs the manager in its own session, and stops everything after a signal or when the parent has ended."""

    def __init__(self, lock: int, parent: Parent | None) -> None:
        """`lock` is the descriptor from `Instance.claim`; this process ends when `parent`, if any, does."""
        self._lock = lock
        self._parent = parent
        self._told = False
        self._woken, self._wake = os.pipe()
        os.set_blocking(self._woken, False)
        os.set_blocking(self._wake, False)

    def run(self) -> int:
        """Run the service until it ends; return the exit code."""
        self._listen()
        # In its own session, so that Ctrl-C reaches this process only. Only this process holds the write end of the
        # manager's standard input, so the kernel closes it when this process ends.
        manager = subprocess.Popen(
            [sys.executable, "-m", "deploy.local.manager", str(self._lock)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            start_new_session=True,
            pass_fds=[self._lock],
        )
        assert manager.stdin
        deadline = float("inf")
        while manager.poll() is None and time.monotonic() < deadline:
            if deadline == float("inf") and (self._told or (self._parent and self._parent.ends())):
                manager.stdin.close()
                deadline = time.monotonic() + STOP_SECONDS - 1
            self._sleep()
        return self._clean_up(manager)

    def _listen(self) -> None:
        signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGHUP):
            # `nohup make run &` must survive the end of its terminal.
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self._tell)

    def _tell(self, *_: object) -> None:
        self._told = True

    def _sleep(self) -> None:
        """Wait for a signal or the manager's end, at most POLL_SECONDS."""
        select.select([self._woken], [], [], POLL_SECONDS)
        with suppress(BlockingIOError):
            os.read(self._woken, 1024)

    def _clean_up(self, manager: "subprocess.Popen[bytes]") -> int:
        """Kill the remaining processes in the manager's group, which is its session too; return the exit code."""
        code = manager.poll()
        if code is None:
            # The manager hangs: its time to stop is over.
            _signal_group(manager.pid, signal.SIGKILL)
            manager.wait()
            return 1
        if code < 0:
            _signal_group(manager.pid, signal.SIGTERM)
            deadline = time.monotonic() + LEFTOVER_SECONDS
            while _signal_group(manager.pid, 0) and time.monotonic() < deadline:
                time.sleep(POLL_SECONDS)
        _signal_group(manager.pid, signal.SIGKILL)
        if code < 0:
            say(f"make run: the process manager was killed ({describe(code)}), so the service was stopped")
        return 1 if code < 0 else code


def _signal_group(group: int, number: int) -> bool:
    """Send a signal to a process group; return whether it has any processes."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        # macOS raises PermissionError for a group of zombies.
        return False
    return True
