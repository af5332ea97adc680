"""Commands that are run to their end, whose output explains a failure."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.support.repository import ROOT


def call(
    command: Sequence[str], environ: Mapping[str, str], seconds: float, cwd: Path = ROOT
) -> "subprocess.CompletedProcess[str]":
    """Run a command whatever its exit code; `environ` is laid over this process' own, stderr comes with stdout."""
    return subprocess.run(
        command,
        cwd=cwd,
        # Not as a make within the make that runs the tests, which would print where it is.
        env={**os.environ, "MAKEFLAGS": "", "MAKELEVEL": "", **environ},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=seconds,
        check=False,
    )


def output(command: Sequence[str], environ: Mapping[str, str], seconds: float, cwd: Path = ROOT) -> str:
    """Return what a command prints; AssertionError with all of it if it fails."""
    done = call(command, environ, seconds, cwd)
    assert done.returncode == 0, f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}"
    return done.stdout
